import type { Labels } from "./labels.ts";
import type { Matcher } from "./matcher.ts";

/** Samples of one series in order of time. `timesMs` and `values` have the same length. */
export interface SeriesSlice {
  readonly labels: Labels;
  readonly timesMs: ArrayLike<number>;
  readonly values: ArrayLike<number>;
  /** When the series ended, in order. A lookback stops at the latest of these times. */
  readonly staleMs: readonly number[];
}

export interface SampleSource {
  /**
   * The series that meet all matchers, each once, with their samples in (fromMs, toMs]. Series without samples may be
   * left out.
   */
  select(matchers: readonly Matcher[], fromMs: number, toMs: number): readonly SeriesSlice[];
}

/** The index of the last time that is not after `timeMs`. -1 if there is none. */
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
