import type { Parsed } from "../parsed.ts";
import { Reader } from "../reader.ts";
import { readExtensionProviders, type ExtensionProvider } from "./extension-provider.ts";

/** How proxies write a request's path before they compare it. */
export type PathNormalization = (typeof pathNormalizations)[number];
const pathNormalizations = ["DEFAULT", "NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"] as const;

/** The part of istio.mesh.v1alpha1.MeshConfig that Serin acts on, with upstream's defaults. */
export interface MeshConfig {
  readonly trustDomain: string;
  readonly trustDomainAliases: readonly string[];
  readonly rootNamespace: string;
  readonly accessLogFile: string;
  readonly accessLogFormat: string;
  readonly accessLogEncoding: "TEXT" | "JSON";
  readonly pathNormalization: PathNormalization;
  readonly enableAutoMtls: boolean;
  readonly defaultConfig: ProxyConfig;
  /** Namespaces outside of all selectors are not seen; no selectors see all. */
  readonly discoverySelectors: readonly unknown[];
  readonly ingressClass: string;
  readonly ingressService: string;
  readonly connectTimeoutMs: number;
  /** What sidecars do with traffic to what no registry knows. */
  readonly outboundTrafficPolicy: "ALLOW_ANY" | "REGISTRY_ONLY";
  /** `exportTo` of objects that say none. */
  readonly defaultServiceExportTo: readonly string[];
  readonly defaultVirtualServiceExportTo: readonly string[];
  readonly defaultDestinationRuleExportTo: readonly string[];
  readonly h2UpgradePolicy: "DO_NOT_UPGRADE" | "UPGRADE";
  readonly dnsRefreshRateMs: number;
  /** How long a proxy waits for the first bytes that tell a protocol; 0: as long as it takes. */
  readonly protocolDetectionTimeoutMs: number;
  readonly extensionProviders: readonly ExtensionProvider[];
  /** Names of providers that write access logs where no Telemetry says otherwise. */
  readonly defaultAccessLogProviders: readonly string[];
  /** Of Istio's mutual TLS, at its servers. */
  readonly meshMutualTls: { readonly minProtocolVersion: "TLSV1_2" | "TLSV1_3"; readonly cipherSuites: readonly string[] };
}

/** istio.mesh.v1alpha1.ProxyConfig. */
export interface ProxyConfig {
  readonly discoveryAddress: string;
  readonly drainDurationMs: number;
  readonly terminationDrainDurationMs: number;
  readonly concurrency: number;
  readonly proxyMetadata: Readonly<Record<string, string>>;
  readonly holdApplicationUntilProxyStarts: boolean;
}

const defaultConnectTimeoutMs = 10_000;
const defaultDnsRefreshRateMs = 60_000;
const defaultDrainMs = 45_000;
const defaultTerminationDrainMs = 5000;

/** Reads the parsed YAML of the key `mesh`; fields that Serin does not know are ignored, as upstream's are many. */
export function parseMeshConfig(raw: unknown): Parsed<MeshConfig> {
  const reader = new Reader(raw ?? {});
  const value: MeshConfig = {
    trustDomain: reader.string("trustDomain") ?? "cluster.local",
    trustDomainAliases: reader.strings("trustDomainAliases"),
    rootNamespace: reader.string("rootNamespace") ?? "istio-system",
    accessLogFile: reader.string("accessLogFile") ?? "",
    accessLogFormat: reader.string("accessLogFormat") ?? "",
    accessLogEncoding: reader.oneOf("accessLogEncoding", ["TEXT", "JSON"]) ?? "TEXT",
    pathNormalization: reader.object("pathNormalization")?.oneOf("normalization", pathNormalizations) ?? "DEFAULT",
    enableAutoMtls: reader.boolean("enableAutoMtls") ?? true,
    defaultConfig: readProxyConfig(reader.object("defaultConfig") ?? new Reader({})),
    discoverySelectors: reader.list("discoverySelectors").map((selector) => selector.raw),
    ingressClass: reader.string("ingressClass") ?? "istio",
    ingressService: reader.string("ingressService") ?? "istio-ingressgateway",
    connectTimeoutMs: readDurationMs(reader, "connectTimeout") ?? defaultConnectTimeoutMs,
    outboundTrafficPolicy: reader.object("outboundTrafficPolicy")?.oneOf("mode", ["ALLOW_ANY", "REGISTRY_ONLY"]) ?? "ALLOW_ANY",
    defaultServiceExportTo: readExportTo(reader, "defaultServiceExportTo"),
    defaultVirtualServiceExportTo: readExportTo(reader, "defaultVirtualServiceExportTo"),
    defaultDestinationRuleExportTo: readExportTo(reader, "defaultDestinationRuleExportTo"),
    h2UpgradePolicy: reader.oneOf("h2UpgradePolicy", ["DO_NOT_UPGRADE", "UPGRADE"]) ?? "DO_NOT_UPGRADE",
    dnsRefreshRateMs: readDurationMs(reader, "dnsRefreshRate") ?? defaultDnsRefreshRateMs,
    protocolDetectionTimeoutMs: readDurationMs(reader, "protocolDetectionTimeout") ?? 0,
    extensionProviders: readExtensionProviders(reader),
    defaultAccessLogProviders: reader.object("defaultProviders")?.strings("accessLogging") ?? [],
    meshMutualTls: readMeshMutualTls(reader.object("meshMTLS")),
  };
  return reader.finish(() => value);
}

function readMeshMutualTls(reader: Reader | undefined): MeshConfig["meshMutualTls"] {
  const version = reader?.oneOf("minProtocolVersion", ["TLS_AUTO", "TLSV1_2", "TLSV1_3"]) ?? "TLS_AUTO";
  return { minProtocolVersion: version === "TLSV1_3" ? "TLSV1_3" : "TLSV1_2", cipherSuites: reader?.strings("cipherSuites") ?? [] };
}

/** Absent: everybody. */
function readExportTo(reader: Reader, field: string): readonly string[] {
  return reader.has(field) ? reader.strings(field) : ["*"];
}

function readProxyConfig(reader: Reader): ProxyConfig {
  return {
    discoveryAddress: reader.string("discoveryAddress") ?? "istiod.istio-system.svc:15012",
    drainDurationMs: readDurationMs(reader, "drainDuration") ?? defaultDrainMs,
    terminationDrainDurationMs: readDurationMs(reader, "terminationDrainDuration") ?? defaultTerminationDrainMs,
    concurrency: reader.integer("concurrency", 0) ?? 0,
    proxyMetadata: reader.stringMap("proxyMetadata"),
    holdApplicationUntilProxyStarts: reader.boolean("holdApplicationUntilProxyStarts") ?? false,
  };
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Go's durations, as far as meshes use them: `10s`, `1m30s`, `0.5s`. */
function readDurationMs(reader: Reader, field: string): number | undefined {
  const text = reader.string(field);
  if (text === undefined) return undefined;
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) {
    reader.error(`must be a duration such as 10s or 1m30s, got "${text}"`, field);
    return undefined;
  }
  let totalMs = 0;
  for (const [, digits = "0", unit = "ms"] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) totalMs += Number(digits) * (unitMs[unit] ?? 0);
  return totalMs;
}
