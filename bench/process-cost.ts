import { readdirSync, readFileSync } from "node:fs";

export interface ThreadNanos {
  readonly ran: number;
  /** The time in which the thread could have run, but something else ran on its core. */
  readonly waited: number;
}

/** Returns the times of each thread of a process since the thread's start, by the thread's id, in nanoseconds. */
export function threadNanos(pid: number): Map<string, ThreadNanos> {
  const tasks = `/proc/${pid}/task`;
  return new Map(
    readdirSync(tasks).map((thread) => {
      const [ran, waited] = readFileSync(`${tasks}/${thread}/schedstat`, "utf8").split(" ");
      return [thread, { ran: Number(ran), waited: Number(waited) }];
    }),
  );
}

/** Returns the times of each thread of a process since {@link threadNanos} returned `before`, in nanoseconds. */
export function nanosSince(pid: number, before: ReadonlyMap<string, ThreadNanos>): Map<string, ThreadNanos> {
  return new Map(
    [...threadNanos(pid)].map(([thread, { ran, waited }]) => {
      const then = before.get(thread);
      return [thread, { ran: ran - (then?.ran ?? 0), waited: waited - (then?.waited ?? 0) }];
    }),
  );
}

/** Returns the CPU time of all present threads of a process, in microseconds. */
export function cpuMicros(pid: number): number {
  let nanoseconds = 0;
  for (const { ran } of threadNanos(pid).values()) nanoseconds += ran;
  return nanoseconds / 1000;
}

/** The memory of a process in MB of 2^20 bytes. */
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
