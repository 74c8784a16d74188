import type { Server, Socket } from "node:net";
import { clientNetwork } from "./client-network.ts";
import { LinkedList, type Linked } from "./shared-timeouts.ts";

interface LimitedConnection {
  destroy(): unknown;
}

interface Count {
  readonly size: number;
}

/** The address with the most connections. `surplus` is how many of them it could lose to the newcomer's address. */
function mostConnections(
  held: ReadonlyMap<string, Count>,
  newcomer: string,
): { readonly address: string; readonly size: number; readonly surplus: number } {
  const own = held.get(newcomer)?.size ?? 0;
  let [address, largest] = [newcomer, own];
  for (const [other, { size }] of held) if (size > largest) [address, largest] = [other, size];
  return { address, size: largest, surplus: Math.max(0, largest - own - 1) };
}

/**
 * If no address has more connections than this, clients are compared by their networks ({@link clientNetwork}) instead.
 * An honest client needs no more.
 */
const fewConnections = 8;

/** Whether a connection of this address ends for a newcomer. It is called once for each connection, oldest first. */
type EndsForNewcomer = (address: string) => boolean;

/**
 * Decides which connections end when a full server needs room for `wanted` newcomers of one address. The address with
 * the most connections loses some, or several addresses do if that one cannot lose so many. Each of them keeps at least
 * one more than the newcomer's address has. If no address has more than {@link fewConnections}, the network with the
 * most connections loses some instead. Undefined if nobody loses any.
 */
export function connectionsToEnd(
  held: ReadonlyMap<string, Count>,
  newcomer: string,
  wanted: number,
): EndsForNewcomer | undefined {
  const own = held.get(newcomer)?.size ?? 0;
  const { address, size, surplus } = mostConnections(held, newcomer);
  const lossOf = (other: string): number => (held.get(other)?.size ?? 0) - own - 1;
  if (size <= fewConnections) return endsOfNetworks(held, newcomer, wanted);
  if (surplus >= wanted) return upTo(wanted, (other) => (other === address ? other : undefined), lossOf);
  return surplus === 0 ? undefined : upTo(wanted, (other) => other, lossOf);
}

function endsOfNetworks(
  held: ReadonlyMap<string, Count>,
  newcomer: string,
  wanted: number,
): EndsForNewcomer | undefined {
  const own = held.get(newcomer)?.size ?? 0;
  if (own >= fewConnections) return undefined;
  const networks = new Map<string, { size: number }>();
  for (const [address, { size }] of held) {
    const name = clientNetwork(address);
    const network = networks.get(name);
    if (network === undefined) networks.set(name, { size });
    else network.size += size;
  }
  const sizeOf = (address: string): number => networks.get(clientNetwork(address))?.size ?? 0;
  const ownNetwork = clientNetwork(newcomer);
  const most = mostConnections(networks, ownNetwork);
  const ofMost = upTo(
    wanted,
    (address) => (clientNetwork(address) === most.address ? most.address : undefined),
    () => most.surplus,
  );
  if (most.surplus >= wanted) return ofMost;
  // A newcomer of a larger network takes no connections from a smaller one.
  const lossOf = (address: string): number =>
    sizeOf(address) < sizeOf(newcomer) ? 0 : (held.get(address)?.size ?? 0) - own - 1;
  for (const address of held.keys()) if (lossOf(address) > 0) return upTo(wanted, (other) => other, lossOf);
  return most.surplus > 0 ? ofMost : undefined;
}

/**
 * Ends up to `wanted` connections, and for each owner at most as many as `lossOf` says. A connection without an owner
 * continues.
 */
function upTo(
  wanted: number,
  ownerOf: (address: string) => string | undefined,
  lossOf: (owner: string) => number,
): EndsForNewcomer {
  const lost = new Map<string, number>();
  let total = 0;
  return (address) => {
    const owner = total < wanted ? ownerOf(address) : undefined;
    if (owner === undefined) return false;
    const before = lost.get(owner) ?? 0;
    if (before >= lossOf(owner)) return false;
    lost.set(owner, before + 1);
    total += 1;
    return true;
  };
}

/** A counted connection. It no longer counts after it has been disposed of. */
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
 * Limits how many connections a server holds. Without it, one client could block all others just by keeping connections
 * open. If the server is full, the address with the most connections loses its oldest one to an address with fewer. A
 * client with many addresses is judged by its network ({@link connectionsToEnd}).
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
   * Counts a new connection until its place is disposed of. If the server is full and no other client has more
   * connections than this one, destroys the connection and returns undefined.
   */
  admit(connection: LimitedConnection, address: string): Disposable | undefined {
    if (this.#size >= this.#max) {
      const oldest = this.#oldestFor(address);
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

  /**
   * The connection that ends for a newcomer. It must not copy an address's list of connections, because the list may be
   * long and newcomers many.
   */
  #oldestFor(newcomer: string): Place | undefined {
    const ends = connectionsToEnd(this.#open, newcomer, 1);
    if (ends === undefined) return undefined;
    for (const [address, places] of this.#open) if (ends(address)) return places.first;
    return undefined;
  }

  /** Does nothing if the connection no longer counts. */
  readonly #leave = (place: Place): void => {
    const own = this.#open.get(place.address);
    if (own?.remove(place) !== true) return;
    this.#size -= 1;
    if (own.size === 0) this.#open.delete(place.address);
  };
}

/**
 * The default limit: more than a server of readiness, metrics or pages needs, and few compared with a process's limit
 * of descriptors.
 */
const defaultMax = 1024;

/** Limits the connections of a server of Node. Those whose TLS handshake has not ended count too. */
export function limitConnections(server: Server, max = defaultMax): void {
  const limit = new ConnectionLimit(max);
  server.on("connection", (socket: Socket) => {
    // Read the address now, because a closed socket has none.
    const place = limit.admit(socket, socket.remoteAddress ?? "");
    if (place !== undefined) socket.once("close", () => place[Symbol.dispose]());
  });
}
