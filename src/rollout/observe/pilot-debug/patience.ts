import { afterRunning, transientError, type Clock, type SerinError } from "../../../base/index.ts";

export interface PatienceLimits {
  readonly podMs: number;
  readonly serverMs: number;
}

/**
 * Limits how long a caller waits for a pod: calls `giveUp` after `podMs`. That time does not run while the caller waits
 * for the API server, which has a limit of its own.
 */
export class Patience implements Disposable {
  readonly #clock: Clock;
  readonly #limits: PatienceLimits;
  readonly #giveUp: () => void;
  #earlierMs = 0;
  #serverMs = 0;
  #beganMs = 0;
  #timer: Disposable | undefined;
  #isOver = false;

  constructor(clock: Clock, limits: PatienceLimits, giveUp: () => void) {
    this.#clock = clock;
    this.#limits = limits;
    this.#giveUp = giveUp;
    this.#begin();
  }

  /** How long the pod has taken so far, including the time after the caller gave up. */
  get spentMs(): number {
    return this.#earlierMs + this.#clock.steadyMs() - this.#beganMs;
  }

  /** Waits for an answer of the API server. Throws a transient error if all such waits together exceed `serverMs`. */
  async pausedFor<Result>(answer: Promise<Result>): Promise<Result> {
    this.#earlierMs = this.spentMs;
    this.#timer?.[Symbol.dispose]();
    const fromMs = this.#clock.steadyMs();
    const late = Promise.withResolvers<never>();
    using _limit = afterRunning(
      Math.max(0, this.#limits.serverMs - this.#serverMs),
      () => late.reject(silentServer(this.#limits.serverMs)),
      this.#clock,
    );
    try {
      return await Promise.race([answer, late.promise]);
    } finally {
      this.#serverMs += this.#clock.steadyMs() - fromMs;
      this.#begin();
    }
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#timer?.[Symbol.dispose]();
  }

  #begin(): void {
    this.#beganMs = this.#clock.steadyMs();
    if (this.#isOver) return;
    const leftMs = Math.max(0, this.#limits.podMs - this.#earlierMs);
    this.#timer = afterRunning(leftMs, this.#giveUp, this.#clock);
  }
}

function silentServer(ms: number): SerinError {
  return transientError("timeout", `the API server has not answered for ${ms} ms, and the question needs its answer`);
}
