import { hostsOverlap, meshGateway } from "../../../api/istio/index.ts";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ListenerSchema, TrafficDirection, type Listener } from "../../../wire/envoy/index.ts";
import type { DestinationRuleModel } from "../../model/destination-rule-model.ts";
import type { AppProtocol, MeshSettings } from "../../model/facts.ts";
import { anyAddress } from "../../model/ip-address.ts";
import type { ServiceModel } from "../../model/service/service-model.ts";
import type { VirtualServiceModel } from "../../model/routing/virtual-service-model.ts";
import { unmatchedAccessLogs } from "../telemetry/access-log.ts";
import { blackHoleName } from "../cluster.ts";
import { tcpAddress } from "../envoy-address.ts";
import { forwardTlsFilter, isForwarded, wildcardCache } from "../dynamic-forward-proxy.ts";
import { durationOfMs } from "../envoy-any.ts";
import type { FilterInit } from "../filter-init.ts";
import { httpConnectionManagerFilter } from "../http-connection-manager.ts";
import { plaintextHttpProtocols } from "../inbound-chain-match.ts";
import { httpInspector, originalDestination, tlsInspector } from "../listener-filters.ts";
import { dynamicDnsName, dynamicDnsRoute, forwardsUnknownHosts, unknownHostCaches } from "./dynamic-dns.ts";
import { DistinctChains, filterChain, takesEverything, type OutboundChain } from "./outbound-chain.ts";
import { subsetClusterName } from "../outbound-cluster.ts";
import { unknownRoute, unknownTrafficCluster, type ResolvedService } from "./outbound-route.ts";
import type { OutboundPort } from "./outbound-port.ts";
import { routeConfiguration } from "../routing/route-configuration.ts";
import { meshTelemetry, type ProxyTelemetry } from "../telemetry/telemetry-policies.ts";
import { l4Matches, tcpClusterFilters, tcpRouteFilters, type TcpRouteContext } from "../routing/virtual-service-tcp.ts";
import { virtualServicePath } from "../routing/virtual-service-route.ts";
import {
  bindsOf,
  listensOnAddresses,
  takenAddresses,
  type Bind,
  type BoundPort,
  type TakenAddresses,
} from "./listener-binds.ts";

type ListenerInit = Exclude<MessageInitShape<typeof ListenerSchema>, { $typeName: string }>;

export interface ListenerPort extends BoundPort {
  readonly ruleOf: (host: string) => DestinationRuleModel | undefined;
  readonly telemetry?: ProxyTelemetry;
}

interface Entry {
  readonly bind: string;
  protocol: "http" | "tcp" | "auto";
  readonly chains: DistinctChains;
}

/** The listeners of one port: one for all HTTP services, and one for each address of the other services. */
export function outboundListeners(resolved: ListenerPort): readonly Listener[] {
  const entries = new Map<string, Entry>();
  const taken = takenAddresses(resolved);
  for (const service of resolved.services)
    if (service.service.resolution !== "alias") addService(entries, service, resolved, taken);
  return [...entries.values()].map((entry) => listener(entry, resolved));
}

function addService(
  entries: Map<string, Entry>,
  resolved: ResolvedService,
  port: ListenerPort,
  taken: TakenAddresses,
): void {
  const protocol = port.port.protocol ?? resolved.port.protocol;
  if (listensOnAddresses(protocol)) {
    for (const bind of bindsOf(resolved.service, port, taken)) addTcp(entries, bind, protocol, resolved, port);
  } else {
    addHttp(entries, port.port.bind ?? anyAddress, port);
  }
}

/**
 * Adds the chain for HTTP requests to the listener of an address. If the port also carries TCP, the first bytes decide
 * whether a connection is HTTP. On the wildcard address they always decide, because the connection may belong to no
 * service.
 */
function addHttp(entries: Map<string, Entry>, bind: string, port: ListenerPort): void {
  const known = entries.get(bind);
  const shared = bind === anyAddress;
  const chain = (): OutboundChain => httpChain(bind, String(port.port.port), shared || known !== undefined, port);
  if (known === undefined)
    entries.set(bind, { bind, protocol: shared ? "auto" : "http", chains: new DistinctChains([chain()]) });
  else if (known.protocol === "tcp") merge(known, [chain()], "auto");
}

function addTcp(
  entries: Map<string, Entry>,
  bind: Bind,
  protocol: AppProtocol,
  resolved: ResolvedService,
  port: ListenerPort,
): void {
  const chains = protocol === "tls" ? tlsChains(bind, resolved, port) : tcpChains(bind, resolved, port);
  const known = entries.get(bind.address);
  if (protocol !== "unknown") {
    if (known === undefined)
      entries.set(bind.address, { bind: bind.address, protocol: "tcp", chains: new DistinctChains(chains) });
    else merge(known, chains, known.protocol === "http" ? "auto" : known.protocol);
    return;
  }
  const routes =
    bind.address === anyAddress || port.port.bind !== undefined
      ? String(port.port.port)
      : `${resolved.service.hostname}:${port.port.port}`;
  const both = [...chains, httpChain(bind.address, routes, true, port)];
  if (known === undefined || known.protocol === "http")
    entries.set(bind.address, { bind: bind.address, protocol: "auto", chains: new DistinctChains(both) });
  else if (known.protocol === "tcp") merge(known, both, "auto");
  else merge(known, chains, "auto");
}

function merge(entry: Entry, chains: readonly OutboundChain[], protocol: Entry["protocol"]): void {
  entry.chains.add(chains);
  entry.protocol = protocol;
}

function httpChain(
  bind: string,
  routes: string,
  detected: boolean,
  { port, services, mesh, telemetry }: ListenerPort,
): OutboundChain {
  const wildcards = services.map(({ service }) => service).filter(isForwarded);
  const forwarded = [...wildcards.map(({ hostname }) => wildcardCache(hostname)), ...unknownHostCaches(port, mesh)];
  const filter = httpConnectionManagerFilter({
    direction: "outbound",
    statPrefix: `outbound_${bind}_${port.port}`,
    mesh,
    routes: { rds: routes },
    forwarded,
    ...(telemetry === undefined ? {} : { telemetry }),
  });
  return {
    sniHosts: [],
    destinations: [],
    applicationProtocols: detected ? plaintextHttpProtocols : [],
    transportProtocol: detected ? "raw_buffer" : "",
    config: undefined,
    filters: [filter],
  };
}

function tcpContext({ mesh, serviceOf, ruleOf, telemetry }: ListenerPort): TcpRouteContext {
  return { mesh, role: "client", serviceOf, ruleOf, ...(telemetry === undefined ? {} : { telemetry }) };
}

function plainChain(
  filters: readonly FilterInit[],
  sniHosts: readonly string[],
  destinations: readonly string[],
  config: string | undefined,
): OutboundChain {
  return { sniHosts, destinations, applicationProtocols: [], transportProtocol: "", config, filters };
}

function relevant(service: ServiceModel, models: readonly VirtualServiceModel[]): readonly VirtualServiceModel[] {
  return models.filter((model) => model.hosts.some((host) => hostsOverlap(host, service.hostname)));
}

/**
 * The chains that TLS routes define. Each is selected by its server names. Without TLS routes, connections go to the
 * service itself.
 */
function tlsChains(bind: Bind, { service }: ResolvedService, port: ListenerPort): readonly OutboundChain[] {
  const client = { namespace: port.port.namespace, labels: port.port.labels, gateway: meshGateway };
  const number = port.port.port;
  const found = new DistinctChains();
  for (const model of relevant(service, port.virtualServices)) {
    for (const route of model.tls.filter(({ route: destinations }) => destinations.length > 0)) {
      for (const match of route.match.filter((candidate) => l4Matches(candidate, number, client))) {
        const destinations = match.destinationSubnets.length > 0 ? match.destinationSubnets : bind.destinations;
        const chain = plainChain(
          tcpRouteFilters(route.route, number, model, tcpContext(port)),
          match.sniHosts,
          destinations,
          virtualServicePath(model),
        );
        found.add([chain]);
      }
    }
  }
  if (found.all.length > 0) return found.all;
  // The address alone identifies the service if no other has it.
  const byName = bind.destinations.length > 0 || bind.address === anyAddress || isForwarded(service);
  const names = byName ? [service.hostname, ...port.aliasesOf(service.hostname)] : [];
  return [plainChain(serviceFilters(service, port), names, bind.destinations, undefined)];
}

function tcpChains(bind: Bind, { service }: ResolvedService, port: ListenerPort): readonly OutboundChain[] {
  const client = { namespace: port.port.namespace, labels: port.port.labels, gateway: meshGateway };
  const number = port.port.port;
  const chains: OutboundChain[] = [];
  for (const model of relevant(service, port.virtualServices)) {
    for (const route of model.tcp.filter(({ route: destinations }) => destinations.length > 0)) {
      const matches = route.match.filter((match) => l4Matches(match, number, client));
      if (route.match.length > 0 && matches.length === 0) continue;
      const filters = tcpRouteFilters(route.route, number, model, tcpContext(port));
      if (matches.length === 0 || matches.some((match) => match.destinationSubnets.length === 0)) {
        // No later route can be reached.
        return [...chains, plainChain(filters, [], bind.destinations, virtualServicePath(model))];
      }
      chains.push(
        plainChain(
          filters,
          [],
          matches.flatMap((match) => match.destinationSubnets),
          undefined,
        ),
      );
    }
  }
  const own = plainChain(serviceFilters(service, port), [], bind.destinations, undefined);
  return new DistinctChains([...chains, own]).all;
}

/**
 * The filters that forward connections to a service. If the service has a single port, they forward to it, even if the
 * egress listener has another port.
 */
function serviceFilters(service: ServiceModel, port: ListenerPort): readonly FilterInit[] {
  const number = service.ports.length === 1 ? (service.ports[0]?.port ?? port.port.port) : port.port.port;
  const filters = tcpClusterFilters(subsetClusterName(number, undefined, service.hostname), {
    rule: port.ruleOf(service.hostname),
    subset: undefined,
    context: tcpContext(port),
  });
  return isForwarded(service) ? filters.toSpliced(-1, 0, forwardTlsFilter(service.hostname, number)) : filters;
}

function listener({ bind, chains: { all: chains } }: Entry, resolved: ListenerPort): Listener {
  const { port, bindsToPort } = resolved.port;
  const httpInspected = chains.some((chain) => chain.applicationProtocols.length > 0);
  const tlsInspected = chains.some((chain) => chain.sniHosts.length > 0);
  const rest = chains.filter((chain) => !takesEverything(chain)).map(filterChain);
  const fallback = chains.find(takesEverything);
  return create(ListenerSchema, {
    name: `${bind}_${port}`,
    address: { address: tcpAddress(bind, port) },
    trafficDirection: TrafficDirection.OUTBOUND,
    continueOnListenerFiltersTimeout: true,
    ...(bindsToPort ? { maxConnectionsToAcceptPerSocketEvent: 1 } : { bindToPort: false }),
    listenerFilters: [...(tlsInspected ? [tlsInspector()] : []), ...(httpInspected ? [httpInspector()] : [])],
    listenerFiltersTimeout: durationOfMs(httpInspected ? resolved.mesh.protocolDetectionTimeoutMs : 0),
    ...chainFields(rest, fallback === undefined ? undefined : filterChain(fallback), resolved),
  });
}

type ChainInit = ReturnType<typeof filterChain>;

/**
 * The fields of a listener with its chains. Connections that match no chain go to `fallback`, or without it to where
 * connections to unknown destinations go.
 */
function chainFields(
  chains: readonly ChainInit[],
  fallback: ChainInit | undefined,
  resolved: ListenerPort,
): ListenerInit {
  if (fallback !== undefined)
    return chains.length === 0
      ? { filterChains: [fallback] }
      : { filterChains: [...chains], defaultFilterChain: fallback };
  const filters = unknownTrafficFilters(resolved);
  return {
    filterChains: [...chains],
    defaultFilterChain: { name: "PassthroughFilterChain", filterChainMatch: {}, filters: [...filters] },
  };
}

export interface UnknownTraffic {
  readonly mesh: MeshSettings;
  readonly port: Parameters<typeof unknownTrafficCluster>[0] & Pick<OutboundPort, "dnsCapture">;
  readonly serviceOf: (host: string) => ServiceModel | undefined;
  readonly telemetry?: ProxyTelemetry;
}

function unknownTrafficFilters({ mesh, port, serviceOf, telemetry }: UnknownTraffic): readonly FilterInit[] {
  return tcpClusterFilters(unknownTrafficCluster(port, serviceOf), {
    rule: undefined,
    subset: undefined,
    context: { mesh, role: "client", ...(telemetry === undefined ? {} : { telemetry }) },
  });
}

/** Accepts redirected connections, and hands each one to the listener of its original destination. */
export function virtualOutboundListener(traffic: UnknownTraffic): Listener {
  const { proxyListenPort: port } = traffic.mesh;
  const telemetry = traffic.telemetry ?? meshTelemetry(traffic.mesh);
  const byName = forwardsUnknownHosts(traffic.port);
  // As upstream does not, do not log connections that no listener takes.
  const context = { mesh: traffic.mesh, role: "client" as const, telemetry: { ...telemetry, accessLogs: [] } };
  return create(ListenerSchema, {
    name: "virtualOutbound",
    address: { address: tcpAddress(anyAddress, port) },
    trafficDirection: TrafficDirection.OUTBOUND,
    useOriginalDst: true,
    maxConnectionsToAcceptPerSocketEvent: 1,
    filterChains: [
      // Connections to the listener's own port would loop.
      {
        name: "virtualOutbound-blackhole",
        filterChainMatch: { destinationPort: port },
        filters: [...tcpClusterFilters(blackHoleName, { rule: undefined, subset: undefined, context })],
      },
      ...(byName ? [unknownHttpChain(traffic)] : []),
      { name: "virtualOutbound-catchall-tcp", filters: [...unknownTrafficFilters(traffic)] },
    ],
    accessLog: unmatchedAccessLogs(telemetry.accessLogs, traffic.mesh),
    ...(byName ? detectsHttp(traffic.mesh) : {}),
  });
}

/**
 * The settings with which a listener detects HTTP. If the server of a protocol speaks first, the detection ends at its
 * time limit. The connection then continues (upstream closes it), but Envoy skips the listener filters that have not
 * run yet. So the filter for the original destination comes first.
 */
function detectsHttp({ protocolDetectionTimeoutMs: timeoutMs }: MeshSettings): ListenerInit {
  return {
    listenerFilters: [originalDestination(), httpInspector()],
    continueOnListenerFiltersTimeout: true,
    ...(timeoutMs === 0 ? {} : { listenerFiltersTimeout: durationOfMs(timeoutMs) }),
  };
}

/** The filter chain for plain HTTP requests to ports without a listener. They go to the host that they name. */
function unknownHttpChain({ mesh, port, telemetry }: UnknownTraffic) {
  const host = {
    name: dynamicDnsRoute,
    domains: ["*"],
    includeRequestAttemptCount: !mesh.proxyHeaders.attemptCountDisabled,
    routes: [unknownRoute(dynamicDnsName)],
  };
  return {
    name: "virtualOutbound-catchall-tcp-http",
    filterChainMatch: { applicationProtocols: [...plaintextHttpProtocols] },
    filters: [
      httpConnectionManagerFilter({
        direction: "outbound",
        statPrefix: `outbound_virtualOutbound_${dynamicDnsRoute}`,
        mesh,
        routes: { inline: routeConfiguration(dynamicDnsRoute, [host]) },
        forwarded: unknownHostCaches(port, mesh),
        ...(telemetry === undefined ? {} : { telemetry }),
      }),
    ],
  };
}
