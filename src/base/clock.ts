// Import it, because the global of this name is an accessor that every use would call.
import { performance } from "node:perf_hooks";
import { setTimeout as sleepFor } from "node:timers/promises";

/** The source of time. Code that needs the time gets a Clock as a parameter, so that tests can control it. */
export interface Clock {
  /** Wall-clock time in milliseconds since the epoch. */
  nowMs(): number;
  /** Monotonic time in milliseconds, for durations. Its zero has no meaning. */
  steadyMs(): number;
  /** Resolves after `ms`, or after 24.8 days if that is less. Rejects with the signal's reason if it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /**
   * Calls `run` once, after `ms` or after 24.8 days if that is less. Disposing of the handle cancels the call. The
   * timer does not keep the process alive.
   */
  after(ms: number, run: () => void): Disposable;
}

/** A time in RFC 3339 to the second, as Kubernetes writes it: `2026-05-05T10:01:30Z`. */
export function rfc3339Seconds(atMs: number): string {
  return `${new Date(atMs).toISOString().slice(0, -5)}Z`;
}

/** A time in RFC 3339 with six decimals, as Kubernetes' Leases have it: `2026-05-05T10:01:30.250000Z`. */
export function rfc3339Micros(atMs: number): string {
  return new Date(atMs).toISOString().replace("Z", "000Z");
}

/** The maximum time of a timer of Node, 24.8 days. Node treats a longer time as one millisecond. */
const maxTimerMs = 2 ** 31 - 1;

/** A class, because V8 is slow to create object literals with computed names. */
class StartedTimer implements Disposable {
  readonly #timer: NodeJS.Timeout;

  constructor(timer: NodeJS.Timeout) {
    this.#timer = timer;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  steadyMs: () => performance.now(),
  sleep: async (ms, signal) => {
    await sleepFor(Math.min(ms, maxTimerMs), undefined, signal === undefined ? {} : { signal });
  },
  after: (ms, run) => {
    const timer = setTimeout(run, Math.min(ms, maxTimerMs));
    timer.unref();
    return new StartedTimer(timer);
  },
};

const limitParts = 10;

/**
 * Calls `run` once after `ms`, as the time limit of a request to another process. Disposing of the result cancels it.
 * Without a clock, it uses real time and keeps the process alive.
 *
 * On a busy machine, a process may stand still for seconds. Node runs due timers before it reads sockets, so a plain
 * timer would then end requests whose answers have arrived. This limit counts each standstill as at most a tenth of
 * `ms`.
 */
export function afterRunning(ms: number, run: () => void, clock: Timers = liveTimers): Disposable {
  return new RunningLimit(ms, run, clock);
}

type Timers = Pick<Clock, "after">;

const liveTimers: Timers = { after: (ms, run) => new StartedTimer(setTimeout(run, ms)) };

class RunningLimit implements Disposable {
  readonly #partMs: number;
  readonly #run: () => void;
  readonly #clock: Timers;
  #left = limitParts;
  #timer: Disposable;
  #last: NodeJS.Immediate | undefined;

  constructor(ms: number, run: () => void, clock: Timers) {
    this.#partMs = Math.min(ms, maxTimerMs) / limitParts;
    this.#run = run;
    this.#clock = clock;
    this.#timer = clock.after(this.#partMs, this.#next);
  }

  readonly #next = (): void => {
    this.#left -= 1;
    if (this.#left > 0) this.#timer = this.#clock.after(this.#partMs, this.#next);
    // Let Node read its sockets once more before the call.
    else this.#last = setImmediate(this.#run);
  };

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
    clearImmediate(this.#last);
  }
}

/** The CPU time that this thread has used. A limit of it does not become stricter on a busy machine. */
export function threadCpuTimeMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
