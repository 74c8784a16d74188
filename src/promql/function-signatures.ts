import type { ValueType } from "./syntax.ts";

export interface Signature {
  readonly args: readonly ValueType[];
  /** How many arguments at the end may be left out. */
  readonly optional: number;
  /** Whether the last argument may occur any number of times, even zero. */
  readonly variadic: boolean;
  readonly result: ValueType;
}

function signature(result: ValueType, args: readonly ValueType[], optional = 0, variadic = false): Signature {
  return { args, optional, variadic, result };
}

const perVector = [
  "abs",
  "acos",
  "acosh",
  "asin",
  "asinh",
  "atan",
  "atanh",
  "ceil",
  "cos",
  "cosh",
  "deg",
  "exp",
  "floor",
  "ln",
  "log10",
  "log2",
  "rad",
  "sgn",
  "sin",
  "sinh",
  "sqrt",
  "tan",
  "tanh",
];
const ofVector = ["absent", "sort", "sort_desc", "timestamp"];
const ofDates = ["day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month", "year"];
const perRange = [
  "absent_over_time",
  "avg_over_time",
  "changes",
  "count_over_time",
  "delta",
  "deriv",
  "first_over_time",
  "idelta",
  "increase",
  "irate",
  "last_over_time",
  "mad_over_time",
  "max_over_time",
  "min_over_time",
  "present_over_time",
  "rate",
  "resets",
  "stddev_over_time",
  "stdvar_over_time",
  "sum_over_time",
  "ts_of_first_over_time",
  "ts_of_last_over_time",
  "ts_of_max_over_time",
  "ts_of_min_over_time",
];

/** All functions of PromQL except those for native histograms, because metrics in the text format have none. */
export const functionSignatures: ReadonlyMap<string, Signature> = new Map([
  ...perVector.map((name) => [name, signature("vector", ["vector"])] as const),
  ...ofVector.map((name) => [name, signature("vector", ["vector"])] as const),
  ...ofDates.map((name) => [name, signature("vector", ["vector"], 1)] as const),
  ...perRange.map((name) => [name, signature("vector", ["matrix"])] as const),
  ["clamp", signature("vector", ["vector", "scalar", "scalar"])],
  ["clamp_max", signature("vector", ["vector", "scalar"])],
  ["clamp_min", signature("vector", ["vector", "scalar"])],
  ["double_exponential_smoothing", signature("vector", ["matrix", "scalar", "scalar"])],
  ["histogram_quantile", signature("vector", ["scalar", "vector"])],
  ["label_join", signature("vector", ["vector", "string", "string", "string"], 0, true)],
  ["label_replace", signature("vector", ["vector", "string", "string", "string", "string"])],
  ["pi", signature("scalar", [])],
  ["predict_linear", signature("vector", ["matrix", "scalar"])],
  ["quantile_over_time", signature("vector", ["scalar", "matrix"])],
  ["round", signature("vector", ["vector", "scalar"], 1)],
  ["scalar", signature("scalar", ["vector"])],
  ["sort_by_label", signature("vector", ["vector", "string"], 0, true)],
  ["sort_by_label_desc", signature("vector", ["vector", "string"], 0, true)],
  ["time", signature("scalar", [])],
  ["vector", signature("vector", ["scalar"])],
]);

/** All aggregations, with the types of their parameters. Undefined means that an aggregation has no parameter. */
export const aggregationParameters: ReadonlyMap<string, "scalar" | "string" | undefined> = new Map([
  ["sum", undefined],
  ["avg", undefined],
  ["min", undefined],
  ["max", undefined],
  ["count", undefined],
  ["group", undefined],
  ["stddev", undefined],
  ["stdvar", undefined],
  ["topk", "scalar"],
  ["bottomk", "scalar"],
  ["limitk", "scalar"],
  ["quantile", "scalar"],
  ["count_values", "string"],
]);
