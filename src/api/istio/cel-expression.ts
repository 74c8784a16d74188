import type * as Cel from "@bufbuild/cel";
import { hasLoop } from "../../base/cel/index.ts";
import { loadPackage } from "../../base/index.ts";
import { regexFault } from "./regular-expressions.ts";

/**
 * The fault of an expression for Envoy: of its syntax, its functions or its regular expressions. Undefined if it has
 * none. Names of attributes are not checked. A proxy rejects a whole listener for a fault, and a waypoint's listener
 * serves other namespaces too.
 */
export function celFault(expression: string): string | undefined {
  if (expression.trim() === "") return "must not be empty; remove the filter to log all";
  if (/\bhas\s*\([^()]*\]\s*\)/.test(expression))
    return `must call has() with a field, such as has(request.headers.x), got "${expression}"; for other keys write "'x' in request.headers"`;
  try {
    const { expr } = loadPackage<typeof Cel>("@bufbuild/cel").parse(expression);
    return hasLoop(expr)
      ? `must not use macros that loop (all, exists, exists_one, filter, map), got "${expression}": Envoy refuses them`
      : callFault(expr);
  } catch (error) {
    const [reason = ""] = (error instanceof Error ? error.message : String(error)).split("\n");
    return `must be a CEL expression, such as "response.code >= 400", got "${expression}" (${reason})`;
  }
}

/** A call of a function, as the parser writes it. */
interface Call {
  readonly function: string;
  readonly target?: unknown;
  readonly args: readonly Expression[];
}

interface Expression {
  readonly exprKind?: { readonly case?: string | undefined; readonly value?: unknown } | undefined;
}

const conversions = "bool bytes double duration dyn int string timestamp type uint".split(" ");
const timeParts =
  "getDate getDayOfMonth getDayOfWeek getDayOfYear getFullYear getHours getMilliseconds getMinutes getMonth getSeconds".split(
    " ",
  );
/** The forms of Envoy's functions: `m` for a method, and the number of arguments. */
const functions: ReadonlyMap<string, readonly string[]> = new Map<string, readonly string[]>([
  ...conversions.map((name) => [name, ["1"]] as const),
  ...timeParts.map((name) => [name, ["m0", "m1"]] as const),
  ...["contains", "endsWith", "startsWith"].map((name) => [name, ["m1"]] as const),
  ["matches", ["m1", "2"]],
  ["size", ["1", "m0"]],
]);

/** The first fault of a call in the tree. Operators have no names of letters. */
function callFault(node: unknown): string | undefined {
  if (typeof node !== "object" || node === null || ArrayBuffer.isView(node)) return undefined;
  const { exprKind } = node as Expression;
  if (exprKind?.case === "callExpr") {
    const call = exprKind.value as Call;
    const fault = /^[a-z]/i.test(call.function) ? formFault(call) : undefined;
    if (fault !== undefined) return fault;
  }
  for (const child of Object.values(node)) {
    const fault = callFault(child);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function formFault({ function: name, target, args }: Call): string | undefined {
  const form = `${target === undefined ? "" : "m"}${args.length}`;
  if (functions.get(name)?.includes(form) !== true)
    return `must not call ${name} with ${args.length} ${args.length === 1 ? "argument" : "arguments"}: Envoy has no such function`;
  const pattern = name === "matches" ? textOf(args.at(-1)) : undefined;
  const fault = pattern === undefined || pattern === "" ? undefined : regexFault(pattern);
  return fault === undefined ? undefined : `has a regular expression in matches that ${fault}`;
}

/** The value of a literal text. Undefined for other expressions. */
function textOf(expression: Expression | undefined): string | undefined {
  const constant =
    expression?.exprKind?.case === "constExpr"
      ? (expression.exprKind.value as { readonly constantKind?: { readonly case?: string; readonly value?: unknown } })
      : undefined;
  const { case: kind, value } = constant?.constantKind ?? {};
  return kind === "stringValue" && typeof value === "string" ? value : undefined;
}
