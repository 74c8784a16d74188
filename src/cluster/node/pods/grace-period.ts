import type { Clock } from "../../../base/index.ts";

/** The grace period of a pod that is being stopped. A client may shorten it. */
export class GracePeriod implements Disposable {
  readonly #clock: Clock;
  readonly #over = Promise.withResolvers<void>();
  #endsAtMs: number;
  #timer: Disposable;

  constructor(clock: Clock, ms: number) {
    this.#clock = clock;
    this.#endsAtMs = clock.steadyMs() + ms;
    this.#timer = this.#timerOf(ms);
  }

  get over(): Promise<void> {
    return this.#over.promise;
  }

  get leftMs(): number {
    return Math.max(0, this.#endsAtMs - this.#clock.steadyMs());
  }

  /** Shortens the grace period to this time from now. Returns false and changes nothing if less time is left anyway. */
  shorten(ms: number): boolean {
    if (ms >= this.leftMs) return false;
    this.#endsAtMs = this.#clock.steadyMs() + ms;
    this.#timer[Symbol.dispose]();
    this.#timer = this.#timerOf(ms);
    return true;
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
  }

  #timerOf(ms: number): Disposable {
    return this.#clock.after(ms, () => this.#over.resolve());
  }
}
