import type * as Cel from "@bufbuild/cel";
import { hasLoop } from "../../base/cel/index.ts";
import { loadPackage } from "../../base/index.ts";

/** Serin's proxies run out of stack at some two thousand levels. Envoy takes 32. */
const maxLevels = 500;

/**
 * The fault of an expression for every proxy: a syntax error, a loop, or too many levels. Undefined if it has none.
 * Names in it are not checked. A proxy rejects a whole listener for a fault in the filter of an access log.
 */
export function celFault(expression: string): string | undefined {
  if (expression.trim() === "") return "must not be empty";
  if (/\bhas\s*\([^()]*\]\s*\)/.test(expression))
    return `must call has() with a field, such as has(request.headers.x), got "${expression}"; for other keys write "'x' in request.headers"`;
  try {
    const { expr } = loadPackage<typeof Cel>("@bufbuild/cel").parse(expression);
    if (isDeeper(expr, maxLevels)) return `must have at most ${maxLevels} levels of operators, fields and brackets`;
    return hasLoop(expr)
      ? `must not use macros that loop (all, exists, exists_one, filter, map), got "${expression}": Envoy refuses them`
      : undefined;
  } catch (error) {
    const [reason = ""] = (error instanceof Error ? error.message : String(error)).split("\n");
    return `must be a CEL expression, such as "response.code >= 400", got "${expression}" (${reason})`;
  }
}

function isDeeper(node: unknown, levels: number): boolean {
  if (typeof node !== "object" || node === null || ArrayBuffer.isView(node)) return false;
  const isLevel = "exprKind" in node;
  if (isLevel && levels <= 0) return true;
  return Object.values(node).some((child) => isDeeper(child, isLevel ? levels - 1 : levels));
}
