import { matchAt } from "../match-at.ts";

/** The limit of Istio's Envoy (`re2.max_program_size.error_level`) for {@link regexSize}. */
export const maxRegexSize = 32_768;

/** For example `{2}`, `{2,}` or `{2,5}`. */
const repetition = /\{(\d{1,9})(?:,(\d{0,9}))?\}/y;
/** A setting such as `(?i)`. A repetition after it belongs to the part before it. */
const flagSetting = /\(\?[imsU-]+\)/y;
/** The name of a class within a class, such as `[:alpha:]`. Its bracket does not end the outer class. */
const namedClass = /\[:\^?[a-z]{1,10}:\]/y;

/**
 * About how many instructions RE2 makes of an expression. An expression's memory, and its time for each matched
 * character, grow with this number, and a few characters such as `(a{100}){10}` can make very many instructions. The
 * function takes time in proportion to the text, even if the text is not a valid expression.
 */
export function regexSize(expression: string): number {
  const outer: number[] = [];
  let size = 0;
  /** The size of the last part, which a repetition multiplies. */
  let last = 0;
  for (let at = 0; at < expression.length; at += 1) {
    const character = expression[at];
    if (character === "(") {
      const { length } = textAt(flagSetting, expression, at);
      if (length > 0) {
        at += length - 1;
        continue;
      }
      outer.push(size);
      size = 0;
      last = 0;
      continue;
    }
    if (character === ")") {
      last = size + 2;
      size = (outer.pop() ?? 0) + last;
      continue;
    }
    const [text = "", least = "0", most = ""] = character === "{" ? (matchAt(repetition, expression, at) ?? []) : [];
    if (text !== "") {
      const times = Math.max(1, Number(least), Number(most));
      size += last * (times - 1);
      last *= times;
      at += text.length - 1;
      continue;
    }
    if (expression.startsWith(String.raw`\Q`, at)) {
      const { end, length } = quotation(expression, at);
      size += length;
      // A repetition after an empty quotation applies to the part before it.
      if (length > 0) last = 1;
      at = end - 1;
      continue;
    }
    if (character === "[") at = lastOfClass(expression, at);
    // The braces of a character by its code, such as `\x{2603}`, are not a repetition.
    if (character === "\\") at += expression.startsWith("x{", at + 1) ? 2 : 1;
    last = "*+?".includes(character ?? "") ? last + 1 : 1;
    size += 1;
  }
  return outer.reduce((sum, part) => sum + part, size);
}

function textAt(pattern: RegExp, text: string, at: number): string {
  return matchAt(pattern, text, at)?.[0] ?? "";
}

/**
 * The number of characters that `\Q` quotes, up to `\E` or the end of the text, and the position after the quotation.
 */
function quotation(expression: string, at: number): { readonly end: number; readonly length: number } {
  const start = at + 2;
  const close = expression.indexOf(String.raw`\E`, start);
  const textEnd = close === -1 ? expression.length : close;
  return { end: close === -1 ? textEnd : close + 2, length: textEnd - start };
}

/**
 * The position of the bracket that ends a class. All characters of a class, including parentheses, are one instruction.
 */
function lastOfClass(expression: string, at: number): number {
  let end = at + 1;
  if (expression[end] === "^") end += 1;
  // A bracket at the beginning of a class is a member of it.
  if (expression[end] === "]") end += 1;
  for (; end < expression.length; end += 1) {
    if (expression[end] === "]") return end;
    if (expression[end] === "\\") end += 1;
    else if (expression[end] === "[") end += Math.max(0, textAt(namedClass, expression, end).length - 1);
  }
  return end;
}
