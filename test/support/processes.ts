// Lists the machine's processes from /proc.
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

export interface MachineProcess {
  readonly pid: number;
  readonly words: readonly string[];
}

interface InspectedProcess extends MachineProcess {
  readonly userNamespace: string | undefined;
  readonly marked: boolean;
}

/**
 * The processes with the mark in their environment, and those in the same user namespaces: pods have environments of
 * their own.
 */
export function processesOf(mark: string): MachineProcess[] {
  const own = readlinkSync("/proc/self/ns/user");
  const all = readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((entry) => look(entry, mark));
  const namespaces = new Set(
    all
      .filter(({ marked, userNamespace }) => marked && userNamespace !== own)
      .map(({ userNamespace }) => userNamespace),
  );
  namespaces.delete(undefined);
  return all
    .filter(({ pid, marked, userNamespace }) => pid !== process.pid && (marked || namespaces.has(userNamespace)))
    .map(({ pid, words }) => ({ pid, words }));
}

export function visibleProcesses(): MachineProcess[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((entry) => look(entry, "\0"))
    .map(({ pid, words }) => ({ pid, words }));
}

function look(entry: string, mark: string): InspectedProcess[] {
  try {
    const words = readFileSync(`/proc/${entry}/cmdline`, "utf8").split("\0").slice(0, -1);
    // A kernel thread, or an ended process that waits for its parent.
    if (words.length === 0) return [];
    const marked = readFileSync(`/proc/${entry}/environ`, "utf8").includes(mark);
    return [{ pid: Number(entry), words, marked, userNamespace: readlinkSync(`/proc/${entry}/ns/user`) }];
  } catch {
    // The process has ended, or belongs to another user.
    return [];
  }
}
