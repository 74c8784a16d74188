import { userError } from "../base/index.ts";
import {
  labelsKey,
  labelsOf,
  labelsText,
  metricName,
  noLabels,
  only,
  remembered,
  without,
  withoutName,
  type Labels,
} from "./labels.ts";
import {
  isComparison,
  isSetOperator,
  type ArithmeticOperator,
  type Binary,
  type ComparisonOperator,
  type Matching,
  type SetOperator,
} from "./syntax.ts";
import type { Sample } from "./values.ts";

type Side = readonly Sample[] | number;

/** Evaluates a binary operator. The result of two scalars is one sample without labels. */
export function combine(expression: Binary, left: Side, right: Side): readonly Sample[] {
  const { operator } = expression;
  if (isSetOperator(operator)) return combineSets(operator, expression.matching, vectorOf(left), vectorOf(right));
  if (typeof left === "number" && typeof right === "number")
    return [
      {
        labels: noLabels,
        value: isComparison(operator) ? (holds(operator, left, right) ? 1 : 0) : calculate(operator, left, right),
      },
    ];
  if (typeof left === "number" || typeof right === "number") return combineWithScalar(expression, left, right);
  return combineVectors(expression, left, right);
}

function vectorOf(side: Side): readonly Sample[] {
  return typeof side === "number" ? [{ labels: noLabels, value: side }] : side;
}

function combineWithScalar({ operator, bool }: Binary, left: Side, right: Side): Sample[] {
  const answer: Sample[] = [];
  for (const { labels, value } of typeof left === "number" ? vectorOf(right) : left) {
    const [first, second] = typeof left === "number" ? [left, value] : [value, right as number];
    if (isSetOperator(operator)) continue;
    if (!isComparison(operator))
      answer.push({ labels: withoutName(labels), value: calculate(operator, first, second) });
    else if (bool) answer.push({ labels: withoutName(labels), value: holds(operator, first, second) ? 1 : 0 });
    // The filter keeps the value of the vector's sample, on whichever side of the operator the vector is.
    else if (holds(operator, first, second)) answer.push({ labels, value });
  }
  return answer;
}

function calculate(operator: ArithmeticOperator, left: number, right: number): number {
  switch (operator) {
    case "+":
      return left + right;
    case "-":
      return left - right;
    case "*":
      return left * right;
    case "/":
      return left / right;
    case "%":
      return left % right;
    case "^":
      return left ** right;
    case "atan2":
      return Math.atan2(left, right);
  }
}

function holds(operator: ComparisonOperator, left: number, right: number): boolean {
  switch (operator) {
    case "==":
      return left === right;
    case "!=":
      return left !== right;
    case ">":
      return left > right;
    case "<":
      return left < right;
    case ">=":
      return left >= right;
    case "<=":
      return left <= right;
  }
}

const matchers = new WeakMap<Matching, (labels: Labels) => Labels>();

/**
 * Returns a function from a series' labels to a text. Series match if their texts are equal. For the same labels, it
 * returns the same text object at every step of a query.
 */
function matchKey(matching: Matching): (labels: Labels) => string {
  let matched = matchers.get(matching);
  if (matched === undefined) {
    const { on, labels: names } = matching;
    const ignored = new Set([...names, metricName]);
    matched = remembered((labels) => (on ? only(labels, names) : without(labels, ignored)));
    matchers.set(matching, matched);
  }
  const labelsIn = matched;
  return (labels) => labelsKey(labelsIn(labels));
}

function combineSets(
  operator: SetOperator,
  matching: Matching,
  left: readonly Sample[],
  right: readonly Sample[],
): readonly Sample[] {
  const keyOf = matchKey(matching);
  if (operator === "or") {
    const known = new Set(left.map(({ labels }) => keyOf(labels)));
    return [...left, ...right.filter(({ labels }) => !known.has(keyOf(labels)))];
  }
  const known = new Set(right.map(({ labels }) => keyOf(labels)));
  return left.filter(({ labels }) => known.has(keyOf(labels)) === (operator === "and"));
}

function combineVectors(expression: Binary, left: readonly Sample[], right: readonly Sample[]): Sample[] {
  const { operator, matching, bool } = expression;
  if (isSetOperator(operator)) return [];
  const keyOf = matchKey(matching);
  const [many, one] = matching.many === "right" ? [right, left] : [left, right];
  const ones = new Map<string, Sample>();
  for (const sample of one) {
    const key = keyOf(sample.labels);
    const other = ones.get(key);
    if (other !== undefined) throw severalOnOneSide(matching, other.labels, sample.labels);
    ones.set(key, sample);
  }
  const answer: Sample[] = [];
  const taken = new Set<string>();
  for (const sample of many) {
    const key = keyOf(sample.labels);
    const partner = ones.get(key);
    if (partner === undefined) continue;
    const [first, second] = matching.many === "right" ? [partner.value, sample.value] : [sample.value, partner.value];
    const comparison = isComparison(operator) ? holds(operator, first, second) : undefined;
    if (comparison === false && !bool) continue;
    const value = isComparison(operator) ? (bool ? Number(comparison) : first) : calculate(operator, first, second);
    const labels = resultLabels(expression, sample.labels, partner.labels);
    // Unless the query allows many series on one side, a series may match only one series of the other side. Even if it
    // does, all results must have distinct labels.
    const place = matching.many === undefined ? key : labelsKey(labels);
    if (taken.has(place)) throw severalMatches(matching, labels);
    taken.add(place);
    answer.push({ labels, value });
  }
  return answer;
}

function resultLabels({ operator, bool, matching }: Binary, labels: Labels, partner: Labels): Labels {
  const named = isComparison(operator) && !bool ? labels : withoutName(labels);
  if (matching.many === undefined)
    return matching.on
      ? only(named, matching.labels)
      : matching.labels.size === 0
        ? named
        : without(named, matching.labels);
  if (matching.include.length === 0) return named;
  return labelsOf([...named, ...matching.include.map((name) => [name, partner.get(name) ?? ""] as const)]);
}

function matchedBy({ on, labels }: Matching): string {
  return `${on ? "on" : "ignoring"}(${[...labels].join(", ")})`;
}

function severalOnOneSide(matching: Matching, first: Labels, second: Labels): Error {
  const side = matching.many === "right" ? "left" : "right";
  return userError(
    "series-ambiguous",
    `several series on the ${side} side match by ${matchedBy(matching)}: ${labelsText(first)} and ${labelsText(second)}; matching labels must be unique on one side`,
    {
      hint: "aggregate that side by the matching labels first",
    },
  );
}

function severalMatches(matching: Matching, labels: Labels): Error {
  const hint =
    matching.many === undefined
      ? "use group_left or group_right, or aggregate first"
      : "include fewer labels, or aggregate first";
  return userError(
    "series-ambiguous",
    `several series match one series by ${matchedBy(matching)}, and would all become ${labelsText(labels)}`,
    { hint },
  );
}
