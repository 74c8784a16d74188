import { SerinError, userError } from "../../../base/index.ts";

/** Whether it is compressed, and the length. */
const prefixBytes = 5;
/** The first place of a message that comes in pieces; it grows as they come, for what is said of its length may be a lie. */
const startBytes = 4096;
const noBytes = Buffer.alloc(0);

/** What a compressed message says; throws a user error when it says nothing, or too much. */
export type Decompress = (bytes: Buffer) => Buffer;

/** Cuts what comes over a gRPC stream into its messages. Keeps one message at most, that up to `maxBytes`, and no more than twice what has come of it. */
export class MessageDecoder {
  readonly #maxBytes: number;
  readonly #decompress: Decompress | undefined;
  /** The beginning of a message whose end has not come, up to `#kept`. */
  #place = noBytes;
  #kept = 0;

  /** `decompress` is absent in a stream that said that it compresses nothing. */
  constructor(maxBytes: number, decompress?: Decompress) {
    this.#maxBytes = maxBytes;
    this.#decompress = decompress;
  }

  /** Whether a message has begun and not ended. */
  get isInside(): boolean {
    return this.#kept > 0;
  }

  /**
   * Calls for each message that ends in this chunk; its bytes hold as long as the chunk's. Throws a user error for one that is
   * too long, or compressed where that was not agreed upon.
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

  /** A copy: of frames of one byte each, the frames would be hundreds of times as large as what they say. */
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

  /** Bytes that must have come before there is anything more to say of what is kept. */
  get #awaited(): number {
    return this.#kept < prefixBytes ? prefixBytes : prefixBytes + this.#lengthAt(this.#place, 0);
  }

  #lengthAt(bytes: Buffer, at: number): number {
    const flag = bytes[at];
    if (flag !== 0 && this.#decompress === undefined)
      throw userError("compressed", "a request is compressed, in a stream that said that it compresses nothing");
    if (flag !== 0 && flag !== 1)
      throw userError(
        "bad-prefix",
        `a request begins with the byte ${flag}, where 0 or 1 says whether it is compressed`,
      );
    const length = bytes.readUInt32BE(at + 1);
    if (length > this.#maxBytes)
      throw new SerinError(
        "user",
        "request-too-long",
        `a request may have ${this.#maxBytes} bytes at most, this one has ${length}`,
      );
    return length;
  }
}
