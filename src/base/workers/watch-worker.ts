import { aborted, type Clock } from "../index.ts";

export interface WatchOptions {
  /** Sends the worker a request. Any answer shows that the worker is not stuck. */
  readonly ask: () => Promise<unknown>;
  /** Called when the worker has not answered for too long. */
  readonly onStuck: (forMs: number) => void;
  readonly clock: Pick<Clock, "sleep">;
  readonly limits?: WatchLimits;
}

export interface WatchLimits {
  readonly everyMs: number;
  /** The number of consecutive checks without an answer. */
  readonly maxMissed: number;
}

const defaults: WatchLimits = { everyMs: 1000, maxMissed: 30 };

/**
 * Watches for a worker that no longer answers, such as one in an endless loop. It counts checks and not time, because
 * all workers are late at once after the process was suspended. The start of a worker has no limit. Ends with the
 * signal, or after it has reported a stuck worker.
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
