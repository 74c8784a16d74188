import type { Server, Socket } from "node:net";

/** An open connection of a server. */
export interface LimitedConnection {
  destroy(): unknown;
}

/** The connections that an address loses, the oldest first. */
export interface LostConnections<Connection> {
  readonly address: string;
  readonly connections: readonly Connection[];
}

/**
 * What a full server does for a new connection: the address with the most connections loses its oldest ones to an
 * address with fewer, `wanted` or as many as it has more. None if no address has at least two more.
 */
export function outnumberingConnections<Connection>(
  held: ReadonlyMap<string, ReadonlySet<Connection>>,
  newcomer: string,
  wanted: number,
): LostConnections<Connection> {
  let address = newcomer;
  let largest = held.get(newcomer) ?? new Set<Connection>();
  const own = largest.size;
  for (const [other, connections] of held)
    if (connections.size > largest.size) [address, largest] = [other, connections];
  const surplus = Math.max(0, largest.size - own - 1);
  return { address, connections: surplus === 0 ? [] : [...largest].slice(0, Math.min(wanted, surplus)) };
}

/**
 * Limits how many connections a server holds. When it is full, the address with the most connections loses its oldest
 * one to an address with fewer. Otherwise one client could block all others just by keeping connections open.
 */
export class ConnectionLimit<Connection extends LimitedConnection> {
  readonly #max: number;
  /** The connections of each address, the oldest first. */
  readonly #open = new Map<string, Set<Connection>>();
  #size = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /**
   * Counts a new connection. Returns false, and destroys the connection, if the server is full and no address has more
   * connections than this one. The caller must {@link release} each connection that was admitted.
   */
  admit(connection: Connection, address: string): boolean {
    const own = this.#open.get(address);
    if (this.#size >= this.#max) {
      const lost = outnumberingConnections(this.#open, address, 1);
      const [oldest] = lost.connections;
      if (oldest === undefined) {
        connection.destroy();
        return false;
      }
      this.release(oldest, lost.address);
      oldest.destroy();
    }
    this.#size += 1;
    if (own === undefined) this.#open.set(address, new Set([connection]));
    else own.add(connection);
    return true;
  }

  /** Has no effect on a connection that does not count any more. */
  release(connection: Connection, address: string): void {
    const own = this.#open.get(address);
    if (own?.delete(connection) !== true) return;
    this.#size -= 1;
    if (own.size === 0) this.#open.delete(address);
  }
}

/** More than a server of readiness, metrics or pages needs, and few beside a process's descriptors. */
const defaultMax = 1024;

/** Limits the connections of one of node's servers. With TLS, those that have not ended their handshake count too. */
export function limitConnections(server: Server, max = defaultMax): void {
  const limit = new ConnectionLimit<Socket>(max);
  server.on("connection", (socket) => {
    // The address is unknown once the socket has closed.
    const address = socket.remoteAddress ?? "";
    if (limit.admit(socket, address)) socket.once("close", () => limit.release(socket, address));
  });
}
