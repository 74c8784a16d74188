import type { Transform } from "node:stream";
import type * as Zlib from "node:zlib";

export const noBytes = Buffer.alloc(0);

/**
 * A body that passes through a stream of zlib, part by part. The caller must call {@link close} at the end, also after
 * the last part.
 */
export class TransformedBody {
  readonly #stream: Transform;
  readonly #check: (outputBytes: number) => Error | undefined;
  readonly #output: Buffer[] = [];
  #fault: Error | undefined;
  #waiting: PromiseWithResolvers<Buffer> | undefined;

  /**
   * `stream` must flush its output at the end of each write. `check` gets the length of each piece of output before
   * more output is read, and returns an error to stop.
   */
  constructor(stream: Transform, check: (outputBytes: number) => Error | undefined = () => undefined) {
    this.#stream = stream;
    this.#check = check;
    stream.on("readable", () => this.#collect());
    stream.on("end", () => this.#settle());
    stream.on("error", (error) => this.#fail(error));
  }

  /**
   * Gives a part to the stream, and returns the output that is available so far. Rejects if the stream has failed. The
   * caller must wait for the result before the next call.
   */
  part(bytes: Buffer, end: boolean): Promise<Buffer> {
    const waiting = Promise.withResolvers<Buffer>();
    this.#waiting = waiting;
    if (this.#fault !== undefined) waiting.reject(this.#fault);
    else if (end) this.#stream.end(bytes);
    else this.#stream.write(bytes, (error) => (error ? this.#fail(error) : this.#settle()));
    return waiting.promise;
  }

  /** Frees the memory. A pending call of {@link part} may then never settle. */
  close(): void {
    this.#stream.destroy();
  }

  #collect(): void {
    // Read all output, because the stream stops at its high-water mark if nobody reads.
    for (let chunk = this.#read(); chunk !== null; chunk = this.#read()) {
      this.#output.push(chunk);
      const fault = this.#check(chunk.length);
      if (fault === undefined) continue;
      this.#fail(fault);
      this.close();
      return;
    }
  }

  #read(): Buffer | null {
    return this.#stream.destroyed ? null : (this.#stream.read() as Buffer | null);
  }

  #fail(error: Error): void {
    this.#fault ??= error;
    this.#output.length = 0;
    this.#waiting?.reject(this.#fault);
    this.#waiting = undefined;
  }

  #settle(): void {
    this.#collect();
    this.#waiting?.resolve(this.#output.length === 1 ? (this.#output[0] ?? noBytes) : Buffer.concat(this.#output));
    this.#waiting = undefined;
    this.#output.length = 0;
  }
}

/** Returns zlib. The first configuration that compresses or decompresses loads it. */
export function zlib(): typeof Zlib {
  return process.getBuiltinModule("node:zlib");
}
