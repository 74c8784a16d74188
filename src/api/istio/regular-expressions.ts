import { RE2JS } from "re2js";

const maxExpressionLength = 1024;

/** The fault of an RE2 expression, if any. */
export function regexFault(expression: string): string | undefined {
  if (expression === "") return "must not be an empty expression";
  if (expression.length > maxExpressionLength)
    return `must have at most ${maxExpressionLength} characters, got ${expression.length}`;
  try {
    RE2JS.compile(expression);
    return undefined;
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^error parsing regexp: /, "") : String(error);
    return `must be an RE2 expression (https://github.com/google/re2/wiki/Syntax), got "${expression}": ${reason}`;
  }
}
