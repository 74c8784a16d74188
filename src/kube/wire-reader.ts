import { transientError, type SerinError } from "../base/index.ts";

const wireVarint = 0;
const wire64 = 1;
const wireBytes = 2;
const wire32 = 5;
const typeBits = 3;
const varintShift = 0x80;
const maxVarintBytes = 10;
const maxKnownBytes = 48;
const firstNotAscii = 0x80;
/** The size of the table of known texts. It must be a power of two. */
const knownTexts = 1024;
const hashFactor = 31;
const hashFold = 15;

export function unreadableBytes(why: string): SerinError {
  return transientError("answer-unreadable", `the server's answer is not in Kubernetes' binary format: ${why}`);
}

/** Reads the fields of protobuf messages one after another, without copying those that are skipped. */
export class WireReader {
  readonly #bytes: Buffer;
  /** Recently read texts, by hash. A new text replaces an older one with the same hash. */
  readonly #texts: (string | undefined)[];
  #position: number;
  #end: number;
  #type = 0;

  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes;
    this.#texts = Array.from({ length: knownTexts });
    this.#position = start;
    this.#end = end;
  }

  get position(): number {
    return this.#position;
  }

  get end(): number {
    return this.#end;
  }

  /**
   * Returns the number of the next field, or 0 at the end. The caller must read or skip the field before the next call.
   */
  next(): number {
    if (this.#position >= this.#end) return 0;
    const tag = this.#varint();
    this.#type = tag & ((1 << typeBits) - 1);
    return tag >>> typeBits;
  }

  /** Reads an integer. Integers above 2^53 lose precision. */
  wholeNumber(): number {
    if (this.#type !== wireVarint)
      throw unreadableBytes(`a field is of wire type ${this.#type} where a number was expected`);
    return this.#varint();
  }

  #varint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < maxVarintBytes; count += 1) {
      if (this.#position >= this.#end) break;
      const byte = this.#bytes[this.#position] ?? 0;
      this.#position += 1;
      if (byte < varintShift) return value + byte * scale;
      value += (byte - varintShift) * scale;
      scale *= varintShift;
    }
    throw unreadableBytes("a number does not end");
  }

  text(): string {
    const end = this.endOfField();
    const start = this.#position;
    this.#position = end;
    return end - start > maxKnownBytes ? this.#bytes.toString("utf8", start, end) : this.#known(start, end);
  }

  /** Returns an equal known text instead of a new string, because most texts of a list repeat from object to object. */
  #known(start: number, end: number): string {
    const bytes = this.#bytes;
    let hash = end - start;
    for (let at = start; at < end; at += 1) hash = (Math.imul(hash, hashFactor) + (bytes[at] ?? 0)) | 0;
    const place = (hash ^ (hash >>> hashFold)) & (knownTexts - 1);
    const known = this.#texts[place];
    if (known !== undefined && isText(known, bytes, start, end)) return known;
    const text = bytes.toString("utf8", start, end);
    this.#texts[place] = text;
    return text;
  }

  /** Returns the end of a length-delimited field, and moves to its first byte. */
  endOfField(): number {
    if (this.#type !== wireBytes)
      throw unreadableBytes(`a field is of wire type ${this.#type} where bytes were expected`);
    const length = this.#varint();
    const end = this.#position + length;
    if (end > this.#end) throw unreadableBytes("a field is longer than its container");
    return end;
  }

  skip(): void {
    if (this.#type === wireVarint) this.#varint();
    else if (this.#type === wireBytes) this.#position = this.endOfField();
    else if (this.#type === wire64 || this.#type === wire32) this.#position += this.#type === wire64 ? 8 : 4;
    else throw unreadableBytes(`a field is of wire type ${this.#type}`);
    if (this.#position > this.#end) throw unreadableBytes("a field is longer than its container");
  }

  /** Limits reading to `end`. Returns the former limit, to be passed to {@link widen}. */
  narrow(end: number): number {
    const outer = this.#end;
    this.#end = end;
    return outer;
  }

  widen(outer: number): void {
    this.#end = outer;
  }
}

/** Whether the bytes are this ASCII text. Returns false for any other text, which is then decoded anew. */
function isText(text: string, bytes: Buffer, start: number, end: number): boolean {
  if (text.length !== end - start) return false;
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at] ?? 0;
    if (byte >= firstNotAscii || text.charCodeAt(at - start) !== byte) return false;
  }
  return true;
}
