import { SerinError, userError } from "../../base/index.ts";

/** Whether it is compressed, and the length. */
const prefixBytes = 5;

/** Cuts what comes over a gRPC stream into its messages. Keeps one message at most, and that up to `maxBytes`. */
export class MessageDecoder {
  readonly #maxBytes: number;
  /** The beginning of a message whose end has not come. */
  #parts: Buffer[] = [];
  #kept = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Calls for each message that ends in this chunk. Throws a user error for one that is too long or compressed, which was not agreed upon. */
  push(chunk: Buffer, message: (bytes: Buffer) => void): void {
    let bytes = chunk;
    if (this.#kept > 0) {
      this.#keep(chunk);
      // Long messages come in many pieces, which are put together once all are there.
      if (this.#kept < this.#awaited) return;
      bytes = Buffer.concat(this.#parts, this.#kept);
      this.#parts = [];
      this.#kept = 0;
    }
    let at = 0;
    while (bytes.length - at >= prefixBytes) {
      const end = at + prefixBytes + this.#lengthAt(bytes, at);
      if (end > bytes.length) break;
      message(bytes.subarray(at + prefixBytes, end));
      at = end;
    }
    if (at < bytes.length) this.#keep(bytes.subarray(at));
  }

  #keep(part: Buffer): void {
    this.#parts.push(part);
    this.#kept += part.length;
  }

  /** Bytes that must have come before there is anything to cut. */
  get #awaited(): number {
    const first = this.#parts[0];
    if (first === undefined || first.length < prefixBytes) return prefixBytes;
    return prefixBytes + this.#lengthAt(first, 0);
  }

  #lengthAt(bytes: Buffer, at: number): number {
    if (bytes[at] !== 0) throw userError("compressed", "a request is compressed, in a stream that said that it compresses nothing");
    const length = bytes.readUInt32BE(at + 1);
    if (length > this.#maxBytes) throw new SerinError("user", "request-too-long", `a request may have ${this.#maxBytes} bytes at most, this one has ${length}`);
    return length;
  }
}
