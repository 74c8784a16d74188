import { huffmanEncode, huffmanLength } from "./huffman.ts";
import { staticFieldIndex, staticNameIndex } from "./static-table.ts";

export interface HpackEncodeOptions {
  /** Huffman-codes strings if that is shorter. Costs more CPU than it saves on a local network. */
  readonly huffman?: boolean;
}

/**
 * Encodes a header block from alternating names (lower case) and values in latin1. Stateless: it uses static indices
 * and literals without indexing, so a block is valid on every connection and may be reused.
 */
export function hpackEncode(fields: readonly string[], options: HpackEncodeOptions = {}): Buffer {
  const huffman = options.huffman ?? false;
  let bound = 0;
  // A Huffman string is used only if it is shorter than its text. 5 bytes hold any length.
  for (const text of fields) bound += text.length + 6;
  const target = Buffer.allocUnsafe(bound);
  let at = 0;
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index] ?? "";
    const value = fields[index + 1] ?? "";
    const whole = staticFieldIndex(name, value);
    if (whole > 0) {
      at = putInteger(target, at, 0x80, 7, whole);
      continue;
    }
    const known = staticNameIndex(name);
    at = putInteger(target, at, 0, 4, known);
    if (known === 0) at = putString(target, at, name, huffman);
    at = putString(target, at, value, huffman);
  }
  return target.subarray(0, at);
}

function putInteger(target: Buffer, offset: number, first: number, prefixBits: number, value: number): number {
  const mask = (1 << prefixBits) - 1;
  let at = offset;
  if (value < mask) {
    target[at] = first | value;
    return at + 1;
  }
  target[at] = first | mask;
  at += 1;
  let rest = value - mask;
  while (rest >= 128) {
    target[at] = (rest & 127) | 128;
    at += 1;
    rest = Math.floor(rest / 128);
  }
  target[at] = rest;
  return at + 1;
}

function putString(target: Buffer, offset: number, text: string, huffman: boolean): number {
  if (huffman) {
    const length = huffmanLength(text);
    if (length < text.length) return huffmanEncode(text, target, putInteger(target, offset, 0x80, 7, length));
  }
  const at = putInteger(target, offset, 0, 7, text.length);
  return at + target.write(text, at, "latin1");
}
