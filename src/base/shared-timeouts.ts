import type { Clock } from "./clock.ts";

/** A timeout in the list of its length. */
class Timeout implements Disposable {
  readonly run: () => void;
  readonly dueMs: number;
  readonly #queue: Queue;
  isWaiting = true;
  previous: Timeout | undefined;
  next: Timeout | undefined;

  constructor(run: () => void, dueMs: number, queue: Queue) {
    this.run = run;
    this.dueMs = dueMs;
    this.#queue = queue;
  }

  [Symbol.dispose](): void {
    if (this.isWaiting) this.#queue.remove(this);
  }
}

/** The timeouts of one length, in the order in which they expire, with one timer for the first. */
class Queue {
  readonly #clock: Clock;
  readonly #lengthMs: number;
  readonly #emptied: () => void;
  #first: Timeout | undefined;
  #last: Timeout | undefined;
  #isArmed = false;

  constructor(clock: Clock, lengthMs: number, emptied: () => void) {
    this.#clock = clock;
    this.#lengthMs = lengthMs;
    this.#emptied = emptied;
  }

  add(run: () => void): Timeout {
    const timeout = new Timeout(run, this.#clock.steadyMs() + this.#lengthMs, this);
    timeout.previous = this.#last;
    if (this.#last === undefined) this.#first = timeout;
    else this.#last.next = timeout;
    this.#last = timeout;
    if (!this.#isArmed) this.#clock.after(this.#lengthMs, this.#expire);
    this.#isArmed = true;
    return timeout;
  }

  /** A timeout that left its list is garbage at once. A list of cancelled ones would outlive several collections. */
  remove(timeout: Timeout): void {
    timeout.isWaiting = false;
    const { previous, next } = timeout;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    timeout.previous = undefined;
    timeout.next = undefined;
  }

  readonly #expire = (): void => {
    const nowMs = this.#clock.steadyMs();
    for (let first = this.#first; first !== undefined && first.dueMs <= nowMs; first = this.#first) {
      this.remove(first);
      first.run();
    }
    if (this.#first === undefined) this.#emptied();
    else this.#clock.after(Math.max(1, this.#first.dueMs - nowMs), this.#expire);
  };
}

/**
 * Timeouts that are nearly always cancelled, such as the limits of connects: one timer of the clock serves all of one
 * length, and neither a start nor a cancellation touches it. A timeout expires up to a millisecond late.
 */
export class SharedTimeouts {
  /** The number of lengths that share a timer. Others get a timer of their own. */
  static readonly maxLengths = 64;
  readonly #clock: Clock;
  readonly #queues = new Map<number, Queue>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `run` once after `ms`, unless the result is disposed of first. Does not keep the process alive. */
  after(ms: number, run: () => void): Disposable {
    let queue = this.#queues.get(ms);
    if (queue === undefined) {
      if (this.#queues.size >= SharedTimeouts.maxLengths) return this.#clock.after(ms, run);
      queue = new Queue(this.#clock, ms, () => this.#queues.delete(ms));
      this.#queues.set(ms, queue);
    }
    return queue.add(run);
  }
}
