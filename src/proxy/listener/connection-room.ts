import { outnumberingConnections, type Clock } from "../../base/index.ts";

/** An open connection of a client. */
export interface HeldConnection {
  /** The client's address. */
  readonly peer: string;
  /** Closes at once. */
  abort(): void;
}

/** A connection has up to two ends. The rest is left for upstream pools, the control plane, certificates and logs. */
const descriptorsPerConnection = 2.2;
/**
 * A full proxy makes room for one in this many of its connections at once, because it must look at all of them to make
 * any room.
 */
const roomParts = 64;
/** The time for which further connections of a refused address are refused without another look. */
const refusalMs = 100;

/** The number of connections that each serving thread of a process may hold. */
export function connectionsPerThread(maxDescriptors: number, threads: number): number {
  return Math.floor(maxDescriptors / descriptorsPerConnection / threads);
}

export interface ConnectionRoomOptions {
  readonly max: number;
  /** All open connections, the oldest of each listener first. */
  readonly held: () => Iterable<HeldConnection>;
  readonly clock: Clock;
}

/**
 * Limits the connections of clients, so that they cannot use up the process's descriptors, by the same rule as
 * `ConnectionLimit`. It counts the connections only when it may be full, so short connections cost nothing. When it is
 * full, it ends several at once.
 */
export class ConnectionRoom {
  readonly #options: ConnectionRoomOptions;
  /** A lower bound of the number of further connections. */
  #free: number;
  #refused = "";
  #refusedUntilMs = -Infinity;

  constructor(options: ConnectionRoomOptions) {
    this.#options = options;
    this.#free = options.max;
  }

  /** Whether a new connection of this address may be served. */
  admits(address: string): boolean {
    if (this.#free < 1 && !this.#makeRoom(address)) return false;
    this.#free -= 1;
    return true;
  }

  #makeRoom(address: string): boolean {
    const { max, held, clock } = this.#options;
    const nowMs = clock.steadyMs();
    if (address === this.#refused && nowMs < this.#refusedUntilMs) return false;
    const byPeer = new Map<string, Set<HeldConnection>>();
    let count = 0;
    for (const connection of held()) {
      count += 1;
      const same = byPeer.get(connection.peer);
      if (same === undefined) byPeer.set(connection.peer, new Set([connection]));
      else same.add(connection);
    }
    const wanted = Math.ceil(max / roomParts);
    this.#free = Math.max(0, max - count);
    if (this.#free >= wanted) return true;
    const { connections: leaving } = outnumberingConnections(byPeer, address, wanted);
    if (leaving.length === 0) {
      if (this.#free >= 1) return true;
      this.#refused = address;
      this.#refusedUntilMs = nowMs + refusalMs;
      return false;
    }
    for (const connection of leaving) connection.abort();
    this.#free += leaving.length;
    return true;
  }
}
