import type { Transform } from "node:stream";
import { noBytes, TransformedBody, zlib } from "./transformed-body.ts";

export interface DecompressorLibrary {
  /** The coding, as `accept-encoding` and `content-encoding` name it. */
  readonly coding: "gzip" | "br" | "zstd";
  /** Envoy's word for the library in names of statistics. */
  readonly statName: "gzip" | "brotli" | "zstd";
  start(): BodyDecompression;
}

/** Decompresses one body, part by part. The caller must call {@link close} at the end, also after the last part. */
export class BodyDecompression {
  readonly #body: TransformedBody;
  #bytesIn = 0;
  #bytesOut = 0;

  /** `maxRatio` is how many times larger the output may be than the input so far. */
  constructor(stream: Transform, maxRatio: number) {
    this.#body = new TransformedBody(stream, (outputBytes) => {
      this.#bytesOut += outputBytes;
      return this.#bytesOut > maxRatio * this.#bytesIn
        ? new RangeError(`the body grows to more than ${maxRatio} times its size`)
        : undefined;
    });
  }

  /** Rejects if the body is invalid for the coding, ends too early, or grows too much. */
  async part(bytes: Buffer, end: boolean): Promise<Buffer> {
    this.#bytesIn += bytes.length;
    // Accept an empty body, which is valid for every coding here.
    return this.#bytesIn === 0 ? noBytes : await this.#body.part(bytes, end);
  }

  close(): void {
    this.#body.close();
  }
}

/** Envoy's limit for gzip bodies if the configuration sets none. This proxy also applies it to the other codings. */
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
