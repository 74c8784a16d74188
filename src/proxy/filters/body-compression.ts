import type { Transform } from "node:stream";
import type * as Zlib from "node:zlib";

/** Makes compressors of one content coding. */
export interface CompressorLibrary {
  /** The coding, as `accept-encoding` and `content-encoding` name it. */
  readonly coding: "gzip" | "br" | "zstd";
  /** Envoy's word for the library in names of statistics. */
  readonly statName: "gzip" | "brotli" | "zstd";
  /** Begins to compress a body. `bytes`: its length, if it is known. */
  start(bytes: number | undefined): BodyCompression;
}

/** Compresses one body, part by part. {@link close} must follow, also after the last part. */
export class BodyCompression {
  readonly #stream: Transform;
  readonly #output: Buffer[] = [];
  #waiting: PromiseWithResolvers<Buffer> | undefined;

  /** `stream`: flushes what it has at the end of each write. */
  constructor(stream: Transform) {
    this.#stream = stream;
    stream.on("readable", () => this.#collect());
    stream.on("end", () => this.#settle());
    stream.on("error", (error) => this.#waiting?.reject(error));
  }

  /**
   * Returns the compressed part, from which a client can read the whole part at once. The next call must wait for the
   * result.
   */
  part(bytes: Buffer, end: boolean): Promise<Buffer> {
    const waiting = Promise.withResolvers<Buffer>();
    this.#waiting = waiting;
    if (end) this.#stream.end(bytes);
    else this.#stream.write(bytes, (error) => (error ? waiting.reject(error) : this.#settle()));
    return waiting.promise;
  }

  /** Frees the memory. The result of a pending part may never be delivered. */
  close(): void {
    this.#stream.destroy();
  }

  #collect(): void {
    // Without a reader, the stream would wait at its high-water mark.
    for (let chunk = this.#read(); chunk !== null; chunk = this.#read()) this.#output.push(chunk);
  }

  #read(): Buffer | null {
    return this.#stream.read() as Buffer | null;
  }

  #settle(): void {
    this.#collect();
    this.#waiting?.resolve(this.#output.length === 1 ? (this.#output[0] ?? noBytes) : Buffer.concat(this.#output));
    this.#waiting = undefined;
    this.#output.length = 0;
  }
}

const noBytes = Buffer.alloc(0);

export interface GzipOptions {
  /** From 1 to 9. Undefined: zlib's own. */
  readonly level: number | undefined;
  /** A number of zlib's constants. */
  readonly strategy: number;
  readonly windowBits: number;
  readonly memoryLevel: number;
  readonly chunkBytes: number;
}

export function gzipLibrary({ level, strategy, windowBits, memoryLevel, chunkBytes }: GzipOptions): CompressorLibrary {
  const { createGzip, constants } = zlib();
  const options = {
    level: level ?? constants.Z_DEFAULT_COMPRESSION,
    strategy,
    windowBits,
    memLevel: memoryLevel,
    chunkSize: chunkBytes,
    flush: constants.Z_SYNC_FLUSH,
  };
  return { coding: "gzip", statName: "gzip", start: () => new BodyCompression(createGzip(options)) };
}

export interface BrotliOptions {
  readonly quality: number;
  readonly mode: "generic" | "text" | "font";
  readonly windowBits: number;
  /** Undefined: the library's choice, which depends on the quality. */
  readonly inputBlockBits: number | undefined;
  readonly modelsLiteralContext: boolean;
  readonly chunkBytes: number;
}

export function brotliLibrary(options: BrotliOptions): CompressorLibrary {
  const { createBrotliCompress, constants } = zlib();
  const modes = {
    generic: constants.BROTLI_MODE_GENERIC,
    text: constants.BROTLI_MODE_TEXT,
    font: constants.BROTLI_MODE_FONT,
  };
  const params: Record<number, number | boolean> = {
    [constants.BROTLI_PARAM_QUALITY]: options.quality,
    [constants.BROTLI_PARAM_MODE]: modes[options.mode],
    [constants.BROTLI_PARAM_LGWIN]: options.windowBits,
    [constants.BROTLI_PARAM_DISABLE_LITERAL_CONTEXT_MODELING]: !options.modelsLiteralContext,
  };
  if (options.inputBlockBits !== undefined) params[constants.BROTLI_PARAM_LGBLOCK] = options.inputBlockBits;
  const settings = { params, chunkSize: options.chunkBytes, flush: constants.BROTLI_OPERATION_FLUSH };
  return { coding: "br", statName: "brotli", start: () => new BodyCompression(createBrotliCompress(settings)) };
}

export interface ZstdOptions {
  readonly level: number;
  readonly checksum: boolean;
  /** A number of zstd's constants. Undefined: the level's default. */
  readonly strategy: number | undefined;
  readonly chunkBytes: number;
}

export function zstdLibrary({ level, checksum, strategy, chunkBytes }: ZstdOptions): CompressorLibrary {
  const { createZstdCompress, constants } = zlib();
  const params: Record<number, number | boolean> = {
    [constants.ZSTD_c_compressionLevel]: level,
    [constants.ZSTD_c_checksumFlag]: checksum,
  };
  if (strategy !== undefined) params[constants.ZSTD_c_strategy] = strategy;
  const settings = { params, chunkSize: chunkBytes, flush: constants.ZSTD_e_flush };
  return {
    coding: "zstd",
    statName: "zstd",
    // A compressor that knows the length of a short body takes 100 KiB of memory in place of 840.
    start: (bytes) =>
      new BodyCompression(createZstdCompress(bytes === undefined ? settings : { ...settings, pledgedSrcSize: bytes })),
  };
}

/** Loads zlib with the first configuration that compresses. */
function zlib(): typeof Zlib {
  return process.getBuiltinModule("node:zlib");
}
