import { readdirSync, readFileSync, readlinkSync } from "node:fs";

const tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];
const localField = 1;
const remoteField = 2;
const inodeField = 9;

/**
 * Whether this process holds the socket at the other end of a connection in its own pod, from this remote port to this
 * local port. Asks the kernel, because the worker that may have opened it does not answer. True if that cannot be read.
 */
export function ownsSocket(remotePort: number, localPort: number): boolean {
  try {
    const inodes = new Set(tables.flatMap((table) => inodesOf(table, remotePort, localPort)));
    if (inodes.size === 0) return false;
    return readdirSync("/proc/self/fd").some((fd) => inodes.has(inodeOf(fd)));
  } catch {
    return true;
  }
}

function inodesOf(table: string, from: number, to: number): string[] {
  return read(table)
    .split("\n")
    .slice(1)
    .flatMap((line) => {
      const fields = line.trim().split(/\s+/);
      const inode = fields[inodeField];
      const isIt = portOf(fields[localField]) === from && portOf(fields[remoteField]) === to;
      return isIt && inode !== undefined ? [inode] : [];
    });
}

/** A kernel without IPv6 has no table for it. */
function read(table: string): string {
  try {
    return readFileSync(table, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}

/** The port of an address such as `0100007F:1F90`. */
function portOf(address = ""): number {
  return Number.parseInt(address.slice(address.indexOf(":") + 1), 16);
}

/** Empty for a descriptor that is no socket, or that was closed meanwhile. */
function inodeOf(fd: string): string {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1] ?? "";
  } catch {
    return "";
  }
}
