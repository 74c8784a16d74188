import { Reader } from "../../reader.ts";
import { domainOrAddressFault } from "../checks.ts";
import { maxPort, readDurationMs, readPortNumber, readText, warnOfUnknown } from "../fields.ts";
import { readConnectionSettings, type ConnectionSettings } from "./connection-settings.ts";
import { withJsonNames } from "./proto-json-names.ts";
import { readStatsMatcher, type StatsMatcher } from "./stats-matcher.ts";
import { readTags, type TracingTag } from "../telemetry.ts";

/**
 * istio.mesh.v1alpha1.ProxyConfig with upstream's defaults. Fields that Serin does not act on are dropped, with a
 * warning for each.
 */
export interface ProxyConfig {
  readonly discoveryAddress: string;
  readonly drainDurationMs: number;
  readonly terminationDrainDurationMs: number;
  /** The number of a proxy's workers. 0 means one for each core. Undefined if the user sets none. */
  readonly concurrency: number | undefined;
  readonly proxyMetadata: Readonly<Record<string, string>>;
  readonly holdApplicationUntilProxyStarts: boolean;
  readonly statusPort: number;
  readonly proxyAdminPort: number;
  readonly interceptionMode: "REDIRECT" | "TPROXY" | "NONE";
  readonly meshId: string;
  readonly imageType: string;
  readonly gatewayTopology: GatewayTopology;
  readonly proxyHeaders: ProxyHeaders;
  readonly tracing?: ProxyTracing | undefined;
  readonly tracingServiceName: TracingServiceName;
  readonly connectionSettings?: ConnectionSettings | undefined;
  readonly proxyStatsMatcher?: StatsMatcher | undefined;
}

const tracingServiceNames = ["APP_LABEL_AND_NAMESPACE", "CANONICAL_NAME_ONLY", "CANONICAL_NAME_AND_NAMESPACE"] as const;
export type TracingServiceName = (typeof tracingServiceNames)[number];

/** The settings for traces that apply unless a Telemetry object sets others. */
export interface ProxyTracing {
  /** The share of requests with spans, from 0 to 100. Absent means the control plane's default. */
  readonly samplingPercent?: number | undefined;
  readonly customTags: Readonly<Record<string, TracingTag>>;
  /** Absent means Envoy's default. */
  readonly maxPathTagLength?: number | undefined;
  readonly enableIstioTags: boolean;
}

export interface GatewayTopology {
  /**
   * The number of trusted proxies in front of the gateway. It decides which address in `x-forwarded-for` is the
   * client's.
   */
  readonly numTrustedProxies: number;
  readonly forwardClientCertDetails: ForwardClientCertDetails;
  /** Whether the PROXY protocol carries clients' addresses. */
  readonly proxyProtocol: boolean;
}

const clientCertificateDetails = ["subject", "cert", "chain", "dns", "uri"] as const;
type ClientCertificateDetail = (typeof clientCertificateDetails)[number];

const certificateDetails = [
  "UNDEFINED",
  "SANITIZE",
  "FORWARD_ONLY",
  "APPEND_FORWARD",
  "SANITIZE_SET",
  "ALWAYS_FORWARD_ONLY",
] as const;
export type ForwardClientCertDetails = (typeof certificateDetails)[number];

/** The headers that proxies add. Absent means upstream's default. */
export interface ProxyHeaders {
  readonly forwardedClientCert: ForwardClientCertDetails;
  /** The details of a client's certificate that sidecars forward. Absent means subject, DNS names and URI. */
  readonly clientCertificateDetails?: Readonly<Partial<Record<ClientCertificateDetail, boolean>>> | undefined;
  readonly requestIdDisabled: boolean;
  readonly serverDisabled: boolean;
  readonly serverValue?: string | undefined;
  readonly attemptCountDisabled: boolean;
  readonly envoyDebugHeadersDisabled: boolean;
  readonly metadataExchangeInMeshOnly: boolean;
  /** Whether a route that replaces a request's host adds the former host as `x-forwarded-host`. */
  readonly xForwardedHost: boolean;
  /** Whether gateways send the port that the client used in `x-forwarded-port`. */
  readonly xForwardedPort: boolean;
  readonly preserveHttp1HeaderCase: boolean;
}

const withoutEffect = [
  "availabilityZone",
  "binaryPath",
  "configPath",
  "controlPlaneAuthPolicy",
  "customConfigFile",
  "discoveryRefreshDelay",
  "envoyAccessLogService",
  "envoyMetricsService",
  "envoyMetricsServiceAddress",
  "extraStatTags",
  "fileFlushInterval",
  "fileFlushMinSizeKb",
  "privateKeyProvider",
  "proxyBootstrapTemplatePath",
  "readinessProbe",
  "runtimeValues",
  "sds",
  "serviceCluster",
  "statNameLength",
  "statsCompression",
  "statsdUdpAddress",
  "zipkinAddress",
] as const;
/** Fields that upstream's charts always set, so they cause no warning. */
const unremarkable = new Set<string>([
  "binaryPath",
  "configPath",
  "serviceCluster",
  "statNameLength",
  "controlPlaneAuthPolicy",
]);

const defaultDrainMs = 45_000;
const defaultTerminationDrainMs = 5000;
const defaultStatusPort = 15_020;
const defaultAdminPort = 15_000;

export function readProxyConfig(reader: Reader): ProxyConfig {
  const config: ProxyConfig = {
    discoveryAddress: readText(reader, "discoveryAddress") ?? "istiod.istio-system.svc:15012",
    drainDurationMs: readDurationMs(reader, "drainDuration", 1) ?? defaultDrainMs,
    terminationDrainDurationMs: readDurationMs(reader, "terminationDrainDuration") ?? defaultTerminationDrainMs,
    concurrency: reader.integer("concurrency", 0),
    proxyMetadata: readMetadata(reader),
    holdApplicationUntilProxyStarts: reader.boolean("holdApplicationUntilProxyStarts") ?? false,
    statusPort: readPortNumber(reader, "statusPort") ?? defaultStatusPort,
    proxyAdminPort: readPortNumber(reader, "proxyAdminPort") ?? defaultAdminPort,
    interceptionMode: reader.oneOf("interceptionMode", ["REDIRECT", "TPROXY", "NONE"]) ?? "REDIRECT",
    meshId: reader.string("meshId") ?? "",
    imageType: reader.object("image")?.string("imageType") ?? "",
    gatewayTopology: readTopology(reader.object("gatewayTopology")),
    proxyHeaders: readHeaders(reader.object("proxyHeaders")),
    tracing: readTracing(reader.object("tracing")),
    tracingServiceName: reader.oneOf("tracingServiceName", tracingServiceNames) ?? "APP_LABEL_AND_NAMESPACE",
    connectionSettings: readConnectionSettings(reader.object("connectionSettings")),
    proxyStatsMatcher: readStatsMatcher(reader.object("proxyStatsMatcher")),
  };
  const fault = proxyAddressFault(config.discoveryAddress);
  if (fault !== undefined) reader.error(fault, "discoveryAddress");
  for (const field of withoutEffect)
    if (reader.has(field) && !unremarkable.has(field)) reader.warnNoEffect("has no effect here", field);
  if (reader.has("caCertificatesPem"))
    reader.warnNoEffect(
      "has no effect here: as in upstream, the control plane writes this field and does not read it; set the roots in caCertificates of the mesh config",
      "caCertificatesPem",
    );
  warnOfUnknown(reader);
  return config;
}

/** Reads metadata as text. Accepts numbers and booleans too, because people omit the quotes. */
function readMetadata(reader: Reader): Readonly<Record<string, string>> {
  const map = reader.object("proxyMetadata");
  const entries = Object.entries((map?.raw as Readonly<Record<string, unknown>> | undefined) ?? {});
  return Object.fromEntries(
    entries.map(([name, value]) => {
      if (typeof value === "string") return [name, value];
      if (typeof value !== "number" && typeof value !== "boolean") map?.error("must be a string", name);
      return [name, String(value)];
    }),
  );
}

function proxyAddressFault(text: string): string | undefined {
  const [, bracketed, plain = "", port = ""] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const isGood = Number(port) >= 1 && Number(port) <= maxPort && domainOrAddressFault(bracketed ?? plain) === undefined;
  return isGood ? undefined : `must be host:port, got "${text}"`;
}

function readTopology(reader: Reader | undefined): GatewayTopology {
  const proxyProtocol = reader?.object("proxyProtocol");
  const topology = {
    numTrustedProxies: reader?.integer("numTrustedProxies", 0) ?? 0,
    forwardClientCertDetails: reader?.oneOf("forwardClientCertDetails", certificateDetails) ?? "UNDEFINED",
    proxyProtocol: proxyProtocol !== undefined,
  };
  warnOfUnknown(proxyProtocol);
  warnOfUnknown(reader);
  return topology;
}

/** Trace collectors in Envoy's bootstrap. Envoy's agent supports them, but Serin does not. */
const collectors = ["zipkin", "lightstep", "datadog", "stackdriver", "openCensusAgent", "tlsSettings"] as const;
const allPercent = 100;

function readTracing(reader: Reader | undefined): ProxyTracing | undefined {
  if (reader === undefined) return undefined;
  for (const field of collectors)
    if (reader.has(field))
      reader.warnNoEffect(
        "has no effect here: name an extension provider in defaultProviders.tracing or in a Telemetry",
        field,
      );
  const sampling = reader.number("sampling");
  if (sampling !== undefined && (sampling < 0 || sampling > allPercent))
    reader.error(`must be from 0 to 100, got ${sampling}`, "sampling");
  const tracing: ProxyTracing = {
    samplingPercent: sampling === 0 ? undefined : sampling,
    // Leave out tags that Envoy does not accept. The tags of a mesh or a pod are in many listeners, and Envoy would
    // reject them all.
    customTags: readTags(reader).accepted,
    maxPathTagLength: reader.integer("maxPathTagLength", 0) || undefined,
    enableIstioTags: reader.boolean("enableIstioTags") ?? true,
  };
  warnOfUnknown(reader);
  return tracing;
}

function readHeaders(reader: Reader | undefined): ProxyHeaders {
  const isEnabled = (field: string): boolean => {
    const setting = reader?.object(field);
    const enabled = setting?.boolean("enabled") ?? false;
    warnOfUnknown(setting);
    return enabled;
  };
  const isDisabled = (field: string): boolean => reader?.object(field)?.boolean("disabled") ?? false;
  const server = reader?.object("server");
  const headers: ProxyHeaders = {
    forwardedClientCert: reader?.oneOf("forwardedClientCert", certificateDetails) ?? "UNDEFINED",
    clientCertificateDetails: readCertificateDetails(reader?.object("setCurrentClientCertDetails")),
    requestIdDisabled: isDisabled("requestId"),
    serverDisabled: isDisabled("server"),
    serverValue: server === undefined ? undefined : readText(server, "value"),
    attemptCountDisabled: isDisabled("attemptCount"),
    envoyDebugHeadersDisabled: isDisabled("envoyDebugHeaders"),
    metadataExchangeInMeshOnly:
      reader?.object("metadataExchangeHeaders")?.oneOf("mode", ["UNDEFINED", "IN_MESH"]) === "IN_MESH",
    xForwardedHost: isEnabled("xForwardedHost"),
    xForwardedPort: isEnabled("xForwardedPort"),
    preserveHttp1HeaderCase: reader?.boolean("preserveHttp1HeaderCase") ?? false,
  };
  warnOfUnknown(reader);
  return headers;
}

function readCertificateDetails(reader: Reader | undefined): ProxyHeaders["clientCertificateDetails"] {
  if (reader === undefined) return undefined;
  const details = Object.fromEntries(
    clientCertificateDetails.flatMap((detail) =>
      reader.has(detail) ? [[detail, reader.boolean(detail) ?? false] as const] : [],
    ),
  );
  warnOfUnknown(reader);
  return details;
}

/** The part of a pod's `proxy.istio.io/config` that affects resources from the control plane. */
export interface OwnProxyConfig extends Partial<
  Pick<ProxyConfig, "connectionSettings" | "gatewayTopology" | "tracing" | "tracingServiceName">
> {
  /** A field that is absent keeps the mesh's value. */
  readonly proxyHeaders?: Partial<ProxyHeaders>;
  /** The proxy's variable ISTIO_META_IDLE_TIMEOUT: how long connections with clients may be idle. */
  readonly idleTimeoutMs?: number;
  /** The proxy's variable ISTIO_META_HTTP10: whether it accepts requests of HTTP/1.0. */
  readonly acceptsHttp10?: true;
}

/**
 * For each field of `proxyHeaders`, the names in {@link ProxyHeaders} that it sets. If a pod's `proxyHeaders` lacks one
 * of these fields, the mesh's value stays. All other fields are replaced as a whole.
 */
const keptHeaders: Readonly<Record<string, readonly (keyof ProxyHeaders)[]>> = {
  forwardedClientCert: ["forwardedClientCert"],
  requestId: ["requestIdDisabled"],
  attemptCount: ["attemptCountDisabled"],
  server: ["serverDisabled", "serverValue"],
  envoyDebugHeaders: ["envoyDebugHeadersDisabled"],
};

/**
 * Reads the parsed annotation. Undefined if it sets none of these fields. Ignores faults, because the webhook reports
 * them.
 */
export function readOwnProxyConfig(raw: unknown): OwnProxyConfig | undefined {
  if (typeof raw !== "object" || raw === null || Array.isArray(raw)) return undefined;
  const reader = Reader.ofProtoJson(withJsonNames(raw));
  const config = readProxyConfig(reader);
  const own: OwnProxyConfig = {
    ...(reader.has("connectionSettings") ? { connectionSettings: config.connectionSettings } : {}),
    ...(reader.has("gatewayTopology") ? { gatewayTopology: config.gatewayTopology } : {}),
    ...(reader.has("proxyHeaders") ? { proxyHeaders: statedHeaders(reader, config.proxyHeaders) } : {}),
    ...(reader.has("tracing") ? { tracing: config.tracing } : {}),
    ...(reader.has("tracingServiceName") ? { tracingServiceName: config.tracingServiceName } : {}),
  };
  return Object.keys(own).length === 0 ? undefined : own;
}

function statedHeaders(reader: Reader, headers: ProxyHeaders): Partial<ProxyHeaders> {
  const written = reader.object("proxyHeaders");
  const kept = new Set(
    Object.entries(keptHeaders).flatMap(([field, names]) => (written?.has(field) === true ? [] : names)),
  );
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !kept.has(name as keyof ProxyHeaders)));
}

export function withOwnProxyConfig<Mesh extends Pick<ProxyConfig, keyof OwnProxyConfig & keyof ProxyConfig>>(
  mesh: Mesh,
  own: OwnProxyConfig | undefined,
): Mesh {
  if (own === undefined) return mesh;
  return { ...mesh, ...own, proxyHeaders: { ...mesh.proxyHeaders, ...own.proxyHeaders } };
}
