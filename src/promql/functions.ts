import { internalError, userError } from "../base/index.ts";
import { byValue } from "./aggregate.ts";
import { dateParts } from "./date-parts.ts";
import { histogramQuantile } from "./histogram-quantile.ts";
import { joinLabels, replaceLabel } from "./label-functions.ts";
import { labelsKey, labelsOf, metricName, noLabels, withoutName, type Labels } from "./labels.ts";
import { perSecondFunctions, rangeFunctions, type RangeFunction } from "./range-functions.ts";
import type { RangeWindow } from "./range-window.ts";
import { doubleExponentialSmoothing } from "./smoothing.ts";
import { quantile, regression } from "./statistics.ts";
import type { Call, Expression, Selector } from "./syntax.ts";
import type { Sample } from "./values.ts";

export interface CallContext {
  readonly timeMs: number;
  scalar(expression: Expression): number;
  vector(expression: Expression): readonly Sample[];
  windows(expression: Expression): Iterable<RangeWindow>;
  /** Must be called before a function writes a label. Throws an error if the query writes too much. */
  readonly writeLabel: (characters: number) => void;
  /** The time of the latest sample of each series that the selector finds, in seconds. */
  sampleTimes(selector: Selector): readonly Sample[];
}

type VectorFunction = (call: Call, context: CallContext) => readonly Sample[];

const perValue: Readonly<Record<string, (value: number) => number>> = {
  abs: Math.abs,
  acos: Math.acos,
  acosh: Math.acosh,
  asin: Math.asin,
  asinh: Math.asinh,
  atan: Math.atan,
  atanh: Math.atanh,
  ceil: Math.ceil,
  cos: Math.cos,
  cosh: Math.cosh,
  deg: (value) => (value * 180) / Math.PI,
  exp: Math.exp,
  floor: Math.floor,
  ln: Math.log,
  log10: Math.log10,
  log2: Math.log2,
  rad: (value) => (value * Math.PI) / 180,
  sgn: Math.sign,
  sin: Math.sin,
  sinh: Math.sinh,
  sqrt: Math.sqrt,
  tan: Math.tan,
  tanh: Math.tanh,
};

const functions: ReadonlyMap<string, VectorFunction> = new Map<string, VectorFunction>([
  ["absent", (call, context) => absent(call, context.vector(argument(call, 0)).length === 0)],
  ["absent_over_time", (call, context) => absent(call, isEmpty(context.windows(argument(call, 0))))],
  [
    "clamp",
    (call, context) => clamp(call, context, context.scalar(argument(call, 1)), context.scalar(argument(call, 2))),
  ],
  ["clamp_max", (call, context) => clamp(call, context, -Infinity, context.scalar(argument(call, 1)))],
  ["clamp_min", (call, context) => clamp(call, context, context.scalar(argument(call, 1)), Infinity)],
  ["double_exponential_smoothing", smoothed],
  [
    "histogram_quantile",
    (call, context) => histogramQuantile(context.scalar(argument(call, 0)), context.vector(argument(call, 1))),
  ],
  ["label_join", (call, context) => joinLabels(context.vector(argument(call, 0)), texts(call), context.writeLabel)],
  [
    "label_replace",
    (call, context) => replaceLabel(context.vector(argument(call, 0)), texts(call), context.writeLabel),
  ],
  ["predict_linear", predictLinear],
  [
    "quantile_over_time",
    (call, context) => {
      // Evaluate the argument once and not for each window, because it may contain such a function itself.
      const share = context.scalar(argument(call, 0));
      return overWindows(context, argument(call, 1), ({ points }) =>
        quantile(
          share,
          points.map(({ value }) => value),
        ),
      );
    },
  ],
  ["round", round],
  ["sort", (call, context) => context.vector(argument(call, 0)).toSorted((a, b) => byValue(a.value, b.value, 1))],
  ["sort_desc", (call, context) => context.vector(argument(call, 0)).toSorted((a, b) => byValue(a.value, b.value, -1))],
  ["sort_by_label", (call, context) => sortByLabels(context.vector(argument(call, 0)), texts(call), 1)],
  ["sort_by_label_desc", (call, context) => sortByLabels(context.vector(argument(call, 0)), texts(call), -1)],
  ["timestamp", timestamp],
  ["vector", (call, context) => [{ labels: noLabels, value: context.scalar(argument(call, 0)) }]],
]);

export function callFunction(call: Call, context: CallContext): readonly Sample[] {
  const { name } = call;
  const own = functions.get(name);
  if (own !== undefined) return own(call, context);
  const plain = perValue[name];
  if (plain !== undefined)
    return context
      .vector(argument(call, 0))
      .map(({ labels, value }) => ({ labels: withoutName(labels), value: plain(value) }));
  const ofRange = rangeFunctions.get(name) ?? perSecondFunctions.get(name);
  if (ofRange !== undefined)
    return overWindows(context, argument(call, 0), ofRange, name === "last_over_time" || name === "first_over_time");
  const ofDate = dateParts.get(name);
  if (ofDate === undefined) throw internalError("unexpected", `${name} has a signature and no implementation`);
  const dates =
    call.args.length === 0 ? [{ labels: noLabels, value: context.timeMs / 1000 }] : context.vector(argument(call, 0));
  return dates.map(({ labels, value }) => ({ labels: withoutName(labels), value: ofDate(value) }));
}

function argument({ name, args }: Call, index: number): Expression {
  const found = args[index];
  if (found === undefined) throw internalError("argument-missing", `argument ${index + 1} of ${name}`);
  return found;
}

function texts({ args }: Call): string[] {
  return args.flatMap((part) => (part.type === "string" ? [part.value] : []));
}

function overWindows(
  context: CallContext,
  range: Expression,
  rangeFunction: RangeFunction,
  keepsName = false,
): Sample[] {
  const samples: Sample[] = [];
  for (const window of context.windows(range)) {
    const value = rangeFunction(window);
    if (value !== undefined) samples.push({ labels: keepsName ? window.labels : withoutName(window.labels), value });
  }
  return samples;
}

function isEmpty(windows: Iterable<RangeWindow>): boolean {
  for (const _ of windows) return false;
  return true;
}

/**
 * One sample if nothing was found, or else none. Its labels are those that the selector requires to have one value
 * (`=`).
 */
function absent(call: Call, isAbsent: boolean): Sample[] {
  if (!isAbsent) return [];
  const [target] = call.args;
  const selector = target?.type === "range" ? target.selector : target;
  if (selector?.type !== "selector") return [{ labels: noLabels, value: 1 }];
  const counts = new Map<string, number>();
  for (const { name } of selector.matchers) counts.set(name, (counts.get(name) ?? 0) + 1);
  const certain = selector.matchers.filter(
    ({ name, operator }) => operator === "=" && name !== metricName && counts.get(name) === 1,
  );
  return [{ labels: labelsOf(certain.map(({ name, value }) => [name, value])), value: 1 }];
}

function clamp(call: Call, context: CallContext, least: number, most: number): Sample[] {
  if (least > most) return [];
  const bounded = (value: number): number =>
    Number.isNaN(least) || Number.isNaN(most) ? NaN : Math.max(least, Math.min(most, value));
  return context
    .vector(argument(call, 0))
    .map(({ labels, value }) => ({ labels: withoutName(labels), value: bounded(value) }));
}

function round(call: Call, context: CallContext): Sample[] {
  const to = call.args.length > 1 ? context.scalar(argument(call, 1)) : 1;
  // Multiply by the inverse, because a division by 0.1 would turn 2.3 into 2.3000000000000003.
  const inverse = 1 / to;
  return context
    .vector(argument(call, 0))
    .map(({ labels, value }) => ({ labels: withoutName(labels), value: Math.floor(value * inverse + 0.5) / inverse }));
}

function timestamp(call: Call, context: CallContext): Sample[] {
  const valueExpression = argument(call, 0);
  const samples =
    valueExpression.type === "selector"
      ? context.sampleTimes(valueExpression)
      : context.vector(valueExpression).map(({ labels }) => ({ labels, value: context.timeMs / 1000 }));
  return samples.map(({ labels, value }) => ({ labels: withoutName(labels), value }));
}

function predictLinear(call: Call, context: CallContext): Sample[] {
  const ahead = context.scalar(argument(call, 1));
  return overWindows(context, argument(call, 0), ({ points }) => {
    if (points.length < 2) return undefined;
    const { slope, intercept } = regression(points, context.timeMs);
    return slope * ahead + intercept;
  });
}

function smoothed(call: Call, context: CallContext): Sample[] {
  const [smoothing, trend] = [context.scalar(argument(call, 1)), context.scalar(argument(call, 2))];
  for (const factor of [smoothing, trend])
    if (!(factor > 0 && factor < 1))
      throw userError("bad-query", `double_exponential_smoothing: factors must be between 0 and 1, got ${factor}`);
  return overWindows(context, argument(call, 0), ({ points }) =>
    doubleExponentialSmoothing(
      points.map(({ value }) => value),
      smoothing,
      trend,
    ),
  );
}

function sortByLabels(samples: readonly Sample[], names: readonly string[], sign: 1 | -1): Sample[] {
  const natural = new Intl.Collator("en", { numeric: true });
  const order = (a: Labels, b: Labels): number => {
    for (const name of names) {
      const compared = natural.compare(a.get(name) ?? "", b.get(name) ?? "");
      if (compared !== 0) return compared;
    }
    return labelsKey(a) < labelsKey(b) ? -1 : 1;
  };
  return samples.toSorted((a, b) => sign * order(a.labels, b.labels));
}
