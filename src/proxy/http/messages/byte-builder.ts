import type { ByteStream } from "../../../net/index.ts";
import { headText } from "../../terms/header-text.ts";
import { viewOf } from "../../terms/random-id.ts";

const lineEnd = "\r\n";
const maxLatin1 = 0xff;
/** The maximum length of a text that a loop writes faster than a call of the runtime does. */
const loopLetters = 64;
const colon = 58;
const space = 32;
const carriageReturn = 13;
const lineFeed = 10;
/** The number of bytes that a header's line has besides its name and value: `: ` and the line break. */
const fieldMarks = 4;

/** A value that can write its bytes directly into a buffer, so that no string has to be made. */
export interface WritesItself {
  readonly byteLength: number;
  writeTo(bytes: DataView, at: number): void;
}

/**
 * Builds one contiguous message in a buffer that grows if needed. Text is written as Latin-1, like header bytes. Text
 * with other characters is written as UTF-8.
 */
export class ByteBuilder {
  buffer: Buffer;
  length = 0;
  /** The last view from the beginning. It is returned again for a message of the same length in the same memory. */
  #view: Buffer | undefined;
  /** A view of the same memory for {@link WritesItself}. Undefined until the first one writes. */
  #stores: DataView | undefined;

  constructor(capacity: number) {
    this.buffer = Buffer.allocUnsafeSlow(capacity);
  }

  /** Starts over. Memory beyond `capacity` is released. */
  clear(capacity = this.buffer.length): void {
    this.length = 0;
    if (this.buffer.length > capacity) this.#take(Buffer.allocUnsafeSlow(capacity));
  }

  text(text: string): void {
    const written = headText(text);
    this.#reserve(written.length);
    this.length += this.buffer.write(written, this.length, "latin1");
  }

  /**
   * Appends the line of a header. The text is written as by {@link text}, mostly without making a string of the whole
   * line.
   */
  field(name: string, value: string): void {
    if (name.length + value.length > loopLetters || !this.#shortField(name, value)) this.text(`${name}: ${value}\r\n`);
  }

  /**
   * Appends the line of a header letter by letter. If a letter is beyond Latin-1, appends nothing and returns false.
   */
  #shortField(name: string, value: string): boolean {
    this.#reserve(name.length + value.length + fieldMarks);
    const { buffer } = this;
    let at = this.length;
    let letters = 0;
    for (let index = 0; index < name.length; index += 1) {
      const code = name.charCodeAt(index);
      letters |= code;
      buffer[at] = code;
      at += 1;
    }
    buffer[at] = colon;
    buffer[at + 1] = space;
    at += 2;
    for (let index = 0; index < value.length; index += 1) {
      const code = value.charCodeAt(index);
      letters |= code;
      buffer[at] = code;
      at += 1;
    }
    buffer[at] = carriageReturn;
    buffer[at + 1] = lineFeed;
    if (letters > maxLatin1) return false;
    this.length = at + 2;
    return true;
  }

  /** Appends the line of a header whose value writes itself. */
  writtenField(name: string, value: WritesItself): void {
    this.#part(name);
    this.#part(": ");
    this.written(value);
    this.#part(lineEnd);
  }

  /** Appends the bytes of a value that writes itself. The bytes must be valid in a head. */
  written(source: WritesItself): void {
    const { byteLength } = source;
    this.#reserve(byteLength);
    source.writeTo((this.#stores ??= viewOf(this.buffer)), this.length);
    this.length += byteLength;
  }

  #part(text: string): void {
    const { length } = text;
    if (length > loopLetters) {
      this.text(text);
      return;
    }
    this.#reserve(length);
    const { buffer, length: at } = this;
    for (let index = 0; index < length; index += 1) {
      const code = text.charCodeAt(index);
      if (code > maxLatin1) {
        this.text(text);
        return;
      }
      buffer[at + index] = code;
    }
    this.length = at + length;
  }

  /** Appends a short sequence of bytes that are known to be valid in a head. */
  piece(piece: Uint8Array): void {
    const { length } = piece;
    this.#reserve(length);
    const { buffer, length: at } = this;
    for (let index = 0; index < length; index += 1) buffer[at + index] = piece[index] ?? 0;
    this.length = at + length;
  }

  range(bytes: Buffer, from: number, to: number): void {
    if (to <= from) return;
    this.#reserve(to - from);
    bytes.copy(this.buffer, this.length, from, to);
    this.length += to - from;
  }

  view(from = 0): Buffer {
    if (from > 0) return this.buffer.subarray(from, this.length);
    const kept = this.#view;
    if (kept?.length === this.length) return kept;
    return (this.#view = this.buffer.subarray(0, this.length));
  }

  /**
   * Replaces a range by another text. If the lengths differ, the result gets new memory, so that existing views keep
   * their content.
   */
  replace(from: number, to: number, text: string): void {
    if (text.length === to - from) {
      this.buffer.write(text, from, "latin1");
      return;
    }
    const before = this.buffer;
    const made = Buffer.allocUnsafeSlow(Math.max(before.length, this.length + text.length - (to - from)));
    before.copy(made, 0, 0, from);
    made.write(text, from, "latin1");
    before.copy(made, from + text.length, to, this.length);
    this.#take(made);
    this.length += text.length - (to - from);
  }

  /** Leaves the memory to existing views, and continues with new memory. */
  detach(capacity = this.buffer.length): void {
    this.#take(Buffer.allocUnsafeSlow(capacity));
    this.length = 0;
  }

  #reserve(bytes: number): void {
    const needed = this.length + bytes;
    if (needed <= this.buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2));
    this.buffer.copy(grown, 0, 0, this.length);
    this.#take(grown);
  }

  #take(buffer: Buffer): void {
    this.buffer = buffer;
    this.#view = undefined;
    this.#stores = undefined;
  }
}

/** The size of one read, plus room for a head before it. */
const scratchBytes = 128 * 1024;

/**
 * The memory in which output is composed. Output is composed and written without interruption, so all connections of
 * the thread share it.
 */
export const scratch = new ByteBuilder(scratchBytes);

/**
 * Writes the content of {@link scratch} to a stream. Returns the result of {@link ByteStream.write}. Afterwards, the
 * scratch can be used again.
 */
export function sendScratch(stream: ByteStream): boolean {
  const more = stream.write(scratch.view());
  if (stream.bufferedBytes > 0) scratch.detach();
  else scratch.clear();
  return more;
}
