import { userError } from "../base/index.ts";

// The part of DER (X.690) that certificates and certificate requests use: definite lengths and one-byte tags.

export const derTags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  objectIdentifier: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
  context0: 0xa0,
  context3: 0xa3,
} as const;

export interface DerElement {
  readonly tag: number;
  /** The contents without tag and length. */
  readonly contents: Buffer;
  /** The contents with tag and length. */
  readonly encoded: Buffer;
}

const longForm = 0x80;
const maxLengthBytes = 4;
const highTag = 0x1f;

/** Reads elements one after another. Throws the user error `bad-der` for malformed DER. */
export class DerReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** Reads the next element. If a tag is given, the element must have it. */
  next(tag?: number): DerElement {
    const start = this.#at;
    const found = this.#byte();
    if ((found & highTag) === highTag) throw malformed("a tag of several bytes");
    if (tag !== undefined && found !== tag)
      throw malformed(`the tag 0x${found.toString(16)} where 0x${tag.toString(16)} was expected`);
    const length = this.#length();
    if (length > this.#bytes.length - this.#at) throw malformed("an element that ends after its surroundings");
    const contents = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return { tag: found, contents, encoded: this.#bytes.subarray(start, this.#at) };
  }

  /** Reads the next element if it has the tag. */
  optional(tag: number): DerElement | undefined {
    return this.#bytes[this.#at] === tag ? this.next() : undefined;
  }

  /** Makes a reader of the next element's contents. */
  inside(tag: number): DerReader {
    return new DerReader(this.next(tag).contents);
  }

  finish(): void {
    if (!this.isAtEnd) throw malformed("bytes after the end");
  }

  #byte(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw malformed("an end too early");
    this.#at += 1;
    return byte;
  }

  #length(): number {
    const first = this.#byte();
    if (first < longForm) return first;
    const count = first & ~longForm;
    if (count === 0 || count > maxLengthBytes) throw malformed("a length that is indefinite or too long");
    let length = 0;
    for (let index = 0; index < count; index += 1) length = length * 0x100 + this.#byte();
    if (lengthOf(length).length !== count + 1) throw malformed("a length that is not as short as possible");
    return length;
  }
}

/** The maximum depth. Certificates have about ten levels. */
const maxLevels = 32;
const constructed = 0x20;

/**
 * Checks the lengths of all elements, including nested ones, but not the content of an OCTET STRING. Throws the user
 * error `bad-der`.
 */
export function checkDer(bytes: Buffer, levels = maxLevels): void {
  if (levels === 0) throw malformed(`more than ${maxLevels} levels`);
  for (const reader = new DerReader(bytes); !reader.isAtEnd;) {
    const { tag, contents } = reader.next();
    if ((tag & constructed) !== 0) checkDer(contents, levels - 1);
  }
}

function malformed(fault: string): Error {
  return userError("bad-der", `has ${fault}`);
}

export function derElement(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const length = contents.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([Buffer.from([tag, ...lengthOf(length)]), ...contents]);
}

function lengthOf(length: number): number[] {
  if (length < longForm) return [length];
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 0x100)) bytes.unshift(rest % 0x100);
  return [longForm | bytes.length, ...bytes];
}

/** A SEQUENCE of encoded elements. */
export function derSequence(...contents: readonly Uint8Array[]): Buffer {
  return derElement(derTags.sequence, ...contents);
}

/** Encodes an object identifier, given the hex of its contents. */
export function derObjectIdentifier(hex: string): Buffer {
  return derElement(derTags.objectIdentifier, Buffer.from(hex, "hex"));
}

/** A BIT STRING. `unusedBits` is the number of bits without a meaning in the last byte. */
export function derBitString(bytes: Uint8Array, unusedBits = 0): Buffer {
  return derElement(derTags.bitString, Buffer.from([unusedBits]), bytes);
}

const utcTimeEndsMs = Date.UTC(2050, 0, 1);

/** Encodes a time in whole seconds. Years until 2049 have two digits, later ones four (RFC 5280, 4.1.2.5). */
export function derTime(ms: number): Buffer {
  const text = `${new Date(ms).toISOString().slice(0, "2026-01-01T00:00:00".length).replaceAll(/[-:T]/g, "")}Z`;
  return ms < utcTimeEndsMs
    ? derElement(derTags.utcTime, Buffer.from(text.slice(2)))
    : derElement(derTags.generalizedTime, Buffer.from(text));
}
