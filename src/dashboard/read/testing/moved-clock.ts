import type { Clock } from "../../../base/index.ts";

/** A clock that stands until the test moves it. */
export class MovedClock implements Clock {
  #nowMs = 0;
  #timers: { readonly atMs: number; readonly run: () => void }[] = [];

  nowMs(): number {
    return this.#nowMs;
  }
  steadyMs(): number {
    return this.#nowMs;
  }
  async sleep(): Promise<void> {
    await Promise.resolve();
  }
  after(ms: number, run: () => void): Disposable {
    const timer = { atMs: this.#nowMs + ms, run };
    this.#timers.push(timer);
    return { [Symbol.dispose]: () => void (this.#timers = this.#timers.filter((one) => one !== timer)) };
  }
  async pass(ms: number): Promise<void> {
    this.#nowMs += ms;
    const due = this.#timers.filter(({ atMs }) => atMs <= this.#nowMs);
    this.#timers = this.#timers.filter(({ atMs }) => atMs > this.#nowMs);
    for (const { run } of due) run();
    for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
  }
}
