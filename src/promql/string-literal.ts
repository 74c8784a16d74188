const simple: Readonly<Record<string, string>> = {
  a: "\u{7}",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "\\": "\\",
  "'": "'",
  '"': '"',
};
const escape =
  /\\(?:x(?<hex>[0-9a-fA-F]{2})|u(?<short>[0-9a-fA-F]{4})|U(?<long>[0-9a-fA-F]{8})|(?<octal>[0-7]{3})|(?<plain>[\s\S]?))/g;
type EscapeGroups = Readonly<Partial<Record<"hex" | "short" | "long" | "octal" | "plain", string>>>;

/**
 * Decodes a string of PromQL. Quotes and escapes are those of Go, and a string in backticks has no escapes. Undefined
 * if the string is incomplete.
 */
export function unquote(text: string): string | undefined {
  const quote = text[0];
  if (text.length < 2 || !text.endsWith(quote ?? "")) return undefined;
  const inner = text.slice(1, -1);
  if (quote === "`") return inner;
  let valid = !inner.includes("\n");
  const value = inner.replaceAll(escape, (...matched) => {
    const { hex, short, long, octal, plain } = matched.at(-1) as EscapeGroups;
    const code = hex ?? short ?? long;
    if (code !== undefined)
      return Number.parseInt(code, 16) <= 0x10_ff_ff ? String.fromCodePoint(Number.parseInt(code, 16)) : "\u{fffd}";
    if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8));
    const character = simple[plain ?? ""];
    if (character === undefined) valid = false;
    return character ?? "";
  });
  return valid ? value : undefined;
}
