import { userError } from "../base/index.ts";
import { labelsKey, metricName, only, remembered, withLabel, without, type Labels } from "./labels.ts";
import { quantile, spread } from "./statistics.ts";
import type { Aggregation } from "./syntax.ts";
import type { Sample } from "./values.ts";

interface Group {
  readonly labels: Labels;
  readonly members: Sample[];
}

const groupings = new WeakMap<Aggregation, (labels: Labels) => Labels>();

/**
 * Returns a function from a series' labels to the labels that the aggregation keeps. For the same labels, it returns
 * the same object at every step of a query, which makes comparisons fast.
 */
function groupLabels(aggregation: Aggregation): (labels: Labels) => Labels {
  let grouping = groupings.get(aggregation);
  if (grouping === undefined) {
    const dropped = new Set([...aggregation.grouping, metricName]);
    grouping = remembered((labels) =>
      aggregation.without ? without(labels, dropped) : only(labels, aggregation.grouping),
    );
    groupings.set(aggregation, grouping);
  }
  return grouping;
}

/** Evaluates an aggregation. `parameter` is its first argument, if it has one. */
export function aggregate(
  aggregation: Aggregation,
  samples: readonly Sample[],
  parameter: number | string | undefined,
): readonly Sample[] {
  const groups = new Map<string, Group>();
  const labelsIn = groupLabels(aggregation);
  for (const sample of samples) {
    const labels = labelsIn(sample.labels);
    const key = labelsKey(labels);
    let group = groups.get(key);
    if (group === undefined) groups.set(key, (group = { labels, members: [] }));
    group.members.push(sample);
  }
  const { operator } = aggregation;
  if (operator === "topk" || operator === "bottomk" || operator === "limitk")
    return [...groups.values()].flatMap(({ members }) => chosen(operator, members, countOf(parameter, members.length)));
  if (operator === "count_values") return countValues([...groups.values()], String(parameter));
  const statistic = statisticOf(operator, parameter);
  return [...groups.values()].map(({ labels, members }) => ({
    labels,
    value: statistic(members.map(({ value }) => value)),
  }));
}

function countOf(parameter: number | string | undefined, most: number): number {
  const count = Number(parameter);
  if (Number.isNaN(count)) throw userError("bad-query", "the number of series must be a number, not NaN");
  return Math.max(0, Math.min(Math.trunc(count), most));
}

function chosen(operator: "topk" | "bottomk" | "limitk", members: readonly Sample[], count: number): readonly Sample[] {
  if (operator === "limitk")
    return members.toSorted((a, b) => (labelsKey(a.labels) < labelsKey(b.labels) ? -1 : 1)).slice(0, count);
  const sign = operator === "topk" ? -1 : 1;
  return members.toSorted((a, b) => byValue(a.value, b.value, sign)).slice(0, count);
}

/** Compares values for sorting. NaN comes last in both directions. */
export function byValue(a: number, b: number, sign: 1 | -1): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
  return a === b ? 0 : a < b ? -sign : sign;
}

function countValues(groups: readonly Group[], label: string): Sample[] {
  if (!/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(label)) throw userError("bad-query", `"${label}" is not a valid label name`);
  return groups.flatMap(({ labels, members }) => {
    const counts = new Map<number, number>();
    for (const { value } of members) counts.set(value, (counts.get(value) ?? 0) + 1);
    return [...counts].map(([value, count]) => ({ labels: withLabel(labels, label, numberText(value)), value: count }));
  });
}

export function numberText(value: number): string {
  if (value === Infinity) return "+Inf";
  if (value === -Infinity) return "-Inf";
  return String(value);
}

function statisticOf(operator: string, parameter: number | string | undefined): (values: readonly number[]) => number {
  switch (operator) {
    case "sum":
      return sum;
    case "avg":
      return (values) => sum(values) / values.length;
    case "min":
      return (values) => values.reduce((least, value) => (value < least || Number.isNaN(least) ? value : least));
    case "max":
      return (values) => values.reduce((most, value) => (value > most || Number.isNaN(most) ? value : most));
    case "count":
      return (values) => values.length;
    case "group":
      return () => 1;
    case "stddev":
      return (values) => Math.sqrt(spread(values));
    case "stdvar":
      return spread;
    case "quantile":
      return (values) => quantile(Number(parameter), values);
    default:
      throw userError("bad-query", `the aggregation ${operator} is not supported`);
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
