import { BoundedCache, type Clock } from "../../../base/index.ts";

export interface ReadConnection {
  readonly peer: { readonly address: string };
  pauseReading(): void;
  resumeReading(): void;
}

interface ReadAddress {
  readonly connections: Set<ReadConnection>;
  /** The connections that wait for a turn, the longest waiting first. */
  readonly waiting: Set<ReadConnection>;
  usedMs: number;
  /** How long the requests of the address recently took. It decreases by half of the time that passes. */
  lateMs: number;
  seenAtMs: number;
  /** The time until which no connection of the address is read. */
  untilMs: number;
  /** How many of the waiting connections are read in the next turn. */
  step: number;
}

/** How long the requests of an address may take in one turn of the event loop. A single request may take longer. */
const turnMs = 20;
/**
 * How long the requests of an address may recently have taken. If they took longer, the address waits after each turn
 * as long as its requests took in that turn.
 */
const burstMs = 500;
/** The number of addresses without connections whose wait is remembered, so that a new connection does not end it. */
const maxGone = 1_000;

/**
 * Lets the addresses of clients take turns. The event loop reads every connection that has input before it returns to
 * the first one, so a client with many connections and slow requests would keep all others waiting. When the requests
 * of an address have used up the time of one turn, its connections wait for later turns. An address that uses up its
 * time again and again gets half of all time as long as others are connected.
 */
export class ReadingTurns {
  readonly #clock: Clock;
  readonly #addresses = new Map<string, ReadAddress>();
  readonly #gone = new BoundedCache<string, ReadAddress>(maxGone);
  readonly #used = new Set<ReadAddress>();
  readonly #waiting = new Set<ReadAddress>();
  #isArmed = false;
  #wakesAtMs = Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(connection: ReadConnection): void {
    const { address } = connection.peer;
    const found = this.#addresses.get(address) ?? this.#gone.get(address) ?? newAddress(this.#clock.steadyMs());
    this.#gone.delete(address);
    this.#addresses.set(address, found);
    found.connections.add(connection);
    if (!this.#waiting.has(found) && found.untilMs <= this.#clock.steadyMs()) return;
    this.#waiting.add(found);
    wait(found, connection);
    this.#arm();
  }

  remove(connection: ReadConnection): void {
    const { address } = connection.peer;
    const found = this.#addresses.get(address);
    if (found === undefined) return;
    found.connections.delete(connection);
    found.waiting.delete(connection);
    if (found.connections.size > 0) return;
    this.#addresses.delete(address);
    if (found.lateMs > 0) this.#gone.set(address, found);
  }

  /** Records how long a read of the connection took, right after it. */
  spent(connection: ReadConnection, ms: number, nowMs: number): void {
    const found = this.#addresses.get(connection.peer.address);
    if (found === undefined) return;
    found.usedMs += ms;
    this.#used.add(found);
    this.#arm();
    if (found.usedMs < turnMs) return;
    found.lateMs = Math.max(0, found.lateMs - (nowMs - found.seenAtMs) / 2) + ms;
    found.seenAtMs = nowMs;
    // If there is no other address, a pause would only cost time.
    if (this.#addresses.size < 2) return;
    if (found.lateMs > burstMs) found.untilMs = nowMs + found.usedMs;
    if (found.connections.size < 2 && found.untilMs <= nowMs) return;
    this.#waiting.add(found);
    found.step = 1;
    for (const other of found.connections) if (!found.waiting.has(other)) wait(found, other);
  }

  #arm(): void {
    if (this.#isArmed) return;
    this.#isArmed = true;
    setImmediate(() => this.#nextTurn());
  }

  #nextTurn(): void {
    this.#isArmed = false;
    for (const address of this.#used) address.usedMs = 0;
    this.#used.clear();
    const nowMs = this.#clock.steadyMs();
    let leastMs = Infinity;
    for (const address of this.#waiting) {
      const leftMs = address.untilMs - nowMs;
      if (leftMs <= 0) resumeSome(address);
      if (address.waiting.size === 0) this.#waiting.delete(address);
      else leastMs = Math.min(leastMs, Math.max(0, leftMs));
    }
    if (leastMs === 0) this.#arm();
    else if (leastMs < Infinity) this.#armAt(nowMs + leastMs);
  }

  #armAt(atMs: number): void {
    if (atMs >= this.#wakesAtMs) return;
    this.#wakesAtMs = atMs;
    this.#clock.after(Math.ceil(atMs - this.#clock.steadyMs()), () => {
      if (this.#wakesAtMs === atMs) this.#wakesAtMs = Infinity;
      this.#arm();
    });
  }
}

function newAddress(nowMs: number): ReadAddress {
  return {
    connections: new Set(),
    waiting: new Set(),
    usedMs: 0,
    lateMs: 0,
    seenAtMs: nowMs,
    untilMs: -Infinity,
    step: 1,
  };
}

function resumeSome(address: ReadAddress): void {
  let left = address.step;
  for (const connection of address.waiting) {
    if (left === 0) break;
    left -= 1;
    address.waiting.delete(connection);
    connection.resumeReading();
  }
  address.step *= 2;
}

function wait(address: ReadAddress, connection: ReadConnection): void {
  address.waiting.add(connection);
  connection.pauseReading();
}
