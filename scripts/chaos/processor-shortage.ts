// How short of processor time the machine is, as the kernel's pressure figures tell it. On a starved machine requests wait for no fault of the mesh.
import { readFileSync } from "node:fs";

/** The time for which some process waited for a processor, in milliseconds since the machine's start. Undefined where the kernel does not tell. */
export function waitedMs(): number | undefined {
  try {
    return parseWaitedMs(readFileSync("/proc/pressure/cpu", "utf8"));
  } catch {
    return undefined;
  }
}

export function parseWaitedMs(text: string): number | undefined {
  const total = /^some .*\btotal=(\d+)$/m.exec(text)?.[1];
  return total === undefined ? undefined : Number(total) / 1000;
}

/** In words, for a span of time. */
export function describeShortage(fromMs: number | undefined, untilMs: number | undefined, spanMs: number): string {
  if (fromMs === undefined || untilMs === undefined || spanMs <= 0)
    return "the kernel does not tell processor pressure";
  return `processes waited for a processor in ${Math.round((100 * (untilMs - fromMs)) / spanMs)} % of the time`;
}
