import {
  Brotli_EncoderMode,
  BrotliSchema,
  Compressor_CommonDirectionConfigSchema,
  Compressor_RequestDirectionConfigSchema,
  Compressor_ResponseDirectionConfigSchema,
  CompressorOverridesSchema,
  CompressorPerRouteSchema,
  CompressorSchema,
  Gzip_CompressionLevel,
  GzipSchema,
  ResponseDirectionOverridesSchema,
  Zstd_Strategy,
  ZstdSchema,
  type Brotli,
  type Compressor,
  type Compressor_CommonDirectionConfig,
  type CompressorPerRoute,
  type Gzip,
  type RuntimeFeatureFlag,
  type TypedExtensionConfig,
  type Zstd,
} from "../../../wire/envoy/index.ts";
import {
  brotliLibrary,
  gzipLibrary,
  zstdLibrary,
  type CompressorLibrary,
} from "../../filters/compression/body-compression.ts";
import {
  CompressorOverride,
  type CompressorSettings,
  type MessageRules,
  type ResponseRules,
} from "../../filters/compression/compressor-filter.ts";
import { checkFields, invalid, unsupported, type ConfigNotes } from "../config-check.ts";
import { compileString } from "../matchers/matcher-config.ts";
import { typeNameOf, unpack } from "../typed-struct.ts";

const defaultMinBytes = 30;
const defaultTypes = [
  "text/html",
  "text/plain",
  "text/css",
  "application/javascript",
  "application/x-javascript",
  "text/javascript",
  "text/x-javascript",
  "text/ecmascript",
  "text/js",
  "text/jscript",
  "text/x-js",
  "application/ecmascript",
  "application/x-json",
  "application/xml",
  "application/json",
  "image/svg+xml",
  "text/xml",
  "application/xhtml+xml",
  "application/grpc-web",
  "application/grpc-web+proto",
];

export function compileCompressor(message: Compressor, where: string, notes: ConfigNotes): CompressorSettings {
  checkFields(CompressorSchema, message, where, notes, {
    used: [
      "contentLength",
      "contentType",
      "disableOnEtagHeader",
      "removeAcceptEncodingHeader",
      "runtimeEnabled",
      "compressorLibrary",
      "requestDirectionConfig",
      "responseDirectionConfig",
      "chooseFirst",
    ],
  });
  const { compressorLibrary } = message;
  if (compressorLibrary === undefined) throw invalid(where, "compressorLibrary must be set");
  return {
    library: compileLibrary(compressorLibrary, where, notes),
    libraryName: compressorLibrary.name,
    request: compileRequest(message, where, notes),
    response: compileResponse(message, where, notes),
    chosenFirst: message.chooseFirst,
  };
}

export function compileCompressorPerRoute(
  message: CompressorPerRoute,
  where: string,
  notes: ConfigNotes,
): CompressorOverride {
  checkFields(CompressorPerRouteSchema, message, where, notes, { used: ["disabled", "overrides"] });
  const { override } = message;
  const none = { enabled: undefined, removesAcceptEncoding: undefined, library: undefined };
  if (override.case === "disabled") {
    if (!override.value) throw invalid(where, "disabled must be true");
    return new CompressorOverride({ ...none, enabled: false });
  }
  if (override.case !== "overrides") throw invalid(where, "disabled or overrides must be set");
  const here = `${where}: overrides`;
  checkFields(CompressorOverridesSchema, override.value, here, notes, {
    used: ["responseDirectionConfig", "compressorLibrary"],
  });
  const { responseDirectionConfig: response, compressorLibrary: library } = override.value;
  if (response !== undefined)
    checkFields(ResponseDirectionOverridesSchema, response, `${here}.responseDirectionConfig`, notes, {
      used: ["removeAcceptEncodingHeader"],
    });
  return new CompressorOverride({
    enabled: response === undefined ? undefined : true,
    removesAcceptEncoding: response?.removeAcceptEncodingHeader,
    library: library === undefined ? undefined : compileLibrary(library, here, notes),
  });
}

function compileRequest(message: Compressor, where: string, notes: ConfigNotes): MessageRules {
  const config = message.requestDirectionConfig;
  if (config === undefined) return { enabled: false, minBytes: defaultMinBytes, takesType: () => false };
  const here = `${where}: requestDirectionConfig`;
  checkFields(Compressor_RequestDirectionConfigSchema, config, here, notes, { used: ["commonConfig"] });
  return compileDirection(config.commonConfig, here, notes);
}

function compileResponse(message: Compressor, where: string, notes: ConfigNotes): ResponseRules {
  const config = message.responseDirectionConfig;
  // As in Envoy, the older fields of the message itself apply only if `config` is unset.
  if (config === undefined)
    return {
      enabled: isEnabled(message.runtimeEnabled),
      minBytes: minBytesOf(message.contentLength),
      takesType: typesOf(message.contentType),
      etag: message.disableOnEtagHeader ? "refuses" : "removed",
      removesAcceptEncoding: message.removeAcceptEncodingHeader,
      uncompressibleStatuses: new Set(),
      showsStatus: false,
      namesDirection: false,
    };
  const here = `${where}: responseDirectionConfig`;
  checkFields(Compressor_ResponseDirectionConfigSchema, config, here, notes, {
    used: [
      "commonConfig",
      "disableOnEtagHeader",
      "weakenEtagOnCompress",
      "removeAcceptEncodingHeader",
      "uncompressibleResponseCodes",
      "statusHeaderEnabled",
    ],
  });
  for (const code of config.uncompressibleResponseCodes)
    if (code < 200 || code > 599)
      throw invalid(here, `uncompressibleResponseCodes must be from 200 to 599, got ${code}`);
  return {
    ...compileDirection(config.commonConfig, here, notes),
    etag: config.weakenEtagOnCompress ? "weakened" : config.disableOnEtagHeader ? "refuses" : "removed",
    removesAcceptEncoding: config.removeAcceptEncodingHeader,
    uncompressibleStatuses: new Set(config.uncompressibleResponseCodes),
    showsStatus: config.statusHeaderEnabled,
    namesDirection: true,
  };
}

function compileDirection(
  config: Compressor_CommonDirectionConfig | undefined,
  where: string,
  notes: ConfigNotes,
): MessageRules {
  if (config === undefined) return { enabled: true, minBytes: defaultMinBytes, takesType: typesOf([]) };
  const here = `${where}.commonConfig`;
  checkFields(Compressor_CommonDirectionConfigSchema, config, here, notes, {
    used: ["enabled", "minContentLength", "contentType", "contentTypeMatcher"],
  });
  const matchers = config.contentTypeMatcher.map((matcher) => compileString(matcher, `${here}: contentTypeMatcher`));
  return {
    enabled: isEnabled(config.enabled),
    minBytes: minBytesOf(config.minContentLength),
    takesType:
      matchers.length === 0 ? typesOf(config.contentType) : (type) => matchers.some((matches) => matches(type)),
  };
}

/** Whether a flag is on. The proxy has no runtime settings, so the flag's default applies. */
function isEnabled(flag: RuntimeFeatureFlag | undefined): boolean {
  return flag?.defaultValue ?? true;
}

function minBytesOf(length: number | undefined): number {
  return length === undefined || length === 0 ? defaultMinBytes : length;
}

function typesOf(listed: readonly string[]): MessageRules["takesType"] {
  const types = new Set((listed.length === 0 ? defaultTypes : listed).map((type) => type.toLowerCase()));
  return (type) => types.has(type.toLowerCase());
}

function compileLibrary(config: TypedExtensionConfig, where: string, notes: ConfigNotes): CompressorLibrary {
  const here = `${where}: compressorLibrary ${config.name}`;
  if (config.typedConfig === undefined) throw invalid(here, "typedConfig must be set");
  const message = unpack(config.typedConfig, here);
  switch (message?.$typeName) {
    case "envoy.extensions.compression.gzip.compressor.v3.Gzip":
      return compileGzip(message as Gzip, here, notes);
    case "envoy.extensions.compression.brotli.compressor.v3.Brotli":
      return compileBrotli(message as Brotli, here, notes);
    case "envoy.extensions.compression.zstd.compressor.v3.Zstd":
      return compileZstd(message as Zstd, here, notes);
    default:
      throw unsupported(here, `the library ${typeNameOf(config.typedConfig)}`);
  }
}

function compileGzip(message: Gzip, where: string, notes: ConfigNotes): CompressorLibrary {
  checkFields(GzipSchema, message, where, notes, {
    used: ["memoryLevel", "compressionLevel", "compressionStrategy", "windowBits", "chunkSize"],
  });
  const { memoryLevel, compressionLevel, compressionStrategy, windowBits, chunkSize } = message;
  return gzipLibrary({
    // Except for the default level, Envoy's enumerations have zlib's own numbers.
    level:
      compressionLevel === Gzip_CompressionLevel.DEFAULT_COMPRESSION
        ? undefined
        : inRange(compressionLevel, 1, 9, "compressionLevel", where),
    strategy: inRange(compressionStrategy, 0, 4, "compressionStrategy", where),
    windowBits: inRange(windowBits ?? 12, 9, 15, "windowBits", where),
    memoryLevel: inRange(memoryLevel ?? 5, 1, 9, "memoryLevel", where),
    chunkBytes: chunkBytesOf(chunkSize, where),
  });
}

function compileBrotli(message: Brotli, where: string, notes: ConfigNotes): CompressorLibrary {
  checkFields(BrotliSchema, message, where, notes, {
    used: ["quality", "encoderMode", "windowBits", "inputBlockBits", "chunkSize", "disableLiteralContextModeling"],
  });
  const { quality, encoderMode, windowBits, inputBlockBits, chunkSize } = message;
  return brotliLibrary({
    quality: inRange(quality ?? 3, 0, 11, "quality", where),
    mode:
      encoderMode === Brotli_EncoderMode.TEXT ? "text" : encoderMode === Brotli_EncoderMode.FONT ? "font" : "generic",
    windowBits: inRange(windowBits ?? 18, 10, 24, "windowBits", where),
    // Envoy's default of 24 takes 32 MiB for each body from quality 4 on. The size that the library chooses compresses
    // equally well.
    inputBlockBits: inputBlockBits === undefined ? undefined : inRange(inputBlockBits, 16, 24, "inputBlockBits", where),
    modelsLiteralContext: !message.disableLiteralContextModeling,
    chunkBytes: chunkBytesOf(chunkSize, where),
  });
}

/** The highest level of zstd. A higher configured level is lowered to it. */
const maxZstdLevel = 22;

function compileZstd(message: Zstd, where: string, notes: ConfigNotes): CompressorLibrary {
  checkFields(ZstdSchema, message, where, notes, {
    used: ["compressionLevel", "enableChecksum", "strategy", "chunkSize"],
  });
  const { compressionLevel = 0, enableChecksum, strategy, chunkSize } = message;
  return zstdLibrary({
    level: compressionLevel === 0 ? 3 : Math.min(compressionLevel, maxZstdLevel),
    checksum: enableChecksum,
    // The enumeration has the library's numbers.
    strategy: strategy === Zstd_Strategy.DEFAULT ? undefined : inRange(strategy, 1, 9, "strategy", where),
    chunkBytes: chunkBytesOf(chunkSize, where),
  });
}

export function chunkBytesOf(chunkSize: number | undefined, where: string): number {
  return inRange(chunkSize ?? 4096, 4096, 65_536, "chunkSize", where);
}

export function inRange(value: number, min: number, max: number, field: string, where: string): number {
  if (value < min || value > max) throw invalid(where, `${field} must be from ${min} to ${max}, got ${value}`);
  return value;
}
