// PromQL: parses queries, and evaluates them over any source of samples. The functions are pure.
export { parseDurationMs } from "./duration.ts";
export { evaluateAt, evaluateRange, evaluateRangeInSteps, type EvaluationOptions } from "./evaluate.ts";
export { expand } from "./label-functions.ts";
export { labelsKey, labelsObject, labelsOf, metricName, type Labels } from "./labels.ts";
export { checkedMatcher, compileWhole, createMatcher, RequestRegexes, type Matcher } from "./matcher.ts";
export { numberText } from "./aggregate.ts";
export { maxQueryCharacters, parseQuery } from "./parse.ts";
export { indexAtOrBefore, type SampleSource, type SeriesSlice } from "./sample-source.ts";
export type { Point, QueryValue } from "./values.ts";
