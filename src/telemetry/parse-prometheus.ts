import { userError } from "../base/index.ts";

/** One line of a scrape. A histogram's parts come as `<name>_bucket` (with `le`), `<name>_sum` and `<name>_count`. */
export interface PrometheusSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
  /** Absent when the exposer gave none. */
  readonly timestampMs?: number;
}

export interface PrometheusScrape {
  readonly samples: readonly PrometheusSample[];
  /** The declared type of each metric family: `counter`, `gauge`, `histogram`, `summary`, `untyped`. */
  readonly types: ReadonlyMap<string, string>;
}

/**
 * Reads Prometheus' text format 0.0.4 (and the sample lines of OpenMetrics without exemplars).
 * Throws a user error that names the line when a line is neither a comment nor a sample.
 */
export function parsePrometheus(text: string): PrometheusScrape {
  const samples: PrometheusSample[] = [];
  const types = new Map<string, string>();
  let lineNumber = 0;
  for (const raw of text.split("\n")) {
    lineNumber += 1;
    const line = raw.trim();
    if (line === "") continue;
    if (line.startsWith("#")) {
      const [, keyword, name, type] = line.split(/\s+/);
      if (keyword === "TYPE" && name !== undefined && type !== undefined) types.set(name, type);
      continue;
    }
    samples.push(parseSample(line, lineNumber));
  }
  return { samples, types };
}

const nameAtStart = /^[a-zA-Z_:][a-zA-Z0-9_:]*/;

function parseSample(line: string, lineNumber: number): PrometheusSample {
  const name = nameAtStart.exec(line)?.[0];
  if (name === undefined) throw bad(lineNumber, "a sample starts with a metric name", line);
  let at = name.length;
  let labels: Record<string, string> = {};
  if (line[at] === "{") {
    const parsed = parseLabels(line, at + 1, lineNumber);
    labels = parsed.labels;
    at = parsed.end;
  }
  const [valueText = "", timestampText] = line.slice(at).trim().split(/\s+/);
  const value = parseValue(valueText);
  if (value === undefined) throw bad(lineNumber, "a number after the metric", line);
  if (timestampText === undefined || timestampText.startsWith("#")) return { name, labels, value };
  const timestampMs = Number(timestampText);
  if (!Number.isFinite(timestampMs)) throw bad(lineNumber, "a timestamp in milliseconds after the value", line);
  return { name, labels, value, timestampMs };
}

function parseLabels(line: string, start: number, lineNumber: number): { labels: Record<string, string>; end: number } {
  const labels: Record<string, string> = {};
  const one = /\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(,?)/y;
  const close = /\s*\}/y;
  let at = start;
  for (;;) {
    close.lastIndex = at;
    if (close.test(line)) return { labels, end: close.lastIndex };
    one.lastIndex = at;
    const match = one.exec(line);
    if (match === null) throw bad(lineNumber, 'labels as name="value", closed by }', line);
    labels[match[1] ?? ""] = unescapeLabel(match[2] ?? "");
    at = one.lastIndex;
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
