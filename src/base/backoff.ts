import type { Random } from "./random.ts";

export interface BackoffOptions {
  readonly initialMs: number;
  readonly maxMs: number;
  readonly random: Random;
}

/**
 * Backoff with jitter: each step is twice as long as the step before, and each delay is between half of its step and
 * the whole step.
 */
export class Backoff {
  readonly #options: BackoffOptions;
  #attempt = 0;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  get attempt(): number {
    return this.#attempt;
  }

  /** The delay before the next attempt, in milliseconds. */
  nextMs(): number {
    const { initialMs, maxMs, random } = this.#options;
    const step = Math.min(maxMs, initialMs * 2 ** this.#attempt);
    this.#attempt += 1;
    return step / 2 + (step / 2) * random();
  }

  reset(): void {
    this.#attempt = 0;
  }
}
