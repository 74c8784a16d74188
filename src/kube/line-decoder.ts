import { transientError } from "../base/index.ts";

const newline = 0x0a;

/**
 * Splits a byte stream into lines. Throws if a line is longer than `maxBytes`. After that, do not use the decoder
 * again.
 */
export class LineDecoder {
  readonly #maxBytes: number;
  #parts: Uint8Array[] = [];
  #size = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Returns the lines that end in this chunk, without newlines and without empty lines. */
  push(chunk: Uint8Array): string[] {
    const lines: string[] = [];
    let start = 0;
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, start)) {
      const line = this.#take(chunk.subarray(start, end));
      if (line !== "") lines.push(line);
      start = end + 1;
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
    return lines;
  }

  #keep(part: Uint8Array): void {
    this.#parts.push(part);
    this.#size += part.length;
    if (this.#size > this.#maxBytes) {
      throw transientError("answer-too-long", `a line of a watch is longer than ${this.#maxBytes} bytes`);
    }
  }

  #take(last: Uint8Array): string {
    if (this.#parts.length === 0) return Buffer.from(last.buffer, last.byteOffset, last.length).toString("utf8");
    this.#keep(last);
    const line = Buffer.concat(this.#parts, this.#size).toString("utf8");
    this.#parts = [];
    this.#size = 0;
    return line;
  }
}
