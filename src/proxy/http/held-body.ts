import { ChunkedScanner } from "../../wire/http1/index.ts";
import type { RequestBodyStart } from "../filters/http-filter.ts";

/**
 * The part of a request's body that arrived while filters were waiting: the original bytes for the upstream, and the
 * data for a filter that reads it. It holds at most one read more than a filter asks for.
 */
export class HeldBody {
  readonly #parts: Buffer[] = [];
  readonly #data: Buffer[] = [];
  readonly #chunked: ChunkedScanner | undefined;
  #dataBytes = 0;
  #complete = false;
  #wanted: { readonly limit: number; readonly resolve: (start: RequestBodyStart) => void } | undefined;

  /** `chunked`: the bytes come with the framing of HTTP/1.1. */
  constructor(chunked: boolean) {
    this.#chunked = chunked ? new ChunkedScanner() : undefined;
  }

  add(bytes: Buffer, from: number, to: number, complete: boolean): void {
    const part = Buffer.from(bytes.subarray(from, to));
    this.#parts.push(part);
    if (this.#chunked === undefined) this.#note(part);
    else this.#chunked.scan(part, 0, part.length, (start, end) => this.#note(part.subarray(start, end)));
    if (complete) this.#complete = true;
    this.#tell();
  }

  /** All data has come, by trailers that followed it. */
  end(): void {
    this.#complete = true;
    this.#tell();
  }

  /** A filter waits for more of it. */
  get wanted(): boolean {
    return this.#wanted !== undefined;
  }

  /** Resolves when there are more than `limit` bytes, or all. */
  start(limit: number): Promise<RequestBodyStart> {
    return new Promise((resolve) => {
      this.#wanted = { limit, resolve };
      this.#tell();
    });
  }

  /** All bytes, as they came. */
  bytes(): Buffer {
    return this.#parts.length === 1 && this.#parts[0] !== undefined ? this.#parts[0] : Buffer.concat(this.#parts);
  }

  #note(data: Buffer): void {
    this.#data.push(data);
    this.#dataBytes += data.length;
  }

  #tell(): void {
    const wanted = this.#wanted;
    if (wanted === undefined || (!this.#complete && this.#dataBytes <= wanted.limit)) return;
    this.#wanted = undefined;
    wanted.resolve({
      bytes: Buffer.concat(this.#data).subarray(0, wanted.limit),
      whole: this.#complete && this.#dataBytes <= wanted.limit,
    });
  }
}
