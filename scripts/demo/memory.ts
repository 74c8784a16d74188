// Measures the memory of each process of the lab as its proportional set size (PSS), which divides the size of a shared
// page among the processes that use it.
import { readdirSync, readFileSync } from "node:fs";

interface Process {
  readonly parent: number;
  readonly name: string;
}

/** Proportional set sizes in MB by role, for all descendants of the process whose command line contains the text. */
export function memoryOf(commandText: string): Record<string, number> {
  const processes = new Map<number, Process>();
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, "utf8");
      const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
      processes.set(Number(entry), {
        parent,
        name: readFileSync(`/proc/${entry}/cmdline`, "utf8").replaceAll("\0", " ").trim(),
      });
    } catch {
      // The process ended while we read it.
    }
  }
  const roots = new Set([...processes].filter(([, { name }]) => name.includes(commandText)).map(([pid]) => pid));
  const sums: Record<string, number> = {};
  for (const [pid, { name }] of processes) {
    if (!descends(pid, roots, processes)) continue;
    const role = roleOf(name);
    const mb = pssMb(pid);
    if (role !== undefined && mb > 0) sums[role] = Math.round(((sums[role] ?? 0) + mb) * 10) / 10;
  }
  return sums;
}

function descends(pid: number, roots: ReadonlySet<number>, processes: ReadonlyMap<number, Process>): boolean {
  for (let at = pid; at > 1; at = processes.get(at)?.parent ?? 0) if (roots.has(at)) return true;
  return false;
}

/** A short name of the process for people: `ztunnel`, `samples/bookinfo/src/reviews.ts`. */
function roleOf(commandLine: string): string | undefined {
  const [, role] = /\/cmd\/main\.[jt]s ([a-z-]+)/.exec(commandLine) ?? [];
  if (role !== undefined) return role;
  const [, sample] = /samples\/(?:[a-z-]+\/)*([a-z-]+)\.ts/.exec(commandLine) ?? [];
  return sample === undefined ? undefined : `app ${sample}`;
}

function pssMb(pid: number): number {
  try {
    const [, kilobytes = "0"] = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8")) ?? [];
    return Number(kilobytes) / 1024;
  } catch {
    return 0;
  }
}
