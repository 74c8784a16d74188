import { create, type JsonObject } from "@bufbuild/protobuf";
import {
  CaresDnsResolverConfigSchema,
  Cluster_DiscoveryType,
  Cluster_DnsLookupFamily,
  ClusterSchema,
  HealthStatus,
  HttpProtocolOptionsSchema,
  type Cluster,
  type ClusterLoadAssignment,
} from "../../wire/envoy/index.ts";
import { destinationRulePath, type DestinationRuleModel } from "../model/destination-rule-model.ts";
import type { MeshSettings } from "../model/facts.ts";
import type { ServiceModel, ServicePortModel } from "../model/service/service-model.ts";
import { keepsDraining } from "../model/service/service-session.ts";
import { clusterMetadataExchange } from "./cluster.ts";
import { packHttpOptions, useProtocolOf, type ClusterDraft } from "./cluster-draft.ts";
import { forwardDynamically, isForwarded, wildcardCache } from "./dynamic-forward-proxy.ts";
import { durationOfMs, filterMetadata, overAds, packed } from "./envoy-any.ts";
import { applyTls } from "./outbound-tls.ts";
import { applyTrafficPolicy, effectivePolicy } from "./traffic-policy.ts";
import { sendProxyProtocol } from "./upstream-proxy-protocol.ts";

/** The name of a subset's cluster, for example `outbound|80|v1|host`. */
export function subsetClusterName(port: number, subset: string | undefined, host: string): string {
  return `outbound|${port}|${subset ?? ""}|${host}`;
}

/** The name of a subset's cluster in the form of a DNS name, as TLS needs it: `outbound_.80_.v1_.host`. */
export function serverNameOf(port: number, subset: string | undefined, host: string): string {
  return `outbound_.${port}_.${subset ?? ""}_.${host}`;
}

export interface OutboundClusterOptions {
  readonly service: ServiceModel;
  readonly port: ServicePortModel;
  readonly subset: string | undefined;
  readonly rule: DestinationRuleModel | undefined;
  readonly mesh: MeshSettings;
  readonly isSidecar: boolean;
  /**
   * Whether requests to a port without a declared protocol keep the client's HTTP version, as in sidecars and
   * waypoints.
   */
  readonly followsClient: boolean;
  /** Whether connections have an original destination, as in sidecars and waypoints. */
  readonly hasOriginalDestination: boolean;
  readonly hbone: boolean;
  readonly identities: readonly string[];
  /** Whether endpoints that accept mutual TLS get it without a policy. */
  readonly automaticTls: boolean;
  /**
   * Whether all endpoints are reached through tunnels, which identify the peers. Otherwise, an endpoint that is reached
   * by mutual TLS learns the client's metadata only from headers.
   */
  readonly allCaptured: boolean;
  /** The endpoints. Set for cluster types that contain them. */
  readonly assignment: ClusterLoadAssignment | undefined;
}

const dnsJitterMs = 100;
const maxDnsQueries = 100;

/** The health statuses with which an endpoint keeps its sessions. By default, Envoy excludes draining endpoints. */
const sessionStatuses = [
  HealthStatus.HEALTHY,
  HealthStatus.DRAINING,
  HealthStatus.UNKNOWN,
  HealthStatus.DEGRADED,
] as const;

/** The cluster of a port of a service or subset. Undefined if it needs endpoints and has none. */
export function outboundCluster(options: OutboundClusterOptions): Cluster | undefined {
  const { service, port, subset, rule, mesh } = options;
  const name = subsetClusterName(port.port, subset, service.hostname);
  const type = discoveryType(service, options.hasOriginalDestination);
  const policy = effectivePolicy(rule, subset, port.port, mesh);
  const passthrough = policy.loadBalancer?.simple === "PASSTHROUGH";
  const forwarded = isForwarded(service);
  const resolvesNames =
    !forwarded && (type === Cluster_DiscoveryType.STRICT_DNS || type === Cluster_DiscoveryType.LOGICAL_DNS);
  if (resolvesNames && !passthrough && (options.assignment?.endpoints.length ?? 0) === 0) return undefined;
  const draft: ClusterDraft = {
    http: create(HttpProtocolOptionsSchema, {}),
    cluster: create(ClusterSchema, {
      name,
      altStatName: `${name};`,
      clusterDiscoveryType: { case: "type", value: type },
      // Do not use unhealthy endpoints just because most endpoints are unhealthy.
      commonLbConfig: {
        ...(type === Cluster_DiscoveryType.ORIGINAL_DST ? {} : { healthyPanicThreshold: {} }),
        ...(subset === undefined && keepsDraining(service, mesh)
          ? { overrideHostStatus: { statuses: [...sessionStatuses] } }
          : {}),
      },
      ...(resolvesNames ? dnsFields(service, mesh, options.assignment) : {}),
      ...(type === Cluster_DiscoveryType.EDS ? { edsClusterConfig: { serviceName: name, edsConfig: overAds } } : {}),
      ...(type === Cluster_DiscoveryType.ORIGINAL_DST && port.target !== 0 && service.registry === "External"
        ? { lbConfig: { case: "originalDstLbConfig" as const, value: { upstreamPortOverride: port.target } } }
        : {}),
    }),
  };
  useProtocolOf(draft, { protocol: port.protocol, followsClient: options.followsClient, mesh });
  applyTrafficPolicy(draft, policy, { protocol: port.protocol, preference: service.preference, mesh });
  applyTls(draft, policy.tls, {
    // Without a fixed server name, the proxy sends the host of the request.
    sni: forwarded ? "" : serverNameOf(port.port, subset, service.hostname),
    identities: options.identities,
    meshExternal: service.meshExternal,
    isEntry: service.registry === "External",
    mesh,
    automatic: mesh.enableAutoMtls && options.automaticTls,
    hbone: options.hbone,
    mayReadSecrets: !options.isSidecar || rule?.selector !== undefined,
  });
  if (forwarded) forwardDynamically(draft, wildcardCache(service.hostname), policy.tls);
  sendProxyProtocol(draft.cluster, policy.proxyProtocol);
  return finish(draft, options, policy.tls?.mode);
}

function finish(
  draft: ClusterDraft,
  { service, subset, rule, mesh, allCaptured }: OutboundClusterOptions,
  tlsMode: string | undefined,
): Cluster {
  const { cluster } = draft;
  const istio: JsonObject = {
    services: [{ host: service.hostname, name: service.name, namespace: service.namespace }],
  };
  if (subset === undefined && allCaptured) istio["disable_mx"] = true;
  else if (subset === undefined && service.meshExternal) istio["external"] = true;
  if (rule !== undefined) istio["config"] = destinationRulePath(rule);
  if (subset !== undefined) istio["subset"] = subset;
  if (tlsMode === "SIMPLE" || tlsMode === "MUTUAL") istio["alpn_override"] = "false";
  cluster.metadata = filterMetadata({ istio });
  cluster.filters = create(ClusterSchema, { filters: [clusterMetadataExchange(mesh)] }).filters;
  packHttpOptions(draft);
  return cluster;
}

/**
 * How a proxy finds the endpoints of a service. A gateway always gets endpoints, because its connections have no
 * original destination.
 */
export function discoveryType(service: ServiceModel, hasOriginalDestination: boolean): Cluster_DiscoveryType {
  switch (service.resolution) {
    case "dns":
      return service.racesAddresses === true ? Cluster_DiscoveryType.LOGICAL_DNS : Cluster_DiscoveryType.STRICT_DNS;
    // The proxy resolves the name itself, because the control plane has no endpoints to send.
    case "dynamic-dns":
      return Cluster_DiscoveryType.STRICT_DNS;
    case "dns-round-robin":
      return Cluster_DiscoveryType.LOGICAL_DNS;
    case "passthrough":
      return hasOriginalDestination ? Cluster_DiscoveryType.ORIGINAL_DST : Cluster_DiscoveryType.EDS;
    default:
      return Cluster_DiscoveryType.EDS;
  }
}

function dnsFields(
  { racesAddresses }: ServiceModel,
  mesh: MeshSettings,
  assignment: ClusterLoadAssignment | undefined,
) {
  return {
    dnsLookupFamily: racesAddresses === true ? Cluster_DnsLookupFamily.ALL : Cluster_DnsLookupFamily.V4_ONLY,
    dnsJitter: durationOfMs(dnsJitterMs),
    dnsRefreshRate: durationOfMs(mesh.dnsRefreshRateMs),
    respectDnsTtl: true,
    typedDnsResolverConfig: {
      name: "envoy.network.dns_resolver.cares",
      typedConfig: packed(CaresDnsResolverConfigSchema, { udpMaxQueries: maxDnsQueries }),
    },
    ...(assignment === undefined ? {} : { loadAssignment: assignment }),
  };
}
