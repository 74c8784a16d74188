import type { Clock } from "./clock.ts";

/** A timeout that has neither expired nor been cancelled. Those of one length form a list, the oldest first. */
class Timeout implements Disposable {
  run: (() => void) | undefined;
  readonly dueMs: number;
  next: Timeout | undefined;

  constructor(run: () => void, dueMs: number) {
    this.run = run;
    this.dueMs = dueMs;
  }

  /** Leaves the entry in its list, from which the list's timer takes it. Holds nothing meanwhile. */
  [Symbol.dispose](): void {
    this.run = undefined;
  }
}

/** The timeouts of one length, in the order in which they expire, with one timer for the first. */
class Queue {
  readonly #clock: Clock;
  readonly #lengthMs: number;
  readonly #emptied: () => void;
  #first: Timeout | undefined;
  #last: Timeout | undefined;

  constructor(clock: Clock, lengthMs: number, emptied: () => void) {
    this.#clock = clock;
    this.#lengthMs = lengthMs;
    this.#emptied = emptied;
  }

  add(run: () => void): Timeout {
    const timeout = new Timeout(run, this.#clock.steadyMs() + this.#lengthMs);
    if (this.#last === undefined) {
      this.#first = timeout;
      this.#clock.after(this.#lengthMs, this.#expire);
    } else this.#last.next = timeout;
    this.#last = timeout;
    return timeout;
  }

  readonly #expire = (): void => {
    const nowMs = this.#clock.steadyMs();
    // Cancelled ones go with the first timer that is due, whatever their own time.
    while (this.#first !== undefined && (this.#first.run === undefined || this.#first.dueMs <= nowMs)) {
      const { run, next } = this.#first;
      this.#first = next;
      if (next === undefined) this.#last = undefined;
      run?.();
    }
    if (this.#first === undefined) this.#emptied();
    else this.#clock.after(Math.max(1, this.#first.dueMs - nowMs), this.#expire);
  };
}

/**
 * Timeouts that are nearly always cancelled, such as the limits of connects: one timer of the clock serves all of one
 * length, and neither a start nor a cancellation touches it. A timeout expires up to a millisecond late. A cancelled
 * one keeps a few bytes until its time is over.
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
