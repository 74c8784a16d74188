import {
  Cluster_ClusterProtocolSelection,
  Cluster_DiscoveryType,
  Cluster_DnsLookupFamily,
  ClusterSchema,
  DnsCacheConfigSchema,
  DynamicForwardProxyClusterSchema,
  HttpProtocolOptionsSchema,
  UpstreamConnectionOptionsSchema,
  type Cluster_CustomClusterType,
  type DynamicForwardProxyCluster,
  type Http2ProtocolOptions,
  type Cluster as ClusterMessage,
  type HttpProtocolOptions,
} from "../../../wire/envoy/index.ts";
import type { ClusterConfig } from "../../upstream/cluster.ts";
import type { AddressFamily } from "../../upstream/address-family.ts";
import type { ForwardNameRules } from "../../upstream/forward-names.ts";
import { compileBreaker, highThresholds } from "./circuit-breaker-config.ts";
import { checkFields, checkNested, durationOr, unsupported, type ConfigNotes } from "../config-check.ts";
import { directTransport, dnsHosts, entersTunnel, type DnsHost, type EndpointSource } from "./endpoint-config.ts";
import { compileLoadBalancing } from "./load-balancing-config.ts";
import { compileOutliers } from "./outlier-config.ts";
import { compileTcpExchange, peerExchangeFilter } from "../peer-metadata-config.ts";
import { httpOptionsKey, TransportRules } from "../transport-config.ts";
import { unpack } from "../typed-struct.ts";

export interface ClusterSpec {
  readonly config: ClusterConfig;
  readonly transports: TransportRules;
  readonly discovery: ClusterDiscovery;
  /** Why no route may use the cluster. Undefined if routes may use it. */
  readonly unusable: string | undefined;
}

export type ClusterDiscovery =
  | { readonly kind: "eds"; readonly serviceName: string }
  | { readonly kind: "static"; readonly endpoints: EndpointSource }
  | {
      readonly kind: "dns";
      readonly hosts: readonly DnsHost[];
      readonly refreshMs: number;
      readonly respectsTtl: boolean;
      readonly family: AddressFamily;
      /** Whether all addresses of a name form one endpoint, as in Envoy's LOGICAL_DNS. */
      readonly oneForEachName: boolean;
    }
  /** The cluster forwards each request to the host that the request names. */
  | { readonly kind: "forward"; readonly rules: ForwardNameRules }
  | {
      readonly kind: "original-destination";
      readonly portOverride: number | undefined;
      readonly header: string | undefined;
      /** Whether every connection is a tunnel (HBONE) to the destination, as in Istio's cluster `encap`. */
      readonly tunnel: boolean;
    };

const defaultConnectTimeoutMs = 5000;
const defaultIdleTimeoutMs = 3_600_000;
const defaultDnsRefreshMs = 5000;
const used = [
  "name",
  "altStatName",
  "type",
  "edsClusterConfig",
  "connectTimeout",
  "lbPolicy",
  "loadAssignment",
  "circuitBreakers",
  "transportSocket",
  "transportSocketMatches",
  "metadata",
  "maxRequestsPerConnection",
  "typedExtensionProtocolOptions",
  "commonHttpProtocolOptions",
  "dnsRefreshRate",
  "filters",
  "originalDstLbConfig",
  "commonLbConfig",
  "httpProtocolOptions",
  "http2ProtocolOptions",
  "upstreamBindConfig",
  "outlierDetection",
  "ringHashLbConfig",
  "maglevLbConfig",
  "leastRequestLbConfig",
  "roundRobinLbConfig",
  "protocolSelection",
  "upstreamConnectionOptions",
  "clusterType",
  "dnsLookupFamily",
  "respectDnsTtl",
];
const harmless = [
  "cleanupInterval",
  "dnsJitter",
  "dnsFailureRefreshRate",
  "typedDnsResolverConfig",
  "perConnectionBufferLimitBytes",
  "waitForWarmOnInit",
  "trackTimeoutBudgets",
  "trackClusterStats",
  "ignoreHealthOnHostRemoval",
];

/** Compiles a cluster. Throws an error that names the cluster and the unsupported field. */
export function compileCluster(message: ClusterMessage, notes: ConfigNotes): ClusterSpec {
  const where = `cluster ${message.name}`;
  checkFields(ClusterSchema, message, where, notes, { used, harmless });
  for (const filter of message.filters)
    if (filter.name !== peerExchangeFilter) throw unsupported(where, `the filter ${filter.name}`);
  if (message.upstreamConnectionOptions !== undefined)
    checkFields(UpstreamConnectionOptionsSchema, message.upstreamConnectionOptions, where, notes, {
      used: ["tcpKeepalive"],
      harmless: ["setLocalInterfaceNameOnUpstreamConnections"],
    });
  const http = httpOptionsOf(message, where, notes);
  const transports = new TransportRules(message, where, notes);
  const breaker = compileBreaker(message.circuitBreakers, where, notes);
  const discovery = discoveryOf(message, transports, where, notes);
  return {
    transports,
    config: {
      originalDestination: originalDestinationRule(discovery, transports),
      name: message.name,
      statName: message.altStatName === "" ? message.name : message.altStatName,
      highPriority: highThresholds(message.circuitBreakers),
      ...compileLoadBalancing(message, where, notes),
      ...breaker,
      outliers:
        message.outlierDetection === undefined ? undefined : compileOutliers(message.outlierDetection, where, notes),
      upstreamProtocol: http.protocol,
      http2: http.http2,
      overridesAlpn: overridesAlpn(message),
      peerMetadata: peerMetadataOf(message),
      ...compileTcpExchange(message.filters, ({ typedConfig }) => typedConfig),
      limits: {
        connectTimeoutMs: durationOr(message.connectTimeout, defaultConnectTimeoutMs),
        maxConnections: breaker.maxConnections,
        maxPendingRequests: breaker.maxPendingRequests,
        maxRequestsPerConnection: http.maxRequestsPerConnection || (message.maxRequestsPerConnection ?? 0),
        idleTimeoutMs: http.idleTimeoutMs,
        ...(http.maxDurationMs === 0 ? {} : { maxDurationMs: http.maxDurationMs }),
      },
      service: serviceOf(message),
    },
    discovery,
    unusable: undefined,
  };
}

/** Whether the proxy may change the ALPN protocols that the cluster offers. Istio's metadata can forbid it. */
function overridesAlpn(message: ClusterMessage): boolean {
  return message.metadata?.filterMetadata["istio"]?.["alpn_override"] !== "false";
}

/** The names of Istio's clusters for destinations that the mesh does not know. */
const unknownDestinations: ReadonlySet<string> = new Set(["PassthroughCluster", "AllowAnyDynamicDNSCluster"]);

function peerMetadataOf({ name, metadata }: ClusterMessage): ClusterConfig["peerMetadata"] {
  const istio = metadata?.filterMetadata["istio"];
  if (istio?.["disable_mx"] === true) return "never";
  return istio?.["external"] === true || unknownDestinations.has(name) ? "external" : "tell";
}

function discoveryOf(
  message: ClusterMessage,
  transports: TransportRules,
  where: string,
  notes: ConfigNotes,
): ClusterDiscovery {
  const type = message.clusterDiscoveryType;
  if (type.case === "clusterType") return forwardingOf(type.value, transports, where, notes);
  switch (type.value ?? Cluster_DiscoveryType.STATIC) {
    case Cluster_DiscoveryType.EDS: {
      const source = message.edsClusterConfig?.edsConfig?.configSourceSpecifier.case;
      if (source !== undefined && source !== "ads" && source !== "self")
        throw unsupported(where, `edsClusterConfig.edsConfig.${source}`);
      const serviceName = message.edsClusterConfig?.serviceName ?? "";
      return { kind: "eds", serviceName: serviceName === "" ? message.name : serviceName };
    }
    case Cluster_DiscoveryType.STATIC:
      if (entersTunnel(message.loadAssignment))
        return { kind: "original-destination", portOverride: undefined, header: undefined, tunnel: true };
      return { kind: "static", endpoints: message.loadAssignment };
    case Cluster_DiscoveryType.STRICT_DNS:
    case Cluster_DiscoveryType.LOGICAL_DNS:
      return {
        kind: "dns",
        hosts: dnsHosts(message.loadAssignment, where),
        refreshMs: Math.max(1000, durationOr(message.dnsRefreshRate, defaultDnsRefreshMs)),
        respectsTtl: message.respectDnsTtl,
        family: familyOf(message.dnsLookupFamily),
        oneForEachName: type.value === Cluster_DiscoveryType.LOGICAL_DNS,
      };
    case Cluster_DiscoveryType.ORIGINAL_DST:
      return originalDestinationOf(message);
    default:
      notes.ignored(`${where}: type ${type.value}`);
      throw unsupported(where, `type ${type.value}`);
  }
}

const defaultMaxHosts = 1024;
const defaultForwardRefreshMs = 60_000;
const defaultMinTtlMs = 5000;
const defaultHostTtlMs = 300_000;
const defaultQueryTimeoutMs = 5000;
const [httpPort, httpsPort] = [80, 443];

function forwardingOf(
  type: Cluster_CustomClusterType,
  transports: TransportRules,
  where: string,
  notes: ConfigNotes,
): ClusterDiscovery {
  const config = type.typedConfig === undefined ? undefined : unpack(type.typedConfig, `${where}: clusterType`);
  if (config?.$typeName !== DynamicForwardProxyClusterSchema.typeName)
    throw unsupported(where, `clusterType ${type.name}`);
  const forward = config as DynamicForwardProxyCluster;
  checkFields(DynamicForwardProxyClusterSchema, forward, where, notes, {
    used: ["dnsCacheConfig"],
    harmless: ["allowInsecureClusterOptions", "allowCoalescedConnections"],
  });
  if (forward.clusterImplementationSpecifier.case !== "dnsCacheConfig")
    throw unsupported(where, "a dynamic forward proxy without dnsCacheConfig");
  const cache = forward.clusterImplementationSpecifier.value;
  checkFields(DnsCacheConfigSchema, cache, `${where}: dnsCacheConfig`, notes, {
    used: ["dnsLookupFamily", "dnsRefreshRate", "dnsMinRefreshRate", "hostTtl", "maxHosts", "dnsQueryTimeout"],
    harmless: [
      "name",
      "dnsFailureRefreshRate",
      "disableDnsRefreshOnFailure",
      "dnsCacheCircuitBreaker",
      "useTcpForDnsLookups",
      "typedDnsResolverConfig",
      "preresolveHostnames",
      "keyValueConfig",
    ],
  });
  return {
    kind: "forward",
    rules: {
      defaultPort: directTransport(transports.choose({})).kind === "tls" ? httpsPort : httpPort,
      maxHosts: cache.maxHosts ?? defaultMaxHosts,
      refreshMs: durationOr(cache.dnsRefreshRate, defaultForwardRefreshMs),
      minTtlMs: durationOr(cache.dnsMinRefreshRate, defaultMinTtlMs),
      idleMs: durationOr(cache.hostTtl, defaultHostTtlMs),
      queryTimeoutMs: durationOr(cache.dnsQueryTimeout, defaultQueryTimeoutMs),
      family: familyOf(cache.dnsLookupFamily),
    },
  };
}

/** The address family of a DNS cluster. Envoy's AUTO uses IPv4 addresses only if the name has no IPv6 address. */
function familyOf(family: Cluster_DnsLookupFamily): AddressFamily {
  return families[family] ?? "ipv6-preferred";
}

const families: Readonly<Partial<Record<Cluster_DnsLookupFamily, AddressFamily>>> = {
  [Cluster_DnsLookupFamily.ALL]: "all",
  [Cluster_DnsLookupFamily.V4_ONLY]: "ipv4",
  [Cluster_DnsLookupFamily.V6_ONLY]: "ipv6",
  [Cluster_DnsLookupFamily.V4_PREFERRED]: "ipv4-preferred",
};

function originalDestinationOf(message: ClusterMessage): ClusterDiscovery {
  const rule = message.lbConfig.case === "originalDstLbConfig" ? message.lbConfig.value : undefined;
  const name =
    rule?.httpHeaderName === undefined || rule.httpHeaderName === ""
      ? "x-envoy-original-dst-host"
      : rule.httpHeaderName.toLowerCase();
  return {
    kind: "original-destination",
    portOverride: rule?.upstreamPortOverride,
    header: rule?.useHttpHeader === true ? name : undefined,
    tunnel: false,
  };
}

function originalDestinationRule(
  discovery: ClusterDiscovery,
  transports: TransportRules,
): ClusterConfig["originalDestination"] {
  if (discovery.kind !== "original-destination" && discovery.kind !== "forward") return undefined;
  const chosen = transports.choose({});
  return {
    ...(discovery.kind === "forward"
      ? { portOverride: undefined, header: undefined }
      : { portOverride: discovery.portOverride, header: discovery.header }),
    transport:
      discovery.kind === "original-destination" && discovery.tunnel ? { kind: "tunnel" } : directTransport(chosen),
    proxyHeader: chosen.proxyHeader,
    socketOptions: transports.socketOptions,
  };
}

interface HttpOptions {
  readonly protocol: ClusterConfig["upstreamProtocol"];
  readonly http2: ClusterConfig["http2"];
  readonly idleTimeoutMs: number;
  /** 0 means no limit. */
  readonly maxDurationMs: number;
  readonly maxRequestsPerConnection: number;
}

function httpOptionsOf(message: ClusterMessage, where: string, notes: ConfigNotes): HttpOptions {
  let options: HttpProtocolOptions | undefined;
  for (const [key, any] of Object.entries(message.typedExtensionProtocolOptions)) {
    const unpacked = key === httpOptionsKey ? unpack(any, `${where}: ${key}`) : undefined;
    if (unpacked?.$typeName !== HttpProtocolOptionsSchema.typeName)
      throw unsupported(where, `typedExtensionProtocolOptions ${key}`);
    options = unpacked as HttpProtocolOptions;
    checkFields(HttpProtocolOptionsSchema, options, `${where}: ${key}`, notes, {
      used: [
        "commonHttpProtocolOptions",
        "explicitHttpConfig",
        "useDownstreamProtocolConfig",
        "autoConfig",
        "upstreamHttpProtocolOptions",
      ],
    });
  }
  const protocol = options?.upstreamProtocolOptions;
  const common = options?.commonHttpProtocolOptions ?? message.commonHttpProtocolOptions;
  checkNested(
    HttpProtocolOptionsSchema,
    "commonHttpProtocolOptions",
    common,
    { where, notes },
    {
      used: ["idleTimeout", "maxRequestsPerConnection", "maxConnectionDuration"],
      // This proxy's own limits bound the headers of a cluster's responses.
      harmless: ["maxHeadersCount", "maxResponseHeadersKb"],
    },
  );
  checkNested(
    HttpProtocolOptionsSchema,
    "upstreamHttpProtocolOptions",
    options?.upstreamHttpProtocolOptions,
    { where, notes },
    { used: ["autoSni", "autoSanValidation"] },
  );
  return {
    ...protocolOf(message, protocol, where),
    idleTimeoutMs: durationOr(common?.idleTimeout, defaultIdleTimeoutMs) || Infinity,
    maxDurationMs: durationOr(common?.maxConnectionDuration, 0),
    maxRequestsPerConnection: common?.maxRequestsPerConnection ?? 0,
  };
}

/** The upstream protocol. It comes from the newer options, or from the older fields that these options replaced. */
function protocolOf(
  message: ClusterMessage,
  options: HttpProtocolOptions["upstreamProtocolOptions"] | undefined,
  where: string,
): Pick<HttpOptions, "protocol" | "http2"> {
  switch (options?.case) {
    case undefined: {
      const http2 = http2Of(message.http2ProtocolOptions);
      if (message.protocolSelection === Cluster_ClusterProtocolSelection.USE_DOWNSTREAM_PROTOCOL)
        return { protocol: "downstream", http2 };
      return { protocol: message.http2ProtocolOptions === undefined ? "http1" : "http2", http2 };
    }
    case "explicitHttpConfig": {
      const chosen = options.value.protocolConfig;
      if (chosen.case === "httpProtocolOptions") return { protocol: "http1", http2: http2Of(undefined) };
      if (chosen.case === "http2ProtocolOptions") return { protocol: "http2", http2: http2Of(chosen.value) };
      throw unsupported(where, `explicitHttpConfig.${chosen.case ?? "(none)"}`);
    }
    case "useDownstreamProtocolConfig":
      return { protocol: "downstream", http2: http2Of(options.value.http2ProtocolOptions) };
    case "autoConfig":
      return { protocol: "alpn", http2: http2Of(options.value.http2ProtocolOptions) };
    default:
      throw unsupported(where, "these HTTP protocol options");
  }
}

const defaultMaxConcurrentStreams = 1024;

function http2Of(options: Http2ProtocolOptions | undefined): ClusterConfig["http2"] {
  return {
    maxConcurrentStreams: options?.maxConcurrentStreams ?? defaultMaxConcurrentStreams,
    keepaliveIntervalMs: durationOr(options?.connectionKeepalive?.interval, 0),
    keepaliveTimeoutMs: durationOr(options?.connectionKeepalive?.timeout, 0),
  };
}

function serviceOf(message: ClusterMessage): ClusterConfig["service"] {
  const services = message.metadata?.filterMetadata["istio"]?.["services"];
  const first: unknown = Array.isArray(services) ? services[0] : undefined;
  if (typeof first !== "object" || first === null) return undefined;
  const field = (name: string): string => {
    const value: unknown = Reflect.get(first, name);
    return typeof value === "string" ? value : "unknown";
  };
  return { host: field("host"), name: field("name"), namespace: field("namespace") };
}
