import type { IncomingMessage, ServerResponse } from "node:http";
import { parseReview, refuse, type AdmissionAnswer } from "../../api/admission-review/index.ts";
import { messageOf, programFile, type Clock, type Logger } from "../../base/index.ts";
import { BodyBudget } from "../../base/shared-budget/index.ts";
import { excessText, ReviewThread, TurnQueue, type ReviewVerdict, type TaskLimits } from "../../base/threads/index.ts";
import { reviewAuthor, type AccessReviews, type AuthorKey } from "../access/index.ts";
import { refusalByRights } from "./review-rights.ts";
import type { ReviewReply } from "./review-task.ts";

/**
 * The limits of the processor time of one review, and of the time until its answer. The API server waits 10 s for this
 * webhook, and then accepts the object unchecked. The largest object takes one second of processor time, and more by
 * the clock while other programs keep the processor busy.
 */
const reviewLimits = { workMs: 4_000, waitMs: 8_000 } as const;

export interface ReviewTools {
  readonly log: Logger;
  readonly clock: Clock;
  readonly authorKey: AuthorKey;
  readonly accessReviews: AccessReviews;
  /** The time limits of one review. {@link reviewLimits} if absent. */
  readonly limits?: TaskLimits;
}

/**
 * Answers reviews of rollouts. They run in a thread of their own, so that no object can block the engine. This thread
 * only records authors, which takes linear time.
 */
export class ReviewHandler {
  readonly #tools: ReviewTools;
  readonly #queue: TurnQueue<Uint8Array, ReviewVerdict<ReviewReply>>;
  readonly #bodies = new BodyBudget({
    tooLarge: (maxBytes) => new Error(`the review has more than ${maxBytes} bytes`),
    busy: tooMany,
  });

  constructor(tools: ReviewTools) {
    this.#tools = tools;
    const { clock, limits = reviewLimits } = tools;
    const program = programFile("src/rollout/admission/review.worker.ts");
    this.#queue = new TurnQueue(() => new ReviewThread({ program, clock, limits }), clock);
  }

  /**
   * Starts the thread before the first review, because the API server accepts an object unchecked if its review takes
   * too long.
   */
  warm(): void {
    this.#queue.warm();
  }

  async close(): Promise<void> {
    await this.#queue.close();
  }

  /** Never throws, so that no client of the port can end the engine. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const answer = JSON.stringify(await this.#answer(request, response));
      response.writeHead(200, { "content-type": "application/json" }).end(answer);
    } catch (error) {
      this.#tools.log.warn("a review could not be answered", { error: messageOf(error) });
      response.writeHead(400).end(`${messageOf(error)}\n`);
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<unknown> {
    const { authorKey } = this.#tools;
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    const asksAuthor = pathname.startsWith("/author");
    if (asksAuthor && !(await authorKey.isPath("author", pathname)))
      throw new Error("only the API server may ask for authors");
    const caller = request.socket.remoteAddress ?? "";
    return await this.#bodies.use(request, caller, async (body) => {
      if (asksAuthor) return reviewAuthor(parseReview(body), await authorKey.get());
      const verdict = await this.#queue.run(caller, body, () => !response.destroyed);
      if (verdict === undefined) throw tooMany();
      return await this.#answerOf(verdict, pathname);
    });
  }

  async #answerOf(verdict: ReviewVerdict<ReviewReply>, path: string): Promise<AdmissionAnswer> {
    if (verdict.kind === "fault") throw new Error(verdict.message);
    const { log, authorKey, accessReviews, limits = reviewLimits } = this.#tools;
    if (verdict.kind !== "answer") {
      const spent = excessText(verdict.kind, limits.workMs);
      if (verdict.reviewed === undefined) throw new Error(`reading this request took ${spent}`);
      const { uid, object } = verdict.reviewed;
      log.warn("an object takes too much to check", { object, kind: verdict.kind });
      return refuse({ request: { uid } }, `${object} is refused: checking it took ${spent}. Shorten its lists`);
    }
    const { answer, rights } = verdict;
    // Only the API server, which knows the secret path, gets an answer that depends on rights. Otherwise other clients
    // of the port could find out the rights of users. The engine checks the rights again before it acts.
    if (rights === undefined || !answer.response.allowed || !(await authorKey.isPath("review", path))) return answer;
    const refusal = await refusalByRights(rights, accessReviews);
    if (refusal === undefined) return answer;
    const { uid, warnings } = answer.response;
    return refuse({ request: { uid } }, refusal, warnings);
  }
}

function tooMany(): Error {
  return new Error("too many reviews are waiting: try again in a few seconds");
}
