import { aborted, type Clock } from "../index.ts";

export interface WatchOptions {
  /** Sends the worker a request. Any answer, even an error, shows that the worker is not stuck. */
  readonly ask: () => Promise<unknown>;
  /** Called if the worker has missed `maxMissed` checks. */
  readonly onStuck: (forMs: number) => void;
  readonly clock: Pick<Clock, "sleep">;
  readonly limits?: WatchLimits;
}

export interface WatchLimits {
  readonly everyMs: number;
  /** After this many consecutive checks without an answer, the worker is stuck. */
  readonly maxMissed: number;
}

const defaults: WatchLimits = { everyMs: 1000, maxMissed: 30 };

/**
 * Watches for a worker that no longer answers, for example because it is in an endless loop. It counts checks instead
 * of time, because every worker is late after the process was suspended. A worker's start has no time limit. Returns
 * when the signal aborts, or after it has reported a stuck worker.
 */
export async function watchWorker(options: WatchOptions, signal: AbortSignal): Promise<void> {
  const { ask, onStuck, clock, limits = defaults } = options;
  await Promise.race([ask().catch(() => undefined), aborted(signal)]);
  let answered = true;
  let missed = 0;
  while (!signal.aborted) {
    if (answered) {
      answered = false;
      missed = 0;
      void ask()
        .catch(() => undefined)
        .then(() => (answered = true));
    } else {
      missed += 1;
      if (missed >= limits.maxMissed) return onStuck(missed * limits.everyMs);
    }
    await clock.sleep(limits.everyMs, signal).catch(() => undefined);
  }
}
