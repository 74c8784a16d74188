import { JoinedBytes } from "../../../base/joined-bytes/index.ts";
import { ChunkedScanner } from "../../../wire/http1/index.ts";
import type { RequestBodyStart } from "../../filters/http-filter.ts";

/**
 * The part of a body that has arrived while filters wait. It keeps the original bytes, to pass them on, and the data
 * without framing, for a filter that reads it.
 */
export class HeldBody {
  /** All bytes, joined into one piece of memory, because a client may send single bytes. */
  readonly #all = new JoinedBytes();
  /** The data without framing. It is the same object as `#all` if the bytes have no framing. */
  readonly #data: JoinedBytes;
  readonly #chunked: ChunkedScanner | undefined;
  #complete = false;
  readonly #changed: (difference: number) => void;
  /** The number of held bytes that was last reported to `changed`. */
  #reported = 0;
  #wanted: { readonly limit: number; readonly resolve: (start: RequestBodyStart) => void } | undefined;

  /**
   * `chunked` says whether the bytes have the chunked framing of HTTP/1.1. `changed` is called with each difference in
   * the number of held bytes.
   */
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

  end(): void {
    this.#complete = true;
    this.#notify();
  }

  get complete(): boolean {
    return this.#complete;
  }

  /** The number of data bytes that have arrived. */
  get size(): number {
    return this.#data.length;
  }

  get wanted(): boolean {
    return this.#wanted !== undefined;
  }

  /** Resolves when more than `limit` bytes of data have arrived, or the whole body has. */
  start(limit: number): Promise<RequestBodyStart> {
    return new Promise((resolve) => {
      this.#wanted = { limit, resolve };
      this.#notify();
    });
  }

  bytes(): Buffer {
    return this.#all.view();
  }

  /** Takes out the data that has arrived. Afterwards, the held body begins with the data that arrives next. */
  take(): Buffer {
    const data = this.#data.take();
    if (this.#data !== this.#all) this.#all.take();
    this.#report();
    return data;
  }

  /** Must be called when the holder has passed the bytes on. */
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
