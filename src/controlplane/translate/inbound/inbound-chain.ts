import type { MessageInitShape } from "@bufbuild/protobuf";
import { TcpProxySchema, type FilterChainMatchSchema } from "../../../wire/envoy/index.ts";
import type { MeshSettings } from "../../model/facts.ts";
import type { EffectiveMutualTls } from "../../model/peer-authentication.ts";
import type { ProviderCluster } from "../../model/provider-cluster.ts";
import type { AccessLogInit } from "../telemetry/access-log.ts";
import { tcpIdleTimeout } from "../connection-settings.ts";
import { filterMetadata } from "../envoy-any.ts";
import { filterInit, type FilterInit } from "../filter-init.ts";
import { httpConnectionManagerFilter } from "../http-connection-manager.ts";
import { carriedBy, inboundChainMatches, type InboundChainMatch } from "../inbound-chain-match.ts";
import { inboundRoute } from "./inbound-route.ts";
import type { InboundTarget } from "./inbound-target.ts";
import { tcpMetadataExchange } from "../istio-filters.ts";
import type { SecurityFilters } from "../security/security-filters.ts";
import type { ProxyTelemetry } from "../telemetry/telemetry-policies.ts";
import { downstreamTls, mutualTlsServer, type TransportSocketInit } from "../tls-context.ts";
import { serverTls } from "../tls-server.ts";

export interface FilterChainInit {
  readonly name: string;
  readonly filterChainMatch?: Exclude<MessageInitShape<typeof FilterChainMatchSchema>, { $typeName: string }>;
  readonly filters: FilterInit[];
  readonly transportSocket?: TransportSocketInit;
  readonly metadata?: ReturnType<typeof filterMetadata>;
}

export const inboundListenerName = "virtualInbound";
export const inboundPassthroughCluster = "InboundPassthroughCluster";
const catchAllHttpName = "virtualInbound-catchall-http";
const blackHoleChainName = "virtualInbound-blackhole";
const blackHoleCluster = "BlackHoleCluster";

export interface InboundContext {
  readonly mesh: MeshSettings;
  readonly security: SecurityFilters;
  readonly telemetry: ProxyTelemetry;
  readonly secretService: ProviderCluster | undefined;
}

/**
 * The context of chains behind an HBONE tunnel, which has already terminated TLS. Such a chain accepts only the pod's
 * own addresses as destination.
 */
export interface HboneContext extends InboundContext {
  readonly addresses: readonly string[];
}

export function inboundClusterName(port: number): string {
  return `inbound|${port}||`;
}

interface Destination {
  /** The port of the chain. 0 means all ports without their own chain. */
  readonly port: number;
  readonly cluster: string;
  readonly host: string;
  readonly servicePort: number;
  readonly statPrefix: string;
  readonly name: { readonly http: string; readonly tcp: string };
  readonly http2: boolean;
  readonly grpc: boolean;
  readonly hbone: boolean;
  readonly sidecar?: string | undefined;
}

export function targetChains(
  target: InboundTarget,
  mode: EffectiveMutualTls,
  context: InboundContext,
  hbone = false,
): readonly FilterChainInit[] {
  const name = `${target.bind}_${target.port}`;
  const destination: Destination = {
    port: target.port,
    cluster: inboundClusterName(target.port),
    host: target.host,
    servicePort: target.servicePort,
    statPrefix: `inbound_${name}`,
    name: { http: name, tcp: name },
    http2: target.protocol === "http2" || target.protocol === "grpc",
    grpc: target.protocol === "grpc",
    hbone,
    sidecar: target.sidecar,
  };
  // If Istio's mutual TLS is off, the Sidecar's own TLS settings apply, and the declared protocol is the one inside
  // that TLS.
  if (target.tls !== undefined && mode === "DISABLE" && !hbone) {
    const serves = carriedBy(target.protocol) === "http" ? "http" : "tcp";
    const chain = chainOf(
      { applicationProtocols: [], transport: "tls", serves, terminates: true },
      destination,
      context,
    );
    return [{ ...chain, transportSocket: downstreamTls(serverTls(target.tls, context)) }];
  }
  return inboundChainMatches(mode, carriedBy(target.protocol)).map((match) => chainOf(match, destination, context));
}

export function passthroughChains(
  port: number,
  mode: EffectiveMutualTls,
  context: InboundContext,
): readonly FilterChainInit[] {
  const destination: Destination = {
    port,
    cluster: inboundPassthroughCluster,
    host: "",
    servicePort: 0,
    statPrefix: inboundPassthroughCluster,
    name: { http: catchAllHttpName, tcp: inboundListenerName },
    http2: false,
    grpc: false,
    hbone: false,
  };
  return inboundChainMatches(mode, "sniffed").map((match) => chainOf(match, destination, context));
}

/** Closes connections to the listener's own port, which would otherwise loop forever. */
export function blackHoleChain({ mesh, telemetry }: InboundContext): FilterChainInit {
  return {
    name: blackHoleChainName,
    filterChainMatch: { destinationPort: mesh.proxyInboundListenPort },
    filters: [tcpMetadataExchange(mesh), ...telemetry.stats("server"), tcpProxy(blackHoleCluster, mesh, [])],
  };
}

export function closedChain(port: number, { mesh }: InboundContext): FilterChainInit {
  return {
    name: blackHoleChainName,
    filterChainMatch: { destinationPort: port },
    filters: [tcpMetadataExchange(mesh), tcpProxy(blackHoleCluster, mesh, [])],
  };
}

function chainOf(match: InboundChainMatch, destination: Destination, context: InboundContext): FilterChainInit {
  const alpn = match.serves === "http" ? ["h2", "http/1.1"] : ["istio-peer-exchange", "h2", "http/1.1"];
  return {
    name: destination.name[match.serves],
    filterChainMatch: {
      ...(destination.port === 0 ? {} : { destinationPort: destination.port }),
      transportProtocol: match.transport,
      applicationProtocols: [...match.applicationProtocols],
    },
    filters: match.serves === "http" ? httpFilters(destination, context) : tcpFilters(destination, context),
    ...(destination.sidecar === undefined
      ? {}
      : { metadata: filterMetadata({ istio: { config: sidecarPath(destination.sidecar) } }) }),
    ...(match.terminates ? { transportSocket: downstreamTls(mutualTlsServer(context.mesh, alpn)) } : {}),
  };
}

function sidecarPath(key: string): string {
  const [namespace = "", name = ""] = key.split("/");
  return `/apis/networking.istio.io/v1/namespaces/${namespace}/sidecar/${name}`;
}

/**
 * The filter chains of the internal listener behind tunnels: one set for each declared port, and one for all other
 * ports.
 */
export function hboneChains(targets: readonly InboundTarget[], context: HboneContext): readonly FilterChainInit[] {
  const prefixRanges = context.addresses.map((address) => ({
    addressPrefix: address,
    prefixLen: address.includes(":") ? 128 : 32,
  }));
  const chains = [
    ...targets.flatMap((target) => targetChains(target, "DISABLE", context, true)),
    ...passthroughChains(0, "DISABLE", context),
  ];
  return chains.map((chain) => ({
    ...chain,
    filterChainMatch: { ...chain.filterChainMatch, transportProtocol: "", prefixRanges },
  }));
}

function httpFilters(destination: Destination, { mesh, security, telemetry }: InboundContext): FilterInit[] {
  const { cluster, servicePort, host, statPrefix, http2, grpc, hbone } = destination;
  const manager = httpConnectionManagerFilter({
    direction: "inbound",
    statPrefix,
    mesh,
    routes: { inline: inboundRoute(cluster, servicePort, host, grpc) },
    security: security.http,
    telemetry,
    hbone,
    ...(http2 ? { fields: { http2ProtocolOptions: {} } } : {}),
  });
  return hbone ? [manager] : [tcpMetadataExchange(mesh), manager];
}

function tcpFilters({ cluster }: Destination, { mesh, security, telemetry }: InboundContext): FilterInit[] {
  return [
    tcpMetadataExchange(mesh),
    ...security.tcp,
    ...telemetry.stats("server"),
    tcpProxy(cluster, mesh, telemetry.accessLogs),
  ];
}

function tcpProxy(cluster: string, mesh: MeshSettings, accessLogs: readonly AccessLogInit[]): FilterInit {
  return filterInit("envoy.filters.network.tcp_proxy", TcpProxySchema, {
    statPrefix: cluster,
    clusterSpecifier: { case: "cluster", value: cluster },
    ...tcpIdleTimeout(mesh),
    accessLog: [...accessLogs],
  });
}
