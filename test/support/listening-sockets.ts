// Lists the listening sockets of a lab's processes, in all of its network namespaces, from /proc.
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { MachineProcess } from "./processes.ts";

export interface ListeningSocket {
  readonly transport: "tcp" | "udp";
  readonly port: number;
  readonly isLoopback: boolean;
  /** The roles of the processes that have the socket. A role is the word after `main.ts` in the command line. */
  readonly holders: readonly string[];
}

/** Undefined for programs other than ours. */
export function roleOf({ words }: MachineProcess): string | undefined {
  const at = words.findIndex((word) => /\/cmd\/main\.[jt]s$/.test(word));
  return at < 0 || words[0]?.endsWith("/node") !== true ? undefined : words[at + 1];
}

export function listeningSockets(processes: readonly MachineProcess[]): ListeningSocket[] {
  const holders = new Map<string, Set<string>>();
  for (const each of processes) {
    const role = roleOf(each);
    if (role === undefined) continue;
    for (const inode of socketsOf(each.pid)) holders.set(inode, (holders.get(inode) ?? new Set()).add(role));
  }
  const namespaces = new Map(processes.map(({ pid }) => [networkOf(pid), pid]));
  namespaces.delete(undefined);
  return [...namespaces.values()].flatMap((pid) =>
    listeningIn(pid).flatMap(({ inode, ...socket }) => {
      const held = holders.get(inode);
      return held === undefined ? [] : [{ ...socket, holders: [...held] }];
    }),
  );
}

/** Finds a process in the network namespace that has the address. */
export function processWithAddress(processes: readonly MachineProcess[], address: string): number {
  const namespaces = new Map(processes.map(({ pid }) => [networkOf(pid), pid]));
  namespaces.delete(undefined);
  const found = [...namespaces.values()].find((pid) => {
    const lines = readProc(pid, "net/fib_trie").split("\n");
    return lines.some((line, at) => line.endsWith(` ${address}`) && lines[at + 1]?.includes("host LOCAL") === true);
  });
  if (found === undefined) throw new Error(`no process of the lab has the address ${address}`);
  return found;
}

function networkOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}

function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return "";
  }
}

function socketsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.slice(1, 2) ?? [];
      } catch {
        return [];
      }
    });
  } catch {
    return [];
  }
}

/** The kernel's numbers of states: LISTEN for TCP, and a UDP socket without a peer. */
const states = { tcp: "0A", udp: "07" } as const;
const loopbacks = [/^.{6}7F$/, /^0{24}01000000$/];

interface Listening {
  readonly inode: string;
  readonly transport: "tcp" | "udp";
  readonly port: number;
  readonly isLoopback: boolean;
}

function listeningIn(pid: number): Listening[] {
  return (["tcp", "tcp6", "udp", "udp6"] as const).flatMap((file) =>
    readProc(pid, `net/${file}`)
      .split("\n")
      .slice(1)
      .flatMap((line) => {
        const [, local = "", , state, , , , , , inode = ""] = line.trim().split(/\s+/);
        const [address = "", port = ""] = local.split(":");
        const transport = file.startsWith("tcp") ? "tcp" : "udp";
        // A UDP socket whose port is 0 is not bound, so it does not listen.
        if (state !== states[transport] || Number.parseInt(port, 16) === 0) return [];
        const isLoopback = loopbacks.some((pattern) => pattern.test(address));
        return [{ inode, transport, port: Number.parseInt(port, 16), isLoopback }];
      }),
  );
}
