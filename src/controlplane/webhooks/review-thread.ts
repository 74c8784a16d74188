import { Worker } from "node:worker_threads";
import type { Clock } from "../../base/index.ts";
import type { InjectionContext } from "../../inject/index.ts";
import type { InjectionScope } from "./inject-review.ts";
import type { ReviewAnswer, ReviewedObject, ReviewTask, ScopeMessage, ThreadMessage } from "./review-messages.ts";

/** The outcome of a review. If it ran out of time or memory, the thread may still have reported the object's name. */
export type ReviewVerdict =
  | ({ readonly kind: "answer" } & ReviewAnswer)
  /** The request cannot be read. */
  | { readonly kind: "fault"; readonly message: string }
  | { readonly kind: "overdue" | "exhausted"; readonly reviewed: ReviewedObject | undefined };

/** The memory of a thread in MiB. An object of 3 MiB with everything made from it takes a tenth of this. */
const threadMemory = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 32 } as const;

const threadFile = import.meta.url.endsWith(".ts") ? "./review.worker.ts" : "./review.worker.js";

/** A thread that answers reviews one after another. It ends with a verdict `overdue` or `exhausted`. */
export class ReviewThread {
  readonly #worker = new Worker(new URL(threadFile, import.meta.url), {
    resourceLimits: threadMemory,
    execArgv: ["--disable-warning=ExperimentalWarning"],
  });
  readonly #clock: Clock;
  readonly #scope: (namespace: string) => InjectionScope;
  #settle: ((verdict: ReviewVerdict) => void) | undefined;
  #reviewed: ReviewedObject | undefined;
  #sentContext: InjectionContext | undefined;
  readonly #ready: Promise<void>;
  hasEnded = false;

  constructor(clock: Clock, scope: (namespace: string) => InjectionScope) {
    this.#clock = clock;
    this.#scope = scope;
    const worker = this.#worker;
    worker.unref();
    this.#ready = new Promise((resolve) => {
      worker.on("message", (message: ThreadMessage) => (message.kind === "ready" ? resolve() : this.#take(message)));
      // A thread that runs out of memory ends with an error.
      for (const ended of ["error", "exit"] as const) {
        worker.on(ended, () => {
          this.hasEnded = true;
          resolve();
          this.#finish({ kind: "exhausted", reviewed: this.#reviewed });
        });
      }
    });
  }

  /**
   * Ends the thread if the review exceeds the limit. The time to start the thread does not count, because the object
   * did not cause it.
   */
  async review(task: ReviewTask, limitMs: number): Promise<ReviewVerdict> {
    this.#worker.ref();
    await this.#ready;
    this.#reviewed = undefined;
    if (this.hasEnded) return { kind: "exhausted", reviewed: undefined };
    const verdict = await new Promise<ReviewVerdict>((resolve) => {
      const limit = this.#clock.after(limitMs, () => {
        this.#finish({ kind: "overdue", reviewed: this.#reviewed });
        void this.end();
      });
      this.#settle = (found) => {
        limit[Symbol.dispose]();
        resolve(found);
      };
      this.#worker.postMessage(task);
    });
    this.#worker.unref();
    return verdict;
  }

  async end(): Promise<void> {
    this.hasEnded = true;
    this.#worker.ref();
    await this.#worker.terminate();
  }

  #take(message: Exclude<ThreadMessage, { kind: "ready" }>): void {
    if (message.kind === "named") this.#reviewed = message;
    else if (message.kind === "scope") this.#sendScope(message.namespace);
    else this.#finish(message);
  }

  /** Sends the configuration only if it has changed. */
  #sendScope(namespace: string): void {
    const { context, namespaceLabels } = this.#scope(namespace);
    const isNew = context !== this.#sentContext;
    this.#sentContext = context;
    const message: ScopeMessage = { kind: "scope", namespaceLabels, ...(isNew ? { context } : {}) };
    this.#worker.postMessage(message);
  }

  #finish(verdict: ReviewVerdict): void {
    const settle = this.#settle;
    this.#settle = undefined;
    settle?.(verdict);
  }
}
