import type { Clock } from "../../../base/index.ts";

/**
 * The initial delay, which doubles up to a minute. These are the kubelet's newer values (KEP-4603). The first restart
 * has no delay.
 */
const initialMs = 1_000;
const maxMs = 60_000;
/** After a longer run, the delay starts from the beginning again. */
const provenMs = 120_000;

/** Decides when a container that has ended or could not start may start again. */
export class RestartBackoff {
  readonly #clock: Clock;
  #failures = 0;
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  stepMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Call this when a run has ended. `startedAtMs` is its beginning in wall-clock time. */
  ended(startedAtMs: number): void {
    if (this.#clock.nowMs() - startedAtMs > provenMs) this.#failures = 0;
    this.#hold(this.#failures === 0 ? 0 : initialMs * 2 ** (this.#failures - 1));
  }

  /** Call this when a run could not begin at all. */
  failed(): void {
    this.#hold(initialMs * 2 ** this.#failures);
  }

  get delayMs(): number {
    return Math.max(0, this.#notBeforeMs - this.#clock.steadyMs());
  }

  #hold(ms: number): void {
    this.#failures += 1;
    this.stepMs = Math.min(ms, maxMs);
    this.#notBeforeMs = this.#clock.steadyMs() + this.stepMs;
  }
}
