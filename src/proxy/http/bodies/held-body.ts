import { JoinedBytes } from "../../../base/joined-bytes/index.ts";
import { ChunkedScanner } from "../../../wire/http1/index.ts";
import type { RequestBodyStart } from "../../filters/http-filter.ts";

/**
 * The part of a body that arrived while filters were waiting: the original bytes to pass on, and the data for a filter
 * that reads it.
 */
export class HeldBody {
  /** Joined into one piece of memory, because a client may send single bytes. */
  readonly #all = new JoinedBytes();
  /** The data among the bytes. The same object if all bytes are data. */
  readonly #data: JoinedBytes;
  readonly #chunked: ChunkedScanner | undefined;
  #complete = false;
  readonly #changed: (difference: number) => void;
  /** The number of held bytes that `changed` knows of. */
  #reported = 0;
  #wanted: { readonly limit: number; readonly resolve: (start: RequestBodyStart) => void } | undefined;

  /** `chunked` means that the bytes have HTTP/1.1 framing. `changed` is called with the change in held bytes. */
  constructor(chunked: boolean, changed: (difference: number) => void) {
    this.#changed = changed;
    this.#chunked = chunked ? new ChunkedScanner() : undefined;
    this.#data = chunked ? new JoinedBytes() : this.#all;
  }

  add(bytes: Buffer, from: number, to: number, complete: boolean): void {
    this.#all.add(bytes.subarray(from, to));
    this.#chunked?.scanJoined(bytes, from, to, (part, start, end) => this.#data.add(part.subarray(start, end)));
    if (complete) this.#complete = true;
    this.#report();
    this.#notify();
  }

  /** Called when all data has arrived, followed by trailers. */
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
    return this.#data.length;
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
    return this.#all.view();
  }

  /** Takes the data that has arrived. Bytes that arrive later count as the beginning of the body. */
  take(): Buffer {
    const data = this.#data.take();
    if (this.#data !== this.#all) this.#all.take();
    this.#report();
    return data;
  }

  /** Called when the holder has passed the bytes on. */
  release(): void {
    this.#changed(-this.#reported);
    this.#reported = 0;
  }

  #report(): void {
    const bytes = this.#all.length + (this.#data === this.#all ? 0 : this.#data.length);
    this.#changed(bytes - this.#reported);
    this.#reported = bytes;
  }

  #notify(): void {
    const wanted = this.#wanted;
    if (wanted === undefined || (!this.#complete && this.size <= wanted.limit)) return;
    this.#wanted = undefined;
    wanted.resolve({
      bytes: Buffer.from(this.#data.view().subarray(0, wanted.limit)),
      isWhole: this.#complete && this.size <= wanted.limit,
    });
  }
}
