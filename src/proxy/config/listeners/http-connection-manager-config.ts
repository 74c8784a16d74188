import {
  HttpConnectionManager_CodecType,
  HttpConnectionManager_ForwardClientCertDetails,
  HttpConnectionManager_PathWithEscapedSlashesAction,
  HttpConnectionManager_ServerHeaderTransformation,
  HttpConnectionManager_SetCurrentClientCertDetailsSchema,
  HttpConnectionManagerSchema,
  type HttpConnectionManager,
} from "../../../wire/envoy/index.ts";
import type { HttpConnectionConfig } from "../../http/http-connection-config.ts";
import type { EscapedSlashes } from "../../routing/path.ts";
import type { HttpSpec } from "../../http/http-spec.ts";
import { compileAccessLogs } from "../access-logs/access-log-config.ts";
import type { AccessLogSpec } from "../../record/access-log-spec.ts";
import { compileRange } from "../matchers/address-range-config.ts";
import { checkFields, checkNested, durationOr, unsupported, type ConfigNotes } from "../config-check.ts";
import { compileHttpFilters, type HttpFilters } from "../filters/http-filter-config.ts";
import { compileLocalReplies } from "./local-reply-config.ts";
import { compileRouteTable } from "../routing/route-config.ts";
import { compileTracing, type TracingSpec } from "./tracing-config.ts";

const used = [
  "codecType",
  "statPrefix",
  "rds",
  "routeConfig",
  "httpFilters",
  "commonHttpProtocolOptions",
  "httpProtocolOptions",
  "serverName",
  "serverHeaderTransformation",
  "maxRequestHeadersKb",
  "streamIdleTimeout",
  "requestTimeout",
  "requestHeadersTimeout",
  "accessLog",
  "useRemoteAddress",
  "xffNumTrustedHops",
  "skipXffAppend",
  "appendXForwardedPort",
  "generateRequestId",
  "preserveExternalRequestId",
  "alwaysSetRequestIdInResponse",
  "forwardClientCertDetails",
  "proxy100Continue",
  "upgradeConfigs",
  "normalizePath",
  "mergeSlashes",
  "pathWithEscapedSlashesAction",
  "stripMatchingHostPort",
  "stripAnyHostPort",
  "setCurrentClientCertDetails",
  "localReplyConfig",
  "http2ProtocolOptions",
  "tracing",
  "requestIdExtension",
  "internalAddressConfig",
];
const harmless = [
  "http3ProtocolOptions",
  "drainTimeout",
  "drainTimeoutJitter",
  "delayedCloseTimeout",
  "streamErrorOnInvalidHttpMessage",
  "accessLogFlushInterval",
  "flushAccessLogOnNewRequest",
  "accessLogOptions",
  "http1SafeMaxConnectionDuration",
  "addProxyProtocolConnectionState",
  "appendLocalOverload",
  "proxyStatusConfig",
];

/**
 * Options that change nothing: the proxy always keeps the case of header names, and always accepts absolute targets and
 * any method.
 */
const harmlessOfHttp1 = [
  "headerKeyFormat",
  "allowAbsoluteUrl",
  "allowCustomMethods",
  "useBalsaParser",
  "overrideStreamErrorOnInvalidHttpMessage",
  "sendFullyQualifiedUrl",
];

const defaultMaxHeadKb = 60;
const defaultMaxFields = 100;
const defaultIdleTimeoutMs = 3_600_000;
const defaultStreamIdleTimeoutMs = 300_000;

/** Compiles an HTTP connection manager. Throws an error that names the listener and the unsupported field. */
export function compileHttpConnectionManager(
  message: HttpConnectionManager,
  where: string,
  notes: ConfigNotes,
): HttpSpec {
  checkFields(HttpConnectionManagerSchema, message, where, notes, { used, harmless });
  checkNested(
    HttpConnectionManagerSchema,
    "commonHttpProtocolOptions",
    message.commonHttpProtocolOptions,
    { where, notes },
    {
      used: [
        "idleTimeout",
        "maxStreamDuration",
        "maxConnectionDuration",
        "maxRequestsPerConnection",
        "maxHeadersCount",
        "headersWithUnderscoresAction",
      ],
      harmless: ["maxResponseHeadersKb"],
    },
  );
  checkNested(
    HttpConnectionManagerSchema,
    "httpProtocolOptions",
    message.httpProtocolOptions,
    { where, notes },
    {
      used: ["acceptHttp10", "defaultHostForHttp10", "enableTrailers"],
      harmless: harmlessOfHttp1,
    },
  );
  const accessLogs = compileAccessLogs(message.accessLog, where, notes);
  const { filters, peerMetadata, stats, hidesEnvoyHeaders } = compileHttpFilters(
    message.httpFilters,
    `http.${message.statPrefix.replace(/;$/, "")}.`,
    where,
    notes,
  );
  const tracing = compileTracing(message, where, notes);
  const compiled = { accessLogs, stats, tracing, filters, peerMetadata, hidesEnvoyHeaders };
  const connection = connectionOf(message, compiled, where, notes);
  const indexOf = (names: readonly string[]): ReadonlyMap<string, number> =>
    new Map(names.map((name, at) => [name, at]));
  return {
    connection,
    routes: routesOf(message, where, notes),
    accessLogs,
    stats,
    capture: { request: indexOf(connection.requestCapture), response: indexOf(connection.responseCapture) },
  };
}

function routesOf(message: HttpConnectionManager, where: string, notes: ConfigNotes): HttpSpec["routes"] {
  const specifier = message.routeSpecifier;
  switch (specifier.case) {
    case "rds":
      return { kind: "rds", name: specifier.value.routeConfigName };
    case "routeConfig":
      return { kind: "inline", table: compileRouteTable(specifier.value, notes) };
    default:
      throw unsupported(where, specifier.case ?? "a connection manager without routes");
  }
}

const serverHeaders: Readonly<Record<number, HttpConnectionConfig["serverHeader"]>> = {
  [HttpConnectionManager_ServerHeaderTransformation.OVERWRITE]: "overwrite",
  [HttpConnectionManager_ServerHeaderTransformation.APPEND_IF_ABSENT]: "append-if-absent",
  [HttpConnectionManager_ServerHeaderTransformation.PASS_THROUGH]: "pass-through",
};

const escapedSlashes: Readonly<Record<number, EscapedSlashes>> = {
  [HttpConnectionManager_PathWithEscapedSlashesAction.REJECT_REQUEST]: "reject",
  [HttpConnectionManager_PathWithEscapedSlashesAction.UNESCAPE_AND_REDIRECT]: "unescape-and-redirect",
  [HttpConnectionManager_PathWithEscapedSlashesAction.UNESCAPE_AND_FORWARD]: "unescape-and-forward",
};

/**
 * The values REJECT_REQUEST and DROP_HEADER of the field `headersWithUnderscoresAction` in Envoy's HttpProtocolOptions.
 */
const underscoreRules: Readonly<Partial<Record<number, "reject" | "drop">>> = { 1: "reject", 2: "drop" };

const codecs: Readonly<Record<number, HttpConnectionConfig["codec"]>> = {
  [HttpConnectionManager_CodecType.AUTO]: "auto",
  [HttpConnectionManager_CodecType.HTTP1]: "http1",
  [HttpConnectionManager_CodecType.HTTP2]: "http2",
};

const certificateForwarding: Readonly<Record<number, HttpConnectionConfig["clientCertificate"]>> = {
  [HttpConnectionManager_ForwardClientCertDetails.SANITIZE]: "sanitize",
  [HttpConnectionManager_ForwardClientCertDetails.FORWARD_ONLY]: "forward",
  [HttpConnectionManager_ForwardClientCertDetails.APPEND_FORWARD]: "append",
  [HttpConnectionManager_ForwardClientCertDetails.SANITIZE_SET]: "set",
  [HttpConnectionManager_ForwardClientCertDetails.ALWAYS_FORWARD_ONLY]: "always-forward",
};

/**
 * The fields of the client's certificate that the connection manager sends, in the order in which an element of
 * `x-forwarded-client-cert` has them.
 */
function certificateFieldsOf(
  message: HttpConnectionManager,
  where: string,
  notes: ConfigNotes,
): HttpConnectionConfig["clientCertificateFields"] {
  const details = message.setCurrentClientCertDetails;
  if (details === undefined) return [];
  checkFields(
    HttpConnectionManager_SetCurrentClientCertDetailsSchema,
    details,
    `${where}: setCurrentClientCertDetails`,
    notes,
    { used: ["subject", "cert", "chain", "dns", "uri"] },
  );
  const wanted = {
    Cert: details.cert,
    Chain: details.chain,
    Subject: details.subject ?? false,
    URI: details.uri,
    DNS: details.dns,
  };
  return (["Cert", "Chain", "Subject", "URI", "DNS"] as const).filter((field) => wanted[field]);
}

const defaultMaxConcurrentStreams = 1024;

function http2Of(message: HttpConnectionManager): HttpConnectionConfig["http2"] {
  const options = message.http2ProtocolOptions;
  return {
    maxConcurrentStreams: options?.maxConcurrentStreams ?? defaultMaxConcurrentStreams,
    keepaliveIntervalMs: durationOr(options?.connectionKeepalive?.interval, 0),
    keepaliveTimeoutMs: durationOr(options?.connectionKeepalive?.timeout, 0),
  };
}

interface Compiled extends Pick<HttpFilters, "filters" | "peerMetadata" | "stats" | "hidesEnvoyHeaders"> {
  readonly accessLogs: readonly AccessLogSpec[];
  readonly tracing: TracingSpec | undefined;
}

function connectionOf(
  message: HttpConnectionManager,
  compiled: Compiled,
  where: string,
  notes: ConfigNotes,
): HttpConnectionConfig {
  const { filters, peerMetadata } = compiled;
  const http1 = message.httpProtocolOptions;
  const codec = codecs[message.codecType];
  if (codec === undefined)
    throw unsupported(where, `codecType ${HttpConnectionManager_CodecType[message.codecType] ?? message.codecType}`);
  const underscores = underscoreRules[message.commonHttpProtocolOptions?.headersWithUnderscoresAction ?? 0];
  const unique = (names: readonly string[]): string[] => [...new Set(names)];
  const readers = [
    ...compiled.accessLogs,
    ...(compiled.stats === undefined ? [] : [compiled.stats]),
    ...(compiled.tracing === undefined ? [] : [compiled.tracing]),
  ];
  return {
    statPrefix: message.statPrefix,
    codec,
    http2: http2Of(message),
    serverName: message.serverName === "" ? "envoy" : message.serverName,
    serverHeader: serverHeaders[message.serverHeaderTransformation] ?? "overwrite",
    hidesEnvoyHeaders: compiled.hidesEnvoyHeaders,
    useRemoteAddress: message.useRemoteAddress ?? false,
    internalAddresses: (message.internalAddressConfig?.cidrRanges ?? []).map((range) =>
      compileRange(range, `${where}: internalAddressConfig`),
    ),
    trustedHops: message.xffNumTrustedHops,
    appendForwardedFor: (message.useRemoteAddress ?? false) && !message.skipXffAppend,
    appendForwardedPort: (message.useRemoteAddress ?? false) && message.appendXForwardedPort,
    path: pathOf(message),
    ...(underscores === undefined ? {} : { underscores }),
    stripHostPort: stripHostPortOf(message),
    upgrades: upgradesOf(message, where),
    acceptHttp10: http1?.acceptHttp10 ?? false,
    defaultHostForHttp10: http1?.defaultHostForHttp10 ?? "",
    http1Trailers: http1?.enableTrailers ?? false,
    forwardContinue: message.proxy100Continue,
    clientCertificate: certificateForwarding[message.forwardClientCertDetails] ?? "sanitize",
    clientCertificateFields: certificateFieldsOf(message, where, notes),
    filters,
    filtersIdle: filters.every((filter) => filter.idle === true),
    localReplies:
      message.localReplyConfig === undefined
        ? []
        : compileLocalReplies(message.localReplyConfig, `${where}: localReplyConfig`, notes),
    peerMetadata,
    maxStreamDurationMs: durationOr(message.commonHttpProtocolOptions?.maxStreamDuration, 0),
    maxConnectionMs: durationOr(message.commonHttpProtocolOptions?.maxConnectionDuration, 0),
    maxRequestsPerConnection: message.commonHttpProtocolOptions?.maxRequestsPerConnection ?? 0,
    generateRequestId: message.generateRequestId ?? true,
    preserveExternalRequestId: message.preserveExternalRequestId,
    requestIdInResponse: message.alwaysSetRequestIdInResponse,
    idleTimeoutMs: durationOr(message.commonHttpProtocolOptions?.idleTimeout, defaultIdleTimeoutMs),
    streamIdleTimeoutMs: durationOr(message.streamIdleTimeout, defaultStreamIdleTimeoutMs),
    requestTimeoutMs: durationOr(message.requestTimeout, 0),
    headTimeoutMs: durationOr(message.requestHeadersTimeout, 0),
    headLimits: headLimitsOf(message),
    tracing: compiled.tracing?.tracing,
    requestCapture: unique(readers.flatMap((reader) => reader.requestCapture)),
    responseCapture: unique(readers.flatMap((reader) => reader.responseCapture)),
  };
}

function pathOf(message: HttpConnectionManager): HttpConnectionConfig["path"] {
  return {
    normalize: message.normalizePath ?? false,
    mergeSlashes: message.mergeSlashes,
    escapedSlashes: escapedSlashes[message.pathWithEscapedSlashesAction] ?? "keep",
  };
}

function stripHostPortOf(message: HttpConnectionManager): HttpConnectionConfig["stripHostPort"] {
  if (message.stripPortMode.case === "stripAnyHostPort" && message.stripPortMode.value) return "any";
  return message.stripMatchingHostPort ? "matching" : "none";
}

function headLimitsOf(message: HttpConnectionManager): HttpConnectionConfig["headLimits"] {
  return {
    maxHeadBytes: (message.maxRequestHeadersKb ?? defaultMaxHeadKb) * 1024,
    // Lower a higher number to Envoy's default, because the scanner's buffers have room for no more fields.
    maxFields: Math.min(message.commonHttpProtocolOptions?.maxHeadersCount ?? defaultMaxFields, defaultMaxFields),
  };
}

function upgradesOf(message: HttpConnectionManager, where: string): ReadonlySet<string> {
  const upgrades = new Set<string>();
  for (const upgrade of message.upgradeConfigs) {
    if (upgrade.filters.length > 0) throw unsupported(where, `upgradeConfigs ${upgrade.upgradeType} with filters`);
    if (upgrade.enabled !== false) upgrades.add(upgrade.upgradeType.toLowerCase());
  }
  return upgrades;
}
