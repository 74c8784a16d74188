import { clientNetwork, connectionsToEnd, type Clock } from "../../base/index.ts";

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
/** The time for which further connections of a refused client are refused without another look. */
const refusalMs = 100;
/** The maximum number of clients that are refused without a look. */
const maxRefused = 1024;
/**
 * A look takes time in proportion to the open connections, which are hundreds of thousands in a large proxy. So looks
 * take at most a tenth of a thread's time, and may save up this much. If each look had to wait for a pause after the
 * one before, a flood of newcomers would use all looks.
 */
const lookShare = 0.1;
const maxSavedLookMs = 100;

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
  /** The addresses and networks that a recent look has refused. */
  readonly #refused = new Set<string>();
  #refusedUntilMs = -Infinity;
  /** The time for further looks, as of `#savedAtMs`. Negative after a long look. */
  #savedLookMs = maxSavedLookMs;
  #savedAtMs: number;

  constructor(options: ConnectionRoomOptions) {
    this.#options = options;
    this.#free = options.max;
    this.#savedAtMs = options.clock.steadyMs();
  }

  /** Whether a new connection of this address may be served. */
  admits(address: string): boolean {
    if (this.#free < 1 && !this.#makeRoom(address)) return false;
    this.#free -= 1;
    return true;
  }

  #makeRoom(address: string): boolean {
    const { clock } = this.#options;
    const startedMs = clock.steadyMs();
    if (startedMs >= this.#refusedUntilMs) this.#refused.clear();
    if (this.#refused.has(address) || this.#refused.has(clientNetwork(address)) || !this.#mayLook(startedMs))
      return false;
    const hasRoom = this.#look(address);
    this.#savedLookMs -= clock.steadyMs() - startedMs;
    return hasRoom;
  }

  #mayLook(nowMs: number): boolean {
    this.#savedLookMs = Math.min(maxSavedLookMs, this.#savedLookMs + lookShare * (nowMs - this.#savedAtMs));
    this.#savedAtMs = nowMs;
    return this.#savedLookMs > 0;
  }

  #look(address: string): boolean {
    const { max, held } = this.#options;
    const byPeer = new Map<string, { size: number }>();
    let count = 0;
    for (const { peer } of held()) {
      count += 1;
      const same = byPeer.get(peer);
      if (same === undefined) byPeer.set(peer, { size: 1 });
      else same.size += 1;
    }
    const wanted = Math.ceil(max / roomParts);
    this.#free = Math.max(0, max - count);
    if (this.#free >= wanted) return true;
    const ends = connectionsToEnd(byPeer, address, wanted);
    if (ends === undefined) {
      if (this.#free >= 1) return true;
      this.#refuse(address, byPeer.has(address));
      return false;
    }
    const leaving: HeldConnection[] = [];
    for (const connection of held()) if (ends(connection.peer)) leaving.push(connection);
    for (const connection of leaving) connection.abort();
    this.#free += leaving.length;
    return true;
  }

  /** If even an address without a connection was refused, so are all others of its network. */
  #refuse(address: string, hasConnections: boolean): void {
    if (this.#refused.size >= maxRefused) this.#refused.clear();
    if (this.#refused.size === 0) this.#refusedUntilMs = this.#options.clock.steadyMs() + refusalMs;
    this.#refused.add(hasConnections ? address : clientNetwork(address));
  }
}
