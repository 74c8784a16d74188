// Measures the machine's shortage of processor time by the kernel's pressure figures. On a starved machine requests
// wait without a fault of the mesh.
import { readFileSync } from "node:fs";

/**
 * Returns the time in milliseconds since the machine's start in which some process waited for a processor. Returns
 * undefined if the kernel does not report it.
 */
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

export function describeShortage(fromMs: number | undefined, untilMs: number | undefined, spanMs: number): string {
  if (fromMs === undefined || untilMs === undefined || spanMs <= 0)
    return "the kernel does not report processor pressure";
  return `processes waited for a processor in ${Math.round((100 * (untilMs - fromMs)) / spanMs)} % of the time`;
}
