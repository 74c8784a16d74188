import { readdirSync, readFileSync } from "node:fs";

/** The CPU time of all threads of a process, in microseconds. */
export function cpuMicros(pid: number): number {
  let nanoseconds = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`))
    nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]);
  return nanoseconds / 1000;
}

/** The memory of a process in MB. */
export interface ProcessMemory {
  /** The proportional set size. If several processes map a page, each process counts only its part of the page. */
  readonly shareMb: number;
  /** The resident set size. The process would take this much if no other process ran the same program. */
  readonly residentMb: number;
}

export function memoryOf(pid: number): ProcessMemory {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(rollup)?.[1] ?? 0) / 1024;
  return { shareMb: field("Pss"), residentMb: field("Rss") };
}
