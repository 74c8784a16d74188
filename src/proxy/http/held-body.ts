import { ChunkedScanner } from "../../wire/http1/index.ts";
import type { RequestBodyStart } from "../filters/http-filter.ts";

/**
 * The part of a body that arrived while filters were waiting: the original bytes to pass on, and the data for a filter
 * that reads it.
 */
export class HeldBody {
  readonly #parts: Buffer[] = [];
  readonly #data: Buffer[] = [];
  readonly #chunked: ChunkedScanner | undefined;
  #dataBytes = 0;
  #complete = false;
  #wanted: { readonly limit: number; readonly resolve: (start: RequestBodyStart) => void } | undefined;

  /** `chunked` means that the bytes have HTTP/1.1 framing. */
  constructor(chunked: boolean) {
    this.#chunked = chunked ? new ChunkedScanner() : undefined;
  }

  add(bytes: Buffer, from: number, to: number, complete: boolean): void {
    const part = Buffer.from(bytes.subarray(from, to));
    this.#parts.push(part);
    if (this.#chunked === undefined) this.#note(part);
    else this.#chunked.scan(part, 0, part.length, (start, end) => this.#note(part.subarray(start, end)));
    if (complete) this.#complete = true;
    this.#notify();
  }

  /** All data has arrived, and trailers followed it. */
  end(): void {
    this.#complete = true;
    this.#notify();
  }

  /** Whether the whole body has arrived. */
  get complete(): boolean {
    return this.#complete;
  }

  /** The number of data bytes that have arrived. */
  get size(): number {
    return this.#dataBytes;
  }

  /** Whether a filter waits for more of the body. */
  get wanted(): boolean {
    return this.#wanted !== undefined;
  }

  /** Resolves once more than `limit` bytes have arrived, or all. */
  start(limit: number): Promise<RequestBodyStart> {
    return new Promise((resolve) => {
      this.#wanted = { limit, resolve };
      this.#notify();
    });
  }

  /** All bytes as they arrived. */
  bytes(): Buffer {
    return this.#parts.length === 1 && this.#parts[0] !== undefined ? this.#parts[0] : Buffer.concat(this.#parts);
  }

  /** Takes the data that has arrived. Bytes that arrive later count as the beginning of the body. */
  take(): Buffer {
    const data = this.#data.length === 1 && this.#data[0] !== undefined ? this.#data[0] : Buffer.concat(this.#data);
    this.#data.length = 0;
    this.#parts.length = 0;
    this.#dataBytes = 0;
    return data;
  }

  #note(data: Buffer): void {
    this.#data.push(data);
    this.#dataBytes += data.length;
  }

  #notify(): void {
    const wanted = this.#wanted;
    if (wanted === undefined || (!this.#complete && this.#dataBytes <= wanted.limit)) return;
    this.#wanted = undefined;
    wanted.resolve({
      bytes: Buffer.concat(this.#data).subarray(0, wanted.limit),
      isWhole: this.#complete && this.#dataBytes <= wanted.limit,
    });
  }
}
