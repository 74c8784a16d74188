import type { Clock } from "../../base/index.ts";
import type { InjectionScope } from "./inject-review.ts";
import type { ReviewTask } from "./review-messages.ts";
import { ReviewThread, type ReviewVerdict } from "./review-thread.ts";

export interface ReviewQueueOptions {
  readonly scope: (namespace: string) => InjectionScope;
  readonly clock: Clock;
  /** The time limit of one review. {@link reviewLimitMs} if absent. */
  readonly limitMs?: number;
}

/**
 * The API server waits 10 s for a webhook, and then reports only a timeout. A shorter limit gives a better message. The
 * largest object takes one second.
 */
export const reviewLimitMs = 8_000;
/** The maximum number of waiting reviews of one caller. */
const maxWaiting = 256;
/** The maximum number of callers with waiting reviews. */
const maxCallers = 64;
/** An idle thread ends after this time, to free its memory. */
const idleMs = 300_000;

interface Waiting {
  readonly task: ReviewTask;
  readonly isWanted: () => boolean;
  readonly settle: (verdict: ReviewVerdict | undefined) => void;
}

/**
 * Runs reviews one at a time in a thread, which is replaced if a review takes too long or too much memory. Callers take
 * turns, so that a caller that floods the port delays only itself.
 */
export class ReviewQueue {
  readonly #options: ReviewQueueOptions;
  /** The waiting reviews by caller. The caller with the next turn comes first. */
  readonly #waiting = new Map<string, Waiting[]>();
  #thread: ReviewThread | undefined;
  #idle: Disposable | undefined;
  #isRunning = false;
  #hasClosed = false;

  constructor(options: ReviewQueueOptions) {
    this.#options = options;
  }

  /** Undefined if too many reviews wait, or if the answer is no longer wanted. */
  async review(caller: string, task: ReviewTask, isWanted = (): boolean => true): Promise<ReviewVerdict | undefined> {
    const mine = this.#waiting.get(caller) ?? [];
    if (this.#hasClosed || mine.length >= maxWaiting || (mine.length === 0 && this.#waiting.size >= maxCallers))
      return undefined;
    return await new Promise((settle) => {
      mine.push({ task, isWanted, settle });
      this.#waiting.set(caller, mine);
      if (!this.#isRunning) void this.#run();
    });
  }

  async close(): Promise<void> {
    this.#hasClosed = true;
    this.#idle?.[Symbol.dispose]();
    for (const mine of this.#waiting.values()) for (const { settle } of mine) settle(undefined);
    this.#waiting.clear();
    await this.#thread?.end();
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    this.#idle?.[Symbol.dispose]();
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      const { task, isWanted, settle } = next;
      settle(isWanted() ? await this.#judge(task) : undefined);
    }
    this.#isRunning = false;
    if (!this.#hasClosed)
      this.#idle = this.#options.clock.after(idleMs, () => {
        void this.#thread?.end();
        this.#thread = undefined;
      });
  }

  /** Takes the next review. A caller with more reviews moves to the end. */
  #next(): Waiting | undefined {
    for (const [caller, mine] of this.#waiting) {
      this.#waiting.delete(caller);
      const next = mine.shift();
      if (mine.length > 0) this.#waiting.set(caller, mine);
      return next;
    }
    return undefined;
  }

  async #judge(task: ReviewTask): Promise<ReviewVerdict> {
    const { clock, scope, limitMs = reviewLimitMs } = this.#options;
    if (this.#thread === undefined || this.#thread.hasEnded) this.#thread = new ReviewThread(clock, scope);
    return await this.#thread.review(task, limitMs);
  }
}
