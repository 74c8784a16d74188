/**
 * Reads the labels or annotations in a file of the downward API. Each line is `name="value"`, with the value quoted as
 * Go does it.
 */
export function readDownwardFile(text: string | undefined): Record<string, string> {
  const values: Record<string, string> = {};
  for (const line of (text ?? "").split("\n")) {
    const match = /^([^=]+)="(.*)"$/.exec(line.trim());
    if (match !== null) values[match[1] ?? ""] = (match[2] ?? "").replaceAll(escapes, unescaped);
  }
  return values;
}

const escapes = /\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|.)/g;
const controls: Readonly<Record<string, string>> = {
  a: "\u0007",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

function unescaped(escape: string): string {
  const kind = escape.charAt(1);
  if (escape.length === 2) return controls[kind] ?? kind;
  const point = Number.parseInt(escape.slice(2), 16);
  return point > 0x10_ffff ? "\ufffd" : String.fromCodePoint(point);
}
