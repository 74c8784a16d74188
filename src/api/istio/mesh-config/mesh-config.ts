import type { LabelSelector } from "../../meta.ts";
import type { Parsed } from "../../parsed.ts";
import { Reader } from "../../reader.ts";
import { checkEach } from "../checks.ts";
import {
  readConnectionPool,
  readKeepalive,
  type ConnectionPool,
  type TcpKeepalive,
} from "../destination-rule/connection-pool.ts";
import { isDnsLabel } from "../domain-names.ts";
import { readExtensionProviders, type ExtensionProvider } from "./extension-provider.ts";
import { readDurationMs, readPortNumber, readText, refuseUnknown, requireText, warnOfUnknown } from "../fields.ts";
import { readRetries, type HttpRetry } from "../virtual-service/http-retry.ts";
import {
  readLocality,
  readZoneAware,
  type LocalityLoadBalancer,
  type ZoneAwareLoadBalancer,
} from "../destination-rule/locality-load-balancer.ts";
import { withJsonNames } from "./proto-json-names.ts";
import { readProxyConfig, type ProxyConfig } from "./proxy-config.ts";
import {
  readClientTls,
  readOutlierDetection,
  type ClientTls,
  type OutlierDetection,
} from "../destination-rule/traffic-policy.ts";
import { trustDomainFault } from "./trust-domain.ts";
import { readTrustedAuthorities, type TrustedAuthority } from "./trusted-authority.ts";

export type PathNormalization = (typeof pathNormalizations)[number];
const pathNormalizations = ["DEFAULT", "NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"] as const;

/**
 * istio.mesh.v1alpha1.MeshConfig with upstream's defaults. Fields that Serin does not act on are dropped, with a
 * warning for each.
 */
export interface MeshConfig {
  readonly trustDomain: string;
  readonly trustDomainAliases: readonly string[];
  readonly rootNamespace: string;
  readonly accessLogFile: string;
  readonly accessLogFormat: string;
  readonly accessLogEncoding: "TEXT" | "JSON";
  /** Whether connections that match no filter chain are left out of the log. */
  readonly disableEnvoyListenerLog: boolean;
  readonly pathNormalization: PathNormalization;
  readonly enableAutoMtls: boolean;
  readonly defaultConfig: ProxyConfig;
  /** Only namespaces that match a selector are read. Without selectors, all namespaces are read. */
  readonly discoverySelectors: readonly LabelSelector[];
  /**
   * Which Services are merged across the clusters of an ambient mesh. For each Service, the first entry that matches
   * applies. A Service that no entry matches belongs to one cluster.
   */
  readonly serviceScopeConfigs: readonly ServiceScope[];
  readonly ingressClass: string;
  readonly ingressService: string;
  readonly connectTimeoutMs: number;
  /**
   * How sidecars handle traffic to unknown destinations. With ALLOW_ANY_DYNAMIC_DNS, requests in plain HTTP go to the
   * host that they name, and other traffic goes to its original destination.
   */
  readonly outboundTrafficPolicy: (typeof outboundTrafficModes)[number];
  /** How sidecars use TLS towards hosts of ALLOW_ANY_DYNAMIC_DNS. Absent means plain text. */
  readonly outboundTrafficTls?: ClientTls | undefined;
  /** The visibility of objects without `exportTo`. */
  readonly defaultServiceExportTo: readonly string[];
  readonly defaultVirtualServiceExportTo: readonly string[];
  readonly defaultDestinationRuleExportTo: readonly string[];
  readonly h2UpgradePolicy: "DO_NOT_UPGRADE" | "UPGRADE";
  readonly dnsRefreshRateMs: number;
  /** How long a proxy waits for a connection's first bytes to detect its protocol. 0 means without limit. */
  readonly protocolDetectionTimeoutMs: number;
  readonly extensionProviders: readonly ExtensionProvider[];
  /** The providers that write access logs if no Telemetry object names others. */
  readonly defaultAccessLogProviders: readonly string[];
  readonly meshMutualTls: MeshMutualTls;
  /** Defaults for TLS other than Istio's mutual TLS. */
  readonly tlsDefaults: {
    readonly minProtocolVersion: "TLSV1_2" | "TLSV1_3";
    readonly cipherSuites: readonly string[];
    readonly ecdhCurves: readonly string[];
  };
  readonly proxyListenPort: number;
  readonly proxyInboundListenPort: number;
  /** Whether inbound connections go to the pod's address, or to its loopback address as before Istio 1.10. */
  readonly inboundTrafficPolicy: "PASSTHROUGH" | "LOCALHOST";
  /** TCP keepalive for destinations whose DestinationRule sets none. */
  readonly tcpKeepalive?: TcpKeepalive | undefined;
  readonly enableTracing: boolean;
  readonly enablePrometheusMerge: boolean;
  readonly ingressControllerMode: "UNSPECIFIED" | "OFF" | "DEFAULT" | "STRICT";
  /**
   * The value of the label `istio` of the gateway that serves Ingresses. Absent means the label of the gateway that
   * `ingressService` names.
   */
  readonly ingressSelector?: string | undefined;
  readonly localityLbSetting: LocalityLoadBalancer;
  /** Absent if requests are not balanced by zone. */
  readonly zoneAwareLbSetting?: ZoneAwareLoadBalancer | undefined;
  readonly defaultHttpRetryPolicy?: HttpRetry | undefined;
  readonly defaultTrafficPolicy: {
    readonly connectionPool?: ConnectionPool | undefined;
    readonly outlierDetection?: OutlierDetection | undefined;
  };
  readonly hboneIdleTimeoutMs?: number | undefined;
  readonly defaultTracingProviders: readonly string[];
  /** Prometheus by default, as in upstream's charts. */
  readonly defaultMetricsProviders: readonly string[];
  readonly caCertificates: readonly TrustedAuthority[];
  /** The visibility of ServiceEntries, in addition to their `exportTo`. Absent means that only `exportTo` applies. */
  readonly serviceEntryVisibility?: ServiceEntryVisibility | undefined;
  readonly serviceSettings: readonly { readonly hosts: readonly string[]; readonly clusterLocal: boolean }[];
}

const outboundTrafficModes = ["ALLOW_ANY", "REGISTRY_ONLY", "ALLOW_ANY_DYNAMIC_DNS"] as const;

export type EntryVisibility = "PUBLIC" | "NAMESPACE" | "NONE";

interface ServiceEntryVisibility {
  readonly defaultVisibility: EntryVisibility;
  /** Whether sidecars and gateways also obey the visibility, not only ztunnels and waypoints. */
  readonly applyToSidecars: boolean;
  /**
   * The first policy whose selectors all match the namespace applies. A policy without selectors matches no namespace.
   */
  readonly policies: readonly {
    readonly visibility: EntryVisibility;
    readonly namespaceSelectors: readonly (LabelSelector | undefined)[];
  }[];
}

export interface ServiceScope {
  /** Selectors for the Service's namespace and for the Service itself. A selector that is absent matches all. */
  readonly namespaceSelector?: LabelSelector | undefined;
  readonly servicesSelector?: LabelSelector | undefined;
  readonly scope: "LOCAL" | "GLOBAL";
}

export interface MeshMutualTls {
  readonly minProtocolVersion: "TLSV1_2" | "TLSV1_3";
  readonly cipherSuites: readonly string[];
}

const withoutEffect = [
  "ca",
  "certificates",
  "configSources",
  "hboneIdleTimeout",
  "enableEnvoyAccessLogService",
  "inboundClusterStatName",
  "outboundClusterStatName",
  "proxyHttpPort",
  "verifyCertificateAtClient",
] as const;

const defaultConnectTimeoutMs = 10_000;
const maxConnectTimeoutMs = 3_600_000;
const defaultDnsRefreshRateMs = 60_000;
const defaultOutboundPort = 15_001;
const defaultInboundPort = 15_006;

/** Parses the YAML value of the key `mesh`. Warns of each field that is unknown or has no effect here. */
export function parseMeshConfig(raw: unknown): Parsed<MeshConfig> {
  const reader = Reader.ofProtoJson(withJsonNames(raw ?? {}));
  if (typeof (raw ?? {}) !== "object" || Array.isArray(raw)) reader.error("must be an object with the mesh's settings");
  const providers = reader.object("defaultProviders");
  const traffic = reader.object("defaultTrafficPolicy");
  const value: MeshConfig = {
    trustDomain: reader.string("trustDomain") ?? "cluster.local",
    trustDomainAliases: reader.strings("trustDomainAliases"),
    rootNamespace: reader.string("rootNamespace") ?? "istio-system",
    accessLogFile: reader.string("accessLogFile") ?? "",
    accessLogFormat: reader.string("accessLogFormat") ?? "",
    accessLogEncoding: reader.oneOf("accessLogEncoding", ["TEXT", "JSON"]) ?? "TEXT",
    disableEnvoyListenerLog: reader.boolean("disableEnvoyListenerLog") ?? false,
    pathNormalization: reader.object("pathNormalization")?.oneOf("normalization", pathNormalizations) ?? "DEFAULT",
    enableAutoMtls: reader.boolean("enableAutoMtls") ?? true,
    defaultConfig: readProxyConfig(reader.object("defaultConfig") ?? reader.empty("defaultConfig")),
    discoverySelectors: reader.objects("discoverySelectors").map(readLabelSelector),
    serviceScopeConfigs: reader.objects("serviceScopeConfigs").map(readServiceScope),
    ingressClass: reader.string("ingressClass") ?? "istio",
    ingressService: reader.string("ingressService") ?? "istio-ingressgateway",
    connectTimeoutMs: readDurationMs(reader, "connectTimeout", 1) ?? defaultConnectTimeoutMs,
    ...readOutboundTraffic(reader.object("outboundTrafficPolicy")),
    defaultServiceExportTo: readExportTo(reader, "defaultServiceExportTo"),
    defaultVirtualServiceExportTo: readExportTo(reader, "defaultVirtualServiceExportTo"),
    defaultDestinationRuleExportTo: readExportTo(reader, "defaultDestinationRuleExportTo"),
    h2UpgradePolicy: reader.oneOf("h2UpgradePolicy", ["DO_NOT_UPGRADE", "UPGRADE"]) ?? "DO_NOT_UPGRADE",
    dnsRefreshRateMs: readDurationMs(reader, "dnsRefreshRate") ?? defaultDnsRefreshRateMs,
    protocolDetectionTimeoutMs: readDurationMs(reader, "protocolDetectionTimeout") ?? 0,
    extensionProviders: readExtensionProviders(reader),
    defaultAccessLogProviders: providers?.strings("accessLogging") ?? [],
    meshMutualTls: readMeshMutualTls(reader.object("meshMTLS")),
    tlsDefaults: readTlsDefaults(reader.object("tlsDefaults")),
    proxyListenPort: readPortNumber(reader, "proxyListenPort") ?? defaultOutboundPort,
    proxyInboundListenPort: readPortNumber(reader, "proxyInboundListenPort") ?? defaultInboundPort,
    inboundTrafficPolicy:
      reader.object("inboundTrafficPolicy")?.oneOf("mode", ["PASSTHROUGH", "LOCALHOST"]) ?? "PASSTHROUGH",
    tcpKeepalive: readKeepalive(reader),
    enableTracing: reader.boolean("enableTracing") ?? true,
    enablePrometheusMerge: reader.boolean("enablePrometheusMerge") ?? true,
    ingressControllerMode:
      reader.oneOf("ingressControllerMode", ["UNSPECIFIED", "OFF", "DEFAULT", "STRICT"]) ?? "STRICT",
    ingressSelector: readText(reader, "ingressSelector"),
    ...readLocalitySettings(reader),
    defaultHttpRetryPolicy: readRetries(reader.object("defaultHttpRetryPolicy")),
    defaultTrafficPolicy: {
      connectionPool: readConnectionPool(traffic?.object("connectionPool")),
      outlierDetection: readOutlierDetection(traffic?.object("outlierDetection")),
    },
    hboneIdleTimeoutMs: readDurationMs(reader, "hboneIdleTimeout"),
    defaultTracingProviders: providers?.strings("tracing") ?? [],
    defaultMetricsProviders: providers?.has("metrics") === true ? providers.strings("metrics") : ["prometheus"],
    caCertificates: readTrustedAuthorities(reader),
    serviceEntryVisibility: readEntryVisibility(reader.object("serviceEntryVisibility")),
    serviceSettings: reader.objects("serviceSettings").map((entry) => ({
      hosts: entry.strings("hosts"),
      clusterLocal: entry.object("settings")?.boolean("clusterLocal") ?? false,
    })),
  };
  checkMesh(reader, value);
  for (const field of withoutEffect) if (reader.has(field)) reader.warnNoEffect("has no effect here", field);
  if (reader.object("meshMTLS")?.has("ecdhCurves") === true)
    reader.warnNoEffect("has no effect here", "meshMTLS.ecdhCurves");
  for (const nested of [providers, traffic, reader]) warnOfUnknown(nested);
  return reader.finish(() => value);
}

/**
 * Reads what sidecars do with unknown destinations. Rejects TLS settings that need a Secret, because sidecars may not
 * read Secrets and would send the requests in plain text.
 */
function readOutboundTraffic(
  reader: Reader | undefined,
): Pick<MeshConfig, "outboundTrafficPolicy" | "outboundTrafficTls"> {
  const mode = reader?.oneOf("mode", outboundTrafficModes) ?? "ALLOW_ANY";
  const tls = readClientTls(reader?.object("tls"), "");
  if (reader === undefined || tls === undefined) return { outboundTrafficPolicy: mode };
  if (mode !== "ALLOW_ANY_DYNAMIC_DNS")
    reader.warnNoEffect("has an effect only with the mode ALLOW_ANY_DYNAMIC_DNS", "tls");
  if (tls.credentialName !== undefined)
    reader.error(
      `must be empty, because sidecars cannot read it, got "${tls.credentialName}"; use files of the proxy (caCertificates, clientCertificate, privateKey)`,
      "tls.credentialName",
    );
  return { outboundTrafficPolicy: mode, outboundTrafficTls: tls };
}

function readServiceScope(reader: Reader): ServiceScope {
  const [namespaces, services] = [reader.object("namespaceSelector"), reader.object("servicesSelector")];
  const found: ServiceScope = {
    namespaceSelector: namespaces === undefined ? undefined : readLabelSelector(namespaces),
    servicesSelector: services === undefined ? undefined : readLabelSelector(services),
    scope: reader.oneOf("scope", ["LOCAL", "GLOBAL"]) ?? "LOCAL",
  };
  warnOfUnknown(reader);
  return found;
}

const visibilities = ["VISIBILITY_UNSPECIFIED", "PUBLIC", "NAMESPACE", "NONE"] as const;

function readVisibility(reader: Reader, field: string): EntryVisibility {
  const configured = reader.oneOf(field, visibilities) ?? "PUBLIC";
  return configured === "VISIBILITY_UNSPECIFIED" ? "PUBLIC" : configured;
}

function readEntryVisibility(reader: Reader | undefined): ServiceEntryVisibility | undefined {
  if (reader === undefined) return undefined;
  const found: ServiceEntryVisibility = {
    defaultVisibility: readVisibility(reader, "defaultVisibility"),
    applyToSidecars: reader.boolean("applyToSidecars") ?? false,
    policies: reader.objects("policies").map((policy) => {
      const selectors = policy.objects("matchingRules").map((rule) => {
        const selector = rule.object("namespaceSelector");
        const read = selector === undefined ? undefined : readLabelSelector(selector);
        refuseUnknown(rule);
        return read;
      });
      const visibility = readVisibility(policy, "visibility");
      refuseUnknown(policy);
      return { visibility, namespaceSelectors: selectors };
    }),
  };
  refuseUnknown(reader);
  return found;
}

const selectorOperators = ["In", "NotIn", "Exists", "DoesNotExist"] as const;

/** Reads a metav1.LabelSelector. An invalid one is an error, because it would select the wrong namespaces. */
function readLabelSelector(reader: Reader): LabelSelector {
  const selector = {
    matchLabels: reader.stringMap("matchLabels"),
    matchExpressions: reader.objects("matchExpressions").map((expression) => {
      const found = {
        key: requireText(expression, "key"),
        operator: expression.oneOf("operator", selectorOperators) ?? "Exists",
        values: [...expression.strings("values")],
      };
      const takesValues = found.operator === "In" || found.operator === "NotIn";
      if (takesValues !== found.values.length > 0)
        expression.error(
          takesValues ? `must not be empty for ${found.operator}` : `must be empty for ${found.operator}`,
          "values",
        );
      refuseUnknown(expression);
      return found;
    }),
  };
  refuseUnknown(reader);
  return selector;
}

/** Reads the settings for balancing by locality. It is on by default. */
function readLocalitySettings(reader: Reader): Pick<MeshConfig, "localityLbSetting" | "zoneAwareLbSetting"> {
  const setting = readLocality(reader.object("localityLbSetting"), true);
  return {
    localityLbSetting:
      setting === undefined
        ? { enabled: true, distribute: [], failover: [], failoverPriority: [] }
        : { ...setting, enabled: setting.enabled ?? true },
    zoneAwareLbSetting: readZoneAware(reader.object("zoneAwareLbSetting"), true),
  };
}

function checkMesh(reader: Reader, value: MeshConfig): void {
  if (reader.has("trustDomain")) reportTrustDomain(reader, "trustDomain", value.trustDomain);
  checkEach(reader, "trustDomainAliases", value.trustDomainAliases, trustDomainFault);
  if (!isDnsLabel(value.rootNamespace))
    reader.error(`must be the name of a namespace, got "${value.rootNamespace}"`, "rootNamespace");
  if (value.connectTimeoutMs > maxConnectTimeoutMs) reader.error("must be at most 1h", "connectTimeout");
}

function reportTrustDomain(reader: Reader, field: string, text: string): void {
  const fault = trustDomainFault(text);
  if (fault !== undefined) reader.error(fault, field);
}

function readTlsDefaults(reader: Reader | undefined): MeshConfig["tlsDefaults"] {
  const defaults = { ...readMeshMutualTls(reader), ecdhCurves: reader?.strings("ecdhCurves") ?? [] };
  warnOfUnknown(reader);
  return defaults;
}

function readMeshMutualTls(reader: Reader | undefined): MeshMutualTls {
  const version = reader?.oneOf("minProtocolVersion", ["TLS_AUTO", "TLSV1_2", "TLSV1_3"]) ?? "TLS_AUTO";
  return {
    minProtocolVersion: version === "TLSV1_3" ? "TLSV1_3" : "TLSV1_2",
    cipherSuites: reader?.strings("cipherSuites") ?? [],
  };
}

/** Reads a default for `exportTo`. If it is absent, objects are visible in all namespaces. */
function readExportTo(reader: Reader, field: string): readonly string[] {
  return reader.has(field) ? reader.strings(field) : ["*"];
}
