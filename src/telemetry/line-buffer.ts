/** The maximum number of UTF-8 bytes for one character of a JavaScript string. */
const maxBytesACharacter = 3;

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

  /** Appends bytes unchanged. */
  piece(piece: Uint8Array): void {
    if (!this.#hasRoom(piece.length)) return;
    this.#bytes.set(piece, this.#at);
    this.#at += piece.length;
  }

  text(text: string): void {
    if (this.#hasRoom(text.length * maxBytesACharacter)) this.#at += this.#bytes.write(text, this.#at);
  }

  #hasRoom(bytes: number): boolean {
    if (this.#at + bytes > this.#bytes.length) this.isFull = true;
    return !this.isFull;
  }
}
