/** Fills bytes with randomness, for example `randomFillSync` of node:crypto. */
export type FillRandom = (bytes: Uint8Array) => void;

/** How many texts are made from one call of the random source. */
const madeTogether = 128;
const hexDigits = new TextEncoder().encode("0123456789abcdef");
/** Both digits of each byte. */
const highDigits = Uint8Array.from({ length: 256 }, (_, byte) => hexDigits[byte >> 4] ?? 0);
const lowDigits = Uint8Array.from({ length: 256 }, (_, byte) => hexDigits[byte & 15] ?? 0);
const versionAt = 14;
const variantAt = 19;
const version4 = 52;
const uuidPattern = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

/**
 * Returns one text after another in the form of the pattern, with a random hexadecimal digit for each `x`. They are
 * slices of one long random text. A slice is cheap to make, and cheap to copy because it is one contiguous string.
 */
export function randomTexts(
  pattern: string,
  fill: FillRandom,
  adjust?: (bytes: Uint8Array, from: number) => void,
): () => string {
  const length = pattern.length;
  const bytes = new TextEncoder().encode(pattern.repeat(madeTogether));
  const digitsAt = Int32Array.from([...bytes.keys()].filter((at) => pattern[at % length] === "x"));
  const random = new Uint8Array(Math.ceil(digitsAt.length / 2));
  const decoder = new TextDecoder("latin1");
  let texts = "";
  let at = 0;
  return () => {
    if (at >= texts.length) {
      fill(random);
      for (let index = 0; index < random.length; index += 1) {
        const byte = random[index] ?? 0;
        bytes[digitsAt[2 * index] ?? 0] = highDigits[byte] ?? 0;
        const next = digitsAt[2 * index + 1];
        if (next !== undefined) bytes[next] = lowDigits[byte] ?? 0;
      }
      if (adjust !== undefined) for (let from = 0; from < bytes.length; from += length) adjust(bytes, from);
      texts = decoder.decode(bytes);
      at = 0;
    }
    at += length;
    return texts.slice(at - length, at);
  };
}

/** Returns one UUID of version 4 after another. */
export function randomUuids(fill: FillRandom): () => string {
  return randomTexts(uuidPattern, fill, (bytes, from) => {
    bytes[from + versionAt] = version4;
    const digit = hexDigits.indexOf(bytes[from + variantAt] ?? 0);
    bytes[from + variantAt] = hexDigits[8 + (digit & 3)] ?? 0;
  });
}
