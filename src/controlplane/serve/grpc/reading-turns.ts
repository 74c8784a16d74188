/** A connection whose input can wait. */
export interface ReadConnection {
  readonly peer: { readonly address: string };
  pauseReading(): void;
  resumeReading(): void;
}

interface ReadAddress {
  readonly connections: Set<ReadConnection>;
  /** Those that wait for a turn, the longest waiting first. */
  readonly waiting: Set<ReadConnection>;
  /** The time that its requests took in this turn of the event loop. */
  usedMs: number;
  /** How many of those that wait are read in the next turn. */
  step: number;
}

/** In a turn of the event loop, the requests of an address take this long, or as long as one of them. */
const turnMs = 20;

/**
 * Lets the addresses of clients take turns. The event loop reads every connection that has input before it comes to the
 * first one again, so a client with many connections and requests that take long would keep all others waiting. Once
 * the requests of an address have taken their time, its connections wait for later turns. Nobody waits while others
 * need nothing.
 */
export class ReadingTurns {
  readonly #addresses = new Map<string, ReadAddress>();
  /** Those that were read in this turn. */
  readonly #used = new Set<ReadAddress>();
  readonly #waiting = new Set<ReadAddress>();
  #isArmed = false;

  add(connection: ReadConnection): void {
    const { address } = connection.peer;
    const found = this.#addresses.get(address) ?? { connections: new Set(), waiting: new Set(), usedMs: 0, step: 1 };
    this.#addresses.set(address, found);
    found.connections.add(connection);
    if (this.#waiting.has(found)) wait(found, connection);
  }

  remove(connection: ReadConnection): void {
    const { address } = connection.peer;
    const found = this.#addresses.get(address);
    if (found === undefined) return;
    found.connections.delete(connection);
    found.waiting.delete(connection);
    if (found.connections.size === 0) this.#addresses.delete(address);
  }

  /** A read of the connection took this long. */
  spent(connection: ReadConnection, ms: number): void {
    const found = this.#addresses.get(connection.peer.address);
    if (found === undefined) return;
    found.usedMs += ms;
    this.#used.add(found);
    this.#arm();
    if (found.usedMs < turnMs || found.connections.size < 2) return;
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
    for (const address of this.#waiting) {
      let left = address.step;
      for (const connection of address.waiting) {
        if (left === 0) break;
        left -= 1;
        address.waiting.delete(connection);
        connection.resumeReading();
      }
      address.step *= 2;
      if (address.waiting.size === 0) this.#waiting.delete(address);
    }
    if (this.#waiting.size > 0) this.#arm();
  }
}

function wait(address: ReadAddress, connection: ReadConnection): void {
  address.waiting.add(connection);
  connection.pauseReading();
}
