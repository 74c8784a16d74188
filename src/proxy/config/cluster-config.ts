import {
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
  ClusterSchema,
  HttpProtocolOptionsSchema,
  type Cluster as ClusterMessage,
  type HttpProtocolOptions,
} from "../../wire/envoy/index.ts";
import type { ClusterConfig } from "../upstream/cluster.ts";
import type { LoadBalancing } from "../upstream/load-balancer.ts";
import { checkFields, durationOr, unsupported, type ConfigNotes } from "./config-check.ts";
import { dnsHosts, entersTunnel, type DnsHost, type EndpointSource } from "./endpoint-config.ts";
import { TransportRules, unpack } from "./transport-config.ts";

/** A compiled cluster: what it is, and where its endpoints come from. */
export interface ClusterSpec {
  readonly config: ClusterConfig;
  readonly transports: TransportRules;
  readonly discovery: ClusterDiscovery;
  /** Why requests to it cannot be served, if so: it is known, but of a kind that a route of ours must not use. */
  readonly unusable: string | undefined;
}

export type ClusterDiscovery =
  | { readonly kind: "eds"; readonly serviceName: string }
  | { readonly kind: "static"; readonly endpoints: EndpointSource }
  | { readonly kind: "dns"; readonly hosts: readonly DnsHost[]; readonly refreshMs: number; readonly firstAddressOnly: boolean }
  | { readonly kind: "original-destination"; readonly portOverride: number | undefined; readonly header: string | undefined };

const defaultConnectTimeoutMs = 5000;
const defaultIdleTimeoutMs = 3_600_000;
const defaultDnsRefreshMs = 5000;
/** Envoy's limits where a cluster states none. */
const defaultThreshold = 1024;

const used = [
  "name", "type", "edsClusterConfig", "connectTimeout", "lbPolicy", "loadAssignment", "circuitBreakers", "transportSocket", "transportSocketMatches",
  "metadata", "maxRequestsPerConnection", "typedExtensionProtocolOptions", "commonHttpProtocolOptions", "dnsRefreshRate", "filters", "originalDstLbConfig",
  "commonLbConfig", "httpProtocolOptions", "http2ProtocolOptions", "upstreamBindConfig",
];
const harmless = [
  "altStatName", "cleanupInterval", "dnsLookupFamily", "respectDnsTtl", "dnsJitter", "dnsFailureRefreshRate", "upstreamConnectionOptions", "protocolSelection", "typedDnsResolverConfig",
  "perConnectionBufferLimitBytes", "waitForWarmOnInit", "trackTimeoutBudgets", "trackClusterStats", "ignoreHealthOnHostRemoval",
];

/** Compiles a cluster. Throws an error that names the cluster and the field which cannot be served. */
export function compileCluster(message: ClusterMessage, notes: ConfigNotes): ClusterSpec {
  const where = `cluster ${message.name}`;
  checkFields(ClusterSchema, message, where, notes, { used, harmless });
  for (const filter of message.filters) if (filter.name !== "istio.metadata_exchange") throw unsupported(where, `the filter ${filter.name}`);
  if (message.commonLbConfig?.localityConfigSpecifier.case === "localityWeightedLbConfig") throw unsupported(where, "commonLbConfig.localityWeightedLbConfig");
  const http = httpOptionsOf(message, where, notes);
  const transports = new TransportRules(message, where, notes);
  const loadBalancing = loadBalancingOf(message, where);
  const discovery = discoveryOf(message, where, notes);
  return {
    transports,
    config: {
      originalDestination: originalDestinationRule(discovery, transports),
      name: message.name,
      loadBalancing,
      limits: {
        connectTimeoutMs: durationOr(message.connectTimeout, defaultConnectTimeoutMs),
        maxConnections: thresholdOf(message, "maxConnections"),
        maxPendingRequests: thresholdOf(message, "maxPendingRequests"),
        maxRequestsPerConnection: http.maxRequestsPerConnection || (message.maxRequestsPerConnection ?? 0),
        idleTimeoutMs: http.idleTimeoutMs,
      },
      maxRequests: thresholdOf(message, "maxRequests"),
      service: serviceOf(message),
    },
    discovery,
    unusable: http.http2 ? "its endpoints speak HTTP/2, which this proxy does not yet speak to upstreams" : undefined,
  };
}

function thresholdOf(message: ClusterMessage, field: "maxConnections" | "maxPendingRequests" | "maxRequests"): number {
  const threshold = message.circuitBreakers?.thresholds.find(({ priority }: { readonly priority: number }) => priority === 0);
  return threshold?.[field] ?? defaultThreshold;
}

function loadBalancingOf(message: ClusterMessage, where: string): LoadBalancing {
  const specific = message.lbConfig;
  if (specific.case === "leastRequestLbConfig" || specific.case === "roundRobinLbConfig" || specific.case === "ringHashLbConfig" || specific.case === "maglevLbConfig") {
    throw unsupported(where, specific.case);
  }
  switch (message.lbPolicy) {
    case Cluster_LbPolicy.ROUND_ROBIN:
    case Cluster_LbPolicy.CLUSTER_PROVIDED:
      return "round-robin";
    case Cluster_LbPolicy.LEAST_REQUEST:
      return "least-request";
    case Cluster_LbPolicy.RANDOM:
      return "random";
    default:
      throw unsupported(where, `lbPolicy ${Cluster_LbPolicy[message.lbPolicy] ?? message.lbPolicy}`);
  }
}

function discoveryOf(message: ClusterMessage, where: string, notes: ConfigNotes): ClusterDiscovery {
  const type = message.clusterDiscoveryType;
  if (type.case === "clusterType") throw unsupported(where, `clusterType ${type.value.name}`);
  switch (type.value ?? Cluster_DiscoveryType.STATIC) {
    case Cluster_DiscoveryType.EDS: {
      const source = message.edsClusterConfig?.edsConfig?.configSourceSpecifier.case;
      if (source !== undefined && source !== "ads" && source !== "self") throw unsupported(where, `edsClusterConfig.edsConfig.${source}`);
      const serviceName = message.edsClusterConfig?.serviceName ?? "";
      return { kind: "eds", serviceName: serviceName === "" ? message.name : serviceName };
    }
    case Cluster_DiscoveryType.STATIC:
      if (entersTunnel(message.loadAssignment)) return { kind: "original-destination", portOverride: undefined, header: undefined };
      return { kind: "static", endpoints: message.loadAssignment };
    case Cluster_DiscoveryType.STRICT_DNS:
    case Cluster_DiscoveryType.LOGICAL_DNS:
      return {
        kind: "dns",
        hosts: dnsHosts(message.loadAssignment, where),
        refreshMs: Math.max(1000, durationOr(message.dnsRefreshRate, defaultDnsRefreshMs)),
        firstAddressOnly: type.value === Cluster_DiscoveryType.LOGICAL_DNS,
      };
    case Cluster_DiscoveryType.ORIGINAL_DST:
      return originalDestinationOf(message);
    default:
      notes.ignored(`${where}: type ${type.value}`);
      throw unsupported(where, `type ${type.value}`);
  }
}

function originalDestinationOf(message: ClusterMessage): ClusterDiscovery {
  const rule = message.lbConfig.case === "originalDstLbConfig" ? message.lbConfig.value : undefined;
  const name = rule?.httpHeaderName === undefined || rule.httpHeaderName === "" ? "x-envoy-original-dst-host" : rule.httpHeaderName.toLowerCase();
  return { kind: "original-destination", portOverride: rule?.upstreamPortOverride, header: rule?.useHttpHeader === true ? name : undefined };
}

function originalDestinationRule(discovery: ClusterDiscovery, transports: TransportRules): ClusterConfig["originalDestination"] {
  if (discovery.kind !== "original-destination") return undefined;
  const chosen = transports.choose({});
  return {
    portOverride: discovery.portOverride,
    header: discovery.header,
    transport: chosen.kind === "internal" ? { kind: "tunnel" } : chosen,
    sourceAddress: transports.sourceAddress,
  };
}

interface HttpOptions {
  readonly http2: boolean;
  readonly idleTimeoutMs: number;
  readonly maxRequestsPerConnection: number;
}

const httpOptionsKey = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

function httpOptionsOf(message: ClusterMessage, where: string, notes: ConfigNotes): HttpOptions {
  let options: HttpProtocolOptions | undefined;
  for (const [key, any] of Object.entries(message.typedExtensionProtocolOptions)) {
    const unpacked = key === httpOptionsKey ? unpack(any) : undefined;
    if (unpacked === undefined) throw unsupported(where, `typedExtensionProtocolOptions ${key}`);
    options = unpacked as HttpProtocolOptions;
    checkFields(HttpProtocolOptionsSchema, options, `${where}: ${key}`, notes, {
      used: ["commonHttpProtocolOptions", "explicitHttpConfig", "useDownstreamProtocolConfig", "autoConfig"],
      harmless: ["upstreamHttpProtocolOptions"],
    });
  }
  const protocol = options?.upstreamProtocolOptions;
  const common = options?.commonHttpProtocolOptions ?? message.commonHttpProtocolOptions;
  const explicitHttp2 = protocol?.case === "explicitHttpConfig" && protocol.value.protocolConfig.case === "http2ProtocolOptions";
  return {
    http2: explicitHttp2 || (protocol === undefined && message.http2ProtocolOptions !== undefined),
    idleTimeoutMs: durationOr(common?.idleTimeout, defaultIdleTimeoutMs) || Infinity,
    maxRequestsPerConnection: common?.maxRequestsPerConnection ?? 0,
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

