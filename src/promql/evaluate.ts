import { internalError, userError, withArticle } from "../base/index.ts";
import { aggregate } from "./aggregate.ts";
import { combine } from "./binary.ts";
import { typeNames, typeOf } from "./check.ts";
import { callFunction } from "./functions.ts";
import { labelsKey, noLabels, withoutName, type Labels } from "./labels.ts";
import type { RangeWindow } from "./range-window.ts";
import { checkedMatcher, type Matcher } from "./matcher.ts";
import { indexAtOrBefore, type SampleSource, type SeriesSlice } from "./sample-source.ts";
import { selectionWindows, shiftedMs, type QueryTimes } from "./selection-windows.ts";
import type { Call, Expression, RangeSelector, Selector, Subquery } from "./syntax.ts";
import type { Point, QueryValue, RangeSeries, Sample } from "./values.ts";

export interface EvaluationOptions {
  /** A sample counts as the current value of its series up to this age. */
  readonly lookbackMs?: number;
  /** The step of subqueries without one. */
  readonly defaultStepMs?: number;
  /** The maximum number of samples that a query may load at once. */
  readonly maxSamples?: number;
  /**
   * The maximum number of points that a range query or a subquery may collect. A point takes more memory than a loaded
   * sample.
   */
  readonly maxCollected?: number;
  /** Called before each step, expression, window and match. It may throw an error, which ends the evaluation. */
  readonly checkpoint?: () => void;
}

const defaultLookbackMs = 300_000;
const defaultStepMs = 60_000;
const defaultMaxSamples = 50_000_000;
const defaultMaxCollected = 5_000_000;
/**
 * The maximum number of characters that `label_replace` and `label_join` may write in one step. Each of several nested
 * calls could double a label's length.
 */
const maxLabelCharacters = 64_000_000;
/** The maximum number of steps of a query, as in Prometheus. A query with more is refused. */
export const maxPoints = 11_000;

/**
 * Evaluates a query at one time. Throws a user error if the data does not fit the query, for example if a match is
 * many-to-many.
 */
export function evaluateAt(
  expression: Expression,
  source: SampleSource,
  timeMs: number,
  options: EvaluationOptions = {},
): QueryValue {
  const evaluation = new Evaluation(expression, source, { startMs: timeMs, endMs: timeMs }, options);
  return evaluation.top(expression, timeMs);
}

export interface QueryRange extends QueryTimes {
  readonly stepMs: number;
}

/** Evaluates a query at `startMs`, `startMs + stepMs`, … up to `endMs`. */
export function evaluateRange(
  expression: Expression,
  source: SampleSource,
  range: QueryRange,
  options: EvaluationOptions = {},
): RangeSeries[] {
  return completed(evaluateRangeInSteps(expression, source, range, options));
}

/** Like {@link evaluateRange}, but yields after each step, so that the caller can do other work. */
export function* evaluateRangeInSteps(
  expression: Expression,
  source: SampleSource,
  range: QueryRange,
  options: EvaluationOptions = {},
): Generator<undefined, RangeSeries[]> {
  const { startMs, endMs, stepMs } = range;
  const type = typeOf(expression);
  if (type !== "scalar" && type !== "vector")
    throw userError("bad-query", `a range query needs a scalar or an instant vector, got ${typeNames[type]}`);
  if (!(stepMs > 0)) throw userError("bad-query", "the step must be greater than 0");
  if (endMs < startMs) throw userError("bad-query", "the end is before the start");
  if ((endMs - startMs) / stepMs > maxPoints)
    throw userError("bad-query", `more than ${maxPoints} points per series`, { hint: "use a greater step" });
  const evaluation = new Evaluation(expression, source, range, options);
  return yield* evaluation.over(expression, startMs, endMs, stepMs);
}

function completed<Result>(steps: Generator<undefined, Result>): Result {
  let step = steps.next();
  while (step.done !== true) step = steps.next();
  return step.value;
}

interface Collected {
  readonly labels: Labels;
  readonly points: Point[];
}

class Evaluation {
  readonly #times: QueryTimes;
  readonly #slices = new Map<Selector, readonly SeriesSlice[]>();
  readonly #lookbackMs: number;
  readonly #defaultStepMs: number;
  readonly #maxSamples: number;
  readonly #maxCollected: number;
  readonly #checkpoint: () => void;
  #labelCharacters = 0;

  constructor(expression: Expression, source: SampleSource, times: QueryTimes, options: EvaluationOptions) {
    this.#times = times;
    this.#lookbackMs = options.lookbackMs ?? defaultLookbackMs;
    this.#defaultStepMs = options.defaultStepMs ?? defaultStepMs;
    this.#maxSamples = options.maxSamples ?? defaultMaxSamples;
    this.#maxCollected = options.maxCollected ?? defaultMaxCollected;
    this.#checkpoint = options.checkpoint ?? (() => undefined);
    const checked = (matcher: Matcher): Matcher => checkedMatcher(matcher, this.#checkpoint);
    let samples = 0;
    for (const [selector, { fromMs, toMs }] of selectionWindows(expression, times, this.#lookbackMs)) {
      const slices = source.select(selector.matchers.map(checked), fromMs, toMs);
      samples += slices.reduce((sum, { timesMs }) => sum + timesMs.length, 0);
      bound(samples, this.#maxSamples);
      this.#slices.set(selector, slices);
    }
  }

  top(expression: Expression, timeMs: number): QueryValue {
    const type = typeOf(expression);
    if (type === "string") return { type, value: expression.type === "string" ? expression.value : "" };
    if (type === "matrix") return { type, series: this.#matrix(expression, timeMs) };
    if (type === "scalar") return { type, value: this.scalar(expression, timeMs) };
    const samples = this.vector(expression, timeMs);
    refuseDuplicates(samples);
    return { type, samples };
  }

  #matrix(expression: Expression, timeMs: number): RangeSeries[] {
    const series: RangeSeries[] = [];
    let collected = 0;
    for (const { labels, points } of this.#windows(expression, timeMs)) {
      bound((collected += points.length), this.#maxCollected);
      series.push({ labels, points });
    }
    return series;
  }

  *over(expression: Expression, startMs: number, endMs: number, stepMs: number): Generator<undefined, RangeSeries[]> {
    const collected = new Map<string, Collected>();
    const isScalar = typeOf(expression) === "scalar";
    let points = 0;
    for (let timestampMs = startMs; timestampMs <= endMs; timestampMs += stepMs) {
      this.#checkpoint();
      this.#labelCharacters = 0;
      const samples = isScalar
        ? [{ labels: noLabels, value: this.scalar(expression, timestampMs) }]
        : this.vector(expression, timestampMs);
      bound((points += samples.length), this.#maxCollected);
      for (const { labels, value } of samples) {
        const key = labelsKey(labels);
        let series = collected.get(key);
        if (series === undefined) collected.set(key, (series = { labels, points: [] }));
        if (series.points.at(-1)?.timestampMs === timestampMs) throw duplicate(labels);
        series.points.push({ timestampMs, value });
      }
      yield;
    }
    return [...collected.values()];
  }

  scalar(expression: Expression, timeMs: number): number {
    if (expression.type === "number") return expression.value;
    if (expression.type === "negation") return -this.scalar(expression.expression, timeMs);
    if (expression.type === "call") {
      if (expression.name === "time") return timeMs / 1000;
      if (expression.name === "pi") return Math.PI;
      const [argument] = expression.args;
      const samples = argument === undefined ? [] : this.vector(argument, timeMs);
      return samples.length === 1 ? (samples[0]?.value ?? NaN) : NaN;
    }
    if (expression.type === "binary")
      return (
        combine(expression, this.scalar(expression.left, timeMs), this.scalar(expression.right, timeMs))[0]?.value ??
        NaN
      );
    throw internalError("unexpected", `${withArticle(expression.type)} is not a scalar`);
  }

  vector(expression: Expression, timeMs: number): readonly Sample[] {
    this.#checkpoint();
    switch (expression.type) {
      case "selector":
        return this.#instant(expression, timeMs).map(({ labels, value }) => ({ labels, value }));
      case "negation":
        return this.vector(expression.expression, timeMs).map(({ labels, value }) => ({
          labels: withoutName(labels),
          value: -value,
        }));
      case "call":
        return this.#call(expression, timeMs);
      case "aggregation": {
        const { parameter } = expression;
        const value =
          parameter === undefined
            ? undefined
            : parameter.type === "string"
              ? parameter.value
              : this.scalar(parameter, timeMs);
        return aggregate(expression, this.vector(expression.expression, timeMs), value);
      }
      case "binary": {
        const side = (part: Expression): readonly Sample[] | number =>
          typeOf(part) === "scalar" ? this.scalar(part, timeMs) : this.vector(part, timeMs);
        return combine(expression, side(expression.left), side(expression.right));
      }
      case "number":
      case "string":
      case "range":
      case "subquery":
        throw internalError("unexpected", `${withArticle(expression.type)} is not an instant vector`);
    }
  }

  #call(call: Call, timeMs: number): readonly Sample[] {
    const answer = callFunction(call, {
      timeMs,
      scalar: (expression) => this.scalar(expression, timeMs),
      vector: (expression) => this.vector(expression, timeMs),
      windows: (expression) => this.#windows(expression, timeMs),
      writeLabel: (characters) => this.#writeLabel(characters),
      sampleTimes: (selector) =>
        this.#instant(selector, timeMs).map(({ labels, timestampMs }) => ({ labels, value: timestampMs / 1000 })),
    });
    // Several series may have the same labels now, because the names of their metrics are gone.
    refuseDuplicates(answer);
    return answer;
  }

  #writeLabel(characters: number): void {
    this.#checkpoint();
    this.#labelCharacters += characters;
    if (this.#labelCharacters > maxLabelCharacters)
      throw userError("query-too-large", `the query writes more than ${maxLabelCharacters} characters into labels`, {
        hint: "select fewer series, or write shorter labels",
      });
  }

  #instant(selector: Selector, timeMs: number): (Sample & { readonly timestampMs: number })[] {
    const atMs = shiftedMs(selector, timeMs, this.#times);
    const found: (Sample & { readonly timestampMs: number })[] = [];
    for (const { labels, timesMs, values, staleMs } of this.#slices.get(selector) ?? []) {
      const index = indexAtOrBefore(timesMs, atMs);
      if (index === -1) continue;
      const timestampMs = timesMs[index] ?? 0;
      if (timestampMs <= atMs - this.#lookbackMs) continue;
      const ended = staleMs[indexAtOrBefore(staleMs, atMs)];
      if (ended === undefined || ended < timestampMs) found.push({ labels, value: values[index] ?? NaN, timestampMs });
    }
    return found;
  }

  /** Yields one window after another, because the points of all windows together would take much memory. */
  #windows(expression: Expression, timeMs: number): Iterable<RangeWindow> {
    if (expression.type === "range") return this.#rangeWindows(expression, timeMs);
    if (expression.type === "subquery") return this.#subqueryWindows(expression, timeMs);
    throw internalError("unexpected", `${withArticle(expression.type)} is not a range vector`);
  }

  *#rangeWindows({ selector, rangeMs }: RangeSelector, timeMs: number): Generator<RangeWindow> {
    const endMs = shiftedMs(selector, timeMs, this.#times);
    const startMs = endMs - rangeMs;
    for (const { labels, timesMs, values } of this.#slices.get(selector) ?? []) {
      this.#checkpoint();
      const points: Point[] = [];
      const last = indexAtOrBefore(timesMs, endMs);
      for (let index = indexAtOrBefore(timesMs, startMs) + 1; index <= last; index += 1)
        points.push({ timestampMs: timesMs[index] ?? 0, value: values[index] ?? NaN });
      if (points.length > 0) yield { labels, points, startMs, endMs };
    }
  }

  #subqueryWindows(subquery: Subquery, timeMs: number): RangeWindow[] {
    const stepMs = subquery.stepMs ?? this.#defaultStepMs;
    const endMs = shiftedMs(subquery, timeMs, this.#times);
    const startMs = endMs - subquery.rangeMs;
    // The times of a subquery are multiples of its step since 1970, so that they do not depend on when the query runs.
    const firstMs = (Math.floor(startMs / stepMs) + 1) * stepMs;
    if (subquery.rangeMs / stepMs > maxPoints)
      throw userError("bad-query", `a subquery of more than ${maxPoints} steps`, { hint: "use a greater step" });
    return completed(this.over(subquery.expression, firstMs, endMs, stepMs)).map(({ labels, points }) => ({
      labels,
      points,
      startMs,
      endMs,
    }));
  }
}

function bound(samples: number, max: number): void {
  if (samples > max)
    throw userError("query-too-large", `the query touches more than ${max} samples`, {
      hint: "select fewer series, or a shorter time",
    });
}

function refuseDuplicates(samples: readonly Sample[]): void {
  const seen = new Set<string>();
  for (const { labels } of samples) {
    const key = labelsKey(labels);
    if (seen.has(key)) throw duplicate(labels);
    seen.add(key);
  }
}

function duplicate(labels: Labels): Error {
  return userError(
    "series-ambiguous",
    `the result has several series with the same labels: {${[...labels.keys()].join(", ")}}`,
    {
      hint: "functions remove the metric's name: select one metric, or keep its name with label_replace",
    },
  );
}
