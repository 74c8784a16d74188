import {
  HttpConnectionManager_CodecType,
  HttpConnectionManager_ForwardClientCertDetails,
  HttpConnectionManager_PathWithEscapedSlashesAction,
  HttpConnectionManager_ServerHeaderTransformation,
  HttpConnectionManagerSchema,
  type HttpConnectionManager,
  type HttpFilter,
} from "../../wire/envoy/index.ts";
import type { HttpConnectionConfig } from "../http/http-connection-config.ts";
import type { EscapedSlashes } from "../routing/path.ts";
import type { RouteTable } from "../routing/route-table.ts";
import { compileAccessLogs, type AccessLogSpec } from "./access-log-config.ts";
import { checkFields, durationOr, unsupported, type ConfigNotes } from "./config-check.ts";
import { compileRouteTable } from "./route-config.ts";
import { unpack } from "./transport-config.ts";

/** A compiled HTTP connection manager. */
export interface HttpSpec {
  readonly connection: HttpConnectionConfig;
  readonly routes: { readonly kind: "rds"; readonly name: string } | { readonly kind: "inline"; readonly table: RouteTable };
  readonly accessLogs: readonly AccessLogSpec[];
}

const used = [
  "codecType", "statPrefix", "rds", "routeConfig", "httpFilters", "commonHttpProtocolOptions", "httpProtocolOptions", "serverName", "serverHeaderTransformation",
  "maxRequestHeadersKb", "streamIdleTimeout", "requestTimeout", "requestHeadersTimeout", "accessLog", "useRemoteAddress", "xffNumTrustedHops", "skipXffAppend",
  "generateRequestId", "preserveExternalRequestId", "alwaysSetRequestIdInResponse", "forwardClientCertDetails", "proxy100Continue", "upgradeConfigs",
  "normalizePath", "mergeSlashes", "pathWithEscapedSlashesAction", "stripMatchingHostPort", "stripAnyHostPort",
];
const harmless = [
  "tracing", "http2ProtocolOptions", "http3ProtocolOptions", "drainTimeout", "delayedCloseTimeout", "setCurrentClientCertDetails", "requestIdExtension",
  "streamErrorOnInvalidHttpMessage", "internalAddressConfig", "accessLogFlushInterval", "flushAccessLogOnNewRequest", "accessLogOptions",
  "http1SafeMaxConnectionDuration", "addProxyProtocolConnectionState", "appendLocalOverload", "proxyStatusConfig",
];

const defaultMaxHeadKb = 60;
const defaultMaxFields = 100;
const defaultIdleTimeoutMs = 3_600_000;
const defaultStreamIdleTimeoutMs = 300_000;

/** Compiles an HTTP connection manager. Throws an error that names the listener and the field which cannot be served. */
export function compileHttpConnectionManager(message: HttpConnectionManager, where: string, notes: ConfigNotes): HttpSpec {
  checkFields(HttpConnectionManagerSchema, message, where, notes, { used, harmless });
  if (message.codecType !== HttpConnectionManager_CodecType.AUTO && message.codecType !== HttpConnectionManager_CodecType.HTTP1) {
    throw unsupported(where, `codecType ${HttpConnectionManager_CodecType[message.codecType]}`);
  }
  for (const filter of message.httpFilters) checkFilter(filter, where, notes);
  const accessLogs = compileAccessLogs(message.accessLog, where);
  return { connection: connectionOf(message, accessLogs, where), routes: routesOf(message, where, notes), accessLogs };
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

/** Filters without an effect on what a request meets: they observe, or act only where a route configures them. */
const passiveFilters = new Set([
  "envoy.filters.http.router", "envoy.filters.http.grpc_stats", "envoy.filters.http.cors", "envoy.filters.http.fault",
  "istio.metadata_exchange", "istio.stats", "istio.alpn", "envoy.filters.http.peer_metadata", "waypoint_upstream_peer_metadata",
]);

function checkFilter(filter: HttpFilter, where: string, notes: ConfigNotes): void {
  if (filter.disabled) return;
  if (filter.configType.case === "configDiscovery") throw unsupported(where, `the HTTP filter ${filter.name} by configDiscovery`);
  if (!passiveFilters.has(filter.name)) {
    if (!filter.isOptional) throw unsupported(where, `the HTTP filter ${filter.name}`);
    notes.ignored(`the optional HTTP filter ${filter.name}`);
    return;
  }
  if (filter.name !== "envoy.filters.http.fault" || filter.configType.case !== "typedConfig") return;
  const fault = unpack(filter.configType.value);
  if (fault?.$typeName === "envoy.extensions.filters.http.fault.v3.HTTPFault" && asksForFault(fault)) {
    throw unsupported(where, "the HTTP filter envoy.filters.http.fault with a fault for all routes");
  }
}

function asksForFault(message: object): boolean {
  return Reflect.get(message, "delay") !== undefined || Reflect.get(message, "abort") !== undefined;
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

function connectionOf(message: HttpConnectionManager, accessLogs: readonly AccessLogSpec[], where: string): HttpConnectionConfig {
  const http1 = message.httpProtocolOptions;
  const forwarding = message.forwardClientCertDetails;
  const sanitizes = forwarding === HttpConnectionManager_ForwardClientCertDetails.SANITIZE || forwarding === HttpConnectionManager_ForwardClientCertDetails.SANITIZE_SET;
  const unique = (names: readonly string[]): string[] => [...new Set(names)];
  return {
    statPrefix: message.statPrefix,
    serverName: message.serverName === "" ? "envoy" : message.serverName,
    serverHeader: serverHeaders[message.serverHeaderTransformation] ?? "overwrite",
    useRemoteAddress: message.useRemoteAddress ?? false,
    trustedHops: message.xffNumTrustedHops,
    appendForwardedFor: (message.useRemoteAddress ?? false) && !message.skipXffAppend,
    path: {
      normalize: message.normalizePath ?? false,
      mergeSlashes: message.mergeSlashes,
      escapedSlashes: escapedSlashes[message.pathWithEscapedSlashesAction] ?? "keep",
    },
    stripHostPort: message.stripPortMode.case === "stripAnyHostPort" && message.stripPortMode.value ? "any" : message.stripMatchingHostPort ? "matching" : "none",
    upgrades: upgradesOf(message, where),
    acceptHttp10: http1?.acceptHttp10 ?? false,
    defaultHostForHttp10: http1?.defaultHostForHttp10 ?? "",
    forwardContinue: message.proxy100Continue,
    clientCertificate: sanitizes ? "sanitize" : "forward",
    generateRequestId: message.generateRequestId ?? true,
    preserveExternalRequestId: message.preserveExternalRequestId,
    requestIdInResponse: message.alwaysSetRequestIdInResponse,
    idleTimeoutMs: durationOr(message.commonHttpProtocolOptions?.idleTimeout, defaultIdleTimeoutMs),
    streamIdleTimeoutMs: durationOr(message.streamIdleTimeout, defaultStreamIdleTimeoutMs),
    requestTimeoutMs: durationOr(message.requestTimeout, 0),
    headTimeoutMs: durationOr(message.requestHeadersTimeout, 0),
    headLimits: {
      maxHeadBytes: (message.maxRequestHeadersKb ?? defaultMaxHeadKb) * 1024,
      // The scanner's scratch holds Envoy's default number of fields.
      maxFields: Math.min(message.commonHttpProtocolOptions?.maxHeadersCount ?? defaultMaxFields, defaultMaxFields),
    },
    requestCapture: unique(accessLogs.flatMap((log) => log.format.requestCapture)),
    responseCapture: unique(accessLogs.flatMap((log) => log.format.responseCapture)),
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
