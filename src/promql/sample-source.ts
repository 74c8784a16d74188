import type { Labels } from "./labels.ts";
import type { Matcher } from "./matcher.ts";

/** The samples of one series between two times, in the order of time; `timesMs` and `values` are of one length. */
export interface SeriesSlice {
  readonly labels: Labels;
  readonly timesMs: ArrayLike<number>;
  readonly values: ArrayLike<number>;
  /** When the series was found to have ended, in order; what lies before is not looked back to from after. */
  readonly staleMs: readonly number[];
}

/** Where an evaluation gets samples from. */
export interface SampleSource {
  /** Series that all matchers match, each once, with their samples in (fromMs, toMs]; series without any may be left out. */
  select(matchers: readonly Matcher[], fromMs: number, toMs: number): readonly SeriesSlice[];
}

/** The index of the last time that is at or before `timeMs`, or -1. */
export function indexAtOrBefore(timesMs: ArrayLike<number>, timeMs: number): number {
  let low = 0;
  let high = timesMs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((timesMs[middle] ?? Infinity) <= timeMs) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
