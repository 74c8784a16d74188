import type { Clock } from "../../base/index.ts";

/** The divisor of the share: an owner may use a tenth of the engine's time. */
const parts = 10;
/** Work up to this length is not counted, because it delays nothing. */
const freeMs = 20;
const maxOwners = 1024;

/**
 * Limits the share of the engine's only thread that an owner, such as a namespace, takes for queries or decisions. Each
 * query and decision has a bound of its own, but a step may have many checks, and a namespace many Canaries.
 */
export class TimeShares {
  readonly #clock: Clock;
  /** When each owner may use time again. The owner that used time last comes last. */
  readonly #untilMs = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  waitMs(owner: string): number {
    return Math.max(0, (this.#untilMs.get(owner) ?? -Infinity) - this.#clock.steadyMs());
  }

  /** Records work that has just ended. */
  spent(owner: string, ms: number): void {
    if (ms <= freeMs) return;
    this.#untilMs.delete(owner);
    this.#untilMs.set(owner, this.#clock.steadyMs() + ms * (parts - 1));
    if (this.#untilMs.size > maxOwners) this.#untilMs.delete(this.#untilMs.keys().next().value ?? "");
  }
}
