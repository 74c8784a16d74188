import { celExpressions } from "../../../base/command-operators/index.ts";
import type { Reader } from "../../reader.ts";

/** The maximum number of different CEL expressions in an object. */
const maxExpressions = 256;
/**
 * The maximum number of characters of all expressions in an object. The parser takes about 10 µs for each character,
 * and blocks the process meanwhile.
 */
const maxCharacters = 8192;

/**
 * Whether the expressions of an object exceed the limits, together with those of earlier calls with the same reader.
 * Reports an error if they do. An expression that the object contains several times counts once, because its verdict is
 * cached. Call this before anything parses the expressions.
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
