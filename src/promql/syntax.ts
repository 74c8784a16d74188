import type { Matcher } from "./matcher.ts";

/** A query as it is evaluated: without parentheses, and with names of metrics as matchers of `__name__`. */
export type Expression =
  | NumberLiteral
  | StringLiteral
  | Selector
  | RangeSelector
  | Subquery
  | Call
  | Aggregation
  | Binary
  | Negation;

export interface NumberLiteral {
  readonly type: "number";
  readonly value: number;
}

export interface StringLiteral {
  readonly type: "string";
  readonly value: string;
}

/** Shifts a lookup to `offsetMs` before the time of evaluation, or before the fixed time `at`. */
export interface TimeShift {
  readonly offsetMs: number;
  /** A fixed time in milliseconds since 1970, or the start or end of the whole query. */
  readonly at: number | "start" | "end" | undefined;
}

export interface Selector extends TimeShift {
  readonly type: "selector";
  readonly matchers: readonly Matcher[];
}

export interface RangeSelector {
  readonly type: "range";
  readonly selector: Selector;
  readonly rangeMs: number;
}

export interface Subquery extends TimeShift {
  readonly type: "subquery";
  readonly expression: Expression;
  readonly rangeMs: number;
  /** The step of the subquery. Undefined means the evaluator's default. */
  readonly stepMs: number | undefined;
}

export interface Call {
  readonly type: "call";
  readonly name: string;
  readonly args: readonly Expression[];
}

export interface Aggregation {
  readonly type: "aggregation";
  readonly operator: string;
  readonly parameter: Expression | undefined;
  readonly expression: Expression;
  readonly grouping: ReadonlySet<string>;
  /** Whether the aggregation keeps all labels except those in `grouping` (`without`). Otherwise it keeps only those. */
  readonly without: boolean;
}

export interface Matching {
  /**
   * Whether series match if they agree in these labels (`on`). Otherwise (`ignoring`), they must agree in all other
   * labels.
   */
  readonly on: boolean;
  readonly labels: ReadonlySet<string>;
  /** The side of which several series may match one series of the other side. */
  readonly many: "left" | "right" | undefined;
  /** The labels that results copy from the side with one series (`group_left`, `group_right`). */
  readonly include: readonly string[];
}

export interface Binary {
  readonly type: "binary";
  readonly operator: BinaryOperator;
  readonly left: Expression;
  readonly right: Expression;
  /** Whether a comparison returns 0 or 1 (`bool`). Otherwise it filters. */
  readonly bool: boolean;
  readonly matching: Matching;
}

export interface Negation {
  readonly type: "negation";
  readonly expression: Expression;
}

export const arithmeticOperators = ["+", "-", "*", "/", "%", "^", "atan2"] as const;
export const comparisonOperators = ["==", "!=", ">", "<", ">=", "<="] as const;
export const setOperators = ["and", "or", "unless"] as const;

export type ArithmeticOperator = (typeof arithmeticOperators)[number];
export type ComparisonOperator = (typeof comparisonOperators)[number];
export type SetOperator = (typeof setOperators)[number];
export type BinaryOperator = ArithmeticOperator | ComparisonOperator | SetOperator;

export function isComparison(operator: BinaryOperator): operator is ComparisonOperator {
  return comparisonOperators.some((known) => known === operator);
}

export function isSetOperator(operator: BinaryOperator): operator is SetOperator {
  return setOperators.some((known) => known === operator);
}

export type ValueType = "scalar" | "string" | "vector" | "matrix";
