import { aborted, type Clock } from "../../base/index.ts";

export class ChangeBurst {
  readonly #clock: Clock;
  #firstMs: number | undefined;
  #lastMs = 0;
  #wake: () => void = () => undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  note(): void {
    this.#lastMs = this.#clock.steadyMs();
    this.#firstMs ??= this.#lastMs;
    this.#wake();
  }

  /**
   * Waits for a change, and then for the end of the changes that follow it. Resolves after `quietMs` without another
   * change, `longestMs` after the first one, or when the signal aborts.
   */
  async end(quietMs: number, longestMs: number, signal: AbortSignal): Promise<void> {
    if (this.#firstMs === undefined)
      await Promise.race([new Promise<void>((resolve) => (this.#wake = resolve)), aborted(signal)]);
    while (!signal.aborted && this.#firstMs !== undefined) {
      const leftMs = Math.min(this.#lastMs + quietMs, this.#firstMs + longestMs) - this.#clock.steadyMs();
      if (leftMs <= 0) break;
      await this.#clock.sleep(leftMs, signal).catch(() => undefined);
    }
    this.#firstMs = undefined;
  }
}
