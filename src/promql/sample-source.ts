import type { Labels } from "./labels.ts";
import type { Matcher } from "./matcher.ts";

/** The samples of one series between two times, in order of time. `timesMs` and `values` have the same length. */
export interface SeriesSlice {
  readonly labels: Labels;
  readonly timesMs: ArrayLike<number>;
  readonly values: ArrayLike<number>;
  /** The times at which the series ended, in order. A lookback does not go back beyond the latest of these times. */
  readonly staleMs: readonly number[];
}

/** The source from which an evaluation reads samples. */
export interface SampleSource {
  /**
   * The series that all matchers match, each once, with their samples in (fromMs, toMs]. A series without samples may
   * be left out.
   */
  select(matchers: readonly Matcher[], fromMs: number, toMs: number): readonly SeriesSlice[];
}

/** The index of the last time at or before `timeMs`, or -1. */
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
