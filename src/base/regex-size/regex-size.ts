/** As in the Envoy of Istio (`re2.max_program_size.error_level`). */
export const maxRegexSize = 32_768;

/** `{2}`, `{2,}` or `{2,5}` at a place. */
const repetition = /\{(\d{1,9})(?:,(\d{0,9}))?\}/y;

/**
 * About how many instructions RE2 compiles an expression to. Memory and the time of each matched character grow with
 * this number, and a few characters such as `(a{100}){10}` can stand for very many instructions. It takes time in
 * proportion to the text, also for one that is no valid expression.
 */
export function regexSize(expression: string): number {
  const outer: number[] = [];
  let size = 0;
  /** The size of the last part, which a repetition multiplies. */
  let last = 0;
  for (let at = 0; at < expression.length; at += 1) {
    const character = expression[at];
    if (character === "(") {
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
    repetition.lastIndex = at;
    const [text = "", least = "0", most = ""] = character === "{" ? (repetition.exec(expression) ?? []) : [];
    if (text !== "") {
      const times = Math.max(1, Number(least), Number(most));
      size += last * (times - 1);
      last *= times;
      at += text.length - 1;
      continue;
    }
    // A character by its code, such as \x{2603}, is no repetition.
    if (character === "\\") at += expression.startsWith("x{", at + 1) ? 2 : 1;
    last = "*+?".includes(character ?? "") ? last + 1 : 1;
    size += 1;
  }
  return outer.reduce((sum, part) => sum + part, size);
}
