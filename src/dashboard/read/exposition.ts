import { moduleCache } from "../../base/index.ts";

/**
 * A fast reader of the needed part of a proxy's metrics text. Most lines of a scrape belong to other metrics, and most
 * of the needed lines were in the previous scrape too. It makes strings only for new lines, and allocates nothing else:
 * with hundreds of proxies each second, garbage would grow faster than it is collected. A line is identified by a
 * 53-bit hash of its name and labels. It skips lines that are not samples, values that are not finite numbers, and
 * names and labels that are longer than any proxy's. Anybody who may start a pod decides what it answers, so the time
 * that the reader takes is always linear in the length of the answer.
 */
export class ExpositionReader {
  /** The id of the sample that `next` has found. */
  id = 0.5;
  value = 0.5;
  readonly #wanted: (bytes: Buffer, at: number) => boolean;
  #bytes: Buffer = Buffer.alloc(0);
  #start = 0;
  #end = 0;
  #next = 0;

  /** `wanted` decides by the beginning of a line whether it is needed. */
  constructor(wanted: (bytes: Buffer, at: number) => boolean) {
    this.#wanted = wanted;
  }

  begin(bytes: Buffer): void {
    this.#bytes = bytes;
    this.#next = 0;
  }

  /** Whether there is another sample. */
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

  /** The name and labels of the sample in their original text. */
  series(): string {
    return this.#bytes.toString("utf8", this.#start, this.#end);
  }

  /** Two hashes of 32 bits (FNV-1a, and one with another factor), of which 53 are kept. */
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
 * The end of name and labels: after the last brace, because label values may contain braces. -1 for a line without a
 * value.
 */
function endOfName(bytes: Buffer, from: number, end: number): number {
  for (let at = end - 1; at > from; at -= 1) if (bytes[at] === brace) return at + 1 < end ? at + 1 : -1;
  for (let at = from; at < end; at += 1) if (bytes[at] === space) return at;
  return -1;
}

/** Reads a value. Most values are whole numbers with few digits. A timestamp may follow. */
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
/** The maximum length of a name with its labels. In a proxy's metrics, they have some hundred bytes. */
const maxSeriesBytes = 8192;
/** Matches a label at the end of the previous one. Anything else ends the search. */
const labelPattern = /[{,]\s*([a-zA-Z_]\w*)="([^"\\]*(?:\\.[^"\\]*)*)"\s*/y;

export interface SeriesName {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * The maximum number and length of label values that are kept for reuse, because hundreds of proxies send the same
 * names.
 */
const maxSharedValues = 20_000;
const maxSharedLength = 200;
const sharedValues = moduleCache<string, string>("values-of-samples", maxSharedValues);

/** Returns one shared copy of equal texts. A substring would keep the whole series in memory. */
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
