import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

export interface ProcessEntry {
  readonly pid: number;
  readonly parent: number;
  readonly session: number;
  /** The start time from field 22 of /proc/<pid>/stat, as in `ProcessIdentity`. */
  readonly startTicks: string;
  /** The CPU time of the process and of its ended children, in milliseconds. */
  readonly cpuMs: number;
  /**
   * The PID namespace, as the text of the link ns/pid. It is empty if the kernel does not show the link to this
   * process.
   */
  readonly pidNamespace: string;
}

/** The unit of times in /proc, in milliseconds. The kernel uses hundredths of a second on every architecture. */
const tickMs = 10;

/** All processes that this process can see. Leaves out a process that ends during the read. */
export function readProcessTable(root = "/proc"): ProcessEntry[] {
  const entries: ProcessEntry[] = [];
  for (const name of readdirSync(root)) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const pidNamespace = linkOf(join(root, name, "ns/pid"));
      entries.push(parseStat(Number(name), readFileSync(join(root, name, "stat"), "utf8"), pidNamespace));
    } catch {
      // Leave out a process that has ended since the directory was listed.
    }
  }
  return entries;
}

/** Parses the line of /proc/<pid>/stat. The process' name in parentheses may contain spaces and parentheses. */
export function parseStat(pid: number, text: string, pidNamespace: string): ProcessEntry {
  const fields = text
    .slice(text.lastIndexOf(")") + 2)
    .trim()
    .split(" ");
  const [, parent, , session] = fields;
  const ticks = [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index] ?? 0), 0);
  return {
    pid,
    parent: Number(parent),
    session: Number(session),
    startTicks: fields[19] ?? "",
    cpuMs: ticks * tickMs,
    pidNamespace,
  };
}

/**
 * Returns the memory of a process in bytes, as PSS: a page that several processes share counts in equal parts for them,
 * so that sums over processes are right. Returns 0 for a process that has ended.
 */
export async function readMemoryBytes(pid: number, root = "/proc"): Promise<number> {
  const text = await readFile(join(root, String(pid), "smaps_rollup"), "utf8").catch(() => "");
  const kilobytes = /^Pss:\s+(\d+) kB$/m.exec(text)?.[1] ?? (await residentKilobytes(pid, root));
  return Number(kilobytes) * 1_024;
}

/** The resident memory in kilobytes. It is used if the kernel does not show a process' PSS. */
async function residentKilobytes(pid: number, root: string): Promise<string> {
  const text = await readFile(join(root, String(pid), "status"), "utf8").catch(() => "");
  return /^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1] ?? "0";
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

/**
 * Assigns each process to a container. A process belongs to the container whose first process it is, in whose PID
 * namespace or session it is, or to which its parent belongs. Returns the processes of each container, by the pid of
 * its first process.
 */
export function processesByInit(
  table: readonly ProcessEntry[],
  inits: ReadonlySet<number>,
  ownNamespace: string,
): Map<number, ProcessEntry[]> {
  const byPid = new Map(table.map((entry) => [entry.pid, entry]));
  const initOfNamespace = new Map<string, number>();
  for (const init of inits) {
    const namespace = byPid.get(init)?.pidNamespace ?? "";
    if (namespace !== "" && namespace !== ownNamespace) initOfNamespace.set(namespace, init);
  }
  const owners = new Map<number, number | undefined>();
  const ownerOf = (pid: number): number | undefined => {
    if (owners.has(pid)) return owners.get(pid);
    owners.set(pid, undefined);
    const entry = byPid.get(pid);
    if (entry === undefined) return undefined;
    const owner = inits.has(pid)
      ? pid
      : (initOfNamespace.get(entry.pidNamespace) ?? (inits.has(entry.session) ? entry.session : ownerOf(entry.parent)));
    owners.set(pid, owner);
    return owner;
  };
  const found = new Map<number, ProcessEntry[]>();
  for (const entry of table) {
    const owner = ownerOf(entry.pid);
    if (owner === undefined) continue;
    const list = found.get(owner);
    if (list === undefined) found.set(owner, [entry]);
    else list.push(entry);
  }
  return found;
}
