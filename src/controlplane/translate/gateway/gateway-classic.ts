import { VirtualHost_TlsRequirementType, type Listener, type RouteConfiguration } from "../../../wire/envoy/index.ts";
import { anyAddress } from "../../model/ip-address.ts";
import {
  serverNamesOf,
  withoutNamespace,
  type GatewayListenerModel,
  type GatewayServerModel,
} from "../../model/gateway/classic-gateway.ts";
import { destinationRuleFor, type DestinationRuleModel } from "../../model/destination-rule-model.ts";
import { compareText } from "../../model/facts.ts";
import { visibleService, type ServiceModel } from "../../model/service/service-model.ts";
import { serviceSession, sessionRulesOf } from "../../model/service/service-session.ts";
import type { VirtualServiceModel } from "../../model/routing/virtual-service-model.ts";
import type { FilterInit } from "../filter-init.ts";
import { autoPassthroughChains } from "./gateway-auto-passthrough.ts";
import type { ClassicGatewayContext } from "./gateway-classic-context.ts";
import { gatewayListener, listenerName, withDistinctNames, type GatewayChain } from "./gateway-listener.ts";
import { httpConnectionManagerFilter } from "../http-connection-manager.ts";
import { tcpMetadataExchange } from "../istio-filters.ts";
import { nobody, routeConfiguration } from "../routing/route-configuration.ts";
import { hostSession } from "../routing/stateful-session.ts";
import { downstreamTls } from "../tls-context.ts";
import { serverTls } from "../tls-server.ts";
import { effectivePolicy } from "../traffic-policy.ts";
import { isCatchAll, type MatchClient } from "../routing/virtual-service-match.ts";
import { virtualServiceRoutes, type RouteInit } from "../routing/virtual-service-route.ts";
import { l4Matches, tcpRouteFilters, type TcpRouteContext } from "../routing/virtual-service-tcp.ts";

/** The listener of a port. Undefined if none of its servers has a route. */
export function classicListener(
  { bind, port, servers }: GatewayListenerModel,
  context: ClassicGatewayContext,
): Listener | undefined {
  const address = bind === "" ? anyAddress : bind;
  const name = listenerName(port, address);
  const [first] = servers;
  const chains =
    first?.kind === "http"
      ? [httpChain(first, name, context)]
      : withDistinctNames(servers.flatMap((server) => chainsOf(server, name, context)));
  return chains.length === 0 ? undefined : gatewayListener(address, port, chains, context);
}

function httpChain(server: GatewayServerModel, listener: string, context: ClassicGatewayContext): GatewayChain {
  const { mesh, security, telemetry } = context;
  const manager = httpConnectionManagerFilter({
    direction: "gateway",
    statPrefix: `outbound_${listener}`,
    mesh,
    routes: { rds: server.routeName },
    security: security.http,
    telemetry,
    // As in upstream Istio, the prefix of a named server's statistics is its name, without a delimiter.
    ...(server.kind === "https" && server.name !== "" ? { fields: { statPrefix: server.name } } : {}),
  });
  if (server.tls === undefined || server.kind === "http") return { serverNames: [], filters: [manager] };
  return {
    serverNames: serverNamesOf(server),
    transportSocket: downstreamTls(serverTls(server.tls, context)),
    filters: [manager],
  };
}

function chainsOf(
  server: GatewayServerModel,
  listener: string,
  context: ClassicGatewayContext,
): readonly GatewayChain[] {
  switch (server.kind) {
    case "http":
    case "https":
      return [httpChain(server, listener, context)];
    case "tcp":
      return tcpChains(server, context);
    case "passthrough":
      return server.tls?.mode === "AUTO_PASSTHROUGH"
        ? autoPassthroughChains(server, context)
        : passthroughChains(server, context);
  }
}

function tcpChains(server: GatewayServerModel, context: ClassicGatewayContext): readonly GatewayChain[] {
  const client = clientOf(server, context);
  for (const { model: virtualService } of context.virtualServicesAt(server)) {
    const route = virtualService.tcp.find(
      (tcp) =>
        tcp.route.length > 0 &&
        (tcp.match.length === 0 || tcp.match.some((match) => l4Matches(match, server.declaredPort, client))),
    );
    if (route === undefined) continue;
    const forwards = tcpRouteFilters(route.route, server.declaredPort, virtualService, tcpContext(context));
    const exchange = server.tls?.mode === "ISTIO_MUTUAL" ? [tcpMetadataExchange(context.mesh)] : [];
    const filters: FilterInit[] = [...exchange, ...context.security.tcp, ...forwards];
    if (server.tls === undefined) return [{ serverNames: [], filters }];
    return [
      {
        serverNames: serverNamesOf(server),
        transportSocket: downstreamTls(serverTls(server.tls, context, { tcp: true })),
        filters,
      },
    ];
  }
  return [];
}

/** The filter chains of TLS routes: one for each match, selected by the match's server names. */
function passthroughChains(server: GatewayServerModel, context: ClassicGatewayContext): readonly GatewayChain[] {
  const client = clientOf(server, context);
  return context.virtualServicesAt(server).flatMap(({ model: virtualService }) =>
    virtualService.tls
      .filter((tls) => tls.route.length > 0)
      .flatMap((tls) =>
        tls.match
          .filter((match) => l4Matches(match, server.declaredPort, client))
          .map((match) => ({
            serverNames: match.sniHosts.includes("*") ? [] : [...match.sniHosts].sort(),
            filters: [
              ...context.security.tcp,
              ...tcpRouteFilters(tls.route, server.declaredPort, virtualService, tcpContext(context)),
            ],
          })),
      ),
  );
}

function clientOf(server: GatewayServerModel, { namespace, labels }: ClassicGatewayContext): MatchClient {
  return { namespace, labels, gateway: server.gateway };
}

function tcpContext(context: ClassicGatewayContext): TcpRouteContext {
  const serviceOf = (host: string): ServiceModel | undefined => serviceFor(host, context.namespace, context);
  return {
    mesh: context.mesh,
    role: "server",
    serviceOf,
    ruleOf: (host) => ruleFor(serviceOf(host), context),
    telemetry: context.telemetry,
  };
}

/**
 * Finds a service that is visible to the gateway. As in upstream Istio, a service in the VirtualService's namespace
 * takes precedence.
 */
function serviceFor(
  host: string,
  namespace: string,
  { model, namespace: own, reader }: ClassicGatewayContext,
): ServiceModel | undefined {
  return visibleService(host, own, model.registry, reader, namespace);
}

function ruleFor(
  service: ServiceModel | undefined,
  { model, mesh, namespace, labels, reader }: ClassicGatewayContext,
): DestinationRuleModel | undefined {
  return service === undefined
    ? undefined
    : destinationRuleFor(service, { namespace, labels }, mesh, model.destinationRules, reader);
}

interface HostTable {
  readonly host: string;
  readonly routes: RouteInit[];
  /** The sources of the routes. Tables with the same sources are merged. */
  readonly sources: string[];
  redirects: boolean;
}

export function classicRouteTable(
  name: string,
  servers: readonly GatewayServerModel[],
  context: ClassicGatewayContext,
): RouteConfiguration {
  const hosts = new Map<string, HostTable>();
  const tableOf = (host: string): HostTable => {
    const table = hosts.get(host) ?? { host, routes: [], sources: [], redirects: false };
    hosts.set(host, table);
    return table;
  };
  const port = servers[0]?.declaredPort ?? 0;
  for (const server of servers) {
    const redirects = server.tls?.httpsRedirect === true;
    for (const { model: virtualService, hosts: common } of context.virtualServicesAt(server)) {
      const routes = routesOf(virtualService, server, context);
      for (const host of common) {
        const table = tableOf(host);
        for (const route of routes) table.routes.push(route);
        table.sources.push(`${server.gateway} ${virtualService.namespace}/${virtualService.name}`);
        table.redirects ||= redirects;
      }
    }
    if (redirects) for (const host of server.hosts) tableOf(withoutNamespace(host)).redirects = true;
  }
  return routeConfiguration(name, hosts.size === 0 ? [nobody(port)] : virtualHosts([...hosts.values()], port, context));
}

function routesOf(
  virtualService: VirtualServiceModel,
  server: GatewayServerModel,
  context: ClassicGatewayContext,
): readonly RouteInit[] {
  const serviceOf = (host: string): ServiceModel | undefined => serviceFor(host, virtualService.namespace, context);
  return virtualServiceRoutes(virtualService, {
    client: clientOf(server, context),
    port: server.declaredPort,
    isTls: server.tls !== undefined && server.kind === "https",
    mesh: context.mesh,
    serviceOf,
    hashOf: (destination, port) =>
      effectivePolicy(ruleFor(serviceOf(destination.host), context), destination.subset, port, context.mesh)
        .loadBalancer?.consistentHash,
    sessionOf: sessionRulesOf(context.mesh).enabled
      ? (host) => serviceSession(serviceOf(host), context.mesh)
      : undefined,
  });
}

/** The virtual hosts of a table. Hosts with the same routes share one, which has the name of the first host. */
function virtualHosts(tables: readonly HostTable[], port: number, context: ClassicGatewayContext) {
  const { mesh, namespace } = context;
  const sorted = [...tables].sort((left, right) => compareText(left.host, right.host));
  const sessions = sessionRulesOf(mesh).enabled;
  const serviceOf = ({ host }: HostTable): ServiceModel | undefined =>
    sessions ? serviceFor(host, namespace, context) : undefined;
  const alike = Map.groupBy(
    sorted,
    (table) =>
      `${table.redirects} ${JSON.stringify(serviceSession(serviceOf(table), mesh)) ?? ""} ${table.sources.join(",")}`,
  );
  return [...alike.values()].flatMap((same) => {
    const [first] = same;
    if (first === undefined) return [];
    return {
      name: `${first.host}:${port}`,
      domains: same.map(({ host }) => host),
      routes: catchAllLast(first.routes),
      includeRequestAttemptCount: !mesh.proxyHeaders.attemptCountDisabled,
      ...(first.redirects ? { requireTls: VirtualHost_TlsRequirementType.ALL } : {}),
      ...hostSession(serviceOf(first), mesh),
    };
  });
}

/** Moves catch-all routes to the end, so that those of one VirtualService do not hide the routes of others. */
function catchAllLast(routes: readonly RouteInit[]): RouteInit[] {
  const takesAll = (route: RouteInit): boolean => route.match !== undefined && isCatchAll(route.match);
  return [...routes.filter((route) => !takesAll(route)), ...routes.filter(takesAll)];
}
