/**
 * Shorter texts are copied character by character, and shorter pieces byte by byte, because a call into the runtime
 * takes longer.
 */
const maxCopiedLetters = 8;
const maxCopiedBytes = 96;
/** Greater numbers are not written digit by digit. This one has the greatest number of digits. */
const maxShort = 999_999_999;
const maxDigits = 9;
/** The greatest number of UTF-8 bytes for one character of a JavaScript string. */
const maxBytesACharacter = 3;
const zero = 48;
const minus = 45;

/** Memory for lines, one after another. A line that does not fit is marked, and its bytes do not count. */
export class LineBuffer {
  #bytes: Buffer;
  /** The bytes of whole lines. */
  used = 0;
  /** The end of the unfinished line. */
  #at = 0;
  /** Whether the unfinished line does not fit. */
  isFull = false;

  constructor(size: number) {
    this.#bytes = Buffer.allocUnsafeSlow(size);
  }

  /** The whole lines. */
  lines(): Buffer {
    return this.#bytes.subarray(0, this.used);
  }

  get isHalfUsed(): boolean {
    return this.used * 2 > this.#bytes.length;
  }

  clear(): void {
    this.used = 0;
  }

  /** Begins a line. Drops an unfinished one. */
  begin(): this {
    this.#at = this.used;
    this.isFull = false;
    return this;
  }

  /** Completes the line. */
  keep(): void {
    this.used = this.#at;
  }

  /** Appends bytes unchanged. Without bounds, all of them. */
  piece(piece: Uint8Array, from = 0, to = piece.length): void {
    const length = to - from;
    if (!this.#hasRoom(length)) return;
    if (length > maxCopiedBytes) this.#bytes.set(piece.subarray(from, to), this.#at);
    else {
      const bytes = this.#bytes;
      let at = this.#at;
      for (let index = from; index < to; index += 1, at += 1) bytes[at] = piece[index] ?? 0;
    }
    this.#at += length;
  }

  /** Appends a text whose characters are bytes, as in message heads. */
  latin1(text: string): void {
    const { length } = text;
    if (!this.#hasRoom(length)) return;
    if (length > maxCopiedLetters) this.#bytes.write(text, this.#at, "latin1");
    else for (let index = 0; index < length; index += 1) this.#bytes[this.#at + index] = text.charCodeAt(index);
    this.#at += length;
  }

  text(text: string): void {
    if (this.#hasRoom(text.length * maxBytesACharacter)) this.#at += this.#bytes.write(text, this.#at);
  }

  /** Appends a whole number, or `-` for a negative one. */
  count(value: number): void {
    if (!this.#hasRoom(maxDigits)) return;
    if (value < 0) {
      this.#bytes[this.#at] = minus;
      this.#at += 1;
      return;
    }
    if (value > maxShort) {
      this.latin1(String(value));
      return;
    }
    let digits = 1;
    for (let bound = 10; value >= bound; bound *= 10) digits += 1;
    let rest = value | 0;
    for (let at = this.#at + digits - 1; at >= this.#at; at -= 1) {
      const tenth = (rest / 10) | 0;
      this.#bytes[at] = zero + rest - tenth * 10;
      rest = tenth;
    }
    this.#at += digits;
  }

  #hasRoom(bytes: number): boolean {
    if (this.#at + bytes > this.#bytes.length) this.isFull = true;
    return !this.isFull;
  }
}
