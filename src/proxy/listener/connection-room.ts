import { clientNetwork, connectionsToEnd, type Clock } from "../../base/index.ts";

export interface HeldConnection {
  readonly peer: string;
  abort(): void;
}

/**
 * The number of descriptors that a client's connection may need: its own, and one for a connection to an upstream. The
 * excess over 2 is for upstream pools, the control plane, certificates and logs.
 */
const descriptorsPerConnection = 2.2;
/**
 * A full proxy ends one in `roomParts` of its connections at a time, because it must examine all connections to choose
 * the ones that end.
 */
const roomParts = 64;
/** How long further connections of a refused client are refused without examining the open connections again. */
const refusalMs = 100;
/** The maximum number of clients that are refused without examining the open connections again. */
const maxRefused = 1024;
/**
 * The share of a thread's time that examining the open connections may take. One examination takes time in proportion
 * to the open connections, of which a large proxy has hundreds of thousands. Unused time is saved up to {@link
 * maxSavedLookMs}. With a fixed pause after each examination instead, a flood of new clients would take all
 * connections.
 */
const lookShare = 0.1;
const maxSavedLookMs = 100;

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
 * Limits the connections of clients, so that they cannot use up the process's descriptors. It follows the same rule as
 * `ConnectionLimit`, but counts the connections only when the proxy may be full, so that short connections cost
 * nothing. When the proxy is full, several connections end at once.
 */
export class ConnectionRoom {
  readonly #options: ConnectionRoomOptions;
  /** A lower bound of the number of further connections that fit. */
  #free: number;
  /** The addresses and networks whose connections were recently refused. */
  readonly #refused = new Set<string>();
  #refusedUntilMs = -Infinity;
  /** The time that may be spent on examining connections, as of `#savedAtMs`. Negative after a long examination. */
  #savedLookMs = maxSavedLookMs;
  #savedAtMs: number;

  constructor(options: ConnectionRoomOptions) {
    this.#options = options;
    this.#free = options.max;
    this.#savedAtMs = options.clock.steadyMs();
  }

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

  /**
   * If an address without any connection was refused, refuse its whole network, because other addresses in it would be
   * refused too.
   */
  #refuse(address: string, hasConnections: boolean): void {
    if (this.#refused.size >= maxRefused) this.#refused.clear();
    if (this.#refused.size === 0) this.#refusedUntilMs = this.#options.clock.steadyMs() + refusalMs;
    this.#refused.add(hasConnections ? address : clientNetwork(address));
  }
}
