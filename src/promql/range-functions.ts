import type { RangeWindow } from "./range-window.ts";
import { quantile, regression, spread } from "./statistics.ts";
import type { Point } from "./values.ts";

/** Computes a window's result. Undefined if its series has no result. */
export type RangeFunction = (window: RangeWindow) => number | undefined;

/** How to compute a rate: whether the samples are those of a counter, and whether the result is per second. */
interface RateForm {
  readonly counter: boolean;
  readonly perSecond: boolean;
}

/**
 * A series is assumed to reach an edge of the window if the gap to the edge is below this number of average intervals.
 */
const edgeDistances = 1.1;

/**
 * Extrapolates the change between the first and last sample to the whole window. If an edge of the window is at most
 * about one interval away, the change is extended to it. Otherwise the series begins or ends within the window, and the
 * change is extended by half an interval. A counter is not extended below zero.
 */
function extrapolated({ points, startMs, endMs }: RangeWindow, { counter, perSecond }: RateForm): number | undefined {
  const [first] = points;
  const last = points.at(-1);
  if (first === undefined || last === undefined || points.length < 2) return undefined;
  const change = counter ? counterIncrease(points) : last.value - first.value;
  const covered = (last.timestampMs - first.timestampMs) / 1000;
  const distance = covered / (points.length - 1);
  const reach = (gap: number): number => (gap >= distance * edgeDistances ? distance / 2 : gap);
  let before = reach((first.timestampMs - startMs) / 1000);
  if (counter && change > 0 && first.value >= 0) before = Math.min(before, covered * (first.value / change));
  const after = reach((endMs - last.timestampMs) / 1000);
  const whole = change * ((covered + before + after) / covered);
  return perSecond ? whole / ((endMs - startMs) / 1000) : whole;
}

/** The increase of a counter. If its value decreases, the counter has been reset to zero. */
function counterIncrease(points: readonly Point[]): number {
  let increase = 0;
  let previous: number | undefined;
  for (const { value } of points) {
    if (previous !== undefined) increase += value < previous ? value : value - previous;
    previous = value;
  }
  return increase;
}

function lastStep({ points }: RangeWindow, { counter, perSecond }: RateForm): number | undefined {
  const last = points.at(-1);
  const before = points.at(-2);
  if (last === undefined || before === undefined) return undefined;
  const change = counter && last.value < before.value ? last.value : last.value - before.value;
  if (!perSecond) return change;
  const seconds = (last.timestampMs - before.timestampMs) / 1000;
  return seconds === 0 ? undefined : change / seconds;
}

export const perSecondFunctions: ReadonlyMap<string, RangeFunction> = new Map<string, RangeFunction>([
  ["rate", (window) => extrapolated(window, { counter: true, perSecond: true })],
  ["increase", (window) => extrapolated(window, { counter: true, perSecond: false })],
  ["delta", (window) => extrapolated(window, { counter: false, perSecond: false })],
  ["irate", (window) => lastStep(window, { counter: true, perSecond: true })],
  ["idelta", (window) => lastStep(window, { counter: false, perSecond: false })],
  ["deriv", ({ points }) => (points.length < 2 ? undefined : regression(points, points[0]?.timestampMs ?? 0).slope)],
]);

function valuesOf({ points }: RangeWindow): number[] {
  return points.map(({ value }) => value);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function changesWhere(changed: (previous: number, value: number) => boolean): RangeFunction {
  return ({ points }) => {
    let count = 0;
    for (const [index, { value }] of points.entries()) {
      const previous = points[index - 1];
      if (previous !== undefined && changed(previous.value, value)) count += 1;
    }
    return count;
  };
}

/**
 * The point that beats all others. Of equal points, it is the first one if `beats` is strict, and otherwise the last
 * one.
 */
function extreme(points: readonly Point[], beats: (value: number, best: number) => boolean): Point | undefined {
  return points.reduce<Point | undefined>(
    (best, point) => (best === undefined || Number.isNaN(best.value) || beats(point.value, best.value) ? point : best),
    undefined,
  );
}

function seconds(point: Point | undefined): number | undefined {
  return point === undefined ? undefined : point.timestampMs / 1000;
}

const half = 0.5;

export const rangeFunctions: ReadonlyMap<string, RangeFunction> = new Map<string, RangeFunction>([
  ["sum_over_time", (window) => sum(valuesOf(window))],
  ["avg_over_time", (window) => sum(valuesOf(window)) / window.points.length],
  ["min_over_time", ({ points }) => extreme(points, (value, best) => value < best)?.value],
  ["max_over_time", ({ points }) => extreme(points, (value, best) => value > best)?.value],
  ["count_over_time", ({ points }) => points.length],
  ["present_over_time", () => 1],
  ["last_over_time", ({ points }) => points.at(-1)?.value],
  ["first_over_time", ({ points }) => points[0]?.value],
  ["stddev_over_time", (window) => Math.sqrt(spread(valuesOf(window)))],
  ["stdvar_over_time", (window) => spread(valuesOf(window))],
  ["mad_over_time", medianDeviation],
  [
    "changes",
    changesWhere((previous, value) => value !== previous && !(Number.isNaN(value) && Number.isNaN(previous))),
  ],
  ["resets", changesWhere((previous, value) => value < previous)],
  ["ts_of_first_over_time", ({ points }) => seconds(points[0])],
  ["ts_of_last_over_time", ({ points }) => seconds(points.at(-1))],
  ["ts_of_min_over_time", ({ points }) => seconds(extreme(points, (value, best) => value <= best))],
  ["ts_of_max_over_time", ({ points }) => seconds(extreme(points, (value, best) => value >= best))],
]);

function medianDeviation(window: RangeWindow): number {
  const values = valuesOf(window);
  const median = quantile(half, values);
  return quantile(
    half,
    values.map((value) => Math.abs(value - median)),
  );
}
