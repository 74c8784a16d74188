/** Lines of a log with numbers of their own: a line keeps its number while more come behind it. */
export interface LogLines {
  /** The number of the first line. */
  readonly first: number;
  readonly lines: readonly string[];
}

/** So many lines are kept at most; the oldest go first. */
export const maxLogLines = 5000;

export function splitLog(text: string): readonly string[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

/** The log after its tail was read again: lines that were there keep their numbers. Where nothing overlaps, the new tail is all there is. */
export function followLog(before: LogLines | undefined, next: readonly string[]): LogLines {
  if (before === undefined) return bounded({ first: 1, lines: next });
  const at = overlapOf(before.lines, next);
  if (at === undefined) return bounded({ first: before.first + before.lines.length, lines: next });
  const added = next.slice(before.lines.length - at);
  return added.length === 0 ? before : bounded({ first: before.first, lines: [...before.lines, ...added] });
}

function bounded({ first, lines }: LogLines): LogLines {
  const excess = Math.max(0, lines.length - maxLogLines);
  return excess === 0 ? { first, lines } : { first: first + excess, lines: lines.slice(excess) };
}

/** Where in `before` the beginning of `next` lies, up to the end of `before`. */
function overlapOf(before: readonly string[], next: readonly string[]): number | undefined {
  const [first] = next;
  if (first === undefined) return before.length;
  for (let at = before.indexOf(first); at !== -1; at = before.indexOf(first, at + 1)) {
    const length = Math.min(before.length - at, next.length);
    let same = true;
    for (let index = length - 1; index >= 0 && same; index -= 1) same = before[at + index] === next[index];
    if (same) return at;
  }
  return undefined;
}

export type LogLevel = "error" | "warn" | "plain";

const errorWords = /\b(error|fatal|panic|critical|exception)\b|"level":"(error|fatal)"|^E\d{4} /i;
const warnWords = /\b(warn|warning)\b|^W\d{4} /i;
const levelWithin = 200;

/** By the words at a line's beginning; for the eye alone. */
export function levelOf(line: string): LogLevel {
  const head = line.slice(0, levelWithin);
  if (errorWords.test(head)) return "error";
  return warnWords.test(head) ? "warn" : "plain";
}

/** A line cut at what was searched for: every second part is a find. */
export function splitFinds(line: string, search: string): readonly string[] {
  if (search === "") return [line];
  const parts: string[] = [];
  const lower = line.toLowerCase();
  const wanted = search.toLowerCase();
  let from = 0;
  for (let at = lower.indexOf(wanted); at !== -1; at = lower.indexOf(wanted, from)) {
    parts.push(line.slice(from, at), line.slice(at, at + wanted.length));
    from = at + wanted.length;
  }
  parts.push(line.slice(from));
  return parts;
}
