import { programFile, type Clock } from "../../base/index.ts";
import { ReviewThread, TurnQueue, type ReviewVerdict } from "../../base/threads/index.ts";
import type { InjectionContext } from "../../inject/index.ts";
import type { InjectionScope } from "./inject-review.ts";
import type { ReviewReply, ReviewTask, ScopeMessage, ScopeRequest } from "./review-messages.ts";

export interface ReviewQueueOptions {
  readonly scope: (namespace: string) => InjectionScope;
  readonly clock: Clock;
}

/**
 * The API server waits 10 s for a webhook, and then reports only a timeout. A shorter limit gives a better message. The
 * largest object takes one second.
 */
export const reviewLimitMs = 8_000;

export type WebhookVerdict = ReviewVerdict<ReviewReply>;

/** Runs reviews one at a time in a thread, which is replaced if a review takes too long or too much memory. */
export class ReviewQueue {
  readonly #queue: TurnQueue<ReviewTask, WebhookVerdict>;

  constructor({ scope, clock }: ReviewQueueOptions) {
    this.#queue = new TurnQueue(() => startThread(scope, clock), clock);
  }

  /**
   * Reviews the task in its turn. One API server is the caller for the objects of all namespaces, so the namespaces of
   * a caller take turns, too. Undefined if too many reviews wait, or if the caller no longer needs the answer.
   */
  async review(caller: string, task: ReviewTask, isWanted?: () => boolean): Promise<WebhookVerdict | undefined> {
    return await this.#queue.run(caller, task, isWanted, namespaceIn(task.body));
  }

  async close(): Promise<void> {
    await this.#queue.close();
  }
}

/**
 * The number of bytes at the beginning of a review in which the namespace is sought. The API server writes it before
 * the object.
 */
const headBytes = 4096;

/**
 * The namespace that a review names, without reading the whole review. Empty if it names none at its beginning. No name
 * before the namespace can contain the text that is sought, because JSON escapes quotes.
 */
function namespaceIn(body: Uint8Array): string {
  const head = Buffer.from(body.subarray(0, headBytes)).toString("latin1");
  return /"namespace": ?"([a-z0-9-]{1,63})"/.exec(head)?.[1] ?? "";
}

/**
 * Starts the review thread, which asks for the injection configuration. It gets the configuration only if it has
 * changed.
 */
function startThread(
  scope: ReviewQueueOptions["scope"],
  clock: Clock,
): ReviewThread<ReviewTask, ReviewReply, ScopeRequest, ScopeMessage> {
  let sent: InjectionContext | undefined;
  return new ReviewThread({
    program: programFile("src/controlplane/webhooks/review.worker.ts"),
    clock,
    limits: { workMs: reviewLimitMs, waitMs: reviewLimitMs },
    onNotice: ({ namespace }, send) => {
      const { context, namespaceLabels } = scope(namespace);
      const isNew = context !== sent;
      sent = context;
      send({ namespaceLabels, ...(isNew ? { context } : {}) });
    },
  });
}
