import type * as Cel from "@bufbuild/cel";
import { hasLoop } from "../../base/cel/index.ts";
import { loadPackage } from "../../base/index.ts";

/** The syntax error of an expression for Envoy. Undefined if it can be parsed. Names in it are not checked. */
export function celFault(expression: string): string | undefined {
  if (expression.trim() === "") return "must not be empty; remove the filter to log all";
  if (/\bhas\s*\([^()]*\]\s*\)/.test(expression))
    return `must call has() with a field, such as has(request.headers.x), got "${expression}"; for other keys write "'x' in request.headers"`;
  try {
    const { expr } = loadPackage<typeof Cel>("@bufbuild/cel").parse(expression);
    return hasLoop(expr)
      ? `must not use macros that loop (all, exists, exists_one, filter, map), got "${expression}": Envoy refuses them`
      : undefined;
  } catch (error) {
    const [reason = ""] = (error instanceof Error ? error.message : String(error)).split("\n");
    return `must be a CEL expression, such as "response.code >= 400", got "${expression}" (${reason})`;
  }
}
