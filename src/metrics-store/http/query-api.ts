import { userError, type Clock } from "../../base/index.ts";
import {
  createMatcher,
  evaluateAt,
  evaluateRange,
  labelsObject,
  metricName,
  numberText,
  parseQuery,
  type EvaluationOptions,
  type Matcher,
  type Point,
  type QueryValue,
} from "../../promql/index.ts";
import type { SampleStore } from "../store/index.ts";
import { durationParameter, limitParameter, success, timeParameter, type ApiAnswer } from "./api-request.ts";

export interface QueryContext {
  readonly store: SampleStore;
  readonly clock: Clock;
  /** The default step of subqueries. */
  readonly evaluationIntervalMs: number;
}

/** A query that takes longer is ended. */
const maxQueryMs = 60_000;
const maxLookbackMs = 86_400_000;
/** The range of requests without a time. */
const allTime = { fromMs: -Infinity, toMs: Infinity };

export function instantQuery(params: URLSearchParams, context: QueryContext): ApiAnswer {
  const timeMs = timeParameter(params, "time", context.clock.nowMs());
  const value = evaluateAt(parseQuery(params.get("query") ?? ""), context.store, timeMs, optionsOf(params, context));
  return limited(params, resultOf(value, timeMs));
}

export function rangeQuery(params: URLSearchParams, context: QueryContext): ApiAnswer {
  const range = {
    startMs: timeParameter(params, "start", undefined),
    endMs: timeParameter(params, "end", undefined),
    stepMs: durationParameter(params, "step"),
  };
  const series = evaluateRange(parseQuery(params.get("query") ?? ""), context.store, range, optionsOf(params, context));
  return limited(params, resultOf({ type: "matrix", series }, range.endMs));
}

function optionsOf(params: URLSearchParams, { clock, evaluationIntervalMs }: QueryContext): EvaluationOptions {
  const timeoutMs = params.has("timeout") ? Math.min(durationParameter(params, "timeout"), maxQueryMs) : maxQueryMs;
  const untilMs = clock.steadyMs() + timeoutMs;
  const checkpoint = (): void => {
    if (clock.steadyMs() > untilMs)
      throw userError("query-timeout", `the query took longer than ${timeoutMs} ms`, {
        hint: "select fewer series, or use a greater step",
      });
  };
  const lookbackMs = params.has("lookback_delta")
    ? Math.min(durationParameter(params, "lookback_delta"), maxLookbackMs)
    : undefined;
  return { checkpoint, defaultStepMs: evaluationIntervalMs, ...(lookbackMs === undefined ? {} : { lookbackMs }) };
}

interface QueryResult {
  readonly resultType: string;
  readonly result: unknown;
}

function limited(params: URLSearchParams, { resultType, result }: QueryResult): ApiAnswer {
  const limit = limitParameter(params);
  if (
    limit === 0 ||
    !Array.isArray(result) ||
    resultType === "scalar" ||
    resultType === "string" ||
    result.length <= limit
  )
    return success({ resultType, result });
  return success({ resultType, result: result.slice(0, limit) }, ["results truncated due to limit"]);
}

function resultOf(value: QueryValue, timeMs: number): QueryResult {
  const pair = ({ timestampMs, value: number }: Point): [number, string] => [timestampMs / 1000, numberText(number)];
  switch (value.type) {
    case "scalar":
      return { resultType: "scalar", result: pair({ timestampMs: timeMs, value: value.value }) };
    case "string":
      return { resultType: "string", result: [timeMs / 1000, value.value] };
    case "vector":
      return {
        resultType: "vector",
        result: value.samples.map(({ labels, value: number }) => ({
          metric: labelsObject(labels),
          value: pair({ timestampMs: timeMs, value: number }),
        })),
      };
    case "matrix":
      return {
        resultType: "matrix",
        result: value.series.map(({ labels, points }) => ({ metric: labelsObject(labels), values: points.map(pair) })),
      };
  }
}

/** The matchers of each `match[]`. */
function selectorsOf(params: URLSearchParams): (readonly Matcher[])[] {
  return params.getAll("match[]").map((text) => {
    const parsed = parseQuery(text);
    if (parsed.type !== "selector")
      throw userError("bad-request", `invalid parameter "match[]": expected a selector, got "${text}"`);
    return parsed.matchers;
  });
}

function timesOf(params: URLSearchParams): { readonly fromMs: number; readonly toMs: number } {
  const { fromMs, toMs } = allTime;
  // Both ends are inclusive here.
  return {
    fromMs: params.has("start") ? timeParameter(params, "start", undefined) - 1 : fromMs,
    toMs: params.has("end") ? timeParameter(params, "end", undefined) : toMs,
  };
}

function matchedSeries(
  params: URLSearchParams,
  store: SampleStore,
  selectors: readonly (readonly Matcher[])[],
): ReadonlyMap<string, string>[] {
  const { fromMs, toMs } = timesOf(params);
  return [...new Set(selectors.flatMap((matchers) => store.series(matchers, fromMs, toMs)))];
}

function limitedList(params: URLSearchParams, list: readonly unknown[]): ApiAnswer {
  const limit = limitParameter(params);
  return limit === 0 || list.length <= limit
    ? success(list)
    : success(list.slice(0, limit), ["results truncated due to limit"]);
}

export function listSeries(params: URLSearchParams, { store }: QueryContext): ApiAnswer {
  const selectors = selectorsOf(params);
  if (selectors.length === 0)
    throw userError("bad-request", 'no "match[]" parameter given: pass at least one selector');
  return limitedList(params, matchedSeries(params, store, selectors).map(labelsObject));
}

export function listLabels(params: URLSearchParams, { store }: QueryContext): ApiAnswer {
  const selectors = selectorsOf(params);
  if (selectors.length === 0 && !params.has("start")) return limitedList(params, store.labelNames());
  const found = matchedSeries(params, store, orEverything(selectors));
  return limitedList(params, [...new Set(found.flatMap((labels) => [...labels.keys()]))].sort());
}

export function listLabelValues(name: string, params: URLSearchParams, { store }: QueryContext): ApiAnswer {
  const selectors = selectorsOf(params);
  if (selectors.length === 0 && !params.has("start")) return limitedList(params, store.labelValues(name));
  const found = matchedSeries(params, store, orEverything(selectors));
  return limitedList(params, [...new Set(found.flatMap((labels) => labels.get(name) ?? []))].sort());
}

function orEverything(selectors: readonly (readonly Matcher[])[]): readonly (readonly Matcher[])[] {
  return selectors.length > 0 ? selectors : [[createMatcher(metricName, "!=", "")]];
}
