/** The maximum number of UTF-8 bytes for one character of a JavaScript string. */
const maxBytesACharacter = 3;

/** Memory for lines, one after another. If a line does not fit, `isFull` is set, and its bytes are dropped. */
export class LineBuffer {
  #bytes: Buffer;
  /** The number of bytes of whole lines. */
  used = 0;
  /** The end of the unfinished line. */
  #at = 0;
  /** Whether the unfinished line does not fit. */
  isFull = false;

  constructor(size: number) {
    this.#bytes = Buffer.allocUnsafeSlow(size);
  }

  lines(): Buffer {
    return this.#bytes.subarray(0, this.used);
  }

  get isHalfUsed(): boolean {
    return this.used * 2 > this.#bytes.length;
  }

  clear(): void {
    this.used = 0;
  }

  begin(): this {
    this.#at = this.used;
    this.isFull = false;
    return this;
  }

  keep(): void {
    this.used = this.#at;
  }

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
