/** A pattern that Lua refuses. The message is Lua's. */
export class PatternError extends Error {}

/** A text and a pattern, as positions in the same memory. */
export interface PatternText {
  readonly memory: Uint8Array;
  readonly from: number;
  readonly to: number;
  readonly patternFrom: number;
  readonly patternTo: number;
}

/**
 * The position of a match, and its captures. A capture is a range of bytes, or, for Lua's empty capture `()`, the
 * number of a byte of the text. The first byte has the number 1.
 */
export interface PatternMatch {
  readonly from: number;
  readonly to: number;
  readonly captures: readonly (number | { readonly from: number; readonly to: number })[];
}

const maxCaptures = 32;
const maxDepth = 200;
const unfinished = -1;
const isPosition = -2;
const none = -1;

const dollar = 0x24;
const escape = 0x25;
const open = 0x28;
const close = 0x29;
const star = 0x2a;
const plus = 0x2b;
const minus = 0x2d;
const dot = 0x2e;
const zero = 0x30;
const nine = 0x39;
const question = 0x3f;
const bracket = 0x5b;
const endBracket = 0x5d;
const caret = 0x5e;
const balance = 0x62;
const frontier = 0x66;

const stepsPerTick = 100_000;

/**
 * Lua 5.1's patterns, for matches that might take very long. `tick` is called regularly, and may end the search by an
 * exception. The interpreter's own C functions cannot be interrupted.
 */
export class LuaPattern {
  readonly #bytes: Uint8Array;
  readonly #start: number;
  readonly #end: number;
  readonly #pattern: number;
  readonly #patternEnd: number;
  readonly #tick: () => void;
  #steps = 0;
  #depth = 0;
  #level = 0;
  readonly #starts: number[] = [];
  readonly #lengths: number[] = [];

  constructor({ memory, from, to, patternFrom, patternTo }: PatternText, tick: () => void) {
    this.#bytes = memory;
    this.#start = from;
    this.#end = to;
    this.#pattern = patternFrom;
    // In Lua 5.1, a zero byte ends a pattern.
    let end = patternFrom;
    while (end < patternTo && memory[end] !== 0) end += 1;
    this.#patternEnd = end;
    this.#tick = tick;
  }

  /**
   * The first match that begins at `at` or later. If `anchors` is true, a caret at the pattern's beginning allows only
   * `at`.
   */
  search(at: number, anchors: boolean): PatternMatch | undefined {
    const anchored = anchors && this.#at(this.#pattern) === caret;
    const pattern = anchored ? this.#pattern + 1 : this.#pattern;
    for (let from = at; from <= this.#end; from += 1) {
      this.#level = 0;
      const to = this.#match(from, pattern);
      if (to !== none) return { from, to, captures: this.#captures() };
      if (anchored) return undefined;
    }
    return undefined;
  }

  #captures(): PatternMatch["captures"] {
    const captures: (number | { readonly from: number; readonly to: number })[] = [];
    for (let index = 0; index < this.#level; index += 1) {
      const from = this.#starts[index] ?? 0;
      const length = this.#lengths[index] ?? unfinished;
      if (length === unfinished) throw new PatternError("unfinished capture");
      captures.push(length === isPosition ? from - this.#start + 1 : { from, to: from + length });
    }
    return captures;
  }

  /** Returns a byte of the pattern, or 0 at its end. */
  #at(position: number): number {
    return position < this.#patternEnd ? (this.#bytes[position] ?? 0) : 0;
  }

  /** Returns a byte of the text, or 0 at its end, because a zero byte follows each of Lua's strings. */
  #textAt(position: number): number {
    return position < this.#end ? (this.#bytes[position] ?? 0) : 0;
  }

  #step(): void {
    this.#steps += 1;
    if (this.#steps % stepsPerTick === 0) this.#tick();
  }

  /**
   * Matches the pattern from position `pattern` on against the text from position `text` on. Returns where the match
   * ends, or -1.
   */
  #match(text: number, pattern: number): number {
    if (this.#depth >= maxDepth) throw new PatternError("pattern too complex");
    this.#depth += 1;
    try {
      return this.#matchHere(text, pattern);
    } finally {
      this.#depth -= 1;
    }
  }

  #matchHere(text: number, pattern: number): number {
    let s = text;
    let p = pattern;
    for (;;) {
      this.#step();
      if (p >= this.#patternEnd) return s;
      const kind = this.#at(p);
      const next = this.#at(p + 1);
      if (kind === open)
        return next === close ? this.#startCapture(s, p + 2, isPosition) : this.#startCapture(s, p + 1, unfinished);
      if (kind === close) return this.#endCapture(s, p + 1);
      if (kind === dollar && p + 1 === this.#patternEnd) return s === this.#end ? s : none;
      if (kind === escape && next === balance) {
        s = this.#balanced(s, p + 2);
        if (s === none) return none;
        p += 4;
        continue;
      }
      if (kind === escape && next === frontier) {
        const set = p + 2;
        if (this.#at(set) !== bracket) throw new PatternError("missing '[' after '%f' in pattern");
        const after = this.#classEnd(set);
        const previous = s === this.#start ? 0 : this.#textAt(s - 1);
        if (this.#inSet(previous, set, after - 1) || !this.#inSet(this.#textAt(s), set, after - 1)) return none;
        p = after;
        continue;
      }
      if (kind === escape && isDigit(next)) {
        s = this.#sameAsCapture(s, next - zero - 1);
        if (s === none) return none;
        p += 2;
        continue;
      }
      const after = this.#classEnd(p);
      const repeats = this.#at(after);
      if (repeats === star) return this.#most(s, p, after);
      if (repeats === minus) return this.#least(s, p, after);
      const matches = this.#single(s, p, after);
      if (repeats === plus) return matches ? this.#most(s + 1, p, after) : none;
      if (repeats === question) {
        const found = matches ? this.#match(s + 1, after + 1) : none;
        if (found !== none) return found;
        p = after + 1;
        continue;
      }
      if (!matches) return none;
      s += 1;
      p = after;
    }
  }

  #most(s: number, p: number, after: number): number {
    let end = s;
    while (this.#single(end, p, after)) end += 1;
    for (; end >= s; end -= 1) {
      const found = this.#match(end, after + 1);
      if (found !== none) return found;
    }
    return none;
  }

  #least(s: number, p: number, after: number): number {
    for (let end = s; ; end += 1) {
      const found = this.#match(end, after + 1);
      if (found !== none) return found;
      if (!this.#single(end, p, after)) return none;
    }
  }

  #startCapture(s: number, p: number, length: number): number {
    if (this.#level >= maxCaptures) throw new PatternError("too many captures");
    this.#starts[this.#level] = s;
    this.#lengths[this.#level] = length;
    this.#level += 1;
    const found = this.#match(s, p);
    if (found === none) this.#level -= 1;
    return found;
  }

  #endCapture(s: number, p: number): number {
    let index = this.#level - 1;
    while (index >= 0 && this.#lengths[index] !== unfinished) index -= 1;
    if (index < 0) throw new PatternError("invalid pattern capture");
    this.#lengths[index] = s - (this.#starts[index] ?? 0);
    const found = this.#match(s, p);
    if (found === none) this.#lengths[index] = unfinished;
    return found;
  }

  #sameAsCapture(s: number, index: number): number {
    const length = this.#lengths[index] ?? unfinished;
    if (index < 0 || index >= this.#level || length === unfinished) throw new PatternError("invalid capture index");
    if (length === isPosition || this.#end - s < length) return none;
    const from = this.#starts[index] ?? 0;
    for (let at = 0; at < length; at += 1) {
      this.#step();
      if (this.#bytes[from + at] !== this.#bytes[s + at]) return none;
    }
    return s + length;
  }

  #balanced(s: number, p: number): number {
    const [begin, end] = [this.#at(p), this.#at(p + 1)];
    if (begin === 0 || end === 0) throw new PatternError("unbalanced pattern");
    if (this.#textAt(s) !== begin) return none;
    let depth = 1;
    for (let at = s + 1; at < this.#end; at += 1) {
      this.#step();
      const byte = this.#bytes[at];
      if (byte === end) {
        depth -= 1;
        if (depth === 0) return at + 1;
      } else if (byte === begin) depth += 1;
    }
    return none;
  }

  #classEnd(p: number): number {
    let at = p + 1;
    if (this.#at(p) === escape) {
      if (at >= this.#patternEnd) throw new PatternError("malformed pattern (ends with '%')");
      return at + 1;
    }
    if (this.#at(p) !== bracket) return at;
    if (this.#at(at) === caret) at += 1;
    do {
      if (at >= this.#patternEnd) throw new PatternError("malformed pattern (missing ']')");
      const byte = this.#at(at);
      at += 1;
      if (byte === escape && at < this.#patternEnd) at += 1;
    } while (this.#at(at) !== endBracket);
    return at + 1;
  }

  /** Whether the class from `p` to `after` contains the byte at `s`. False at the end of the text. */
  #single(s: number, p: number, after: number): boolean {
    if (s >= this.#end) return false;
    this.#step();
    const byte = this.#bytes[s] ?? 0;
    const kind = this.#at(p);
    if (kind === dot) return true;
    if (kind === escape) return inClass(byte, this.#at(p + 1));
    return kind === bracket ? this.#inSet(byte, p, after - 1) : kind === byte;
  }

  /** Whether a set such as `[a-z]` contains the byte. `p` and `end` are the positions of its brackets. */
  #inSet(byte: number, p: number, end: number): boolean {
    let at = p + 1;
    const isComplement = this.#at(at) === caret;
    if (isComplement) at += 1;
    for (; at < end; at += 1) {
      this.#step();
      const first = this.#at(at);
      if (first === escape) {
        at += 1;
        if (inClass(byte, this.#at(at))) return !isComplement;
      } else if (this.#at(at + 1) === minus && at + 2 < end) {
        at += 2;
        if (first <= byte && byte <= this.#at(at)) return !isComplement;
      } else if (first === byte) return !isComplement;
    }
    return isComplement;
  }
}

/** The maximum number of steps that a C function may take for a search. A C function cannot be interrupted. */
const maxQuickSteps = 2e7;

/**
 * The length of the longest text for which the C functions may match this pattern. The number of steps is at most a
 * power of the text's length. Each repetition after which the match may still fail adds one to the exponent, and so
 * does the choice of where a match begins.
 */
export function longestQuickText(memory: Uint8Array, from: number, to: number): number {
  let at = from;
  let exponent = 1;
  let factor = to - from;
  /** If what follows a repetition does not match, Lua tries the repetition with another length. */
  let repeats = false;
  if (memory[at] === caret) {
    exponent = 0;
    at += 1;
  }
  while (at < to) {
    const kind = memory[at] ?? 0;
    if (kind === open || kind === close) {
      at += 1;
      continue;
    }
    if (repeats) exponent += 1;
    repeats = false;
    const next = memory[at + 1] ?? 0;
    if (kind === escape && (next === balance || isDigit(next))) {
      exponent += 1;
      at += next === balance ? 4 : 2;
      continue;
    }
    at = classEnd(memory, at, to);
    const mark = memory[at];
    if (at >= to || (mark !== star && mark !== plus && mark !== minus && mark !== question)) continue;
    if (mark === question) factor *= 2;
    else repeats = true;
    at += 1;
  }
  return exponent === 0 ? Infinity : (maxQuickSteps / factor) ** (1 / exponent);
}

/** Where the class that begins at `from` ends, or a later position if it does not end. */
function classEnd(memory: Uint8Array, from: number, to: number): number {
  if (memory[from] !== bracket) return from + (memory[from] === escape ? 2 : 1);
  let at = from + (memory[from + 1] === caret ? 2 : 1);
  do at += memory[at] === escape ? 2 : 1;
  while (at < to && memory[at] !== endBracket);
  return at + 1;
}

/** Whether a pattern has no special character before the zero byte that ends it. */
export function isPlain(memory: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at += 1) {
    const byte = memory[at] ?? 0;
    if (byte === 0) return true;
    if (special[byte] === 1) return false;
  }
  return true;
}

const special = new Uint8Array(256);
for (const byte of Buffer.from("^$*+?.([%-")) special[byte] = 1;

function isDigit(byte: number): boolean {
  return byte >= zero && byte <= nine;
}

/** C's character classes in the ASCII locale, as the first and last characters of ranges. */
const ranges: Readonly<Record<string, string>> = {
  a: "AZaz",
  c: "\0\x1f\x7f\x7f",
  d: "09",
  l: "az",
  p: "!/:@[`{~",
  s: "\t\r  ",
  u: "AZ",
  w: "09AZaz",
  x: "09AFaf",
  z: "\0\0",
};
const classes = new Map(
  Object.entries(ranges).map(([letter, ends]) => {
    const table = new Uint8Array(256);
    for (let at = 0; at < ends.length; at += 2) table.fill(1, ends.charCodeAt(at), ends.charCodeAt(at + 1) + 1);
    return [letter.charCodeAt(0), table];
  }),
);

const lowerBit = 0x20;

/** Whether a byte belongs to the class that a letter names. A capital letter names the complement. */
function inClass(byte: number, letter: number): boolean {
  const isLetter = letter < 0x80 && (classes.get(0x61)?.[letter] ?? 0) === 1;
  const table = isLetter ? classes.get(letter | lowerBit) : undefined;
  if (table === undefined) return letter === byte;
  return (table[byte] === 1) === ((letter & lowerBit) !== 0);
}

/** Finds a text within another one, in time proportional to the sum of their lengths. Returns its position, or -1. */
export function plainSearch({ memory, to, patternFrom, patternTo }: PatternText, at: number): number {
  const needle = memory.subarray(patternFrom, patternTo);
  if (needle.length === 0) return at;
  // For each prefix of the needle, the length of its longest border (as in Knuth-Morris-Pratt): where to continue after
  // a difference.
  const borders = new Int32Array(needle.length);
  for (let length = 1, border = 0; length < needle.length; length += 1) {
    while (border > 0 && needle[border] !== needle[length]) border = borders[border - 1] ?? 0;
    if (needle[border] === needle[length]) border += 1;
    borders[length] = border;
  }
  for (let position = at, same = 0; position < to; position += 1) {
    while (same > 0 && needle[same] !== memory[position]) same = borders[same - 1] ?? 0;
    if (needle[same] === memory[position]) same += 1;
    if (same === needle.length) return position - same + 1;
  }
  return -1;
}
