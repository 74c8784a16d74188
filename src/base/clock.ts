import { setTimeout as sleepFor } from "node:timers/promises";

/** Time, passed in wherever it matters, so that tests own it. */
export interface Clock {
  /** Wall-clock time in milliseconds since the epoch. */
  nowMs(): number;
  /** A steady time in milliseconds, for durations; its zero means nothing. */
  steadyMs(): number;
  /** Resolves after `ms`, of more than 24 days after these; rejects with the signal's reason when it is aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `run` once after `ms`, of more than 24 days after these, unless the returned handle is disposed first. Does not keep the process alive. */
  after(ms: number, run: () => void): Disposable;
}

/** Node takes a longer time for one of a millisecond. */
const maxTimerMs = 2 ** 31 - 1;

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  steadyMs: () => performance.now(),
  sleep: async (ms, signal) => {
    await sleepFor(Math.min(ms, maxTimerMs), undefined, signal === undefined ? {} : { signal });
  },
  after: (ms, run) => {
    const timer = setTimeout(run, Math.min(ms, maxTimerMs));
    timer.unref();
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};
