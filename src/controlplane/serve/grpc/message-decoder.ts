import { SerinError, userError } from "../../../base/index.ts";

/** The compression flag and the length. */
const prefixBytes = 5;
/**
 * The initial buffer for a message that arrives in pieces. It grows as they arrive, because the announced length may be
 * false.
 */
const startBytes = 4096;
const noBytes = Buffer.alloc(0);

/** Expands a compressed message. Throws a user error if the message is invalid or too long. */
export type Decompress = (bytes: Buffer) => Buffer;

/**
 * Splits the bytes of a gRPC stream into messages. It keeps at most one incomplete message of up to `maxBytes`, in at
 * most twice the memory of the bytes that have arrived.
 */
export class MessageDecoder {
  readonly #maxBytes: number;
  readonly #decompress: Decompress | undefined;
  /** The beginning of an incomplete message, of which `#kept` bytes have arrived. */
  #place = noBytes;
  #kept = 0;

  /** Makes a decoder. `decompress` is absent for a stream that announced no compression. */
  constructor(maxBytes: number, decompress?: Decompress) {
    this.#maxBytes = maxBytes;
    this.#decompress = decompress;
  }

  get keptBytes(): number {
    return this.#place.length;
  }

  get isInside(): boolean {
    return this.#kept > 0;
  }

  /**
   * Calls `message` for each message that ends in this chunk. Its bytes are valid as long as the chunk's. Throws a user
   * error for a message that is too long, or that is compressed without agreement.
   */
  push(chunk: Buffer, message: (bytes: Buffer) => void): void {
    let at = 0;
    while (this.#kept > 0) {
      const missing = this.#awaited - this.#kept;
      const end = Math.min(chunk.length, at + missing);
      this.#keep(chunk, at, end);
      if (end - at < missing) return;
      at = end;
      if (this.#awaited > this.#kept) continue;
      const whole = this.#place.subarray(0, this.#kept);
      this.#place = noBytes;
      this.#kept = 0;
      message(this.#plain(whole, 0, whole.length));
    }
    while (chunk.length - at >= prefixBytes) {
      const end = at + prefixBytes + this.#lengthAt(chunk, at);
      if (end > chunk.length) break;
      message(this.#plain(chunk, at, end));
      at = end;
    }
    if (at < chunk.length) this.#keep(chunk, at, chunk.length);
  }

  #plain(bytes: Buffer, at: number, end: number): Buffer {
    const body = bytes.subarray(at + prefixBytes, end);
    return bytes[at] === 0 || this.#decompress === undefined ? body : this.#decompress(body);
  }

  /**
   * Copies a part of a chunk. If each frame had one byte, keeping the frames would take hundreds of times the memory of
   * their content.
   */
  #keep(chunk: Buffer, from: number, to: number): void {
    const size = this.#kept + to - from;
    if (size > this.#place.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(startBytes, size, Math.min(this.#kept * 2, this.#awaited)));
      this.#place.copy(grown, 0, 0, this.#kept);
      this.#place = grown;
    }
    chunk.copy(this.#place, this.#kept, from, to);
    this.#kept = size;
  }

  /** The number of bytes that must have arrived before the incomplete message can be decoded further. */
  get #awaited(): number {
    return this.#kept < prefixBytes ? prefixBytes : prefixBytes + this.#lengthAt(this.#place, 0);
  }

  #lengthAt(bytes: Buffer, at: number): number {
    const flag = bytes[at];
    if (flag !== 0 && this.#decompress === undefined)
      throw userError("bad-request", "a request is compressed, but its stream announced no compression");
    if (flag !== 0 && flag !== 1)
      throw userError(
        "bad-request",
        `a request begins with the byte ${flag}, expected 0 (not compressed) or 1 (compressed)`,
      );
    const length = bytes.readUInt32BE(at + 1);
    if (length > this.#maxBytes)
      throw new SerinError(
        "user",
        "request-too-long",
        `a request may have at most ${this.#maxBytes} bytes, got ${length}`,
      );
    return length;
  }
}
