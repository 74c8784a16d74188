import { nearestName } from "../base/index.ts";
import { aggregationParameters, functionSignatures } from "./function-signatures.ts";
import { isComparison, isSetOperator, type Binary, type Expression, type ValueType } from "./syntax.ts";

export const typeNames: Readonly<Record<ValueType, string>> = {
  scalar: "a scalar",
  string: "a string",
  vector: "an instant vector",
  matrix: "a range vector",
};

export function typeOf(expression: Expression): ValueType {
  switch (expression.type) {
    case "number":
      return "scalar";
    case "string":
      return "string";
    case "range":
    case "subquery":
      return "matrix";
    case "call":
      return functionSignatures.get(expression.name)?.result ?? "vector";
    case "negation":
      return typeOf(expression.expression);
    case "binary":
      return typeOf(expression.left) === "scalar" && typeOf(expression.right) === "scalar" ? "scalar" : "vector";
    case "selector":
    case "aggregation":
      return "vector";
  }
}

export function unknownFunction(name: string): string {
  const near = nearestName(name, [...functionSignatures.keys(), ...aggregationParameters.keys()]);
  return `the function ${name} is not supported${near === undefined ? "" : `; did you mean ${near}?`}`;
}

/** What is wrong with a call of a function, for a message. Undefined if nothing is. */
export function checkCall(name: string, args: readonly Expression[]): string | undefined {
  const signature = functionSignatures.get(name);
  if (signature === undefined) return unknownFunction(name);
  const least = signature.args.length - signature.optional - (signature.variadic ? 1 : 0);
  const most = signature.variadic ? Infinity : signature.args.length;
  if (args.length < least || args.length > most) {
    return `${name} takes ${least === most ? least : most === Infinity ? `at least ${least}` : `${least} to ${most}`} argument(s), not ${args.length}`;
  }
  for (const [index, arg] of args.entries()) {
    const wanted = signature.args[index] ?? signature.args.at(-1) ?? "vector";
    if (typeOf(arg) !== wanted)
      return `argument ${index + 1} of ${name} must be ${typeNames[wanted]}, not ${typeNames[typeOf(arg)]}`;
  }
  return undefined;
}

export interface CheckedAggregation {
  readonly fault?: string;
  readonly parameter: Expression | undefined;
  /** The parsed expression. Undefined if there is a fault. */
  readonly expression: Expression | undefined;
}

export function checkAggregation(operator: string, args: readonly Expression[]): CheckedAggregation {
  const bad = (fault: string): CheckedAggregation => ({ fault, parameter: undefined, expression: undefined });
  if (!aggregationParameters.has(operator)) return bad(`the aggregation ${operator} is not supported`);
  const wanted = aggregationParameters.get(operator);
  const count = wanted === undefined ? 1 : 2;
  if (args.length !== count) return bad(`${operator} takes ${count} argument(s), not ${args.length}`);
  const expression = args[count - 1];
  if (expression === undefined || typeOf(expression) !== "vector")
    return bad(
      `${operator} aggregates an instant vector, not ${typeNames[expression === undefined ? "string" : typeOf(expression)]}`,
    );
  const parameter = wanted === undefined ? undefined : args[0];
  if (parameter !== undefined && wanted !== undefined && typeOf(parameter) !== wanted)
    return bad(`the first argument of ${operator} must be a ${wanted}`);
  return { parameter, expression };
}

export function checkBinary({ operator, left, right, bool, matching }: Binary, isMatched: boolean): string | undefined {
  const types = [typeOf(left), typeOf(right)];
  const wrong = types.find((type) => type !== "scalar" && type !== "vector");
  if (wrong !== undefined) return `${operator} needs scalars or instant vectors, got ${typeNames[wrong]}`;
  const bothVectors = types.every((type) => type === "vector");
  if (bool && !isComparison(operator)) return "bool is allowed after a comparison only";
  if (isMatched && !bothVectors) return "on and ignoring need instant vectors on both sides";
  if (isSetOperator(operator)) {
    if (!bothVectors) return `${operator} needs instant vectors on both sides`;
    if (matching.many !== undefined) return `${operator} does not support group_left and group_right`;
  }
  if (isComparison(operator) && !bool && types.every((type) => type === "scalar"))
    return "comparisons between scalars need the modifier bool";
  return undefined;
}
