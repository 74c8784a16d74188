import { readdirSync, readFileSync, readlinkSync } from "node:fs";

const tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];
const localField = 1;
const remoteField = 2;
const inodeField = 9;

/**
 * Whether this process holds the socket at the other end of a connection inside its pod, from `remotePort` to
 * `localPort`. It asks the kernel, because the worker that may have opened the socket does not answer. Returns true if
 * the kernel's tables cannot be read.
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

/** A kernel without IPv6 has no table for IPv6. */
function read(table: string): string {
  try {
    return readFileSync(table, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}

/** The port in an address of the kernel's table, such as `0100007F:1F90`. */
function portOf(address = ""): number {
  return Number.parseInt(address.slice(address.indexOf(":") + 1), 16);
}

/** The inode of a descriptor's socket. Empty if the descriptor is no socket, or was closed meanwhile. */
function inodeOf(fd: string): string {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1] ?? "";
  } catch {
    return "";
  }
}
