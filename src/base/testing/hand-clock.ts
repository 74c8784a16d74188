import type { Clock } from "../clock.ts";

/**
 * A clock whose time changes only when the test moves it, which runs the timers that are then due. Sleeps end at once.
 */
export class HandClock implements Clock {
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
    return { [Symbol.dispose]: () => (this.#timers = this.#timers.filter((other) => other !== timer)) };
  }

  get timers(): number {
    return this.#timers.length;
  }

  /** The time until the next timer is due. Infinity if there is none. */
  get nextTimerMs(): number {
    return Math.min(...this.#timers.map(({ atMs }) => atMs - this.#nowMs));
  }

  pass(ms: number): void {
    this.#nowMs += ms;
    for (const timer of this.#timers.filter(({ atMs }) => atMs <= this.#nowMs)) {
      this.#timers = this.#timers.filter((other) => other !== timer);
      timer.run();
    }
  }
}
