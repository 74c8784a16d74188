import type { Server, Socket } from "node:net";
import { LinkedList, type Linked } from "./shared-timeouts.ts";

/** An open connection of a server. */
interface LimitedConnection {
  destroy(): unknown;
}

/** The connections that an address loses to a newcomer, the oldest first. */
export interface LostConnections<Connection> {
  readonly address: string;
  readonly connections: readonly Connection[];
}

/** The connections of an address, the oldest first. */
interface HeldConnections<Connection> extends Iterable<Connection> {
  readonly size: number;
}

/**
 * What a full server does for a new connection: the address with the most connections loses its oldest ones to an
 * address with fewer. It loses `wanted` of them, but no more than its surplus. It loses none if no address has at least
 * two more.
 */
export function outnumberingConnections<Connection>(
  held: ReadonlyMap<string, HeldConnections<Connection>>,
  newcomer: string,
  wanted: number,
): LostConnections<Connection> {
  const { address, connections, surplus } = mostConnections(held, newcomer);
  return { address, connections: surplus === 0 ? [] : [...(connections ?? [])].slice(0, Math.min(wanted, surplus)) };
}

/** The address with the most connections, and how many it could lose to a newcomer's address. */
function mostConnections<Connections extends { readonly size: number }>(
  held: ReadonlyMap<string, Connections>,
  newcomer: string,
): { readonly address: string; readonly connections: Connections | undefined; readonly surplus: number } {
  let address = newcomer;
  let largest = held.get(newcomer);
  const own = largest?.size ?? 0;
  for (const [other, connections] of held)
    if (connections.size > (largest?.size ?? 0)) [address, largest] = [other, connections];
  return { address, connections: largest, surplus: Math.max(0, (largest?.size ?? 0) - own - 1) };
}

/** A connection's place in the limit. The connection gives it back when it ends. */
class Place implements Disposable, Linked<Place> {
  readonly connection: LimitedConnection;
  readonly address: string;
  readonly #leave: (place: Place) => void;
  isListed = false;
  previous: Place | undefined;
  next: Place | undefined;

  constructor(connection: LimitedConnection, address: string, leave: (place: Place) => void) {
    this.connection = connection;
    this.address = address;
    this.#leave = leave;
  }

  [Symbol.dispose](): void {
    this.#leave(this);
  }
}

/**
 * Limits how many connections a server holds. When it is full, the address with the most connections loses its oldest
 * one to an address with fewer. Otherwise one client could block all others just by keeping connections open.
 */
export class ConnectionLimit {
  readonly #max: number;
  /** The places of each address, the oldest first. */
  readonly #open = new Map<string, LinkedList<Place>>();
  #size = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /**
   * Counts a new connection until its place is disposed of. Returns undefined, and destroys the connection, if the
   * server is full and no address has more connections than this one.
   */
  admit(connection: LimitedConnection, address: string): Disposable | undefined {
    if (this.#size >= this.#max) {
      const { connections, surplus } = mostConnections(this.#open, address);
      // An address may have hundreds of thousands, so the list must not be copied for each newcomer.
      const oldest = surplus === 0 ? undefined : connections?.first;
      if (oldest === undefined) {
        connection.destroy();
        return undefined;
      }
      this.#leave(oldest);
      oldest.connection.destroy();
    }
    let own = this.#open.get(address);
    if (own === undefined) this.#open.set(address, (own = new LinkedList()));
    const place = new Place(connection, address, this.#leave);
    own.add(place);
    this.#size += 1;
    return place;
  }

  /** Has no effect on a connection that no longer counts. */
  readonly #leave = (place: Place): void => {
    const own = this.#open.get(place.address);
    if (own?.remove(place) !== true) return;
    this.#size -= 1;
    if (own.size === 0) this.#open.delete(place.address);
  };
}

/**
 * The default limit. It is more than a server of readiness, metrics or pages needs, and little compared with a
 * process's limit of descriptors.
 */
const defaultMax = 1024;

/** Limits the connections of one of node's servers. With TLS, those that have not ended their handshake count too. */
export function limitConnections(server: Server, max = defaultMax): void {
  const limit = new ConnectionLimit(max);
  server.on("connection", (socket: Socket) => {
    // The address is unknown once the socket has closed.
    const place = limit.admit(socket, socket.remoteAddress ?? "");
    if (place !== undefined) socket.once("close", () => place[Symbol.dispose]());
  });
}
