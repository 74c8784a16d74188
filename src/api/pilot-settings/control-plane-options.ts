import { imagesOf } from "../images/index.ts";
import { readCompliancePolicy, type CompliancePolicy } from "../../base/compliance/index.ts";
import {
  cidrOf,
  envBoolean,
  envInteger,
  envList,
  envString,
  goDurationMs,
  userError,
  type Environment,
  type Network,
} from "../../base/index.ts";
import { envDuration, readAuthoritySettings, type AuthoritySettings } from "./authority-options.ts";
import { readClusterSettings, type ClusterSettings } from "./cluster-options.ts";
import {
  defaultDynamicDnsHosts,
  defaultSessionRules,
  type HboneSettings,
  type KeySetFetcher,
  type SessionRules,
  type UnreadyEndpoints,
} from "./pilot-types.ts";
import { readResourceFilter, type IsIgnored } from "./resource-filter.ts";

export interface ListenAddress {
  readonly address: string;
  readonly port: number;
}

/** istiod's settings from its environment and arguments, under upstream's names. */
export interface ControlPlaneSettings {
  readonly unknownArguments: readonly string[];
  readonly podName: string;
  readonly namespace: string;
  /** `default` if the revision has no name. */
  readonly revision: string;
  /**
   * The name of this control plane's Service: `istiod[-rev]`, or ISTIOD_SERVICE_NAME (Serin's own variable) if the name
   * does not follow the revision.
   */
  readonly serviceName: string;
  readonly clusterId: string;
  readonly network: string;
  readonly domain: string;
  /** PILOT_TRACE_SAMPLING in percent. It is the mesh's default. Absent means upstream's default. */
  readonly traceSamplingPercent?: number;
  readonly trustedNodeAccounts: ReadonlySet<string>;
  readonly authority: AuthoritySettings;
  /**
   * Whether this control plane sets its validating webhooks to fail closed, after a test has shown that they work.
   * False if VALIDATION_WEBHOOK_CONFIG_NAME is empty.
   */
  readonly validationFailsClosed: boolean;
  readonly clusters: ClusterSettings;
  /** PILOT_IGNORE_RESOURCES without PILOT_INCLUDE_RESOURCES. If absent, no kind is ignored. */
  readonly isIgnored?: IsIgnored | undefined;
  /**
   * PILOT_ENABLE_ANALYSIS with PILOT_ANALYSIS_INTERVAL. If absent, the control plane does not analyse the
   * configuration.
   */
  readonly analysis?: AnalysisSettings | undefined;
  /**
   * ENABLE_WILDCARD_HOST_SERVICE_ENTRIES_FOR_TLS: whether waypoints forward TLS connections to hosts of DYNAMIC_DNS by
   * their server name.
   */
  readonly wildcardTlsAtWaypoints?: boolean;
  /** PILOT_ALLOW_ANY_DYNAMIC_DNS_MAX_HOSTS: how many hosts a proxy caches. Absent means upstream's default. */
  readonly dynamicDnsMaxHosts?: number;
  /** PILOT_HTTP10: whether proxies accept requests of HTTP/1.0. */
  readonly acceptsHttp10?: boolean;
  /** Absent means `automatic`. */
  readonly unreadyEndpoints?: UnreadyEndpoints;
  /**
   * PILOT_MX_ADDITIONAL_LABELS, sorted: labels of pods that proxies send each other for telemetry. Absent means none.
   */
  readonly exchangedLabels?: readonly string[];
  /** The opposite of ENABLE_SELECTOR_BASED_K8S_GATEWAY_POLICY. If absent, gateways obey policies with selectors. */
  readonly gatewaysIgnoreSelectors?: boolean;
  /**
   * PILOT_SCOPE_GATEWAY_TO_NAMESPACE: whether Gateways of networking.istio.io select only proxies of their own
   * namespace.
   */
  readonly gatewaysStayInNamespace?: boolean;
  /** PILOT_JWT_ENABLE_REMOTE_JWKS: who fetches key sets. If absent, the control plane does. */
  readonly keySetFetcher?: KeySetFetcher;
  /** BLOCKED_CIDRS_IN_JWKS_URIS: networks from which the control plane fetches no key set. Absent means none. */
  readonly blockedKeySetNetworks?: readonly Network[];
  /** PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS. If absent, a workload uses only one external authorizer. */
  readonly severalAuthorizers?: boolean;
  /** PILOT_ENABLE_PERSISTENT_SESSION_FILTER and the labels beside it. Absent means upstream's defaults. */
  readonly sessions?: SessionRules;
  /** DISABLE_SHADOW_HOST_SUFFIX=false: whether mirrored requests get the suffix `-shadow` on their host. */
  readonly shadowHostSuffix?: boolean;
  /**
   * COMPLIANCE_POLICY. It restricts this process' servers, the proxies' configuration and the pods of proxies. Absent
   * means no policy.
   */
  readonly compliance?: CompliancePolicy | undefined;
  /** K8S_INGRESS_NS: the namespace of the gateway that serves Ingresses. */
  readonly ingressNamespace?: string;
  /**
   * PILOT_ENABLE_SENDING_HBONE, PILOT_PREFER_SENDING_HBONE, PILOT_ENABLE_SIDECAR_LISTENING_HBONE. Absent means
   * upstream's defaults for an ambient mesh.
   */
  readonly hbone?: HboneSettings;
  readonly meshConfigPath: string;
  readonly meshNetworksPath: string;
  readonly http: ListenAddress;
  readonly grpc: ListenAddress;
  readonly secureGrpc: ListenAddress;
  readonly webhooks: ListenAddress;
  readonly monitoring: ListenAddress;
  /**
   * `--keepaliveMaxServerConnectionAge`: how long a client may keep a connection to `grpc` or `secureGrpc`. Absent
   * means forever, and so does the argument 0.
   */
  readonly maxConnectionAgeMs?: number | undefined;
  /**
   * ISTIO_GPRC_MAXRECVMSGSIZE: the maximum size of a request to `grpc` or `secureGrpc`. If absent, each has its
   * default.
   */
  readonly maxRequestBytes?: number | undefined;
  readonly hub: string;
  readonly tag: string;
  /** Whether pods without an annotation get native sidecars. `auto` gives them if every node is new enough. */
  readonly nativeSidecars: "auto" | "true" | "false";
  /** CIDRs for the automatic addresses of ServiceEntries' hosts. If empty, hosts get no address. */
  readonly addressRanges: readonly string[];
  /**
   * Whether to create and remove WorkloadEntries for proxies on machines outside of the cluster, and how long an entry
   * stays after its proxy has left.
   */
  readonly workloadRegistration: { readonly enabled: boolean; readonly graceMs: number };
  /** PILOT_ENABLE_NODE_UNTAINT_CONTROLLERS. If absent, the control plane removes no taints from nodes. */
  readonly nodeTaint?: NodeTaintSettings;
  /** Image of the gateways that this control plane deploys: `<hub>/proxyv2:<tag>`. */
  readonly proxyImage: string;
  /** `--shadow`: the control plane only computes the configuration of proxies, and writes nothing. */
  readonly shadow?: ShadowSettings;
}

export interface NodeTaintSettings {
  /** PILOT_NODE_UNTAINT_CONTROLLERS_TAINT_NAME: the taint's key. */
  readonly taint: string;
  readonly agentNamespace: string;
}

export interface AnalysisSettings {
  /** The maximum time between a change and the analysis that it causes. */
  readonly maxDelayMs: number;
}

export interface ShadowSettings {
  /**
   * The loopback address on which the shadow control plane serves proxies without TLS. If undefined, it serves no
   * proxies.
   */
  readonly discovery: ListenAddress | undefined;
}

/** The largest number that fits into the message's field. */
const maxDynamicDnsHosts = 4_294_967_295;
const defaultMeshConfigPath = "/etc/istio/config/mesh";
const flags: Readonly<Record<string, string>> = {
  "--httpAddr": ":8080",
  "--grpcAddr": ":15010",
  "--secureGRPCAddr": ":15012",
  "--httpsAddr": ":15017",
  "--monitoringAddr": ":15014",
  "--domain": "cluster.local",
  "--meshConfig": defaultMeshConfigPath,
  "--networksConfig": "/etc/istio/config/meshNetworks",
};

/**
 * Flags without a default: ours, and those of upstream's `pilot-discovery discovery`, most of which have no effect
 * here.
 */
const otherFlags: ReadonlySet<string> = new Set(
  `caCertFile clusterAliases clusterID clusterRegistriesNamespace cniNamespace configDir ctrlz_address ctrlz_port
  keepaliveInterval keepaliveMaxServerConnectionAge keepaliveTimeout kubeconfig kubernetesApiBurst kubernetesApiQPS
  log_as_json log_caller log_callers log_output_level log_stacktrace_level log_target namespace profile registries shadow
  shutdownDuration tls-cipher-suites tls-min-version tlsCertFile tlsKeyFile v vklog`
    .split(/\s+/)
    .map((name) => `--${name}`),
);

export function unknownArguments(args: readonly string[]): string[] {
  return args.filter((argument, index) => {
    if (!argument.startsWith("-")) {
      const before = args[index - 1] ?? "";
      return !(before.startsWith("--") && !before.includes("=")) && !(index === 0 && argument === "discovery");
    }
    const [name = ""] = argument.split("=");
    return flags[name] === undefined && !otherFlags.has(name);
  });
}

/** Reads `discovery --httpAddr :8080 …` and the environment. Ignores flags of upstream that have no effect here. */
export function readControlPlaneSettings(
  args: readonly string[],
  env: Environment,
  release: string,
): ControlPlaneSettings {
  const given = readFlags(args);
  const flag = (name: string): string => given.get(name) ?? flags[name] ?? "";
  const revision = envString(env, "REVISION", "default");
  const { hub, tag } = imagesOf(env, release);
  const shadow = isShadow(args, env) ? shadowSettings(given) : undefined;
  const nodeTaint = nodeTaintSettings(env, given.get("--cniNamespace"));
  return {
    unknownArguments: unknownArguments(args),
    ...(shadow === undefined ? {} : { shadow }),
    ...(nodeTaint === undefined ? {} : { nodeTaint }),
    podName: envString(env, "POD_NAME", "istiod"),
    namespace: ownNamespace(env),
    revision,
    serviceName: envString(env, "ISTIOD_SERVICE_NAME", revision === "default" ? "istiod" : `istiod-${revision}`),
    clusterId: envString(env, "CLUSTER_ID", "Kubernetes"),
    network: envString(env, "ISTIO_NETWORK", ""),
    domain: flag("--domain"),
    traceSamplingPercent: samplingPercent(envString(env, "PILOT_TRACE_SAMPLING", "1")),
    trustedNodeAccounts: new Set(envList(env, "CA_TRUSTED_NODE_ACCOUNTS", "istio-system/ztunnel")),
    authority: readAuthoritySettings(env),
    // Only an empty value turns the webhooks off. Upstream's default is a name, so an absent variable leaves them on.
    validationFailsClosed: env["VALIDATION_WEBHOOK_CONFIG_NAME"] !== "",
    clusters: readClusterSettings(env),
    isIgnored: readResourceFilter(env),
    analysis: envBoolean(env, "PILOT_ENABLE_ANALYSIS", false) ? analysisSettings(env) : undefined,
    keySetFetcher: keySetFetcher(envString(env, "PILOT_JWT_ENABLE_REMOTE_JWKS", "false")),
    blockedKeySetNetworks: envList(env, "BLOCKED_CIDRS_IN_JWKS_URIS", "").map(blockedNetwork),
    compliance: readCompliancePolicy(env),
    ingressNamespace: envString(env, "K8S_INGRESS_NS", "istio-system"),
    severalAuthorizers: envBoolean(env, "PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS", false),
    gatewaysIgnoreSelectors: !envBoolean(env, "ENABLE_SELECTOR_BASED_K8S_GATEWAY_POLICY", true),
    gatewaysStayInNamespace: envBoolean(env, "PILOT_SCOPE_GATEWAY_TO_NAMESPACE", false),
    sessions: sessionRules(env),
    shadowHostSuffix: !envBoolean(env, "DISABLE_SHADOW_HOST_SUFFIX", true),
    wildcardTlsAtWaypoints: envBoolean(env, "ENABLE_WILDCARD_HOST_SERVICE_ENTRIES_FOR_TLS", false),
    dynamicDnsMaxHosts: dynamicDnsMaxHosts(env),
    acceptsHttp10: envBoolean(env, "PILOT_HTTP10", false),
    unreadyEndpoints: unreadyEndpoints(env),
    exchangedLabels: [...new Set(envList(env, "PILOT_MX_ADDITIONAL_LABELS", ""))].sort(),
    hbone: hboneSettings(env),
    meshConfigPath: flag("--meshConfig"),
    meshNetworksPath: flag("--networksConfig"),
    http: listenAddress(
      "--httpAddr",
      shadow === undefined ? flag("--httpAddr") : (given.get("--httpAddr") ?? shadowHttpAddress),
    ),
    grpc: listenAddress("--grpcAddr", flag("--grpcAddr")),
    secureGrpc: listenAddress("--secureGRPCAddr", flag("--secureGRPCAddr")),
    webhooks: listenAddress("--httpsAddr", flag("--httpsAddr")),
    monitoring: listenAddress("--monitoringAddr", flag("--monitoringAddr")),
    maxConnectionAgeMs: connectionAge(given.get(connectionAgeFlag)),
    maxRequestBytes: maxRequestBytes(env),
    hub,
    tag,
    nativeSidecars: nativeSidecarMode(envString(env, "ENABLE_NATIVE_SIDECARS", "auto")),
    workloadRegistration: {
      enabled: envBoolean(env, "PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION", true),
      graceMs: envDuration(env, "PILOT_WORKLOAD_ENTRY_GRACE_PERIOD", 10_000),
    },
    addressRanges: addressRanges(env),
    proxyImage: `${hub}/proxyv2:${tag}`,
  };
}

/** The ranges from which hosts get automatic addresses. Empty if they get none. */
function addressRanges(env: Environment): readonly string[] {
  if (!envBoolean(env, "PILOT_ENABLE_IP_AUTOALLOCATE", true)) return [];
  return [
    addressRange(env, "PILOT_IP_AUTOALLOCATE_IPV4_PREFIX", "240.240.0.0/16"),
    addressRange(env, "PILOT_IP_AUTOALLOCATE_IPV6_PREFIX", "2001:2::/48"),
  ];
}

/** Reads a range, which must be of the same address family as the default. */
function addressRange(env: Environment, name: string, fallback: string): string {
  const range = envString(env, name, fallback);
  const isOfFamily = cidrOf(range)?.address.length === cidrOf(fallback)?.address.length;
  if (range.includes("/") && isOfFamily) return range;
  throw userError("env-invalid", `${name} must be a range of addresses such as ${fallback}, got "${range}"`);
}

function hboneSettings(env: Environment): HboneSettings {
  return {
    sent: envBoolean(env, "PILOT_ENABLE_SENDING_HBONE", true),
    preferred: envBoolean(env, "PILOT_PREFER_SENDING_HBONE", false),
    takenBySidecars: envBoolean(env, "PILOT_ENABLE_SIDECAR_LISTENING_HBONE", true),
  };
}

/** Reads the labels for persistent sessions. An empty variable turns its label off. */
function sessionRules(env: Environment): SessionRules {
  const { enabled, cookieLabel, headerLabel, drainingLabel } = defaultSessionRules;
  return {
    enabled: envBoolean(env, "PILOT_ENABLE_PERSISTENT_SESSION_FILTER", enabled),
    cookieLabel: env["PILOT_PERSISTENT_SESSION_LABEL"] ?? cookieLabel,
    headerLabel: env["PILOT_PERSISTENT_SESSION_HEADER_LABEL"] ?? headerLabel,
    drainingLabel: env["PILOT_DRAINING_LABEL"] ?? drainingLabel,
  };
}

function unreadyEndpoints(env: Environment): UnreadyEndpoints {
  if (envBoolean(env, "PILOT_SEND_UNHEALTHY_ENDPOINTS", false)) return "always";
  return envBoolean(env, "PILOT_AUTO_SEND_UNHEALTHY_ENDPOINTS", true) ? "automatic" : "never";
}

/** Reads a number of hosts, at least 1, because Envoy rejects a cache of no hosts. */
function dynamicDnsMaxHosts(env: Environment): number {
  const name = "PILOT_ALLOW_ANY_DYNAMIC_DNS_MAX_HOSTS";
  const hosts = envInteger(env, name, defaultDynamicDnsHosts);
  if (hosts < 1 || hosts > maxDynamicDnsHosts)
    throw userError("env-invalid", `${name} must be from 1 to ${maxDynamicDnsHosts}, got ${hosts}`);
  return hosts;
}

function nodeTaintSettings(env: Environment, agentNamespace = ""): NodeTaintSettings | undefined {
  if (!envBoolean(env, "PILOT_ENABLE_NODE_UNTAINT_CONTROLLERS", false)) return undefined;
  return {
    taint: envString(env, "PILOT_NODE_UNTAINT_CONTROLLERS_TAINT_NAME", "cni.istio.io/not-ready"),
    agentNamespace: agentNamespace === "" ? ownNamespace(env) : agentNamespace,
  };
}

function ownNamespace(env: Environment): string {
  return envString(env, "POD_NAMESPACE", "istio-system");
}

const shadowHttpAddress = "127.0.0.1:8080";
const loopbackAddresses = ["127.0.0.1", "::1", "localhost"];

function isShadow(args: readonly string[], env: Environment): boolean {
  return args.includes("--shadow") || args.includes("--shadow=true") || envBoolean(env, "SHADOW", false);
}

/**
 * Reads the addresses of a shadow control plane. They must be loopback addresses, because it authenticates neither its
 * clients nor itself.
 */
function shadowSettings(given: ReadonlyMap<string, string>): ShadowSettings {
  const addressOf = (flag: string): ListenAddress | undefined => {
    const text = given.get(flag);
    const address = text === undefined ? undefined : listenAddress(flag, text);
    if (address === undefined || loopbackAddresses.includes(address.address)) return address;
    throw userError("argument-invalid", `a shadow must listen on the loopback, got ${flag} ${text ?? ""}`, {
      hint: `${flag} 127.0.0.1:${address.port}`,
    });
  };
  addressOf("--httpAddr");
  return { discovery: addressOf("--grpcAddr") };
}

const connectionAgeFlag = "--keepaliveMaxServerConnectionAge";
/** The shortest connection age that is allowed. With a shorter one, proxies would do nothing but reconnect. */
const minConnectionAgeMs = 1000;

function connectionAge(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = goDurationMs(text);
  if (ms === 0) return undefined;
  if (ms !== undefined && ms >= minConnectionAgeMs) return ms;
  throw userError("argument-invalid", `${connectionAgeFlag} must be at least 1s, or 0 for no limit, got "${text}"`, {
    hint: `${connectionAgeFlag} 30m`,
  });
}

/** The smallest limit that is allowed. The first request of a proxy, which contains its node, has a few KiB. */
const minRequestBytes = 65_536;

/**
 * Reads the maximum size of a request. It has no upper bound itself, because large requests count against memory that
 * callers share.
 */
function maxRequestBytes(env: Environment): number | undefined {
  const name = "ISTIO_GPRC_MAXRECVMSGSIZE";
  const bytes = envInteger(env, name, 0);
  if ((env[name] ?? "") === "") return undefined;
  if (bytes >= minRequestBytes) return bytes;
  throw userError("env-invalid", `${name} must be at least ${minRequestBytes} bytes, got ${bytes}`);
}

const minAnalysisDelayMs = 1000;

function analysisSettings(env: Environment): AnalysisSettings {
  const maxDelayMs = envDuration(env, "PILOT_ANALYSIS_INTERVAL", 5000);
  if (maxDelayMs >= minAnalysisDelayMs) return { maxDelayMs };
  throw userError("env-invalid", `PILOT_ANALYSIS_INTERVAL must be at least 1s, got ${maxDelayMs}ms`);
}

function samplingPercent(text: string): number {
  const percent = Number(text);
  if (percent >= 0 && percent <= 100) return percent;
  throw userError("env-invalid", `PILOT_TRACE_SAMPLING must be from 0 to 100, got "${text}"`);
}

function nativeSidecarMode(text: string): ControlPlaneSettings["nativeSidecars"] {
  if (text === "auto" || text === "true" || text === "false") return text;
  throw userError("env-invalid", `ENABLE_NATIVE_SIDECARS must be auto, true or false, got "${text}"`);
}

function readFlags(args: readonly string[]): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const [index, argument] of args.entries()) {
    if (!argument.startsWith("--")) continue;
    const equals = argument.indexOf("=");
    if (equals > 0) found.set(argument.slice(0, equals), argument.slice(equals + 1));
    else if (args[index + 1]?.startsWith("--") === false) found.set(argument, args[index + 1] ?? "");
  }
  return found;
}

function listenAddress(flag: string, text: string): ListenAddress {
  const colon = text.lastIndexOf(":");
  const port = Number(text.slice(colon + 1));
  if (colon < 0 || !Number.isInteger(port) || port < 0)
    throw userError("argument-invalid", `${flag} must be <address>:<port>, got "${text}"`);
  return { address: colon === 0 ? "0.0.0.0" : text.slice(0, colon).replaceAll(/[[\]]/g, ""), port };
}

/**
 * Reads one network to block. Upstream ignores values that it cannot read. This control plane refuses them, because a
 * typing error would otherwise leave open what the user wanted to block.
 */
function blockedNetwork(text: string): Network {
  const network = cidrOf(text);
  if (network === undefined)
    throw userError(
      "env-invalid",
      `BLOCKED_CIDRS_IN_JWKS_URIS must list CIDRs, such as 10.0.0.0/8,169.254.0.0/16, got "${text}"`,
    );
  return network;
}

/** Reads upstream's values. Upstream replaces an unknown value with its default, but this control plane refuses it. */
function keySetFetcher(text: string): KeySetFetcher {
  switch (text.toLowerCase()) {
    case "istiod":
    case "false":
      return "control-plane";
    case "hybrid":
    case "true":
      return "proxy-where-in-mesh";
    case "envoy":
      return "proxy";
    default:
      throw userError(
        "env-invalid",
        `PILOT_JWT_ENABLE_REMOTE_JWKS must be istiod (false), hybrid (true) or envoy, got "${text}"`,
      );
  }
}
