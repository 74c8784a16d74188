import {
  envBoolean,
  envPort,
  type Environment,
  envString,
  goDurationMs,
  messageOf,
  textMapAt,
  userError,
  ownField,
} from "../base/index.ts";
import { readCompliancePolicy, type CompliancePolicy } from "../base/compliance/index.ts";
import { formatIdentity, type XdsNode } from "../dataplane/index.ts";
import type { CertificateOutput } from "./agent/certificate-files.ts";
import { parseAppProbers, type AppProbe } from "./agent/app-prober.ts";
import { parseAppMetrics, type AppMetrics } from "./agent/merged-metrics.ts";
import { readWorkloadProbe, type WorkloadProbe } from "./agent/workload-health.ts";
import { readDownwardFile } from "./downward-api.ts";
import { readOwnProxyConfig, type OwnProxyConfig } from "./own-proxy-config.ts";
import { readStatsInclusion, type StatsInclusion } from "./stats-inclusion.ts";

/** The settings that a proxy gets from its environment, its arguments and its pod, under upstream's names. */
export interface ProxySettings {
  readonly role: "router" | "sidecar" | "waypoint";
  readonly version: string;
  readonly podName: string;
  readonly podNamespace: string;
  readonly instanceIp: string;
  readonly serviceAccount: string;
  readonly nodeName: string;
  readonly clusterId: string;
  readonly trustDomain: string;
  readonly domain: string;
  readonly revision: string;
  /** The URL of the control plane, as `https://host:port`. */
  readonly xdsUrl: string;
  readonly caUrl: string;
  readonly xdsRootFile: string | undefined;
  readonly caRootFile: string | undefined;
  readonly tokenFile: string;
  /** COMPLIANCE_POLICY: restricts the versions and ciphers of TLS. */
  readonly compliance: CompliancePolicy | undefined;
  readonly secretTtlSeconds: number;
  /** OUTPUT_CERTS: where the workload's certificate is written. If undefined, it is not written. */
  readonly certificateOutput: CertificateOutput | undefined;
  readonly workloadName: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly metadata: Readonly<Record<string, unknown>>;
  /**
   * The minimum time, in milliseconds, for which the listeners stay open after the first shutdown request. They close
   * earlier if the application has ended.
   */
  readonly drainMs: number;
  /** The time after which connections of removed configuration are closed (`drainDuration`), in milliseconds. */
  readonly connectionDrainMs: number;
  /** The application's probes and the addresses of its metrics, as the injector sets them. */
  readonly appProbers: Readonly<Record<string, AppProbe>>;
  readonly appMetrics: readonly AppMetrics[];
  /** The readiness probe of a machine outside of the cluster. Its results go to the control plane. */
  readonly workloadProbe?: WorkloadProbe | undefined;
  readonly logLevel: "trace" | "debug" | "info" | "warn" | "error";
  /**
   * The file into which the injector mounts the revocation lists of the mesh's authorities. If undefined,
   * PILOT_ENABLE_CA_CRL is off.
   */
  readonly meshRevocationsFile: string | undefined;
  /**
   * PROXY_CONFIG_XDS_AGENT: whether the proxy requests further roots from the control plane, in addition to those that
   * come with its certificate.
   */
  readonly requestsTrustBundle: boolean;
  /** Whether the pod's DNS queries are redirected to this proxy. */
  readonly capturesDns: boolean;
  /** METRICS_LOCALHOST_ACCESS_ONLY: whether only clients in the pod get metrics. */
  readonly metricsInPodOnly: boolean;
  /** PILOT_AGENT_MERGE_ENVOY_STATS: whether the status port also serves this proxy's own metrics. */
  readonly mergesOwnMetrics: boolean;
  readonly statsInclusion: StatsInclusion;
  /** The configured number of workers in its original form. Undefined if it is not set. */
  readonly concurrency: unknown;
  /** The maximum number of clients' connections of each serving thread. */
  readonly maxConnectionsPerThread: number;
  readonly ports: {
    readonly admin: number;
    readonly stats: number;
    readonly envoyStats: number;
    /**
     * ENVOY_SECURE_METRICS_PORT: the port for the proxy's own metrics, for clients with a certificate of the mesh. 0
     * means no such port.
     */
    readonly secureStats: number;
    /**
     * ENVOY_SECURE_MERGED_METRICS_PORT: the port for the same metrics together with the application's. 0 means no such
     * port.
     */
    readonly secureMergedStats: number;
    readonly readiness: number;
    readonly dns: number;
  };
}

export interface SettingsSources {
  readonly env: Environment;
  readonly args: readonly string[];
  readonly version: string;
  readonly labelsFile: string | undefined;
  readonly annotationsFile?: string | undefined;
}

const defaultDiscovery = "istiod.istio-system.svc:15012";
const defaultRoot = "/var/run/secrets/istio/root-cert.pem";
const meshRevocations = "/var/run/secrets/istio/crl/ca-crl.pem";
const defaultDnsAddress = "localhost:15053";
const defaultToken = "/var/run/secrets/tokens/istio-token";

function certificateOutput(env: Environment): CertificateOutput | undefined {
  const folder = envString(env, "OUTPUT_CERTS", "");
  return folder === "" ? undefined : { folder, inPod: env["KUBERNETES_SERVICE_HOST"] !== undefined };
}

/**
 * Refuses settings that ask for certificates from mounted files. Without this error, the proxy would wait for the CA's
 * certificate and never become ready, and no log would say why.
 */
function refuseMountedCertificates(env: Environment): void {
  if (envString(env, "FILE_MOUNTED_CERTS", "false") !== "false")
    throw userError(
      "env-invalid",
      "FILE_MOUNTED_CERTS is not supported: the proxy's identity is a certificate of the mesh's authority",
      { hint: "remove it from proxyMetadata; files may still be used by credentials of a Gateway or DestinationRule" },
    );
}

/** Reads the settings from environment and arguments. An invalid value is a user error that names it. */
export function readSettings(sources: SettingsSources): ProxySettings {
  const { env, args, version } = sources;
  refuseMountedCertificates(env);
  const annotations = readDownwardFile(sources.annotationsFile);
  const proxyConfig = readOwnProxyConfig(env, annotations);
  const discovery = envString(env, "XDS_ADDRESS", stringOf(proxyConfig["discoveryAddress"]) ?? defaultDiscovery);
  const xdsUrl = urlOf(discovery);
  const plaintext = xdsUrl.startsWith("http:");
  const podNamespace = envString(env, "POD_NAMESPACE", "default");
  const labels = { ...readDownwardFile(sources.labelsFile), ...metadataLabels(env) };
  const serviceAccount = envString(env, "SERVICE_ACCOUNT", "default");
  const settings = {
    role: roleOf(args),
    version,
    podName: envString(env, "POD_NAME", "proxy"),
    podNamespace,
    instanceIp: envString(env, "INSTANCE_IP", "127.0.0.1"),
    serviceAccount,
    nodeName: envString(env, "NODE_NAME", ""),
    clusterId: envString(env, "ISTIO_META_CLUSTER_ID", envString(env, "CLUSTER_ID", "Kubernetes")),
    trustDomain: envString(env, "TRUST_DOMAIN", "cluster.local"),
    domain:
      optionOf(args, "--domain")?.replace("$(POD_NAMESPACE)", podNamespace) ?? `${podNamespace}.svc.cluster.local`,
    revision: envString(env, "REVISION", labels["istio.io/rev"] ?? ""),
    xdsUrl,
    caUrl: urlOf(envString(env, "CA_ADDR", envString(env, "CA_ADDRESS", discovery))),
    xdsRootFile: plaintext ? undefined : envString(env, "XDS_ROOT_CA", defaultRoot),
    caRootFile: envString(env, "CA_ROOT_CA", defaultRoot),
    tokenFile: envString(env, "AUTH_TOKEN", defaultToken),
    compliance: readCompliancePolicy(env),
    secretTtlSeconds: durationSeconds(env, "SECRET_TTL", 86_400),
    certificateOutput: certificateOutput(env),
    workloadName: envString(env, "ISTIO_META_WORKLOAD_NAME", labels["app"] ?? "unknown"),
    labels,
    drainMs: drainMsOf(env, proxyConfig),
    workloadProbe: readWorkloadProbe(proxyConfig["readinessProbe"]),
    connectionDrainMs: secondsOf(stringOf(proxyConfig["drainDuration"]) ?? "45s", "drainDuration") * 1000,
    appProbers: parseAppProbers(envString(env, "ISTIO_KUBE_APP_PROBERS", "")),
    appMetrics: parseAppMetrics(envString(env, "ISTIO_PROMETHEUS_ANNOTATIONS", "")),
    logLevel: logLevelOf(env, args),
    meshRevocationsFile: envBoolean(env, "PILOT_ENABLE_CA_CRL", true) ? meshRevocations : undefined,
    requestsTrustBundle: envBoolean(env, "PROXY_CONFIG_XDS_AGENT", false),
    // Answer DNS queries only in a sidecar: only its pod has rules that redirect queries to the proxy. In a gateway's
    // pod, a ztunnel may have the port.
    capturesDns: roleOf(args) === "sidecar" && envBoolean(env, "ISTIO_META_DNS_CAPTURE", false),
    metricsInPodOnly: envBoolean(env, "METRICS_LOCALHOST_ACCESS_ONLY", false),
    mergesOwnMetrics: envBoolean(env, "PILOT_AGENT_MERGE_ENVOY_STATS", true),
    statsInclusion: statsInclusionOf(env, proxyConfig, annotations),
    concurrency: concurrencyOf(args, proxyConfig),
    maxConnectionsPerThread: Infinity,
    ports: {
      admin: envPort(env, "ADMIN_PORT", portOf(proxyConfig, "proxyAdminPort", 15_000)),
      stats: envPort(env, "STATS_PORT", portOf(proxyConfig, "statusPort", 15_020)),
      envoyStats: envPort(env, "ENVOY_STATS_PORT", 15_090),
      secureStats: envPort(env, "ENVOY_SECURE_METRICS_PORT", 0),
      secureMergedStats: envPort(env, "ENVOY_SECURE_MERGED_METRICS_PORT", 0),
      readiness: envPort(env, "READINESS_PORT", 15_021),
      dns: dnsPortOf(envString(env, "DNS_PROXY_ADDR", defaultDnsAddress)),
    },
  } as const;
  return { ...settings, metadata: nodeMetadata(env, settings, proxyConfig, annotations) };
}

/** The id of the node, in the form `<type>~<address>~<pod>.<namespace>~<domain>`. */
export function nodeId(settings: ProxySettings): string {
  return `${settings.role}~${settings.instanceIp}~${settings.podName}.${settings.podNamespace}~${settings.domain}`;
}

/** How the proxy presents itself to the control plane and to SDS providers. */
export function xdsNode(settings: ProxySettings): XdsNode {
  return {
    id: nodeId(settings),
    cluster: `${settings.workloadName}.${settings.podNamespace}`,
    metadata: settings.metadata,
  };
}

export function identityOf({ trustDomain, podNamespace: namespace, serviceAccount }: ProxySettings): string {
  return formatIdentity({ trustDomain, namespace, serviceAccount });
}

/** The configured number of workers. As in upstream, a flag of 0 counts as unset. */
function concurrencyOf(args: readonly string[], proxyConfig: OwnProxyConfig): unknown {
  const flag = optionOf(args, "--concurrency");
  if (flag !== undefined && flag !== "0") return flag;
  return proxyConfig["concurrency"];
}

function statsInclusionOf(
  env: Environment,
  proxyConfig: OwnProxyConfig,
  annotations: Readonly<Record<string, string>>,
): StatsInclusion {
  return readStatsInclusion({
    matcher: proxyConfig["proxyStatsMatcher"],
    annotations,
    podIps: envString(env, "INSTANCE_IPS", envString(env, "INSTANCE_IP", "127.0.0.1")).split(","),
    exitsWithLastConnection: envBoolean(env, "EXIT_ON_ZERO_ACTIVE_CONNECTIONS", false),
  });
}

function portOf(proxyConfig: OwnProxyConfig, name: string, fallback: number): number {
  const value = proxyConfig[name];
  if (value === undefined || value === 0) return fallback;
  if (typeof value !== "number" || !Number.isInteger(value) || value < 1 || value > 65_535)
    throw userError(
      "env-invalid",
      `PROXY_CONFIG: ${name} must be a port from 1 to 65535, got ${JSON.stringify(value)}`,
    );
  return value;
}

function dnsPortOf(address: string): number {
  const port = Number(address.slice(address.lastIndexOf(":") + 1));
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw userError("env-invalid", `DNS_PROXY_ADDR must be like ${defaultDnsAddress}, got "${address}"`);
  return port;
}

function urlOf(address: string): string {
  if (/^https?:\/\//.test(address)) return address;
  return address.endsWith(":15010") ? `http://${address}` : `https://${address}`;
}

function roleOf(args: readonly string[]): ProxySettings["role"] {
  const [role = "router"] = args.filter((arg) => arg !== "proxy");
  if (role === "router" || role === "sidecar" || role === "waypoint") return role;
  if (role.startsWith("-")) return "router";
  throw userError("argument-invalid", `the proxy's type must be router, sidecar or waypoint, got "${role}"`);
}

function optionOf(args: readonly string[], name: string): string | undefined {
  const at = args.findIndex((arg) => arg === name || arg.startsWith(`${name}=`));
  if (at < 0) return undefined;
  return args[at] === name ? args[at + 1] : args[at]?.slice(name.length + 1);
}

function metadataLabels(env: Environment): Record<string, string> {
  const text = envString(env, "ISTIO_METAJSON_LABELS", "");
  if (text === "") return {};
  try {
    return JSON.parse(text) as Record<string, string>;
  } catch (error) {
    throw userError("env-invalid", `ISTIO_METAJSON_LABELS is not valid JSON: ${messageOf(error)}`);
  }
}

const metaPrefix = "ISTIO_META_";
const metaJsonPrefix = "ISTIO_METAJSON_";

function nodeMetadata(
  env: Environment,
  settings: Omit<ProxySettings, "metadata">,
  proxyConfig: OwnProxyConfig,
  annotations: Readonly<Record<string, string>>,
): Readonly<Record<string, unknown>> {
  const { ports } = settings;
  const metadata: Record<string, unknown> = {
    ...(settings.role === "sidecar" ? {} : { ENABLE_HBONE: "true" }),
    MESH_ID: settings.trustDomain,
    OWNER: `kubernetes://apis/apps/v1/namespaces/${settings.podNamespace}/deployments/${settings.workloadName}`,
  };
  for (const [name, value] of Object.entries({ ...textMapAt(proxyConfig, "proxyMetadata"), ...env })) {
    if (value === undefined) continue;
    if (name.startsWith(metaPrefix)) metadata[name.slice(metaPrefix.length)] = value;
    else if (name.startsWith(metaJsonPrefix) && name !== "ISTIO_METAJSON_LABELS")
      metadata[name.slice(metaJsonPrefix.length)] = jsonOf(name, value);
  }
  return {
    ...metadata,
    NAME: settings.podName,
    NAMESPACE: settings.podNamespace,
    INSTANCE_IPS: envString(env, "INSTANCE_IPS", settings.instanceIp),
    SERVICE_ACCOUNT: settings.serviceAccount,
    NODE_NAME: settings.nodeName === "" ? (metadata["NODE_NAME"] ?? "") : settings.nodeName,
    CLUSTER_ID: settings.clusterId,
    WORKLOAD_NAME: settings.workloadName,
    LABELS: settings.labels,
    ANNOTATIONS: annotations,
    ISTIO_VERSION: settings.version,
    // An extension of Serin: the control plane may send virtual hosts separately from their route configuration.
    VIRTUAL_HOST_DISCOVERY: "true",
    // Another extension of Serin: the control plane may send the configuration of filters separately. Older proxies of
    // Serin refuse that.
    EXTENSION_CONFIG_DISCOVERY: "true",
    PILOT_SAN: ["istiod.istio-system.svc"],
    ENVOY_PROMETHEUS_PORT: ports.envoyStats,
    ENVOY_STATUS_PORT: ports.readiness,
    ...(ports.secureStats === 0 ? {} : { ENVOY_SECURE_METRICS_PORT: ports.secureStats }),
    ...(ports.secureMergedStats === 0 ? {} : { ENVOY_SECURE_MERGED_METRICS_PORT: ports.secureMergedStats }),
    PROXY_CONFIG: { ...proxyConfig, discoveryAddress: settings.xdsUrl.replace(/^https?:\/\//, "") },
    ...(settings.revision === "" ? {} : { ISTIO_REVISION: settings.revision }),
  };
}

function jsonOf(name: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw userError("env-invalid", `${name} is not valid JSON: ${messageOf(error)}`);
  }
}

/**
 * How long a terminating proxy keeps its listeners open at least, in milliseconds. As in upstream Istio,
 * EXIT_ON_ZERO_ACTIVE_CONNECTIONS has a minimum of its own, which replaces the mesh's time.
 */
function drainMsOf(env: Environment, proxyConfig: OwnProxyConfig): number {
  if (envBoolean(env, "EXIT_ON_ZERO_ACTIVE_CONNECTIONS", false))
    return secondsOf(envString(env, "MINIMUM_DRAIN_DURATION", "5s"), "MINIMUM_DRAIN_DURATION") * 1000;
  const text = envString(
    env,
    "TERMINATION_DRAIN_DURATION_SECONDS",
    stringOf(proxyConfig["terminationDrainDuration"]) ?? "5s",
  );
  return secondsOf(text, "terminationDrainDuration") * 1000;
}

function durationSeconds(env: Environment, name: string, fallback: number): number {
  const text = envString(env, name, "");
  return text === "" ? fallback : secondsOf(text, name);
}

/** Parses `24h0m0s`, `1m30s`, `500ms`, or plain seconds. */
function secondsOf(text: string, name: string): number {
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : goDurationMs(text);
  if (ms === undefined || ms < 0)
    throw userError("env-invalid", `${name} must be a duration such as 24h or 5s, got "${text}"`);
  return ms / 1000;
}

/** The log levels by Envoy's names and by ours. */
export const envoyLevels: Readonly<Record<string, ProxySettings["logLevel"]>> = {
  trace: "trace",
  debug: "debug",
  info: "info",
  warning: "warn",
  warn: "warn",
  error: "error",
  critical: "error",
  off: "error",
};

function logLevelOf(env: Environment, args: readonly string[]): ProxySettings["logLevel"] {
  const text = optionOf(args, "--proxyLogLevel") ?? envString(env, "LOG_LEVEL", "info");
  const level = ownField(envoyLevels, text);
  if (level === undefined)
    throw userError(
      "argument-invalid",
      `--proxyLogLevel must be one of ${Object.keys(envoyLevels).join(", ")}, got "${text}"`,
    );
  // A gateway logs its life cycle at the level info, which upstream's default of warning would hide.
  return level === "warn" ? "info" : level;
}

function stringOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}
