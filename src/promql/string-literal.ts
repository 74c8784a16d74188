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
const escape = /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|([\s\S]?))/g;

/**
 * Decodes a PromQL string, whose quotes and escapes are Go's. Backticks have no escapes. Undefined if it is incomplete.
 */
export function unquote(text: string): string | undefined {
  const quote = text[0];
  if (text.length < 2 || !text.endsWith(quote ?? "")) return undefined;
  const inner = text.slice(1, -1);
  if (quote === "`") return inner;
  let valid = !inner.includes("\n");
  const value = inner.replaceAll(
    escape,
    (_whole, hex?: string, short?: string, long?: string, octal?: string, plain?: string) => {
      const code = hex ?? short ?? long;
      if (code !== undefined)
        return Number.parseInt(code, 16) <= 0x10_ff_ff ? String.fromCodePoint(Number.parseInt(code, 16)) : "\u{fffd}";
      if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8));
      const character = simple[plain ?? ""];
      if (character === undefined) valid = false;
      return character ?? "";
    },
  );
  return valid ? value : undefined;
}
