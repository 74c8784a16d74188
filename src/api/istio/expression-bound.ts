import { celExpressions } from "../../base/command-operators/index.ts";
import type { Reader } from "../reader.ts";

/** The most different CEL expressions of an object. */
const maxExpressions = 256;
/** The most characters of an object's expressions. The parser takes some 10 µs for each, and nothing else runs then. */
const maxCharacters = 8192;

/**
 * Counts the expressions of an object. Reports one above the bound, and returns whether it is. One that the object has
 * several times counts once, because its verdict is kept. Call it before anything parses the expression.
 */
export function exceedsExpressions(reader: Reader, field: string, expressions: readonly string[]): boolean {
  let isTooMuch = false;
  for (const expression of expressions) {
    if (reader.tally(`expression ${expression}`, 1) > 1) continue;
    isTooMuch =
      reader.tally("expressions", 1) > maxExpressions ||
      reader.tally("expressionCharacters", expression.length) > maxCharacters ||
      isTooMuch;
  }
  if (isTooMuch)
    reader.error(
      `has one CEL expression too many: an object may have ${maxExpressions} different ones, with ${maxCharacters} characters together; write shorter ones, or divide the object`,
      field,
    );
  return isTooMuch;
}

/** Like {@link exceedsExpressions}, for the expressions of `%CEL(…)%` in a format. */
export function exceedsFormat(reader: Reader, field: string, format: string): boolean {
  return format.includes("CEL(") && exceedsExpressions(reader, field, celExpressions(format));
}
