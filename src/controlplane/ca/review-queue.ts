import { BoundedQueue, transientError } from "../../base/index.ts";

export interface ReviewBounds {
  /** How many reviews of all callers may run at once. */
  readonly running: number;
  /** How many reviews of one address may run at once. */
  readonly runningPerAddress: number;
  readonly waiting: number;
  /**
   * How many reviews of one address may wait. The number is large, because all callers of a remote cluster may come
   * from the address of its east-west gateway.
   */
  readonly waitingPerAddress: number;
}

export const defaultReviewBounds: ReviewBounds = {
  running: 32,
  runningPerAddress: 8,
  waiting: 10_000,
  waitingPerAddress: 1000,
};

interface Asker {
  running: number;
  readonly waiting: BoundedQueue<() => void>;
}

/**
 * Limits the concurrent token reviews, because anybody who sends an invented token causes one. Addresses take turns, so
 * that an address with endless requests does not delay the others. Throws a transient error when the queue is full.
 */
export class ReviewQueue {
  readonly #bounds: ReviewBounds;
  /** The addresses with waiting or running reviews, in the order of their turns. */
  readonly #askers = new Map<string, Asker>();
  #running = 0;
  #waiting = 0;

  constructor(bounds: ReviewBounds) {
    this.#bounds = bounds;
  }

  async run<Result>(address: string, review: () => Promise<Result>): Promise<Result> {
    await this.#turn(address);
    try {
      return await review();
    } finally {
      this.#ended(address);
    }
  }

  async #turn(address: string): Promise<void> {
    const { running, runningPerAddress, waiting, waitingPerAddress } = this.#bounds;
    let asker = this.#askers.get(address);
    if (asker === undefined)
      this.#askers.set(address, (asker = { running: 0, waiting: new BoundedQueue(waitingPerAddress) }));
    if (this.#running < running && asker.running < runningPerAddress) return this.#begin(asker);
    const { promise, resolve } = Promise.withResolvers<void>();
    if (this.#waiting >= waiting || !asker.waiting.push(resolve)) {
      this.#forgetIdle(address, asker);
      throw transientError(
        "busy",
        `too many callers${this.#waiting >= waiting ? "" : ` from ${address}`} wait for the check of their tokens`,
        { hint: "try again in a moment" },
      );
    }
    this.#waiting += 1;
    await promise;
  }

  #begin(asker: Asker): void {
    asker.running += 1;
    this.#running += 1;
  }

  #ended(address: string): void {
    const asker = this.#askers.get(address);
    this.#running -= 1;
    if (asker !== undefined) {
      asker.running -= 1;
      this.#forgetIdle(address, asker);
    }
    this.#beginNext();
  }

  #beginNext(): void {
    for (const [address, asker] of this.#askers) {
      if (asker.running >= this.#bounds.runningPerAddress) continue;
      const start = asker.waiting.shift();
      if (start === undefined) continue;
      this.#waiting -= 1;
      this.#begin(asker);
      this.#askers.delete(address);
      this.#askers.set(address, asker);
      start();
      return;
    }
  }

  #forgetIdle(address: string, asker: Asker): void {
    if (asker.running === 0 && asker.waiting.size === 0) this.#askers.delete(address);
  }
}
