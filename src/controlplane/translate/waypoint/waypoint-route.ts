import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { l4RoutesToService, type MeshModel, routesToService } from "../mesh-model.ts";
import { hostCovers, meshGateway, proxyLimits, type HashKey, type RouteDestination } from "../../../api/istio/index.ts";
import type { CollectionReader } from "../../../kube/index.ts";
import { RouteSchema, type Route, type RouteConfigurationSchema } from "../../../wire/envoy/index.ts";
import { destinationRuleFor } from "../../model/destination-rule-model.ts";
import { factsKey, type MeshSettings } from "../../model/facts.ts";
import { visibleService, type ServiceModel } from "../../model/service/service-model.ts";
import { virtualServicesOf, type VirtualServiceModel } from "../../model/routing/virtual-service-model.ts";
import type { Waypoint } from "../../model/ambient/waypoint.ts";
import { durationOfMs } from "../envoy-any.ts";
import { serviceRoutes, type GatewayRouteContext } from "../routing/gateway-route.ts";
import { maxDirectResponseBodyBytes } from "../routing/route-configuration.ts";
import { l4VirtualService } from "../routing/route-layer4.ts";
import { effectivePolicy } from "../traffic-policy.ts";
import { hashPolicyOf, retryPolicy } from "../routing/virtual-service-action.ts";
import { destinationCluster, virtualServiceRoutes, type RouteInit } from "../routing/virtual-service-route.ts";
import { l4Matches, tcpSettings, type TcpSettings } from "../routing/virtual-service-tcp.ts";
import { inWaypoint, type VipService } from "./waypoint-name.ts";
import type { WeightedTarget } from "../routing/weighted-target.ts";

type RouteConfigurationInit = Exclude<MessageInitShape<typeof RouteConfigurationSchema>, { $typeName: string }>;

export interface WaypointRouteContext {
  readonly waypoint: Waypoint;
  readonly model: MeshModel;
  readonly mesh: MeshSettings;
  readonly reader: CollectionReader;
  readonly servedOf: (host: string) => VipService | undefined;
}

/**
 * The routes of requests to one port of a service: those of its HTTPRoutes, or else those of its VirtualServices in
 * order, or else one to the service itself. The waypoint does not know the client here. So, as in upstream, a match by
 * the client's labels never applies, and a match by the client's namespace applies to all clients.
 */
export function waypointRoutes(
  service: ServiceModel,
  port: number,
  fallback: string,
  context: WaypointRouteContext,
): readonly Route[] {
  const attached = routesToService(service, port, context.waypoint.namespace, context.model, context.reader);
  const found =
    attached.length > 0
      ? serviceRoutes(service, port, attached, { mesh: context.mesh, hashOf: hashesFrom(service, context) })
      : routesOfVirtualService(service, port, context);
  return found.length > 0
    ? found.map((route) => renamed(route, context))
    : [plainRoute(fallback, service.hostname, port, context.mesh, hashOfService(service, port, context))];
}

/** The route table of a port. It has a single virtual host, whose domains limit the hosts that requests may name. */
export function waypointRouteTable(
  name: string,
  port: number,
  routes: readonly Route[],
  domains: readonly string[] = ["*"],
): RouteConfigurationInit {
  return {
    name,
    validateClusters: false,
    maxDirectResponseBodySizeBytes: maxDirectResponseBodyBytes,
    virtualHosts: [{ name: `inbound|http|${port}`, domains: [...domains], routes: [...routes] }],
  };
}

/** The name of the route of a service without routes, as in upstream. */
export const plainRouteName = "default";

/** A route for all requests to one cluster. The client's proxy sets timeouts. */
export function plainRoute(cluster: string, host: string, port: number, mesh: MeshSettings, hash?: HashKey): Route {
  const retries = retryPolicy(mesh.defaultHttpRetryPolicy, false);
  return create(RouteSchema, {
    name: plainRouteName,
    match: { pathSpecifier: { case: "prefix", value: "/" } },
    decorator: { operation: `${host}:${port}/*` },
    action: {
      case: "route",
      value: {
        clusterSpecifier: { case: "cluster", value: cluster },
        hashPolicy: hash === undefined ? [] : [hashPolicyOf(hash)],
        timeout: durationOfMs(0),
        maxGrpcTimeout: durationOfMs(0),
        ...(retries === undefined ? {} : { retryPolicy: retries }),
      },
    },
  });
}

function hashesFrom(service: ServiceModel, context: WaypointRouteContext): GatewayRouteContext["hashOf"] {
  return (host, port) => {
    const backend = serviceOf(host, service, context);
    return backend === undefined ? undefined : hashOfService(backend, port, context);
  };
}

/** The consistent hashing that a DestinationRule sets for a service. It applies even if the service has no route. */
function hashOfService(
  service: ServiceModel,
  port: number,
  { waypoint, model, mesh, reader }: WaypointRouteContext,
): HashKey | undefined {
  const rule = destinationRuleFor(
    service,
    { namespace: waypoint.namespace, labels: {} },
    mesh,
    model.destinationRules,
    reader,
  );
  return effectivePolicy(rule, undefined, port, mesh).loadBalancer?.consistentHash?.hashKey;
}

export interface WaypointTcp {
  readonly targets: readonly WeightedTarget[];
  readonly settings: TcpSettings;
}

/**
 * The destinations of connections to one port of a service: those of the first matching route. TLS routes come before
 * TCP routes, and among each kind, the Gateway API's (GEP-1294) before those of VirtualServices. As in upstream, a TLS
 * route matches only by the service's hostname alone, because the waypoint does not read the server name here.
 */
export function waypointTcp(
  service: ServiceModel,
  port: number,
  fallback: string,
  context: WaypointRouteContext,
): WaypointTcp {
  const client = { namespace: context.waypoint.namespace, labels: {}, gateway: meshGateway };
  const attached = l4RoutesToService(service, port, context.waypoint.namespace, context.model, context.reader).map(
    (route) => l4VirtualService(route, service, port),
  );
  const models = [...attached, ...virtualServicesFor(service, port, context)];
  const tlsRoutes = models
    .flatMap(({ tls }) => tls)
    .map(({ match, route }) => ({
      route,
      match: match.filter(({ sniHosts }) => sniHosts.length === 1 && sniHosts[0] === service.hostname),
      matchesAll: match.length === 0,
    }));
  const tcpRoutes = models
    .flatMap(({ tcp }) => tcp)
    .map((route) => ({ ...route, matchesAll: route.match.length === 0 }));
  const found = [...tlsRoutes, ...tcpRoutes].find(
    ({ match, matchesAll, route }) =>
      route.length > 0 && (matchesAll || match.some((candidate) => l4Matches(candidate, port, client))),
  );
  return {
    targets:
      found === undefined ? [{ name: fallback, weight: 1 }] : weightedTargets(found.route, service, port, context),
    settings: settingsOf(found?.route ?? [], service, context),
  };
}

/**
 * The connection settings for a port's destinations. As in upstream, the policy of the first destination applies to
 * all, and that of its subset applies only if there is no other destination.
 */
function settingsOf(
  routes: readonly RouteDestination[],
  service: ServiceModel,
  context: WaypointRouteContext,
): TcpSettings {
  const { mesh, model, reader, waypoint } = context;
  const [first] = routes;
  const target = (first === undefined ? undefined : serviceOf(first.destination.host, service, context)) ?? service;
  const client = { namespace: waypoint.namespace, labels: {} };
  return tcpSettings({
    rule: destinationRuleFor(target, client, mesh, model.destinationRules, reader),
    subset: routes.length === 1 ? first?.destination.subset : undefined,
    context: { mesh },
  });
}

function weightedTargets(
  routes: readonly RouteDestination[],
  service: ServiceModel,
  port: number,
  context: WaypointRouteContext,
): readonly WeightedTarget[] {
  const clusterOf = ({ destination }: RouteDestination): string =>
    inWaypoint(destinationCluster(destination, port, serviceOf(destination.host, service, context)), context.servedOf);
  if (routes.length === 1) return routes.map((route) => ({ name: clusterOf(route), weight: 1 }));
  return routes.filter((route) => route.weight > 0).map((route) => ({ name: clusterOf(route), weight: route.weight }));
}

export function clustersOf(routes: readonly Route[]): readonly string[] {
  return routes.flatMap(({ action }) => {
    if (action.case !== "route") return [];
    const { clusterSpecifier: specifier, requestMirrorPolicies } = action.value;
    const mirrors = requestMirrorPolicies.map(({ cluster }) => cluster);
    if (specifier.case === "cluster") return [specifier.value, ...mirrors];
    return specifier.case === "weightedClusters"
      ? [...specifier.value.clusters.map(({ name }) => name), ...mirrors]
      : mirrors;
  });
}

function routesOfVirtualService(
  service: ServiceModel,
  port: number,
  context: WaypointRouteContext,
): readonly RouteInit[] {
  const { waypoint, model, mesh, reader } = context;
  const client = { namespace: waypoint.namespace, labels: {} };
  return virtualServicesFor(service, port, context).flatMap((found) =>
    virtualServiceRoutes(forAnyClient(found), {
      client: { ...client, gateway: meshGateway },
      port,
      isTls: false,
      mesh,
      serviceOf: (host) => serviceOf(host, service, context),
      hashOf: (destination, number) => {
        const target = serviceOf(destination.host, service, context) ?? { hostname: destination.host, namespace: "" };
        return effectivePolicy(
          destinationRuleFor(target, client, mesh, model.destinationRules, reader),
          destination.subset,
          number,
          mesh,
        ).loadBalancer?.consistentHash;
      },
    }),
  );
}

/**
 * The VirtualServices for a port of a service. Only those of the service's or the waypoint's namespace may change its
 * traffic. A VirtualService that would have too many routes at all ports of the service does not apply at the last
 * ones.
 */
function virtualServicesFor(
  service: ServiceModel,
  port: number,
  { waypoint, model, reader }: WaypointRouteContext,
): readonly VirtualServiceModel[] {
  const namespaces = [waypoint.namespace, service.namespace];
  const place = service.ports.findIndex((own) => own.port === port) + 1;
  const units = (key: string): number => reader.get(model.virtualServices.shapes.all, key)?.units ?? 0;
  return virtualServicesOf(meshGateway, waypoint.namespace, model.virtualServices, reader).filter(
    (found) =>
      namespaces.includes(found.namespace) &&
      found.hosts.some((host) => hostCovers(host, service.hostname)) &&
      place * units(factsKey(found)) <= proxyLimits.routes,
  );
}

function forAnyClient(model: VirtualServiceModel): VirtualServiceModel {
  const http = model.http.flatMap((route) => {
    const match = route.match.filter(({ sourceLabels }) => Object.keys(sourceLabels).length === 0);
    // If all matches of a route were left out, the route would match every request.
    if (match.length === 0 && route.match.length > 0) return [];
    return [
      { ...route, match: match.map((condition) => ({ ...condition, gateways: [], sourceNamespace: undefined })) },
    ];
  });
  return { ...model, http };
}

/** The service to which a host in the routes of `routed` refers. The hostname of `routed` always refers to `routed`. */
function serviceOf(
  host: string,
  routed: ServiceModel,
  { waypoint, model, reader }: WaypointRouteContext,
): ServiceModel | undefined {
  if (host === routed.hostname) return routed;
  return visibleService(host, waypoint.namespace, model.registry, reader);
}

/** Replaces the names of services that the waypoint serves by the names of its own clusters for them. */
function renamed(init: RouteInit, { servedOf }: WaypointRouteContext): Route {
  const route = create(RouteSchema, init);
  if (route.action.case !== "route") return route;
  const { clusterSpecifier: specifier, requestMirrorPolicies: mirrors } = route.action.value;
  if (specifier.case === "cluster") specifier.value = inWaypoint(specifier.value, servedOf);
  if (specifier.case === "weightedClusters")
    for (const cluster of specifier.value.clusters) cluster.name = inWaypoint(cluster.name, servedOf);
  for (const mirror of mirrors) mirror.cluster = inWaypoint(mirror.cluster, servedOf);
  return route;
}
