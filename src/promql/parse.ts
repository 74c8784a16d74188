import type { SyntaxNode, Tree } from "@lezer/common";
import { parser } from "@prometheus-io/lezer-promql";
import { userError } from "../base/index.ts";
import { checkAggregation, checkBinary, checkCall, typeNames, typeOf, unknownFunction } from "./check.ts";
import { parseNumber } from "./duration.ts";
import { metricName } from "./labels.ts";
import { createMatcher, RequestRegexes, type Matcher, type MatchOperator } from "./matcher.ts";
import { unquote } from "./string-literal.ts";
import type { BinaryOperator, Expression, Matching, Selector, TimeShift } from "./syntax.ts";

/** The maximum length of a query. */
export const maxQueryCharacters = 100_000;
/**
 * How many characters after an error are parsed again to describe it. The tolerant parser tries many ways to continue
 * after an error, so it must not read all of a long query that is refused anyway.
 */
const describedCharacters = 200;
const strictParser = parser.configure({ strict: true });
/** The maximum depth of a query, because evaluation recurses. */
const maxDepth = 200;
const tooDeep = `the query is nested more than ${maxDepth} levels deep, and each operator of a chain such as a + b + c is one level; aggregate the terms, as in sum(a), or group them by parentheses`;
/** The nodes of the grammar that nest expressions. */
const nestingNode = /Expr$|^(?:FunctionCall|MatrixSelector)$/;

/**
 * Parses a query with Prometheus' own grammar. Throws a user error with the position if the query is invalid. Queries
 * of one request should share `regexes`, which limits their regular expressions together.
 */
export function parseQuery(text: string, regexes = new RequestRegexes()): Expression {
  if (text.length > maxQueryCharacters)
    throw userError("bad-query", `the query has ${text.length} characters, at most ${maxQueryCharacters} are allowed`);
  if (text.trim() === "") throw userError("bad-query", "the query is empty");
  const reader = new QueryReader(text, regexes);
  const tree = parseStrictly(text, reader);
  const [top] = childrenOf(tree.topNode);
  if (top === undefined) throw reader.fault(0, text.length);
  return reader.expression(top, 0);
}

/** Parses a query. Throws a user error at the first text that the grammar does not expect. */
function parseStrictly(text: string, reader: QueryReader): Tree {
  let failedAt: number;
  try {
    return strictParser.parse(text);
  } catch (error) {
    const [, position] = /^No parse at (\d+)$/.exec(error instanceof SyntaxError ? error.message : "") ?? [];
    if (position === undefined) throw error;
    failedAt = Number(position);
  }
  const tree = parser.parse(text.slice(0, failedAt + describedCharacters));
  // Check the depth before reporting errors. In a long chain or a deep nesting, the parser may stop anywhere, as if
  // there were a syntax error.
  let depth = 0;
  let unexpected: Error | undefined;
  tree.iterate({
    enter: (node) => {
      if (nestingNode.test(node.name) && (depth += 1) > maxDepth) throw reader.fault(node.from, node.to, tooDeep);
      if (node.type.isError) unexpected ??= reader.unexpected(node.from, node.to);
    },
    leave: ({ name }) => {
      if (nestingNode.test(name)) depth -= 1;
    },
  });
  throw unexpected ?? reader.fault(failedAt, failedAt + 1);
}

function childrenOf(node: SyntaxNode): SyntaxNode[] {
  const children: SyntaxNode[] = [];
  for (let child = node.firstChild; child !== null; child = child.nextSibling)
    if (child.name !== "LineComment") children.push(child);
  return children;
}

class QueryReader {
  readonly #text: string;
  readonly #regexes: RequestRegexes;

  constructor(text: string, regexes: RequestRegexes) {
    this.#text = text;
    this.#regexes = regexes;
  }

  fault(from: number, to: number, reason?: string): Error {
    const before = this.#text.slice(0, from).split("\n");
    const found = this.#text
      .slice(from, Math.max(to, from + 1))
      .trim()
      .slice(0, 40);
    const problem = reason ?? (found === "" ? "unexpected end of input" : `unexpected "${found}"`);
    return userError(
      "bad-query",
      `parse error at line ${before.length}, character ${(before.at(-1) ?? "").length + 1}: ${problem}`,
    );
  }

  /**
   * The error for a text that the grammar does not expect. For a parenthesis after a name, it says that the function is
   * unknown.
   */
  unexpected(from: number, to: number): Error {
    const before = this.#text.slice(0, from).trimEnd();
    let start = before.length;
    while (start > 0 && /\w/.test(before[start - 1] ?? "")) start -= 1;
    const name = before.slice(start).replace(/^\d+/, "");
    const isCall = name !== "" && this.#text.slice(from).trimStart().startsWith("(");
    return isCall ? this.fault(from - name.length, from, unknownFunction(name)) : this.fault(from, to);
  }

  expression(node: SyntaxNode, depth: number): Expression {
    if (depth > maxDepth) throw this.fault(node.from, node.to, tooDeep);
    const inner = (child: SyntaxNode | undefined): Expression => {
      if (child === undefined) throw this.fault(node.from, node.to, "something is missing");
      return this.expression(child, depth + 1);
    };
    const children = childrenOf(node);
    switch (node.name) {
      case "NumberDurationLiteral":
        return { type: "number", value: this.#number(node) };
      case "StringLiteral":
        return { type: "string", value: this.#string(node) };
      case "ParenExpr":
        return inner(children[0]);
      case "UnaryExpr":
        return this.#unary(node, inner(children[1]));
      case "VectorSelector":
        return this.#selector(node);
      case "MatrixSelector":
        return this.#range(node, inner(children[0]), children[1]);
      case "SubqueryExpr":
        return this.#subquery(node, inner(children[0]));
      case "OffsetExpr":
        return this.#shift(node, inner(children[0]), { offsetMs: this.#durationMs(children[2] ?? node) });
      case "StepInvariantExpr":
        return this.#shift(node, inner(children[0]), { at: this.#at(children[2] ?? node) });
      case "FunctionCall":
        return this.#call(node, depth);
      case "AggregateExpr":
        return this.#aggregation(node, depth);
      case "BinaryExpr":
        return this.#signed(node, this.#binary(node, inner));
      default:
        throw this.fault(node.from, node.to, `"${this.#textOf(node)}" is not supported`);
    }
  }

  #textOf(node: SyntaxNode): string {
    return this.#text.slice(node.from, node.to);
  }

  #number(node: SyntaxNode): number {
    const value = parseNumber(this.#textOf(node));
    if (value === undefined) throw this.fault(node.from, node.to, `"${this.#textOf(node)}" is not a number`);
    return value;
  }

  #string(node: SyntaxNode): string {
    const value = unquote(this.#textOf(node));
    if (value === undefined) throw this.fault(node.from, node.to, `${this.#textOf(node)} is not a complete string`);
    return value;
  }

  #durationMs(node: SyntaxNode): number {
    const text = this.#textOf(node).replaceAll(/[()\s]/g, "");
    const seconds = parseNumber(text);
    if (seconds === undefined || !Number.isFinite(seconds))
      throw this.fault(node.from, node.to, `expected a duration such as 5m, got "${this.#textOf(node)}"`);
    return Math.round(seconds * 1000);
  }

  #unary(node: SyntaxNode, operand: Expression): Expression {
    const type = typeOf(operand);
    if (type !== "scalar" && type !== "vector")
      throw this.fault(node.from, node.to, `a sign needs a scalar or an instant vector, got ${typeNames[type]}`);
    if (this.#text[node.from] !== "-") return operand;
    return operand.type === "number"
      ? { type: "number", value: -operand.value }
      : { type: "negation", expression: operand };
  }

  #selector(node: SyntaxNode): Selector {
    const matchers: Matcher[] = [];
    for (const child of childrenOf(node)) {
      if (child.name === "Identifier") matchers.push(createMatcher(metricName, "=", this.#textOf(child)));
      else for (const part of childrenOf(child)) matchers.push(this.#matcher(part));
    }
    if (matchers.filter(({ name, operator }) => name === metricName && operator === "=").length > 1)
      throw this.fault(node.from, node.to, "the metric's name is set twice");
    if (matchers.every(({ matches }) => matches("")))
      throw this.fault(
        node.from,
        node.to,
        "a selector needs at least one matcher that does not match the empty string",
      );
    return { type: "selector", matchers, offsetMs: 0, at: undefined };
  }

  #matcher(node: SyntaxNode): Matcher {
    const [name, operator, value] = childrenOf(node);
    if (node.name === "QuotedLabelName" && name !== undefined)
      return createMatcher(metricName, "=", this.#string(name));
    if (name === undefined || operator === undefined || value === undefined) throw this.fault(node.from, node.to);
    const text = this.#string(value);
    try {
      return createMatcher(this.#label(name), this.#textOf(operator) as MatchOperator, text, this.#regexes);
    } catch (error) {
      throw this.fault(value.from, value.to, error instanceof Error ? error.message : undefined);
    }
  }

  #label(node: SyntaxNode): string {
    const quoted = node.name === "QuotedLabelName" ? node.firstChild : null;
    return quoted === null ? this.#textOf(node) : this.#string(quoted);
  }

  #labels(node: SyntaxNode): string[] {
    return childrenOf(node).map((child) => this.#label(child));
  }

  #range(node: SyntaxNode, selector: Expression, duration: SyntaxNode | undefined): Expression {
    if (selector.type !== "selector")
      throw this.fault(
        node.from,
        node.to,
        "a range is allowed after a selector only; use a subquery, [5m:], for an expression",
      );
    if (selector.offsetMs !== 0 || selector.at !== undefined)
      throw this.fault(node.from, node.to, "offset and @ must come after the range");
    return { type: "range", selector, rangeMs: this.#positiveMs(duration ?? node) };
  }

  #positiveMs(node: SyntaxNode): number {
    const rangeMs = this.#durationMs(node);
    if (rangeMs <= 0) throw this.fault(node.from, node.to, "the duration must be greater than 0");
    return rangeMs;
  }

  #subquery(node: SyntaxNode, expression: Expression): Expression {
    if (typeOf(expression) !== "vector")
      throw this.fault(node.from, node.to, `a subquery needs an instant vector, got ${typeNames[typeOf(expression)]}`);
    const [, range, step] = childrenOf(node);
    return {
      type: "subquery",
      expression,
      rangeMs: this.#positiveMs(range ?? node),
      stepMs: step === undefined ? undefined : this.#positiveMs(step),
      offsetMs: 0,
      at: undefined,
    };
  }

  #at(node: SyntaxNode): number | "start" | "end" {
    if (node.name === "AtModifierPreprocessors")
      return this.#textOf(node).toLowerCase().startsWith("start") ? "start" : "end";
    const seconds = this.#number(node);
    if (!Number.isFinite(seconds)) throw this.fault(node.from, node.to, "@ needs a time in seconds since 1970");
    return Math.round(seconds * 1000);
  }

  #shift(node: SyntaxNode, target: Expression, change: Partial<TimeShift>): Expression {
    const taken = (shift: TimeShift): boolean =>
      change.at === undefined ? shift.offsetMs !== 0 : shift.at !== undefined;
    if (target.type === "range") {
      if (taken(target.selector)) throw this.fault(node.from, node.to, "offset and @ may be used once each");
      return { ...target, selector: { ...target.selector, ...change } };
    }
    if (target.type !== "selector" && target.type !== "subquery")
      throw this.fault(node.from, node.to, "offset and @ must come after a selector or a subquery");
    if (taken(target)) throw this.fault(node.from, node.to, "offset and @ may be used once each");
    return { ...target, ...change };
  }

  #call(node: SyntaxNode, depth: number): Expression {
    const [identifier, body] = childrenOf(node);
    const args = body === undefined ? [] : childrenOf(body).map((child) => this.expression(child, depth + 1));
    const name = this.#textOf(identifier ?? node);
    const fault = checkCall(name, args);
    if (fault !== undefined) throw this.fault(node.from, node.to, fault);
    return { type: "call", name, args };
  }

  #aggregation(node: SyntaxNode, depth: number): Expression {
    let operator = "";
    let args: Expression[] = [];
    let without = false;
    let grouping: string[] = [];
    for (const child of childrenOf(node)) {
      if (child.name === "AggregateOp") operator = this.#textOf(child).toLowerCase();
      else if (child.name === "FunctionCallBody")
        args = childrenOf(child).map((part) => this.expression(part, depth + 1));
      else {
        const [word, labels] = childrenOf(child);
        without = word?.name === "Without";
        grouping = labels === undefined ? [] : this.#labels(labels);
      }
    }
    const { fault, parameter, expression } = checkAggregation(operator, args);
    if (expression === undefined) throw this.fault(node.from, node.to, fault);
    return { type: "aggregation", operator, parameter, expression, grouping: new Set(grouping), without };
  }

  #binary(node: SyntaxNode, inner: (child: SyntaxNode | undefined) => Expression): Expression {
    const children = childrenOf(node);
    const first = children[0];
    const sign = children[1];
    const operator = (sign === undefined ? "" : this.#textOf(sign).toLowerCase()) as BinaryOperator;
    let bool = false;
    let matching: Matching = { on: false, labels: new Set(), many: undefined, include: [] };
    let isMatched = false;
    for (const child of children.slice(2, -1)) {
      if (child.name === "BoolModifier") bool = true;
      else if (child.name === "MatchingModifierClause") {
        matching = this.#matching(child);
        isMatched = true;
      } else throw this.fault(child.from, child.to, `"${this.#textOf(child)}" is not supported`);
    }
    const expression: Expression = {
      type: "binary",
      operator,
      left: inner(first),
      right: inner(children.at(-1)),
      bool,
      matching,
    };
    const fault = checkBinary(expression, isMatched);
    if (fault !== undefined) throw this.fault(node.from, node.to, fault);
    return expression;
  }

  /** Applies the sign of a power such as -2^2 to the whole power. In the grammar, the sign is a part of the number. */
  #signed(node: SyntaxNode, expression: Expression): Expression {
    if (expression.type !== "binary" || expression.operator !== "^" || expression.left.type !== "number")
      return expression;
    if (node.firstChild?.name !== "NumberDurationLiteral" || this.#text[node.from] !== "-") return expression;
    return { type: "negation", expression: { ...expression, left: { type: "number", value: -expression.left.value } } };
  }

  #matching(node: SyntaxNode): Matching {
    const [kind, labels, side, include] = childrenOf(node);
    const included = include === undefined ? [] : this.#labels(include);
    const on = kind?.name === "On";
    const names = new Set(labels === undefined ? [] : this.#labels(labels));
    if (on && included.some((name) => names.has(name)))
      throw this.fault(node.from, node.to, "a label must not be both in on() and in group_left or group_right");
    return {
      on,
      labels: names,
      many: side === undefined ? undefined : side.name === "GroupLeft" ? "left" : "right",
      include: included,
    };
  }
}
