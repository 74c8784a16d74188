import { moduleCache } from "../../base/index.ts";

/**
 * A fast reader for the needed lines of a proxy's metrics text. Most lines of a scrape belong to other metrics, and
 * most of the needed ones were in the previous scrape too. The reader makes strings only for new lines, and allocates
 * nothing else: with hundreds of proxies each second, garbage would come faster than it is collected. A hash of 53 bits
 * over name and labels identifies a line. The reader skips lines that are no samples, values that are not finite, and
 * names with labels that are longer than any proxy's. Anybody who may start a pod decides what it answers, so the time
 * that the reader takes is linear in the length of any text.
 */
export class ExpositionReader {
  // The first values are fractions, so that V8 keeps these fields as doubles from the beginning.
  /** Identifies the name and labels of the current sample. */
  id = 0.5;
  value = 0.5;
  readonly #wanted: (bytes: Buffer, at: number) => boolean;
  #bytes: Buffer = Buffer.alloc(0);
  #start = 0;
  #end = 0;
  #next = 0;

  constructor(wanted: (bytes: Buffer, at: number) => boolean) {
    this.#wanted = wanted;
  }

  begin(bytes: Buffer): void {
    this.#bytes = bytes;
    this.#next = 0;
  }

  /** Moves to the next needed sample. False at the end. */
  next(): boolean {
    const bytes = this.#bytes;
    for (let at = this.#next; at < bytes.length;) {
      let end = bytes.indexOf(newline, at);
      if (end < 0) end = bytes.length;
      if (bytes[at] !== hash && this.#wanted(bytes, at)) {
        const from = endOfName(bytes, at, end);
        if (from > at && from - at <= maxSeriesBytes) {
          this.value = readValue(bytes, from, end);
          if (Number.isFinite(this.value)) {
            this.#start = at;
            this.#end = from;
            this.#next = end + 1;
            this.#digest(bytes, at, from);
            return true;
          }
        }
      }
      at = end + 1;
    }
    this.#bytes = noBytes;
    return false;
  }

  series(): string {
    return this.#bytes.toString("utf8", this.#start, this.#end);
  }

  /** Computes two hashes of 32 bits (FNV-1a, and one with another factor), of which 53 bits are kept. */
  #digest(bytes: Buffer, from: number, to: number): void {
    let first = 0x811c9dc5;
    let second = 0x9747b28c;
    for (let at = from; at < to; at += 1) {
      const code = bytes[at] ?? 0;
      first = Math.imul(first ^ code, 0x01000193);
      second = Math.imul(second ^ code, 0x5bd1e995);
      second ^= second >>> 15;
    }
    this.id = (first >>> 0) * 0x200000 + ((second >>> 0) >>> 11);
  }
}

/**
 * The end of name and labels. This is after the last brace, because label values may contain braces. -1 for a line
 * without a value.
 */
function endOfName(bytes: Buffer, from: number, end: number): number {
  for (let at = end - 1; at > from; at -= 1) if (bytes[at] === brace) return at + 1 < end ? at + 1 : -1;
  for (let at = from; at < end; at += 1) if (bytes[at] === space) return at;
  return -1;
}

/** Reads a value, which a timestamp may follow. Fast for the usual values, which are whole numbers with few digits. */
function readValue(bytes: Buffer, from: number, end: number): number {
  let at = from;
  while (at < end && bytes[at] === space) at += 1;
  const first = at;
  let value = 0;
  for (; at < end; at += 1) {
    const digit = (bytes[at] ?? 0) - zero;
    if (digit < 0 || digit > 9) break;
    value = value * 10 + digit;
  }
  const isWhole = at > first && at - first <= exactDigits && (at === end || bytes[at] === space);
  return isWhole ? value : Number.parseFloat(bytes.toString("latin1", first, end));
}

const noBytes = Buffer.alloc(0);
const newline = "\n".charCodeAt(0);
const space = " ".charCodeAt(0);
const zero = "0".charCodeAt(0);
const brace = "}".charCodeAt(0);
const hash = "#".charCodeAt(0);
const exactDigits = 15;
/** The maximum length of a name with its labels. Those of proxies have some hundred bytes. */
const maxSeriesBytes = 8192;
/** One label, directly after the previous one. */
const labelPattern = /[{,]\s*([a-zA-Z_]\w*)="([^"\\]*(?:\\.[^"\\]*)*)"\s*/y;

export interface SeriesName {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** The maximum number and length of label values that are kept, because hundreds of proxies send the same ones. */
const maxSharedValues = 20_000;
const maxSharedLength = 200;
const sharedValues = moduleCache<string, string>("values-of-samples", maxSharedValues);

/** Returns the same string for equal values. A substring of the series would keep the whole series in memory. */
function shared(value: string): string {
  let known = sharedValues.get(value);
  if (known === undefined) {
    if (value.length > maxSharedLength) return Buffer.from(value).toString();
    known = Buffer.from(value).toString();
    sharedValues.set(known, known);
  }
  return known;
}

export function parseSeries(series: string): SeriesName {
  const brace = series.indexOf("{");
  if (brace < 0) return { name: series.trim(), labels: {} };
  const labels: Record<string, string> = {};
  labelPattern.lastIndex = brace;
  for (let found = labelPattern.exec(series); found !== null; found = labelPattern.exec(series)) {
    const [, name = "", value = ""] = found;
    labels[name] =
      value === ""
        ? ""
        : value.includes("\\")
          ? value.replaceAll(/\\(.)/g, (_, character: string) => (character === "n" ? "\n" : character))
          : shared(value);
  }
  return { name: series.slice(0, brace), labels };
}
