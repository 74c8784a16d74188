import type { Server, Socket } from "node:net";

/** An open connection of a server. */
export interface LimitedConnection {
  destroy(): unknown;
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
      const [largest, connections] = this.#largest();
      const [oldest] = connections;
      if (oldest === undefined || connections.size <= (own?.size ?? 0) + 1) {
        connection.destroy();
        return false;
      }
      this.release(oldest, largest);
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

  #largest(): readonly [address: string, connections: ReadonlySet<Connection>] {
    let largest: readonly [string, ReadonlySet<Connection>] = ["", new Set()];
    for (const entry of this.#open) if (entry[1].size > largest[1].size) largest = entry;
    return largest;
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
