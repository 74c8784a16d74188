import { untypedCel, type CelLibrary, type MeteredCel, type MeteredProgram } from "../../base/cel/index.ts";
import { moduleCache, loadPackage, nearestName } from "../../base/index.ts";

export const conditionVariables = ["result", "baseline", "canary", "stable"] as const;
export type ConditionBindings = Readonly<Record<(typeof conditionVariables)[number], unknown>>;

interface Compiled {
  readonly program?: MeteredProgram;
  readonly problem?: string;
}

/** The maximum number of characters of a condition. The parser takes about 5 µs for each character. */
const maxLength = 8192;
const maxPrograms = 256;
const programs = moduleCache<string, Compiled>("check-conditions", maxPrograms);
let evaluator: MeteredCel | undefined;

/** The maximum cost of all conditions of a step together. A condition on a thousand series costs some thousands. */
const maxStepCost = 250_000;

/**
 * The cost that the remaining conditions of a step may have. The engine evaluates all conditions of a step, perhaps
 * dozens, before it does anything else.
 */
export interface ConditionBudget {
  left: number;
}

export function conditionBudget(): ConditionBudget {
  return { left: maxStepCost };
}

/** The fault of a CEL expression over {@link conditionVariables}. Undefined if it is valid. */
export function conditionProblem(expression: string): string | undefined {
  return compile(expression).problem;
}

/**
 * Whether the condition is true, or why it cannot be evaluated. Numbers are CEL doubles, and a missing value is null.
 * Takes its cost out of the budget.
 */
export function evaluateCondition(
  expression: string,
  bindings: ConditionBindings,
  budget: ConditionBudget = conditionBudget(),
): boolean | { readonly problem: string } {
  const { program, problem } = compile(expression);
  if (program === undefined) return { problem: problem ?? "it is not valid CEL" };
  const values = Object.fromEntries(conditionVariables.map((name) => [name, bindings[name] ?? null]));
  if (budget.left <= 0) return { problem: tooCostly };
  const result = valueOf(program, values, budget.left);
  budget.left -= evaluator?.spent ?? 0;
  if (typeof result === "boolean") return result;
  if (budget.left < 0) return { problem: tooCostly };
  return { problem: result instanceof Error ? result.message : `it returned ${typeof result}, not true or false` };
}

function valueOf(program: MeteredProgram, values: Readonly<Record<string, unknown>>, limit: number): unknown {
  try {
    return program(values, limit).value;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

const tooCostly = `the conditions of a step's checks may cost ${maxStepCost} units of CEL together, and they cost more: loop over fewer elements`;

function compile(expression: string): Compiled {
  const known = programs.get(expression);
  if (known !== undefined) return known;
  const compiled = compileNew(expression);
  programs.set(expression, compiled);
  return compiled;
}

function compileNew(expression: string): Compiled {
  if (expression.length > maxLength)
    return { problem: `must have at most ${maxLength} characters, got ${expression.length}` };
  evaluator ??= loadEvaluator();
  try {
    const unknown = unknownNames(evaluator.library.parse(expression).expr, new Set<string>(conditionVariables));
    const [first] = unknown;
    if (first !== undefined) {
      const near = nearestName(first, new Set<string>(conditionVariables));
      return {
        problem: `uses the unknown variable ${first}; known: ${conditionVariables.join(", ")}${near === undefined ? "" : `; did you mean ${near}?`}`,
      };
    }
    return { program: evaluator.compile(expression) };
  } catch (error) {
    return { problem: `is not a valid CEL expression: ${error instanceof Error ? error.message : String(error)}` };
  }
}

function loadEvaluator(): MeteredCel {
  return untypedCel(loadPackage<CelLibrary>("@bufbuild/cel"), conditionVariables);
}

/** Names of CEL types. An expression may also use them as values. */
const typeNames = [
  "bool",
  "bytes",
  "double",
  "duration",
  "int",
  "list",
  "map",
  "null_type",
  "string",
  "timestamp",
  "type",
  "uint",
];

interface Comprehension {
  readonly iterVar: string;
  readonly iterVar2: string;
  readonly accuVar: string;
}

/** Undeclared identifiers, in the order in which they appear. */
function unknownNames(node: unknown, declared: ReadonlySet<string>): string[] {
  if (typeof node !== "object" || node === null) return [];
  if (Array.isArray(node)) return node.flatMap((child) => unknownNames(child, declared));
  const { case: kind, value } = node as { case?: unknown; value?: unknown };
  if (kind === "identExpr") {
    const { name } = value as { name: string };
    return declared.has(name) || typeNames.includes(name) ? [] : [name];
  }
  if (kind === "comprehensionExpr") {
    const { iterVar, iterVar2, accuVar } = value as Comprehension;
    return unknownNames(Object.values(value as object), new Set([...declared, iterVar, iterVar2, accuVar]));
  }
  return Object.values(node).flatMap((child) => unknownNames(child, declared));
}
