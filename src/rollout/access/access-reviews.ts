import { afterRunning, transientError, type Clock } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import type { AccessQuestion } from "./access-questions.ts";
import type { Author } from "./author-record.ts";

const reviewPath = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
/** The time for which an answer is reused. So a revoked right is still honoured for at most this time. */
const keptMs = 10_000;
const maxKept = 8192;
/** How many reviews of one rollout run at the same time. */
const atOnce = 8;
/** The time limit of a review. An authorizer that hangs must not delay a person's orders to a rollout for long. */
const limitMs = 10_000;

interface Kept {
  readonly allowed: boolean;
  readonly untilMs: number;
}

export class AccessReviews {
  readonly #client: KubeClient;
  readonly #clock: Clock;
  readonly #kept = new Map<string, Kept>();

  constructor(client: KubeClient, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }

  /**
   * The rights that the user lacks, in the order of the questions. Throws a transient error if the API server does not
   * answer.
   */
  async denied(author: Author, questions: readonly AccessQuestion[]): Promise<readonly AccessQuestion[]> {
    const verdicts: boolean[] = [];
    for (let from = 0; from < questions.length; from += atOnce)
      verdicts.push(
        ...(await Promise.all(questions.slice(from, from + atOnce).map((question) => this.#may(author, question)))),
      );
    return questions.filter((_question, index) => verdicts[index] !== true);
  }

  /**
   * First asks about the right to all names of the kind, because most rights apply to all names. One review then covers
   * all objects of a kind in a namespace.
   */
  async #may(author: Author, { name, ...question }: AccessQuestion): Promise<boolean> {
    if (await this.#ask(author, question)) return true;
    return name === undefined ? false : await this.#ask(author, { ...question, name });
  }

  async #ask(author: Author, question: AccessQuestion): Promise<boolean> {
    const key = JSON.stringify([author, question]);
    const kept = this.#kept.get(key);
    if (kept !== undefined && this.#clock.steadyMs() < kept.untilMs) return kept.allowed;
    const { user, uid, groups, extra } = author;
    const late = new AbortController();
    using _limit = afterRunning(limitMs, () => late.abort(new DOMException("", "TimeoutError")), this.#clock);
    const { status, text } = await this.#client.raw("POST", reviewPath, {
      signal: late.signal,
      body: {
        apiVersion: "authorization.k8s.io/v1",
        kind: "SubjectAccessReview",
        spec: { user, ...(uid === undefined ? {} : { uid }), groups, extra, resourceAttributes: question },
      },
    });
    if (status >= 300)
      throw transientError("review-failed", `the API server answered ${status} to a SubjectAccessReview`);
    const answer = JSON.parse(text) as { readonly status?: { readonly allowed?: boolean } };
    const allowed = answer.status?.allowed === true;
    this.#kept.delete(key);
    if (this.#kept.size >= maxKept) this.#kept.delete(this.#kept.keys().next().value ?? "");
    this.#kept.set(key, { allowed, untilMs: this.#clock.steadyMs() + keptMs });
    return allowed;
  }
}
