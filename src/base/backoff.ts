import type { Random } from "./random.ts";

export interface BackoffOptions {
  readonly initialMs: number;
  readonly maxMs: number;
  readonly random: Random;
}

/**
 * Exponential backoff with jitter. Each step is twice as long as the one before, up to `maxMs`. A delay is between half
 * of its step and the whole step.
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
