import type { Transform } from "node:stream";
import type * as Zlib from "node:zlib";

export const noBytes = Buffer.alloc(0);

/** A body that goes through a stream of zlib, part by part. {@link close} must follow, also after the last part. */
export class TransformedBody {
  readonly #stream: Transform;
  readonly #check: (outputBytes: number) => Error | undefined;
  readonly #output: Buffer[] = [];
  #fault: Error | undefined;
  #waiting: PromiseWithResolvers<Buffer> | undefined;

  /**
   * The stream flushes its output at the end of each write. `check` sees the length of each piece of output before more
   * of it is read, and may refuse it.
   */
  constructor(stream: Transform, check: (outputBytes: number) => Error | undefined = () => undefined) {
    this.#stream = stream;
    this.#check = check;
    stream.on("readable", () => this.#collect());
    stream.on("end", () => this.#settle());
    stream.on("error", (error) => this.#fail(error));
  }

  /**
   * Returns as much output as the parts so far allow. Rejects if the stream has failed. The next call must wait for the
   * result.
   */
  part(bytes: Buffer, end: boolean): Promise<Buffer> {
    const waiting = Promise.withResolvers<Buffer>();
    this.#waiting = waiting;
    if (this.#fault !== undefined) waiting.reject(this.#fault);
    else if (end) this.#stream.end(bytes);
    else this.#stream.write(bytes, (error) => (error ? this.#fail(error) : this.#settle()));
    return waiting.promise;
  }

  /** Frees the memory. The result of a pending part may never be delivered. */
  close(): void {
    this.#stream.destroy();
  }

  #collect(): void {
    // If nobody read the output, the stream would wait at its high-water mark.
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
