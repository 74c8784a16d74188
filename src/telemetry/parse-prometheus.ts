import { setOwnField, userError } from "../base/index.ts";
import type { FamilyNames } from "./render-prometheus.ts";

/**
 * One line of a scrape. The parts of a histogram have the names `<name>_bucket` (with the label `le`), `<name>_sum` and
 * `<name>_count`.
 */
export interface PrometheusSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
  /** In whole milliseconds, or in seconds in OpenMetrics. Absent if the line has no timestamp. */
  readonly timestamp?: number;
}

export interface PrometheusScrape {
  readonly samples: readonly PrometheusSample[];
  /** The declared type of each metric family: `counter`, `gauge`, `histogram`, `summary`, `untyped`. */
  readonly types: ReadonlyMap<string, string>;
}

/**
 * Parses Prometheus' text format 0.0.4, including quoted names, and the sample lines of OpenMetrics without their
 * exemplars. Throws a user error with the line number if a line is neither a comment nor a sample. With `names`, it
 * skips the samples of other families without parsing them.
 */
export function parsePrometheus(text: string, names?: FamilyNames): PrometheusScrape {
  const samples: PrometheusSample[] = [];
  const types = readSampleLines(text, (line, lineNumber) => {
    const sample = sampleOfLine(line, lineNumber, names);
    if (sample !== undefined) samples.push(sample);
  });
  return { samples, types };
}

/**
 * Returns the sample in a line, or undefined if it belongs to none of the metrics in `names`. Skipping a line costs
 * little.
 */
export function sampleOfLine(line: string, lineNumber: number, names?: FamilyNames): PrometheusSample | undefined {
  if (names !== undefined && !names.has(familyOfSample(nameAtStart.exec(line)?.[0] ?? "", names))) return undefined;
  return parseSample(line, lineNumber);
}

function readSampleLines(text: string, read: (line: string, lineNumber: number) => void): PrometheusScrape["types"] {
  const lines = new SampleLines(text);
  for (let line = lines.next(); line !== undefined; line = lines.next()) if (line !== "") read(line, lines.lineNumber);
  return lines.types;
}

const typeLine = /^#\s+TYPE\s+(?:"((?:[^"\\]|\\.)+)"|(\S+))\s+(\S+)/;

/**
 * Reads a scrape line by line, so that its reader can stop when it has read enough. A hostile answer may consist of
 * many short lines, and a list of them would take several times its size.
 */
export class SampleLines {
  readonly types = new Map<string, string>();
  /** The number of the last line that was read, from 1. */
  lineNumber = 0;
  readonly #text: string;
  readonly #maxTypes: number;
  #at = 0;

  constructor(text: string, maxTypes = Infinity) {
    this.#text = text;
    this.#maxTypes = maxTypes;
  }

  /**
   * Returns the next line if it contains a sample, and an empty text for another line. Returns undefined at the end.
   */
  next(): string | undefined {
    if (this.#at > this.#text.length) return undefined;
    const found = this.#text.indexOf("\n", this.#at);
    const end = found < 0 ? this.#text.length : found;
    const line = this.#text.slice(this.#at, end).trim();
    this.#at = end + 1;
    this.lineNumber += 1;
    if (!line.startsWith("#")) return line;
    const type = this.types.size < this.#maxTypes ? typeLine.exec(line) : null;
    if (type !== null) this.types.set(type[2] ?? unescapeLabel(type[1] ?? ""), type[3] ?? "");
    return "";
  }
}

/**
 * Returns the family of a sample: its name without the suffix of a histogram's part, unless `names` has the whole name.
 */
export function familyOfSample(name: string, names: ReadonlySet<string>): string {
  return names.has(name) ? name : name.replace(partOfHistogram, "");
}

/** The parts of a sample's line, without an exemplar. `head` is the text of name and labels. */
export interface SampleText {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly head: string;
  readonly value: string;
  /** The original text. It is in whole milliseconds, or in seconds in OpenMetrics. */
  readonly timestamp: string | undefined;
}

/**
 * Returns the length of the name and labels at the start of a sample's line, without parsing them. The result is
 * meaningless for a line without a sample.
 */
export function lengthOfHead(line: string): number {
  let at = 0;
  while (at < line.length && !isBlankOrBrace(line.charCodeAt(at))) at += 1;
  if (line.charCodeAt(at) !== braceOpen) return at;
  let isQuoted = false;
  for (at += 1; at < line.length; at += 1) {
    const code = line.charCodeAt(at);
    if (code === quote) isQuoted = !isQuoted;
    else if (code === backslash && isQuoted) at += 1;
    else if (code === braceClose && !isQuoted) return at + 1;
  }
  return line.length;
}

const [quote, backslash, braceOpen, braceClose, space, tab] = [34, 92, 123, 125, 32, 9];

function isBlankOrBrace(code: number): boolean {
  return code === space || code === tab || code === braceOpen;
}

/**
 * Returns the value and the timestamp after the head of a sample's line. The timestamp is in whole milliseconds, or in
 * seconds in OpenMetrics. Throws like {@link readSampleText}.
 */
export function readValue(
  line: string,
  head: number,
  lineNumber: number,
): { readonly value: number; readonly timestamp: number | undefined } {
  const rest = line.slice(head).trim();
  const value = parseValue(rest);
  if (value !== undefined) return { value, timestamp: undefined };
  const [text, timestamp] = splitValue(rest, line, lineNumber);
  return {
    value: parseValue(text) ?? NaN,
    timestamp: timestamp === undefined ? undefined : Number(timestamp),
  };
}

/** Splits the line of a sample. Throws a user error with the line number if the line is not a sample. */
export function readSampleText(line: string, lineNumber: number): SampleText {
  let name = nameAtStart.exec(line)?.[0];
  let at = name?.length ?? 0;
  let labels: Readonly<Record<string, string>> = {};
  if (line[at] === "{") {
    const parsed = parseLabels(line, at + 1, lineNumber);
    name ??= parsed.quotedName;
    labels = parsed.labels;
    at = parsed.end;
  }
  if (name === undefined) throw bad(lineNumber, "a sample starts with a metric name", line);
  const [value, timestamp] = splitValue(line.slice(at).trim(), line, lineNumber);
  return { name, labels, head: line.slice(0, at).trimEnd(), value, timestamp };
}

function splitValue(rest: string, line: string, lineNumber: number): [value: string, timestamp: string | undefined] {
  const [value = "", timestamp] = rest.split(/\s+/, 2);
  if (parseValue(value) === undefined) throw bad(lineNumber, "a number after the metric", line);
  if (timestamp === undefined || timestamp.startsWith("#")) return [value, undefined];
  if (!Number.isFinite(Number(timestamp))) throw bad(lineNumber, "a timestamp in milliseconds after the value", line);
  return [value, timestamp];
}

const partOfHistogram = /_(?:bucket|sum|count)$/;
const nameAtStart = /^[a-zA-Z_:][a-zA-Z0-9_:]*/;

function parseSample(line: string, lineNumber: number): PrometheusSample {
  const { name, labels, value: text, timestamp } = readSampleText(line, lineNumber);
  const value = parseValue(text) ?? NaN;
  return timestamp === undefined ? { name, labels, value } : { name, labels, value, timestamp: Number(timestamp) };
}

// The expressions are compiled once, because a scrape has thousands of lines.
const label = /\s*(?:([a-zA-Z_][a-zA-Z0-9_]*)|"((?:[^"\\]|\\.)+)")\s*=\s*"((?:[^"\\]|\\.)*)"\s*(,|(?=\}))/y;
const quoted = /\s*"((?:[^"\\]|\\.)+)"\s*(,|(?=\}))/y;
const close = /\s*\}/y;

/**
 * Parses the labels after `{`. A name with other characters than letters, digits, underscores and colons is quoted: a
 * label's name before its `=`, and the metric's name as the first entry.
 */
function parseLabels(
  line: string,
  start: number,
  lineNumber: number,
): { labels: Record<string, string>; quotedName: string | undefined; end: number } {
  const labels: Record<string, string> = {};
  let at = start;
  let quotedName: string | undefined;
  quoted.lastIndex = at;
  const metric = quoted.exec(line);
  if (metric !== null) {
    quotedName = unescapeLabel(metric[1] ?? "");
    at = quoted.lastIndex;
  }
  for (;;) {
    close.lastIndex = at;
    if (close.test(line)) return { labels, quotedName, end: close.lastIndex };
    label.lastIndex = at;
    const match = label.exec(line);
    if (match === null) throw bad(lineNumber, 'labels as name="value", closed by }', line);
    setOwnField(labels, match[1] ?? unescapeLabel(match[2] ?? ""), unescapeLabel(match[3] ?? ""));
    at = label.lastIndex;
  }
}

function unescapeLabel(value: string): string {
  if (!value.includes("\\")) return value;
  return value.replaceAll(/\\(.)/g, (_, character: string) => (character === "n" ? "\n" : character));
}

function parseValue(text: string): number | undefined {
  if (text === "+Inf" || text === "Inf") return Infinity;
  if (text === "-Inf") return -Infinity;
  if (text === "NaN") return NaN;
  if (text === "") return undefined;
  const value = Number(text);
  return Number.isNaN(value) ? undefined : value;
}

function bad(lineNumber: number, expected: string, line: string): Error {
  return userError("bad-metrics", `metrics line ${lineNumber}: expected ${expected}, got "${line.slice(0, 120)}"`);
}
