import type * as Re2 from "re2js";
import { counted, loadPackage } from "../../../base/index.ts";
import { maxRegexSize, regexSize } from "../../../base/regex-size/index.ts";

import type { Reader } from "../../reader.ts";

const maxExpressionLength = 1024;
/**
 * The maximum number of instructions of all expressions in an object. A proxy needs a quarter of a second and 100 MB to
 * compile that many.
 */
const maxTotalSize = 131_072;

/**
 * Reports the fault of an RE2 expression, if any. A proxy rejects the routes of all namespaces at a gateway's port for
 * one expression that is not RE2. A very large expression would cost each sidecar much time and memory.
 */
export function checkRegex(reader: Reader, field: string, expression: string): void {
  const size = regexSize(expression);
  const fault = regexFault(expression, size);
  if (fault !== undefined) reader.error(fault, field);
  else if (reader.tally("regex", size) > maxTotalSize)
    reader.error(
      `is one expression too many: those of an object together must have at most ${maxTotalSize} instructions; repeat less by {n,m}, or divide the object`,
      field,
    );
}

export function regexFault(expression: string, size = regexSize(expression)): string | undefined {
  if (expression === "") return "must not be an empty expression";
  if (expression.length > maxExpressionLength)
    return `must have at most ${maxExpressionLength} characters, got ${expression.length}`;
  if (size > maxRegexSize)
    return `must be an expression of at most ${maxRegexSize} instructions, got about ${size}: repeat less by {n,m}`;
  try {
    loadPackage<typeof Re2>("re2js").RE2JS.compile(expression);
    return undefined;
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^error parsing regexp: /, "") : String(error);
    return `must be an RE2 expression (https://github.com/google/re2/wiki/Syntax), got "${expression}": ${reason}`;
  }
}

/**
 * Warns of a substitution that changes no path, or not as its author expects. RE2 and so every proxy accept it: they
 * leave a text unchanged if the expression lacks a group, and end the new text at a backslash that escapes nothing.
 */
export function checkSubstitution(reader: Reader, field: string, substitution: string, expression: string): void {
  const escapes = Array.from(substitution.matchAll(/\\(.?)/gsu), ([, escaped = ""]) => escaped);
  const unknown = escapes.find((escaped) => !/^[\d\\]$/.test(escaped));
  if (unknown !== undefined) {
    reader.warn(`ends before \\${unknown}: write a backslash as \\\\, and a group as \\0 to \\9`, field);
    return;
  }
  if (regexFault(expression) !== undefined) return;
  const groups = loadPackage<typeof Re2>("re2js").RE2JS.compile(expression).groupCount();
  const missing = escapes.find((escaped) => Number(escaped) > groups);
  if (missing !== undefined)
    reader.warn(
      `has \\${missing}, but the expression has ${counted(groups, "group")}: no proxy changes a path. Add parentheses to the expression, or use a lower number`,
      field,
    );
}
