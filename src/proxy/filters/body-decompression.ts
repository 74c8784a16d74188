import type { Transform } from "node:stream";
import type * as Zlib from "node:zlib";

/** Makes decompressors of one content coding. */
export interface DecompressorLibrary {
  /** The coding, as `accept-encoding` and `content-encoding` name it. */
  readonly coding: "gzip" | "br" | "zstd";
  /** Envoy's word for the library in names of statistics. */
  readonly statName: "gzip" | "brotli" | "zstd";
  start(): BodyDecompression;
}

/** Decompresses one body, part by part. {@link close} must follow, also after the last part. */
export class BodyDecompression {
  readonly #stream: Transform;
  readonly #maxRatio: number;
  readonly #output: Buffer[] = [];
  #bytesIn = 0;
  #bytesOut = 0;
  #fault: Error | undefined;
  #waiting: PromiseWithResolvers<Buffer> | undefined;

  /** A body may not become more than `maxRatio` times as large as what has arrived of it. */
  constructor(stream: Transform, maxRatio: number) {
    this.#stream = stream;
    this.#maxRatio = maxRatio;
    stream.on("readable", () => this.#collect());
    stream.on("end", () => this.#settle());
    stream.on("error", (error) => this.#fail(error));
  }

  /**
   * Returns the content of the part, as far as it can be decoded without the next one. Rejects if the body is invalid
   * for the coding, ends too early, or grows too much. The next call must wait for the result.
   */
  part(bytes: Buffer, end: boolean): Promise<Buffer> {
    this.#bytesIn += bytes.length;
    const waiting = Promise.withResolvers<Buffer>();
    this.#waiting = waiting;
    if (this.#fault !== undefined) waiting.reject(this.#fault);
    // A body may be empty, whatever its coding.
    else if (this.#bytesIn === 0) waiting.resolve(noBytes);
    else if (end) this.#stream.end(bytes);
    else this.#stream.write(bytes, (error) => (error ? this.#fail(error) : this.#settle()));
    return waiting.promise;
  }

  /** Frees the memory. The result of a pending part may never be delivered. */
  close(): void {
    this.#stream.destroy();
  }

  #collect(): void {
    for (let chunk = this.#read(); chunk !== null; chunk = this.#read()) {
      this.#output.push(chunk);
      this.#bytesOut += chunk.length;
      if (this.#bytesOut <= this.#maxRatio * this.#bytesIn) continue;
      this.#fail(new RangeError(`the body grows to more than ${this.#maxRatio} times its size`));
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

const noBytes = Buffer.alloc(0);

/** Envoy's limit for bodies of gzip if a configuration sets none. It protects the other codings here, too. */
export const defaultMaxRatio = 100;

export interface GunzipOptions {
  readonly windowBits: number;
  readonly chunkBytes: number;
  readonly maxRatio: number;
}

export function gunzipLibrary({ windowBits, chunkBytes: chunkSize, maxRatio }: GunzipOptions): DecompressorLibrary {
  const { createGunzip } = zlib();
  return {
    coding: "gzip",
    statName: "gzip",
    start: () => new BodyDecompression(createGunzip({ windowBits, chunkSize }), maxRatio),
  };
}

export interface BrotliDecodingOptions {
  readonly keepsRingBuffer: boolean;
  readonly chunkBytes: number;
}

export function brotliDecodingLibrary(options: BrotliDecodingOptions): DecompressorLibrary {
  const { createBrotliDecompress, constants } = zlib();
  const settings = {
    chunkSize: options.chunkBytes,
    params: { [constants.BROTLI_DECODER_PARAM_DISABLE_RING_BUFFER_REALLOCATION]: options.keepsRingBuffer },
  };
  return {
    coding: "br",
    statName: "brotli",
    start: () => new BodyDecompression(createBrotliDecompress(settings), defaultMaxRatio),
  };
}

export function zstdDecodingLibrary(chunkSize: number): DecompressorLibrary {
  const { createZstdDecompress } = zlib();
  return {
    coding: "zstd",
    statName: "zstd",
    start: () => new BodyDecompression(createZstdDecompress({ chunkSize }), defaultMaxRatio),
  };
}

/** Loads zlib with the first configuration that decompresses. */
function zlib(): typeof Zlib {
  return process.getBuiltinModule("node:zlib");
}
