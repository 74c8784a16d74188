import { readFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { addressBytes } from "../../../base/index.ts";

/** The addresses of a connection, as this end of it sees them. */
export type Ends = Pick<Socket, "remoteAddress" | "remotePort" | "localAddress" | "localPort">;

/** Reads a table of connections from the kernel: `tcp` or `tcp6`. Throws if the system has no such tables. */
export type ReadTable = (table: "tcp" | "tcp6") => Promise<string>;

const readKernelTable: ReadTable = async (table) => await readFile(`/proc/self/net/${table}`, "utf8");
/** The columns of a table, counted from 0. Column 0 has the number of the row. */
const columns = { local: 1, remote: 2, user: 7, inode: 9 } as const;

/**
 * The user id of the process at the other end of a connection. Undefined if the connection comes from another machine,
 * such as the host of a virtual machine. The address alone does not tell this, because any user may connect to the
 * loopback from another address of the machine. -1 if the process has closed its end.
 */
export async function userOfPeer(ends: Ends, read: ReadTable = readKernelTable): Promise<number | undefined> {
  const { remoteAddress = "", remotePort = 0, localAddress = "", localPort = 0 } = ends;
  // A socket of IPv6 may connect to an IPv4 address. The connection is then in the table `tcp6`.
  for (const [table, isWide] of [
    ["tcp", false],
    ["tcp6", true],
  ] as const) {
    const peer = endOf(remoteAddress, remotePort, isWide);
    const own = endOf(localAddress, localPort, isWide);
    if (peer === undefined || own === undefined) continue;
    const rows = (await read(table).catch(() => "")).split("\n").map((line) => line.trim().split(/\s+/));
    const row = rows.find((cells) => cells[columns.local] === peer && cells[columns.remote] === own);
    if (row !== undefined) return row[columns.inode] === "0" ? -1 : Number(row[columns.user]);
  }
  return undefined;
}

/**
 * An address and port in the form of the tables: hexadecimal, in 32-bit words in the machine's byte order. Undefined if
 * the address does not fit the table.
 */
function endOf(address: string, port: number, isWide: boolean): string | undefined {
  const plain = address.replace(/^::ffff:(?=[\d.]+$)/, "");
  const bytes = addressBytes(isWide && !plain.includes(":") ? `::ffff:${plain}` : plain);
  if (bytes?.length !== (isWide ? 16 : 4)) return undefined;
  // All machines for which there is a Node.js of Serin are little-endian.
  const words = Buffer.from(bytes).swap32().toString("hex");
  return `${words}:${port.toString(16).padStart(4, "0")}`.toUpperCase();
}

/**
 * Why a browser of this user may not use the address that `serin dashboard` printed. Other users of the machine can
 * read the address while the desktop's program starts a browser with it. Root may use it, because root can read
 * everything anyway. If root runs the server, `sudo` is the user who called `sudo`. If nobody did, a browser of any
 * user is accepted.
 */
export function strangerFault(
  peer: number | undefined,
  { own, sudo }: { readonly own: number; readonly sudo: number | undefined },
): string | undefined {
  if (peer === undefined || peer === 0 || peer === own || peer === sudo) return undefined;
  if (own === 0 && sudo === undefined && peer >= 0) return undefined;
  return peer < 0
    ? "the browser has closed its connection"
    : `the browser runs as the user with the id ${peer}, and this server as the one with the id ${sudo ?? own}`;
}
