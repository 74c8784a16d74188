import type * as Cel from "@bufbuild/cel";
import { hasLoop } from "../../../base/cel/index.ts";
import { loadPackage, truncated } from "../../../base/index.ts";

/** The maximum number of characters of an expression. The parser takes about 10 µs for each character. */
export const maxExpressionLength = 8192;
/** The maximum number of characters of an expression that a message quotes. */
export const maxShown = 100;
/**
 * The maximum depth of an expression's tree, as in Envoy. Serin's proxies run out of stack at a depth of about 2,000.
 */
const maxLevels = 500;

export type ReadExpression = { readonly tree: unknown } | { readonly fault: string };

const tooDeep = `must have at most ${maxLevels} levels of operators, fields and brackets`;

/**
 * Parses an expression. Syntax errors, loops and too many levels are faults. Names in the expression are not checked.
 */
export function readExpression(expression: string): ReadExpression {
  if (expression.trim() === "") return { fault: "must not be empty" };
  if (expression.length > maxExpressionLength)
    return { fault: `must have at most ${maxExpressionLength} characters, got ${expression.length}` };
  const shown = truncated(expression, maxShown);
  if (/\bhas\s*\([^()]*\]\s*\)/.test(expression))
    return {
      fault: `must call has() with a field, such as has(request.headers.x), got "${shown}"; for other keys write "'x' in request.headers"`,
    };
  try {
    const { expr } = loadPackage<typeof Cel>("@bufbuild/cel").parse(expression);
    if (isDeeper(expr, maxLevels)) return { fault: tooDeep };
    return hasLoop(expr)
      ? {
          fault: `must not use macros that loop (all, exists, exists_one, filter, map), got "${shown}": Envoy refuses them`,
        }
      : { tree: expr };
  } catch (error) {
    const [reason = ""] = (error instanceof Error ? error.message : String(error)).split("\n");
    return {
      fault: `must be a CEL expression, such as "response.code >= 400", got "${shown}" (${truncated(reason, maxShown)})`,
    };
  }
}

function isDeeper(node: unknown, levels: number): boolean {
  if (typeof node !== "object" || node === null || ArrayBuffer.isView(node)) return false;
  const isLevel = "exprKind" in node;
  if (isLevel && levels <= 0) return true;
  return Object.values(node).some((child) => isDeeper(child, isLevel ? levels - 1 : levels));
}
