import { afterRunning, transientError, type Clock, type SerinError } from "../base/index.ts";
import type { KubeConfig } from "./kube-config.ts";
import type { RequestSubject } from "./status-error.ts";

/** How a person who waits for one client's requests is kept informed. */
export interface WaitingPerson {
  /**
   * The time limit for the server's first response, if it is shorter than the limit of a request. Once the server has
   * responded, the limit of a request applies, because a large list may take longer.
   */
  readonly firstAnswerMs: number;
  /** How the person can raise the time limit. Error messages contain this text. */
  readonly raise: string;
  /** Called when a request has had no response for some seconds, and with undefined once no such request is left. */
  readonly overdue: (server: string, missing: string | undefined) => void;
}

interface AnswerWatchOptions {
  readonly config: Pick<KubeConfig, "server" | "context">;
  readonly clock: Clock;
  readonly requestTimeoutMs: number;
  readonly person: WaitingPerson | undefined;
  /** Sends a small request, to which a live server responds soon. The signal aborts the request. */
  readonly ask: (signal: AbortSignal) => Promise<void>;
}

/** How long a request may have no response before the person gets a message. */
const overdueMs = 3_000;

/**
 * Limits the time of one client's requests, and reports late ones to a person. If the first request is slow, for
 * example the list of a large cluster, a small request tests whether the server is alive.
 */
export class AnswerWatch {
  readonly #options: AnswerWatchOptions;
  #hasAnswered = false;
  #overdue = 0;

  constructor(options: AnswerWatchOptions) {
    this.#options = options;
  }

  answered(): void {
    this.#hasAnswered = true;
  }

  get hasAnswered(): boolean {
    return this.#hasAnswered;
  }

  /**
   * Watches a request. If the request takes too long, calls `late` with the error. Disposing the handle ends the watch.
   */
  over(subject: RequestSubject, late: (error: SerinError) => void): Disposable {
    const { clock, requestTimeoutMs, person } = this.#options;
    const fail = (limitMs: number): void => late(this.#lateError(subject, limitMs));
    if (person === undefined) return clock.after(requestTimeoutMs, () => fail(requestTimeoutMs));
    const timers = new DisposableStack();
    const firstMs = Math.min(person.firstAnswerMs, requestTimeoutMs);
    const onFirst = (): void => {
      if (!this.#hasAnswered || firstMs === requestTimeoutMs) fail(firstMs);
      else timers.use(clock.after(requestTimeoutMs - firstMs, () => fail(requestTimeoutMs)));
    };
    timers.use(afterRunning(firstMs, onFirst, clock));
    timers.use(clock.after(overdueMs, () => timers.use(this.#callOverdue(subject, person))));
    return timers;
  }

  /**
   * Reports an overdue request to the person, unless an earlier one is already reported. When the last overdue request
   * has ended, disposing its handle withdraws the report.
   */
  #callOverdue({ verb, object }: RequestSubject, { overdue, firstAnswerMs }: WaitingPerson): Disposable {
    const { config, requestTimeoutMs, ask } = this.#options;
    const name = `the API server at ${config.server}`;
    this.#overdue += 1;
    const isFirst = !this.#hasAnswered && firstAnswerMs < requestTimeoutMs;
    const limit = isFirst
      ? `${limitText(firstAnswerMs)} until the server's first answer, then ${limitText(requestTimeoutMs)}`
      : limitText(requestTimeoutMs);
    if (this.#overdue === 1) overdue(name, `no answer yet to the ${verb} of ${object}; the limit is ${limit}`);
    const asking = new AbortController();
    // If the server responds to this small request, the shorter limit of the first response no longer applies.
    if (isFirst) void ask(asking.signal).catch(() => undefined);
    return {
      [Symbol.dispose]: () => {
        asking.abort();
        this.#overdue -= 1;
        if (this.#overdue === 0) overdue(name, undefined);
      },
    };
  }

  #lateError({ verb, object }: RequestSubject, limitMs: number): SerinError {
    const { config, person } = this.#options;
    const hint = `check that ${config.server} is the API server of the context "${config.context}", and that it runs: kubectl get --raw /readyz${person === undefined ? "" : `; ${person.raise}`}`;
    return transientError("timeout", `${verb} of ${object}: no answer within ${limitText(limitMs)}`, { hint });
  }
}

function limitText(ms: number): string {
  return ms < 1_000 ? `${ms} ms` : `${ms / 1_000} s`;
}
