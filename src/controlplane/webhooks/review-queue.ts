import type { Clock } from "../../base/index.ts";
import { TurnQueue } from "../../base/threads/index.ts";
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

/** Runs reviews one at a time in a thread, which is replaced if a review takes too long or too much memory. */
export class ReviewQueue {
  readonly #queue: TurnQueue<ReviewTask, ReviewVerdict>;

  constructor({ scope, clock, limitMs = reviewLimitMs }: ReviewQueueOptions) {
    this.#queue = new TurnQueue(() => new ReviewThread(clock, scope, limitMs), clock);
  }

  /** Undefined if too many reviews wait, or if the answer is no longer wanted. */
  async review(caller: string, task: ReviewTask, isWanted?: () => boolean): Promise<ReviewVerdict | undefined> {
    return await this.#queue.run(caller, task, isWanted);
  }

  async close(): Promise<void> {
    await this.#queue.close();
  }
}
