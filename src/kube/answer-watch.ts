import { afterRunning, transientError, type Clock, type SerinError } from "../base/index.ts";
import type { KubeConfig } from "./kube-config.ts";
import type { RequestSubject } from "./status-error.ts";

/** A person who waits for the answers to the requests of one client. */
export interface WaitingPerson {
  /**
   * The time limit for the server's first answer, if it is shorter than the limit for other requests. Once a server has
   * answered, it exists, and it may need longer for a large list.
   */
  readonly firstAnswerMs: number;
  /** How the person can raise the time limit, as a part of error messages. */
  readonly raise: string;
  /** Called when a request has been unanswered for some seconds, and with undefined once no such request is left. */
  readonly overdue: (server: string, missing: string | undefined) => void;
}

interface AnswerWatchOptions {
  readonly config: Pick<KubeConfig, "server" | "context">;
  readonly clock: Clock;
  readonly requestTimeoutMs: number;
  readonly person: WaitingPerson | undefined;
  /** Sends a small request, which a live server answers soon. The signal aborts the request. */
  readonly ask: (signal: AbortSignal) => Promise<void>;
}

/** How long a request may be unanswered before the person gets a message. */
const overdueMs = 3_000;

/**
 * Watches over the requests of one client: limits their time, and tells a person which answers are late. If the first
 * request is slow, for example the list of a large cluster, a small request finds out whether the server is alive.
 */
export class AnswerWatch {
  readonly #options: AnswerWatchOptions;
  #hasAnswered = false;
  #overdue = 0;

  constructor(options: AnswerWatchOptions) {
    this.#options = options;
  }

  /** Notes that the server has answered a request. */
  answered(): void {
    this.#hasAnswered = true;
  }

  /** Whether the server has answered any request. */
  get hasAnswered(): boolean {
    return this.#hasAnswered;
  }

  /** Calls `late` with the error of a request that has taken too long. Disposing the handle ends the watch. */
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
   * Reports the first of several overdue requests to the person. Disposing the handle of the last one withdraws the
   * report.
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
    // A live server answers this request, which lifts the limit of the first answer. A dead server does not, so the
    // limit applies.
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

/** A time limit: `500 ms`, `15 s`. */
function limitText(ms: number): string {
  return ms < 1_000 ? `${ms} ms` : `${ms / 1_000} s`;
}
