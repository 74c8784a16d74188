import type { Clock } from "../../src/base/index.ts";
import type { Proof } from "../proofs/upgrade-proof/proof.ts";

export interface Chaos {
  readonly proof: Proof;
  /** The clock of the run. The load's reports use the same wall time. */
  readonly clock: Clock;
  /** Returns the next random number from 0 to 1, by the run's seed. */
  readonly random: () => number;
}

export class TimeLimitError extends Error {}

/**
 * Rejects when the work has not ended within the limit, or when `outer` aborts. In both cases it also aborts the signal
 * of the work, and no longer waits for the work.
 */
export async function inTime<Value>(
  title: string,
  limitMs: number,
  work: (signal: AbortSignal) => Promise<Value>,
  outer?: AbortSignal,
): Promise<Value> {
  const stop = new AbortController();
  const aborted = Promise.withResolvers<never>();
  const end = (reason: Error): void => {
    stop.abort(reason);
    aborted.reject(reason);
  };
  const onOuter = (): void => end(outer?.reason instanceof Error ? outer.reason : new Error("aborted"));
  if (outer?.aborted === true) onOuter();
  outer?.addEventListener("abort", onOuter, { once: true });
  const timer = setTimeout(() => end(new TimeLimitError(`${title}: not done after ${limitMs / 1000} s`)), limitMs);
  try {
    return await Promise.race([aborted.promise, work(stop.signal)]);
  } finally {
    clearTimeout(timer);
    outer?.removeEventListener("abort", onOuter);
  }
}

/**
 * Repeats an action until it succeeds. If the signal aborts during an attempt that fails, throws the attempt's error.
 * If the signal aborts between two attempts, throws the reason of the abort.
 */
export async function untilDone<Value>(
  clock: Clock,
  signal: AbortSignal,
  order: () => Promise<Value>,
  pauseMs = 200,
): Promise<Value> {
  for (;;) {
    signal.throwIfAborted();
    try {
      return await order();
    } catch (error) {
      if (signal.aborted) throw error;
    }
    await clock.sleep(pauseMs, signal);
  }
}
