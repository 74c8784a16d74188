import type { Clock } from "../clock.ts";
import { LimitedThread, type TaskLimits } from "./limited-thread.ts";
import type { TaskThread } from "./turn-queue.ts";

export interface ReviewedObject {
  readonly uid: string;
  /** For example `VirtualService "shop/reviews"`. */
  readonly object: string;
}

/**
 * The outcome of a review. If the review ran out of time or memory, `reviewed` is set if the thread had reported the
 * object by then.
 */
export type ReviewVerdict<Reply> =
  | Reply
  | { readonly kind: "overdue" | "exhausted"; readonly reviewed: ReviewedObject | undefined };

/** What the thread sends before its answer: the object, and other messages of its program. */
export type ReviewNotice<Notice = never> = { readonly reviewed: ReviewedObject } | { readonly other: Notice };

interface ReviewThreadOptions<Notice, Message> {
  /** The thread's program. It must call `answerTasks`, and report {@link ReviewedObject}. */
  readonly program: URL;
  readonly clock: Clock;
  readonly limits: TaskLimits;
  readonly onNotice?: (notice: Notice, send: (message: Message) => void) => void;
}

/**
 * A thread that answers reviews one after another. A verdict `overdue` or `exhausted` is its last one, because the
 * thread has ended.
 */
export class ReviewThread<Task, Reply, Notice = never, Message = never> implements TaskThread<
  Task,
  ReviewVerdict<Reply>
> {
  readonly #thread: LimitedThread<Task, Reply, ReviewNotice<Notice>, Message>;
  readonly #limits: TaskLimits;
  #reviewed: ReviewedObject | undefined;

  constructor({ program, clock, limits, onNotice }: ReviewThreadOptions<Notice, Message>) {
    this.#limits = limits;
    this.#thread = new LimitedThread(program, clock, (notice) => {
      if ("reviewed" in notice) this.#reviewed = notice.reviewed;
      else onNotice?.(notice.other, (message) => this.#thread.send(message));
    });
  }

  get hasEnded(): boolean {
    return this.#thread.hasEnded;
  }

  async run(task: Task): Promise<ReviewVerdict<Reply>> {
    this.#reviewed = undefined;
    const outcome = await this.#thread.ask(task, this.#limits);
    return outcome.kind === "answer" ? outcome.answer : { kind: outcome.kind, reviewed: this.#reviewed };
  }

  async end(): Promise<void> {
    await this.#thread.end();
  }
}

/** What a review took too much of when its thread was ended, for messages. */
export function excessText(kind: "overdue" | "exhausted", limitMs: number): string {
  return kind === "overdue" ? `longer than ${limitMs / 1000} s` : "more memory than a review may use";
}
