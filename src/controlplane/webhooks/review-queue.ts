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

/** The API server gives a webhook 10 s and says then only that nobody answered. The largest object that it takes is judged in a second. */
export const reviewLimitMs = 8_000;
/** Reviews of one caller that wait. */
const maxWaiting = 256;
/** Callers with reviews that wait. */
const maxCallers = 64;
/** A thread without work gives its memory back after so long. */
const idleMs = 300_000;

interface Waiting {
  readonly task: ReviewTask;
  readonly isWanted: () => boolean;
  readonly settle: (verdict: ReviewVerdict | undefined) => void;
}

/**
 * Reviews of several callers, one at a time, in a thread that is replaced when a review takes too long or too much memory. Callers take turns:
 * one that floods the port waits for itself.
 */
export class ReviewQueue {
  readonly #options: ReviewQueueOptions;
  /** By caller; whose turn is next comes first. */
  readonly #waiting = new Map<string, Waiting[]>();
  #thread: ReviewThread | undefined;
  #idle: Disposable | undefined;
  #isRunning = false;
  #hasClosed = false;

  constructor(options: ReviewQueueOptions) {
    this.#options = options;
  }

  /** Undefined where too many wait, or where the answer is no longer wanted. */
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

  /** A caller with more behind it goes to the end. */
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
