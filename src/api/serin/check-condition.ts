import type * as Cel from "@bufbuild/cel";
import { loadPackage, nearestName } from "../../base/index.ts";

/** The variables of a condition. */
export const conditionVariables = ["result", "baseline", "canary", "stable"] as const;
export type ConditionBindings = Readonly<Record<(typeof conditionVariables)[number], unknown>>;

type Program = (bindings: Readonly<Record<string, unknown>>) => unknown;

interface Compiled {
  readonly program?: Program;
  readonly problem?: string;
}

/** The maximum number of cached compiled expressions. */
const maxPrograms = 256;
const programs = new Map<string, Compiled>();

/** The fault of a CEL expression over {@link conditionVariables}. Undefined if it is valid. */
export function conditionProblem(expression: string): string | undefined {
  return compile(expression).problem;
}

/**
 * Whether the condition is true, or why it cannot be evaluated. Numbers are CEL doubles, and a missing value is null.
 */
export function evaluateCondition(
  expression: string,
  bindings: ConditionBindings,
): boolean | { readonly problem: string } {
  const { program, problem } = compile(expression);
  if (program === undefined) return { problem: problem ?? "it is no CEL" };
  const values = Object.fromEntries(conditionVariables.map((name) => [name, bindings[name] ?? null]));
  try {
    const result = program(values);
    if (typeof result === "boolean") return result;
    return { problem: result instanceof Error ? result.message : `it gave ${typeof result}, not true or false` };
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }
}

function compile(expression: string): Compiled {
  const known = programs.get(expression);
  if (known !== undefined) return known;
  if (programs.size >= maxPrograms) programs.clear();
  const compiled = compileNew(expression);
  programs.set(expression, compiled);
  return compiled;
}

function compileNew(expression: string): Compiled {
  const cel = loadPackage<typeof Cel>("@bufbuild/cel");
  try {
    const parsed = cel.parse(expression);
    const unknown = unknownNames(parsed.expr, new Set<string>(conditionVariables));
    const [first] = unknown;
    if (first !== undefined) {
      const near = nearestName(first, new Set<string>(conditionVariables));
      return {
        problem: `names ${first}, which is none of ${conditionVariables.join(", ")}${near === undefined ? "" : `; did you mean ${near}?`}`,
      };
    }
    const { DYN } = cel.CelScalar;
    const environment = cel.celEnv({ variables: Object.fromEntries(conditionVariables.map((name) => [name, DYN])) });
    return { program: cel.plan(environment, parsed) as unknown as Program };
  } catch (error) {
    return { problem: `is no CEL expression: ${error instanceof Error ? error.message : String(error)}` };
  }
}

/** Names of CEL types, which are also values. */
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
