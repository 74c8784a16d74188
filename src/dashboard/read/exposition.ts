/**
 * Reads what is needed of a proxy's metrics text, fast: most of a scrape is of other metrics, and what is needed has mostly been
 * seen in the scrape before. A line is known by a number of 53 bits made of its name and labels: as texts they would take most
 * of the memory that there is. Lines that are no samples are left out.
 */
export function readExposition(text: string, wanted: (text: string, at: number) => boolean, take: (id: number, series: () => string, value: number) => void): void {
  let at = 0;
  while (at < text.length) {
    let end = text.indexOf("\n", at);
    if (end < 0) end = text.length;
    if (text.charCodeAt(at) !== hash && wanted(text, at)) {
      const brace = text.lastIndexOf("}", end);
      const from = brace > at ? brace + 1 : text.indexOf(" ", at);
      if (from > at && from < end) {
        // A timestamp may follow the value.
        const value = Number.parseFloat(text.slice(from, end));
        const start = at;
        if (!Number.isNaN(value)) take(digest(text, at, from), () => text.slice(start, from), value);
      }
    }
    at = end + 1;
  }
}

/** Two hashes of 32 bits (FNV-1a, and one with another factor), of which 53 are kept. */
function digest(text: string, from: number, to: number): number {
  let first = 0x811c9dc5;
  let second = 0x9747b28c;
  for (let at = from; at < to; at += 1) {
    const code = text.charCodeAt(at);
    first = Math.imul(first ^ code, 0x01000193);
    second = Math.imul(second ^ code, 0x5bd1e995);
    second ^= second >>> 15;
  }
  return (first >>> 0) * 0x200000 + ((second >>> 0) >>> 11);
}

const hash = "#".charCodeAt(0);
const labelPattern = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/g;

export interface SeriesName {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Values are copied: pieces of the text would keep all of it in memory. */
export function parseSeries(series: string): SeriesName {
  const brace = series.indexOf("{");
  if (brace < 0) return { name: series.trim(), labels: {} };
  const labels: Record<string, string> = {};
  for (const [, name = "", value = ""] of series.slice(brace).matchAll(labelPattern)) labels[name] = value === "" ? "" : value.includes("\\") ? value.replaceAll(/\\(.)/g, (_, character: string) => (character === "n" ? "\n" : character)) : Buffer.from(value).toString();
  return { name: series.slice(0, brace), labels };
}
