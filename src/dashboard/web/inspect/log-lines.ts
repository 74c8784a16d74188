import { seenText } from "../../../api/dashboard/index.ts";
import { countOf } from "../format.ts";

/** A log's lines. A line keeps its number when others are appended. */
export interface LogLines {
  /** The number of the first line that is still there. */
  readonly first: number;
  readonly lines: readonly string[];
}

/** How many lines are kept. The oldest are dropped first. */
export const maxLogLines = 5000;
/** How many lines of a search's result are shown: the last ones. */
export const maxFinds = 1000;

/**
 * Matches colours of terminals, and carriage returns at the end of a line. The lookbehind makes a run of carriage
 * returns match only from its beginning. Without it, a long run in the middle of a line would take quadratic time and
 * freeze the page.
 */
const ofTerminals = new RegExp(String.raw`\u001b\[[\d;]*m|(?<!\r)\r+$`, "gu");

/** A log's lines. Removes colours of terminals, and replaces other invisible characters with their names. */
export function splitLog(text: string): readonly string[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines.map((line) => seenText(line.replaceAll(ofTerminals, "")));
}

/**
 * Appends a newly read tail of the log. Known lines keep their numbers. If the tail has no line in common with them,
 * only the tail stays.
 */
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

/** The first index from which `before` has the same lines as `next`, as far as both go. Undefined if there is none. */
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

/** Guesses the level of a line from its first words, to colour it. */
export function levelOf(line: string): LogLevel {
  const head = line.slice(0, levelWithin);
  if (errorWords.test(head)) return "error";
  return warnWords.test(head) ? "warn" : "plain";
}

/** Splits a line at what a search finds. Every second part is a find. */
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

export function logNote(lines: number, truncated: boolean): string {
  return `${countOf(lines, "line")}${truncated ? "; earlier lines are left out" : ""}`;
}

export function foundNote({
  found,
  lines,
  search,
}: {
  readonly found: number;
  readonly lines: number;
  readonly search: string;
}): string {
  const cut = found > maxFinds ? `, the last ${maxFinds.toLocaleString("en-US")} are shown` : "";
  return `${countOf(found, "line")} of ${lines.toLocaleString("en-US")} with “${search}”${cut}`;
}
