import { huffmanEncode, huffmanLength } from "./huffman.ts";
import { staticFieldIndex, staticNameIndex, staticNameIndexOf } from "./static-table.ts";

const initialBytes = 4096;
/** A larger buffer, which a large head may leave, is not kept. */
const keepBytes = 65_536;
/** The maximum length of an integer below 2^28. */
const maxIntegerBytes = 5;
/** Up to this length, a loop copies faster than a call of the runtime. */
const loopBytes = 48;

export interface HpackEncodeOptions {
  /**
   * Whether strings get Huffman's code if that is shorter. On a local network, it costs more CPU time than it saves.
   */
  readonly huffman?: boolean;
}

/**
 * Encodes a header block from names (in lower case) and values in turn, in latin1. It uses only static indices and
 * literals without indexing, so a block is valid on every connection and may be sent again.
 */
export function hpackEncode(fields: readonly string[], options: HpackEncodeOptions = {}): Buffer {
  const huffman = options.huffman ?? false;
  let bound = 0;
  // A string is Huffman-coded only if that is shorter than its text. 5 bytes suffice for any length.
  for (const text of fields) bound += text.length + 6;
  const target = Buffer.allocUnsafe(bound);
  let at = 0;
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index] ?? "";
    const value = fields[index + 1] ?? "";
    const known = staticNameIndex(name);
    const whole = staticFieldIndex(known, value);
    if (whole > 0) {
      at = putInteger(target, at, 0x80, 7, whole);
      continue;
    }
    at = putInteger(target, at, 0, 4, known);
    if (known === 0) at = putString(target, at, name, huffman);
    at = putString(target, at, value, huffman);
  }
  return target.subarray(0, at);
}

function putString(target: Buffer, offset: number, text: string, huffman: boolean): number {
  if (huffman) {
    const length = huffmanLength(text);
    if (length < text.length) return huffmanEncode(text, target, putInteger(target, offset, 0x80, 7, length));
  }
  return putText(target, offset, text);
}

/**
 * Writes header blocks like `hpackEncode`, but without a string for each field, because most fields of a relayed head
 * are copied from its bytes. All blocks use the same memory, one after another.
 */
export class HeaderBlock {
  #bytes: Buffer = Buffer.allocUnsafeSlow(initialBytes);
  #length = 0;

  /** Begins a block. The previous block is no longer valid. */
  begin(): void {
    this.#length = 0;
    if (this.#bytes.length > keepBytes) this.#bytes = Buffer.allocUnsafeSlow(initialBytes);
  }

  /** The block so far, valid until {@link begin}. */
  view(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Adds a field. The name must be in lower case, and both in latin1. */
  field(name: string, value: string): void {
    this.#reserve(name.length + value.length);
    const target = this.#bytes;
    const known = staticNameIndex(name);
    const whole = staticFieldIndex(known, value);
    if (whole > 0) {
      this.#length = putInteger(target, this.#length, 0x80, 7, whole);
      return;
    }
    const at = putInteger(target, this.#length, 0, 4, known);
    this.#length = putText(target, known === 0 ? putText(target, at, name) : at, value);
  }

  /** Adds a field whose value is bytes in latin1. */
  valueOf(name: string, bytes: Uint8Array, valueStart: number, valueEnd: number): void {
    this.#reserve(name.length + valueEnd - valueStart);
    const target = this.#bytes;
    const known = staticNameIndex(name);
    const at = putInteger(target, this.#length, 0, 4, known);
    this.#length = putBytes(target, known === 0 ? putText(target, at, name) : at, bytes, valueStart, valueEnd);
  }

  /** Adds a field whose name and value are bytes in latin1. The name may be in any case. */
  fieldOf(bytes: Uint8Array, nameStart: number, nameEnd: number, valueStart: number, valueEnd: number): void {
    this.#reserve(nameEnd - nameStart + valueEnd - valueStart);
    const target = this.#bytes;
    const known = staticNameIndexOf(bytes, nameStart, nameEnd);
    const at = putInteger(target, this.#length, 0, 4, known);
    const after = known === 0 ? putLowerCase(target, at, bytes, nameStart, nameEnd) : at;
    this.#length = putBytes(target, after, bytes, valueStart, valueEnd);
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes + 3 * maxIntegerBytes;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}

function putText(target: Buffer, offset: number, text: string): number {
  const at = putInteger(target, offset, 0, 7, text.length);
  if (text.length > loopBytes) return at + target.write(text, at, "latin1");
  for (let index = 0; index < text.length; index += 1) target[at + index] = text.charCodeAt(index);
  return at + text.length;
}

function putLowerCase(target: Buffer, offset: number, bytes: Uint8Array, start: number, end: number): number {
  let at = putInteger(target, offset, 0, 7, end - start);
  for (let from = start; from < end; from += 1) {
    const byte = bytes[from] ?? 0;
    target[at] = byte >= 65 && byte <= 90 ? byte | 32 : byte;
    at += 1;
  }
  return at;
}

function putBytes(target: Buffer, offset: number, bytes: Uint8Array, start: number, end: number): number {
  let at = putInteger(target, offset, 0, 7, end - start);
  if (end - start > loopBytes) {
    target.set(bytes.subarray(start, end), at);
    return at + end - start;
  }
  for (let from = start; from < end; from += 1) {
    target[at] = bytes[from] ?? 0;
    at += 1;
  }
  return at;
}

/**
 * Writes an integer with a prefix of some bits (RFC 7541, 5.1), where `first` has the bits before the prefix. Returns
 * the offset after it.
 */
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
