/** Matches one part of an expression. A repetition may be lazy. */
const parts =
  /(?<quoted>\\Q[^]*?(?:\\E|$))|(?<property>\\[pP](?:\{[^}]*\}|.))|(?<escape>\\(?:x\{[^}]*\}|x..|[0-7]{1,3}|[^]))|(?<open>\((?:\?(?:P?<[^>]*>|[a-zA-Z-]*[:)]))?)|(?<close>\))|(?<times>\{(?<least>\d+)(?:,(?<most>\d*))?\}\??)|(?<repeat>[*+?]\??)|(?<either>\|)|(?<any>\.)|(?<other>[^])/uy;
const membersPattern = /\[:\^?[a-z]+:\]|\\[pP](?:\{[^}]*\}|.)|\\(?:x\{[^}]*\}|x..|[0-7]{1,3}|[^])|[^]/gu;

/** The sizes of one character outside ASCII, of a class with all of them, and of a class with some of them. */
const foreignSize = 8;
const negatedSize = 16;
const unicodeSize = 128;
/** With `(?i)`, the size of a letter that also matches a character outside ASCII. */
const foldedSize = 8;
/** The size of what every program has: the search for the beginning of a match, and the end. */
const frameSize = 4;

/**
 * An upper bound of the number of instructions to which RE2 compiles a valid expression, where RE2 works on the bytes
 * of UTF-8. For ordinary expressions, the bound is up to twice the real number. `regexSize`, in contrast, is an
 * estimate.
 */
export function maxProgramSize(expression: string): number {
  const outer: number[] = [];
  const foldsCase = /\(\?[a-zA-Z]*i/.test(expression);
  let size = 0;
  /** The size of the last part, which a repetition multiplies. */
  let last = 0;
  const add = (length: number): void => {
    last = length;
    size += length;
  };
  /** A setting such as `(?i)` may stand between two repetitions of the same part. */
  const repeatLast = (length: number): void => {
    size += length - last;
    last = length;
  };
  for (let at = 0; at < expression.length;) {
    if (expression[at] === "[") {
      const end = endOfClass(expression, at);
      add(classSize(expression.slice(at + 1, end), foldsCase));
      at = end + 1;
      continue;
    }
    parts.lastIndex = at;
    const found = parts.exec(expression);
    if (found?.groups === undefined) break;
    const [text] = found;
    at = found.index + text.length;
    const { open, close, times, least = "", most, repeat, either, quoted, property, any } = found.groups;
    if (open?.endsWith(")") === true) continue;
    if (open !== undefined) {
      outer.push(size);
      size = 0;
    } else if (close !== undefined) {
      const inner = size + 2;
      size = outer.pop() ?? 0;
      add(inner);
    } else if (times !== undefined) {
      const required = Math.max(1, Number(least));
      const optional = most === "" ? 1 : Math.max(0, Number(most ?? least) - Number(least));
      repeatLast(last * required + (last + 2) * optional);
    } else if (repeat !== undefined) repeatLast(last + 2);
    else if (either !== undefined) size += 2;
    else if (property !== undefined) add(unicodeSize);
    else if (any !== undefined) add(negatedSize);
    else if (quoted === undefined) add(characterSize(text, foldsCase));
    else for (const character of quoted.slice(2)) add(characterSize(character, foldsCase));
  }
  return outer.reduce((sum, part) => sum + part, size) + frameSize;
}

function characterSize(text: string, foldsCase: boolean): number {
  if (/^\\[DWS]$/.test(text)) return negatedSize;
  if (/^\\[dws]$/.test(text)) return 4;
  if (/^\\[x0-7]/.test(text) || (text.codePointAt(0) ?? 0) > 0x7f) return foreignSize;
  return foldsCase && /[ks]/i.test(text) ? foldedSize : 1;
}

function endOfClass(expression: string, at: number): number {
  let end = at + 1;
  if (expression[end] === "^") end += 1;
  // A bracket at the beginning of a class is a member of it.
  if (expression[end] === "]") end += 1;
  for (; end < expression.length && expression[end] !== "]"; end += 1) {
    if (expression[end] === "\\") end += 1;
    else if (expression.startsWith("[:", end)) {
      const close = expression.indexOf(":]", end + 2);
      if (close !== -1 && /^\^?[a-z]+$/.test(expression.slice(end + 2, close))) end = close + 1;
    }
  }
  return end;
}

function classSize(members: string, foldsCase: boolean): number {
  if (/[^\0-\x7f]|\\[pPx0-7]/.test(members)) return unicodeSize;
  const negated = members.startsWith("^") || /\\[DWS]|\[:\^/.test(members) ? negatedSize : 0;
  const singles = members.replaceAll(/[^\\]-[^\\\]]/g, "a").match(membersPattern) ?? [];
  const size = singles.reduce((sum, member) => sum + (member.length > 1 ? 4 : 1), negated);
  return foldsCase ? size * 2 + foldedSize : size;
}
