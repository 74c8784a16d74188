// Measures the memory of each process of the lab as its proportional set size (PSS), which divides the size of a shared
// page among the processes that use it.
import { readdirSync, readFileSync } from "node:fs";
import type { MachineProcess } from "../../test/support/processes.ts";

interface Process {
  readonly parent: number;
  readonly words: readonly string[];
}

/** Returns the processes whose command line contains the text, and all their descendants. */
export function processesBelow(commandText: string): MachineProcess[] {
  const processes = new Map<number, Process>();
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, "utf8");
      const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
      processes.set(Number(entry), {
        parent,
        words: readFileSync(`/proc/${entry}/cmdline`, "utf8").split("\0").slice(0, -1),
      });
    } catch {
      // The process ended while we read it.
    }
  }
  const isRoot = ({ words }: Process): boolean => words.join(" ").includes(commandText);
  const roots = new Set([...processes].filter(([, process]) => isRoot(process)).map(([pid]) => pid));
  return [...processes].filter(([pid]) => descends(pid, roots, processes)).map(([pid, { words }]) => ({ pid, words }));
}

/** Returns the proportional set sizes in MiB by role, for the processes of {@link processesBelow}. */
export function memoryOf(commandText: string): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { pid, words } of processesBelow(commandText)) {
    const role = roleOf(words.join(" "));
    const mb = pssMb(pid);
    if (role !== undefined && mb > 0) sums[role] = Math.round(((sums[role] ?? 0) + mb) * 10) / 10;
  }
  return sums;
}

function descends(pid: number, roots: ReadonlySet<number>, processes: ReadonlyMap<number, Process>): boolean {
  for (let at = pid; at > 1; at = processes.get(at)?.parent ?? 0) if (roots.has(at)) return true;
  return false;
}

/** Returns a short name of the process for people, such as `ztunnel` or `app reviews`. */
export function roleOf(commandLine: string): string | undefined {
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
