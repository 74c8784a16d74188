import {
  BrotliDecompressorSchema,
  Decompressor_CommonDirectionConfigSchema,
  Decompressor_RequestDirectionConfigSchema,
  Decompressor_ResponseDirectionConfigSchema,
  DecompressorSchema,
  GzipDecompressorSchema,
  ZstdDecompressorSchema,
  type BrotliDecompressor,
  type Decompressor,
  type Decompressor_CommonDirectionConfig,
  type GzipDecompressor,
  type TypedExtensionConfig,
  type ZstdDecompressor,
} from "../../../wire/envoy/index.ts";
import {
  brotliDecodingLibrary,
  defaultMaxRatio,
  gunzipLibrary,
  zstdDecodingLibrary,
  type DecompressorLibrary,
} from "../../filters/compression/body-decompression.ts";
import type { DecompressedDirection, DecompressorSettings } from "../../filters/compression/decompressor-filter.ts";
import { chunkBytesOf, inRange } from "./compressor-config.ts";
import { checkFields, invalid, unsupported, type ConfigNotes } from "../config-check.ts";
import { typeNameOf, unpack } from "../typed-struct.ts";

export function compileDecompressor(message: Decompressor, where: string, notes: ConfigNotes): DecompressorSettings {
  checkFields(DecompressorSchema, message, where, notes, {
    used: ["decompressorLibrary", "requestDirectionConfig", "responseDirectionConfig"],
  });
  const { decompressorLibrary: library, requestDirectionConfig, responseDirectionConfig } = message;
  if (library === undefined) throw invalid(where, "decompressorLibrary must be set");
  const [ofRequests, ofResponses] = [`${where}: requestDirectionConfig`, `${where}: responseDirectionConfig`];
  if (requestDirectionConfig !== undefined)
    checkFields(Decompressor_RequestDirectionConfigSchema, requestDirectionConfig, ofRequests, notes, {
      used: ["commonConfig", "advertiseAcceptEncoding"],
    });
  if (responseDirectionConfig !== undefined)
    checkFields(Decompressor_ResponseDirectionConfigSchema, responseDirectionConfig, ofResponses, notes, {
      used: ["commonConfig"],
    });
  return {
    library: compileLibrary(library, where, notes),
    libraryName: library.name,
    request: compileDirection(requestDirectionConfig?.commonConfig, ofRequests, notes),
    response: compileDirection(responseDirectionConfig?.commonConfig, ofResponses, notes),
    advertises: requestDirectionConfig?.advertiseAcceptEncoding ?? true,
  };
}

function compileDirection(
  config: Decompressor_CommonDirectionConfig | undefined,
  where: string,
  notes: ConfigNotes,
): DecompressedDirection {
  if (config === undefined) return { enabled: true, ignoresNoTransform: false };
  checkFields(Decompressor_CommonDirectionConfigSchema, config, `${where}.commonConfig`, notes, {
    used: ["enabled", "ignoreNoTransformHeader"],
  });
  // The proxy has no runtime, so the default of a flag applies.
  return { enabled: config.enabled?.defaultValue ?? true, ignoresNoTransform: config.ignoreNoTransformHeader };
}

function compileLibrary(config: TypedExtensionConfig, where: string, notes: ConfigNotes): DecompressorLibrary {
  const here = `${where}: decompressorLibrary ${config.name}`;
  if (config.typedConfig === undefined) throw invalid(here, "typedConfig must be set");
  const message = unpack(config.typedConfig, here);
  switch (message?.$typeName) {
    case "envoy.extensions.compression.gzip.decompressor.v3.Gzip": {
      const gzip = message as GzipDecompressor;
      checkFields(GzipDecompressorSchema, gzip, here, notes, { used: ["windowBits", "chunkSize", "maxInflateRatio"] });
      return gunzipLibrary({
        windowBits: inRange(gzip.windowBits ?? 15, 9, 15, "windowBits", here),
        chunkBytes: chunkBytesOf(gzip.chunkSize, here),
        maxRatio: inRange(gzip.maxInflateRatio ?? defaultMaxRatio, 1, 1032, "maxInflateRatio", here),
      });
    }
    case "envoy.extensions.compression.brotli.decompressor.v3.Brotli": {
      const brotli = message as BrotliDecompressor;
      checkFields(BrotliDecompressorSchema, brotli, here, notes, {
        used: ["disableRingBufferReallocation", "chunkSize"],
      });
      return brotliDecodingLibrary({
        keepsRingBuffer: brotli.disableRingBufferReallocation,
        chunkBytes: chunkBytesOf(brotli.chunkSize, here),
      });
    }
    case "envoy.extensions.compression.zstd.decompressor.v3.Zstd": {
      const zstd = message as ZstdDecompressor;
      checkFields(ZstdDecompressorSchema, zstd, here, notes, { used: ["chunkSize"] });
      return zstdDecodingLibrary(chunkBytesOf(zstd.chunkSize, here));
    }
    default:
      throw unsupported(here, `the library ${typeNameOf(config.typedConfig)}`);
  }
}
