import type { DurationHistogram } from "../../judge/duration-histogram.ts";
import type { DurationSequence } from "../../judge/batch-sequence.ts";

export interface DurationState {
  /** The observer of the sums `canary` and `stable`. The sums of another observer begin at another time. */
  readonly epoch: string;
  readonly canary: DurationHistogram;
  readonly stable: DurationHistogram;
  readonly sequence: DurationSequence;
}

/** A histogram in the status: its bounds as indexes of a shared list, without the empty buckets at its end. */
interface StoredHistogram {
  readonly in: number;
  readonly counts: readonly number[];
  readonly sumMs: number;
}

type Histograms<Histogram> = Readonly<
  Record<"canary" | "stable" | "allCanary" | "allStable" | "openCanary" | "openStable" | "earlier", Histogram>
>;

export interface StoredDurations {
  readonly epoch: string;
  readonly bounds: readonly (readonly number[])[];
  readonly histograms: Histograms<StoredHistogram>;
  readonly relative: readonly (readonly number[])[];
  readonly absolute: readonly (readonly number[])[];
}

/** The status is written often, so durations are stored in a short form. */
export function storedDurations({
  epoch,
  canary,
  stable,
  sequence: { evidence, open, earlier },
}: DurationState): StoredDurations {
  const all: Histograms<DurationHistogram> = {
    canary,
    stable,
    allCanary: evidence.canary,
    allStable: evidence.stable,
    openCanary: open.canary,
    openStable: open.stable,
    earlier,
  };
  const bounds: (readonly number[])[] = [];
  const store = ({ boundsMs, counts, sumMs }: DurationHistogram): StoredHistogram => {
    let index = bounds.findIndex(
      (known) => known.length === boundsMs.length && known.every((bound, at) => bound === boundsMs[at]),
    );
    if (index < 0) index = bounds.push(boundsMs) - 1;
    return {
      in: index,
      counts: counts.slice(0, counts.findLastIndex((count) => count > 0) + 1),
      sumMs: rounded(sumMs),
    };
  };
  const histograms = Object.fromEntries(
    Object.entries(all).map(([name, histogram]) => [name, store(histogram)]),
  ) as unknown as Histograms<StoredHistogram>;
  const shortened = (logs: readonly (readonly number[])[]): number[][] => logs.map((list) => list.map(rounded));
  return { epoch, bounds, histograms, relative: shortened(evidence.relative), absolute: shortened(evidence.absolute) };
}

export function durationsOf({ epoch, bounds, histograms, relative, absolute }: StoredDurations): DurationState {
  const load = (name: keyof typeof histograms): DurationHistogram => {
    const { in: index, counts, sumMs } = histograms[name];
    const boundsMs = bounds[index] ?? [];
    return { boundsMs, counts: [...boundsMs, Infinity].map((_, at) => counts[at] ?? 0), sumMs };
  };
  return {
    epoch,
    canary: load("canary"),
    stable: load("stable"),
    sequence: {
      evidence: { canary: load("allCanary"), stable: load("allStable"), relative, absolute },
      open: { canary: load("openCanary"), stable: load("openStable") },
      earlier: load("earlier"),
    },
  };
}

function rounded(value: number): number {
  return Math.round(value * 1e4) / 1e4;
}
