import { aborted, type Clock } from "../../base/index.ts";

export interface WatchOptions {
  /** Asks the worker for an answer, whatever it is. */
  readonly ask: () => Promise<unknown>;
  /** It has not answered for too long. */
  readonly onStuck: (forMs: number) => void;
  readonly clock: Pick<Clock, "sleep">;
  readonly limits?: WatchLimits;
}

export interface WatchLimits {
  readonly everyMs: number;
  /** Looks in a row that found no answer yet. */
  readonly maxMissed: number;
}

const defaults: WatchLimits = { everyMs: 1000, maxMissed: 30 };

/**
 * Watches for a worker that does not answer any more, as one in an endless loop. Looks are counted, not time: a process that was
 * stopped for a while finds all of its workers late at once. How long a worker takes to begin is not judged. Ends with the signal, or
 * when it has told of a stuck worker.
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
