import type { Clock } from "../../base/index.ts";
import { LimitedThread, type TaskThread } from "../../base/threads/index.ts";
import type { ReviewedObject, ReviewReply } from "./review-task.ts";

/** If a review ran out of time or memory, the thread may still have reported the object's name. */
export type ReviewVerdict =
  | ReviewReply
  | { readonly kind: "overdue" | "exhausted"; readonly reviewed: ReviewedObject | undefined };

/** The API server waits 5 s for this webhook, and then takes the object as it is. */
export const reviewLimitMs = 4_000;

const threadFile = import.meta.url.endsWith(".ts") ? "./review.worker.ts" : "./review.worker.js";

/** A thread that judges the bodies of AdmissionReviews. */
export class ReviewThread implements TaskThread<Uint8Array, ReviewVerdict> {
  readonly #thread: LimitedThread<Uint8Array, ReviewReply, ReviewedObject>;
  readonly #limitMs: number;
  #reviewed: ReviewedObject | undefined;

  constructor(clock: Clock, limitMs: number) {
    this.#limitMs = limitMs;
    this.#thread = new LimitedThread(new URL(threadFile, import.meta.url), clock, (reviewed) => {
      this.#reviewed = reviewed;
    });
  }

  get hasEnded(): boolean {
    return this.#thread.hasEnded;
  }

  async run(body: Uint8Array): Promise<ReviewVerdict> {
    this.#reviewed = undefined;
    const outcome = await this.#thread.ask(body, this.#limitMs);
    return outcome.kind === "answer" ? outcome.answer : { kind: outcome.kind, reviewed: this.#reviewed };
  }

  async end(): Promise<void> {
    await this.#thread.end();
  }
}
