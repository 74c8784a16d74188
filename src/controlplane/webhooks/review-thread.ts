import type { Clock } from "../../base/index.ts";
import { LimitedThread, type TaskThread } from "../../base/threads/index.ts";
import type { InjectionContext } from "../../inject/index.ts";
import type { InjectionScope } from "./inject-review.ts";
import type { ReviewedObject, ReviewNotice, ReviewReply, ReviewTask, ScopeMessage } from "./review-messages.ts";

/** The outcome of a review. If it ran out of time or memory, the thread may still have reported the object's name. */
export type ReviewVerdict =
  | ReviewReply
  | { readonly kind: "overdue" | "exhausted"; readonly reviewed: ReviewedObject | undefined };

const threadFile = import.meta.url.endsWith(".ts") ? "./review.worker.ts" : "./review.worker.js";

/** A thread that answers reviews one after another. It ends with a verdict `overdue` or `exhausted`. */
export class ReviewThread implements TaskThread<ReviewTask, ReviewVerdict> {
  readonly #thread: LimitedThread<ReviewTask, ReviewReply, ReviewNotice, ScopeMessage>;
  readonly #scope: (namespace: string) => InjectionScope;
  readonly #limitMs: number;
  #reviewed: ReviewedObject | undefined;
  #sentContext: InjectionContext | undefined;

  constructor(clock: Clock, scope: (namespace: string) => InjectionScope, limitMs: number) {
    this.#thread = new LimitedThread(new URL(threadFile, import.meta.url), clock, (notice) => this.#take(notice));
    this.#scope = scope;
    this.#limitMs = limitMs;
  }

  get hasEnded(): boolean {
    return this.#thread.hasEnded;
  }

  async run(task: ReviewTask): Promise<ReviewVerdict> {
    this.#reviewed = undefined;
    const outcome = await this.#thread.ask(task, this.#limitMs);
    return outcome.kind === "answer" ? outcome.answer : { kind: outcome.kind, reviewed: this.#reviewed };
  }

  async end(): Promise<void> {
    await this.#thread.end();
  }

  #take(notice: ReviewNotice): void {
    if (notice.kind === "named") this.#reviewed = notice;
    else this.#sendScope(notice.namespace);
  }

  /** Sends the configuration only if it has changed. */
  #sendScope(namespace: string): void {
    const { context, namespaceLabels } = this.#scope(namespace);
    const isNew = context !== this.#sentContext;
    this.#sentContext = context;
    this.#thread.send({ namespaceLabels, ...(isNew ? { context } : {}) });
  }
}
