import type { Clock } from "../../../base/index.ts";

/** A clock that the test sets. It never calls timers. */
export class HandClock implements Clock {
  ms = 1_800_000_000_000;
  nowMs = (): number => this.ms;
  steadyMs = (): number => this.ms;
  sleep = async (): Promise<void> => await Promise.resolve();
  after = (): Disposable => ({ [Symbol.dispose]: () => undefined });
}
