import { TransformedBody, zlib } from "./transformed-body.ts";

export interface CompressorLibrary {
  /** The coding, as `accept-encoding` and `content-encoding` name it. */
  readonly coding: "gzip" | "br" | "zstd";
  /** Envoy's word for the library in names of statistics. */
  readonly statName: "gzip" | "brotli" | "zstd";
  /** Begins to compress a body. `bytes` is the body's length, or undefined if it is unknown. */
  start(bytes: number | undefined): TransformedBody;
}

export interface GzipOptions {
  /** The level from 1 to 9. Undefined means zlib's own. */
  readonly level: number | undefined;
  /** The strategy, as the value of a constant of zlib. */
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
  return { coding: "gzip", statName: "gzip", start: () => new TransformedBody(createGzip(options)) };
}

export interface BrotliOptions {
  readonly quality: number;
  readonly mode: "generic" | "text" | "font";
  readonly windowBits: number;
  /** The size of an input block, as a power of two. If undefined, the library chooses it by the quality. */
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
  return { coding: "br", statName: "brotli", start: () => new TransformedBody(createBrotliCompress(settings)) };
}

export interface ZstdOptions {
  readonly level: number;
  readonly checksum: boolean;
  /** The strategy, as the value of a constant of zstd. Undefined means the level's default. */
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
    // Tell the compressor the length of a short body: it then takes 100 KiB of memory instead of 840 KiB.
    start: (bytes) =>
      new TransformedBody(createZstdCompress(bytes === undefined ? settings : { ...settings, pledgedSrcSize: bytes })),
  };
}
