import type { Clock } from "../../../base/index.ts";

/** Stands where it is put; what is to be called later never is. */
export class HandClock implements Clock {
  ms = 1_800_000_000_000;
  nowMs = (): number => this.ms;
  steadyMs = (): number => this.ms;
  sleep = async (): Promise<void> => await Promise.resolve();
  after = (): Disposable => ({ [Symbol.dispose]: () => undefined });
}
