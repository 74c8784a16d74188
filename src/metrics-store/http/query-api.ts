import { userError, type Clock } from "../../base/index.ts";
import {
  checkedMatcher,
  createMatcher,
  evaluateAt,
  evaluateRangeInSteps,
  labelsObject,
  maxQueryCharacters,
  metricName,
  numberText,
  parseQuery,
  RequestRegexes,
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
/**
 * The maximum time of an instant query, or of one step of a range query. The process does nothing else meanwhile, and
 * its readiness probe waits only four seconds.
 */
const maxStepMs = 2_000;
/** After this time, a range query lets other work run. */
const sliceMs = 20;
const maxLookbackMs = 86_400_000;
/** The maximum number of samples that a query may load. The store has space for about as many. */
const maxSamples = 10_000_000;
/** The maximum number of parameters `match[]` in one request. */
const maxSelectors = 100;
/** The range of requests that name none. */
const allTime = { fromMs: -Infinity, toMs: Infinity };

export function instantQuery(params: URLSearchParams, context: QueryContext): ApiAnswer {
  const timeMs = timeParameter(params, "time", context.clock.nowMs());
  const { options } = new QueryTime(params, context);
  const value = evaluateAt(parseQuery(params.get("query") ?? ""), context.store, timeMs, options);
  return limited(params, resultOf(value, timeMs));
}

export async function rangeQuery(
  params: URLSearchParams,
  context: QueryContext,
  nextTurn: () => Promise<void>,
): Promise<ApiAnswer> {
  const range = {
    startMs: timeParameter(params, "start", undefined),
    endMs: timeParameter(params, "end", undefined),
    stepMs: durationParameter(params, "step"),
  };
  const time = new QueryTime(params, context);
  const query = parseQuery(params.get("query") ?? "");
  const steps = evaluateRangeInSteps(query, context.store, range, time.options);
  let step = steps.next();
  while (step.done !== true) {
    if (time.beginStep()) {
      await nextTurn();
      time.continue();
    }
    step = steps.next();
  }
  return limited(params, resultOf({ type: "matrix", series: step.value }, range.endMs));
}

/** Measures how long a query has run, without the time in which other work runs. */
class QueryTime {
  readonly options: EvaluationOptions;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  /** The time of the query's earlier slices. */
  #spentMs = 0;
  #sliceFromMs: number;
  #stepFromMs: number;

  constructor(params: URLSearchParams, { clock, evaluationIntervalMs }: QueryContext) {
    this.#clock = clock;
    this.#timeoutMs = params.has("timeout") ? Math.min(durationParameter(params, "timeout"), maxQueryMs) : maxQueryMs;
    this.#sliceFromMs = this.#stepFromMs = clock.steadyMs();
    const lookbackMs = params.has("lookback_delta")
      ? Math.min(durationParameter(params, "lookback_delta"), maxLookbackMs)
      : undefined;
    this.options = {
      checkpoint: this.checkpoint,
      defaultStepMs: evaluationIntervalMs,
      maxSamples,
      ...(lookbackMs === undefined ? {} : { lookbackMs }),
    };
  }

  /** Begins a step of the query. Returns whether the current slice is over. */
  beginStep(): boolean {
    this.#stepFromMs = this.#clock.steadyMs();
    return this.#stepFromMs - this.#sliceFromMs >= sliceMs;
  }

  continue(): void {
    this.#spentMs += this.#stepFromMs - this.#sliceFromMs;
    this.#sliceFromMs = this.#stepFromMs = this.#clock.steadyMs();
  }

  readonly checkpoint = (): void => {
    const nowMs = this.#clock.steadyMs();
    const isLongStep = nowMs - this.#stepFromMs > maxStepMs;
    if (!isLongStep && this.#spentMs + nowMs - this.#sliceFromMs <= this.#timeoutMs) return;
    const what = isLongStep
      ? `a step of the query took longer than ${maxStepMs}`
      : `the query took longer than ${this.#timeoutMs}`;
    throw userError("query-timeout", `${what} ms`, {
      hint: isLongStep ? "select fewer series, or shorter ranges" : "select fewer series, or use a greater step",
    });
  };
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

/** The matchers of each parameter `match[]`. All of them together must keep the limits of one query. */
function selectorsOf(params: URLSearchParams): (readonly Matcher[])[] {
  const texts = params.getAll("match[]");
  if (texts.length > maxSelectors)
    throw userError(
      "bad-request",
      `there are ${texts.length} "match[]" parameters, at most ${maxSelectors} are allowed`,
      {
        hint: 'select several metrics by one parameter, as in {__name__=~"a|b"}',
      },
    );
  const characters = texts.reduce((sum, { length }) => sum + length, 0);
  if (characters > maxQueryCharacters)
    throw userError(
      "bad-request",
      `the "match[]" parameters have ${characters} characters together, at most ${maxQueryCharacters} are allowed`,
      { hint: "select by fewer or shorter matchers" },
    );
  const regexes = new RequestRegexes();
  return texts.map((text) => {
    const parsed = parseQuery(text, regexes);
    if (parsed.type !== "selector")
      throw userError("bad-request", `invalid parameter "match[]": expected a selector, got "${text}"`);
    return parsed.matchers;
  });
}

function timesOf(params: URLSearchParams): { readonly fromMs: number; readonly toMs: number } {
  const { fromMs, toMs } = allTime;
  // In this request, both ends of the range are inclusive.
  return {
    fromMs: params.has("start") ? timeParameter(params, "start", undefined) - 1 : fromMs,
    toMs: params.has("end") ? timeParameter(params, "end", undefined) : toMs,
  };
}

function matchedSeries(
  params: URLSearchParams,
  context: QueryContext,
  selectors: readonly (readonly Matcher[])[],
): ReadonlyMap<string, string>[] {
  const { fromMs, toMs } = timesOf(params);
  const { checkpoint } = new QueryTime(params, context);
  const found = new Set<ReadonlyMap<string, string>>();
  for (const matchers of selectors) {
    const checked = matchers.map((matcher) => checkedMatcher(matcher, checkpoint));
    for (const labels of context.store.series(checked, fromMs, toMs)) found.add(labels);
  }
  return [...found];
}

function limitedList(params: URLSearchParams, list: readonly unknown[]): ApiAnswer {
  const limit = limitParameter(params);
  return limit === 0 || list.length <= limit
    ? success(list)
    : success(list.slice(0, limit), ["results truncated due to limit"]);
}

export function listSeries(params: URLSearchParams, context: QueryContext): ApiAnswer {
  const selectors = selectorsOf(params);
  if (selectors.length === 0)
    throw userError("bad-request", 'no "match[]" parameter given: pass at least one selector');
  return limitedList(params, matchedSeries(params, context, selectors).map(labelsObject));
}

export function listLabels(params: URLSearchParams, context: QueryContext): ApiAnswer {
  const selectors = selectorsOf(params);
  if (selectors.length === 0 && !params.has("start")) return limitedList(params, context.store.labelNames());
  const found = matchedSeries(params, context, orEverything(selectors));
  return limitedList(params, [...new Set(found.flatMap((labels) => [...labels.keys()]))].sort());
}

export function listLabelValues(name: string, params: URLSearchParams, context: QueryContext): ApiAnswer {
  const selectors = selectorsOf(params);
  if (selectors.length === 0 && !params.has("start")) return limitedList(params, context.store.labelValues(name));
  const found = matchedSeries(params, context, orEverything(selectors));
  return limitedList(params, [...new Set(found.flatMap((labels) => labels.get(name) ?? []))].sort());
}

function orEverything(selectors: readonly (readonly Matcher[])[]): readonly (readonly Matcher[])[] {
  return selectors.length > 0 ? selectors : [[createMatcher(metricName, "!=", "")]];
}
