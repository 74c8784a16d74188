// Reads DER, the encoding of certificates, certificate requests and revocation lists. `x509` encodes it.
import { userError } from "../errors.ts";

// The part of DER (X.690) that certificates and their requests use: definite lengths and one-byte tags.

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

  /** Reads the next element. Throws an error if the element does not have the given tag. */
  next(tag?: number): DerElement {
    const start = this.#at;
    const found = this.#byte();
    if ((found & highTag) === highTag) throw malformedDer("a tag of several bytes");
    if (tag !== undefined && found !== tag)
      throw malformedDer(`the tag 0x${found.toString(16)} where 0x${tag.toString(16)} was expected`);
    const length = this.#length();
    if (length > this.#bytes.length - this.#at) throw malformedDer("an element that ends after its surroundings");
    const contents = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return { tag: found, contents, encoded: this.#bytes.subarray(start, this.#at) };
  }

  /** Reads the next element if it has the tag. Otherwise returns undefined and reads nothing. */
  optional(tag: number): DerElement | undefined {
    return this.#bytes[this.#at] === tag ? this.next() : undefined;
  }

  inside(tag: number): DerReader {
    return new DerReader(this.next(tag).contents);
  }

  finish(): void {
    if (!this.isAtEnd) throw malformedDer("bytes after the end");
  }

  #byte(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw malformedDer("an end too early");
    this.#at += 1;
    return byte;
  }

  #length(): number {
    const first = this.#byte();
    if (first < longForm) return first;
    const count = first & ~longForm;
    if (count === 0 || count > maxLengthBytes) throw malformedDer("a length that is indefinite or too long");
    let length = 0;
    for (let index = 0; index < count; index += 1) length = length * 0x100 + this.#byte();
    if (derLength(length).length !== count + 1) throw malformedDer("a length that is not as short as possible");
    return length;
  }
}

export function malformedDer(fault: string): Error {
  return userError("bad-der", `has ${fault}`);
}

/** The bytes of a length, in the shortest form. */
export function derLength(length: number): number[] {
  if (length < longForm) return [length];
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 0x100)) bytes.unshift(rest % 0x100);
  return [longForm | bytes.length, ...bytes];
}
