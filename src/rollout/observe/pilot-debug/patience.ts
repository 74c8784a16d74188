import { afterRunning, type Clock } from "../../../base/index.ts";

/** The time that a caller waits for a pod. It stands still while the caller waits for another server. */
export class Patience implements Disposable {
  readonly #clock: Clock;
  readonly #limitMs: number;
  readonly #giveUp: () => void;
  #earlierMs = 0;
  #beganMs = 0;
  #timer: Disposable | undefined;
  #isOver = false;

  constructor(clock: Clock, limitMs: number, giveUp: () => void) {
    this.#clock = clock;
    this.#limitMs = limitMs;
    this.#giveUp = giveUp;
    this.#begin();
  }

  /** How long the pod has been waited for, be it after the caller gave up. */
  get spentMs(): number {
    return this.#earlierMs + this.#clock.steadyMs() - this.#beganMs;
  }

  /** Does work that another server may delay. */
  async pausedFor<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#earlierMs = this.spentMs;
    this.#timer?.[Symbol.dispose]();
    try {
      return await work();
    } finally {
      this.#begin();
    }
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#timer?.[Symbol.dispose]();
  }

  #begin(): void {
    this.#beganMs = this.#clock.steadyMs();
    if (!this.#isOver) this.#timer = afterRunning(Math.max(0, this.#limitMs - this.#earlierMs), this.#giveUp);
  }
}
