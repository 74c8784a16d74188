import type { IncomingMessage, ServerResponse } from "node:http";
import { messageOf, type Clock, type Logger } from "../../base/index.ts";
import { TurnQueue } from "../../base/threads/index.ts";
import { reviewAuthor, type AccessReviews, type AuthorKey } from "../access/index.ts";
import { refusalByRights } from "./review-rights.ts";
import { reviewLimitMs, ReviewThread, type ReviewVerdict } from "./review-thread.ts";
import { refuseReview, type RolloutReviewAnswer } from "./review.ts";

/** What answers to reviews need. */
export interface ReviewTools {
  readonly log: Logger;
  readonly clock: Clock;
  readonly authorKey: AuthorKey;
  readonly accessReviews: AccessReviews;
  /** The time limit of one review. {@link reviewLimitMs} if absent. */
  readonly limitMs?: number;
}

const maxBodyBytes = 8 << 20;
/** The maximum total size of all bodies that are being read or wait. */
const maxHeldBytes = 64 << 20;

/**
 * Answers reviews of rollouts. They run in a thread of their own, so that no object can block the engine. The author of a
 * rollout is recorded here, which takes a look at each byte and no more.
 */
export class ReviewHandler {
  readonly #tools: ReviewTools;
  readonly #queue: TurnQueue<Uint8Array, ReviewVerdict>;
  #heldBytes = 0;

  constructor(tools: ReviewTools) {
    this.#tools = tools;
    const { clock, limitMs = reviewLimitMs } = tools;
    this.#queue = new TurnQueue(() => new ReviewThread(clock, limitMs), clock);
  }

  /** Starts the thread: the API server takes an object as it is whose first review waits for that too long. */
  warm(): void {
    this.#queue.warm();
  }

  async close(): Promise<void> {
    await this.#queue.close();
  }

  /** Never throws, whatever is sent: who reaches the port must not be able to end the engine. */
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
      throw new Error("authors are told to the API server alone");
    let held = 0;
    try {
      const chunks: Buffer[] = [];
      for await (const chunk of request as AsyncIterable<Buffer>) {
        held += chunk.length;
        this.#heldBytes += chunk.length;
        if (held > maxBodyBytes) throw new Error(`the review has more than ${maxBodyBytes} bytes`);
        if (this.#heldBytes > maxHeldBytes) throw tooMany();
        chunks.push(chunk);
      }
      const body = Buffer.concat(chunks);
      if (asksAuthor) return reviewAuthor(reviewIn(body), await authorKey.get());
      const caller = request.socket.remoteAddress ?? "";
      const verdict = await this.#queue.run(caller, body, () => !response.destroyed);
      if (verdict === undefined) throw tooMany();
      return await this.#answerOf(verdict, pathname);
    } finally {
      this.#heldBytes -= held;
    }
  }

  async #answerOf(verdict: ReviewVerdict, path: string): Promise<RolloutReviewAnswer> {
    if (verdict.kind === "fault") throw new Error(verdict.message);
    const { log, authorKey, accessReviews, limitMs = reviewLimitMs } = this.#tools;
    if (verdict.kind !== "answer") {
      const spent =
        verdict.kind === "overdue" ? `longer than ${limitMs / 1000} s` : "more memory than a review may have";
      if (verdict.reviewed === undefined) throw new Error(`reading this request took ${spent}`);
      const { uid, object } = verdict.reviewed;
      log.warn("an object takes too much to judge", { object, kind: verdict.kind });
      return refuseReview(
        { request: { uid } },
        `${object} is refused: judging it took ${spent}. Make its lists shorter`,
      );
    }
    const { answer, rights } = verdict;
    // Anybody else who reaches the port could learn who may do what. The engine asks again before it acts.
    if (rights === undefined || !answer.response.allowed || !(await authorKey.isPath("review", path))) return answer;
    const refusal = await refusalByRights(rights, accessReviews);
    if (refusal === undefined) return answer;
    const { uid, warnings } = answer.response;
    return refuseReview({ request: { uid } }, refusal, warnings);
  }
}

function reviewIn(body: Buffer): object {
  const review: unknown = JSON.parse(body.toString("utf8"));
  if (typeof review !== "object" || review === null) throw new Error("the body is no AdmissionReview");
  return review;
}

function tooMany(): Error {
  return new Error("too many reviews wait to be judged: try again in some seconds");
}
