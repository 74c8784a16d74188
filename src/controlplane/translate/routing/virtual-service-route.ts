import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ConsistentHash, Destination, HttpMatch, VirtualServiceHttpRoute } from "../../../api/istio/index.ts";
import type { RouteSchema, WeightedCluster_ClusterWeightSchema } from "../../../wire/envoy/index.ts";
import type { MeshSettings } from "../../model/facts.ts";
import type { ServiceModel } from "../../model/service/service-model.ts";
import type { ServiceSession } from "../../model/service/service-session.ts";
import type { VirtualServiceModel } from "../../model/routing/virtual-service-model.ts";
import { unknownService } from "../cluster.ts";
import { durationOfMs, filterMetadata } from "../envoy-any.ts";
import { subsetClusterName } from "../outbound-cluster.ts";
import {
  corsOf,
  directResponseOf,
  faultOf,
  hashPolicyOf,
  headerChanges,
  mirrorPolicy,
  redirectOf,
  retryPolicy,
  type RouteActionInit,
} from "./virtual-service-action.ts";
import { perRouteSession } from "./stateful-session.ts";
import { concernsClient, httpRouteMatch, isCatchAll, type MatchClient } from "./virtual-service-match.ts";

export type RouteInit = Exclude<MessageInitShape<typeof RouteSchema>, { $typeName: string }>;

export interface VirtualServiceRouteOptions {
  readonly client: MatchClient;
  /** The port of the requests: the service's port, or the Gateway server's. */
  readonly port: number;
  readonly isTls: boolean;
  /** The mesh's settings, which contain the default retries for routes without their own. */
  readonly mesh: MeshSettings;
  readonly serviceOf: (host: string) => Pick<ServiceModel, "ports" | "aliasOf"> | undefined;
  readonly hashOf: (destination: Destination, port: number) => ConsistentHash | undefined;
  /** The session settings of a destination's service. Absent if no service has sessions. */
  readonly sessionOf?: ((host: string) => ServiceSession | undefined) | undefined;
}

/** The routes of a VirtualService for one client and port, in order. Routes after a catch-all are dropped. */
export function virtualServiceRoutes(
  model: VirtualServiceModel,
  options: VirtualServiceRouteOptions,
): readonly RouteInit[] {
  const routes: RouteInit[] = [];
  for (const http of model.http) {
    const matches: readonly (HttpMatch | undefined)[] = http.match.length === 0 ? [undefined] : http.match;
    for (const match of matches) {
      const route = httpRoute(model, http, match, options);
      if (route === undefined) continue;
      routes.push(route);
      if (isCatchAll(httpRouteMatch(match))) return routes;
    }
  }
  return routes;
}

export function virtualServicePath(model: Pick<VirtualServiceModel, "namespace" | "name">): string {
  return `/apis/networking.istio.io/v1/namespaces/${model.namespace}/virtual-service/${model.name}`;
}

function httpRoute(
  model: VirtualServiceModel,
  http: VirtualServiceHttpRoute,
  match: HttpMatch | undefined,
  options: VirtualServiceRouteOptions,
): RouteInit | undefined {
  if (
    match !== undefined &&
    ((match.port !== undefined && match.port !== options.port) || !concernsClient(match, options.client))
  )
    return undefined;
  const { authority, ...headers } = headerChanges(http.headers);
  const action = actionOf(http, authority, options);
  const routeMatch = httpRouteMatch(match);
  const name = match?.name === undefined ? (http.name ?? "") : `${http.name ?? ""}.${match.name}`;
  const perFilter = {
    ...(http.fault === undefined ? {} : { "envoy.filters.http.fault": faultOf(http.fault) }),
    ...(http.corsPolicy === undefined ? {} : { "envoy.filters.http.cors": corsOf(http.corsPolicy) }),
    ...(action.action?.case === "route" ? perRouteSession(sessionOfRoute(http, options)) : {}),
  };
  return {
    name,
    match: routeMatch,
    ...action,
    ...headers,
    requestHeadersToAdd: [...headers.requestHeadersToAdd, ...(action.requestHeadersToAdd ?? [])],
    requestHeadersToRemove: [...headers.requestHeadersToRemove, ...(action.requestHeadersToRemove ?? [])],
    responseHeadersToAdd: [...headers.responseHeadersToAdd, ...(action.responseHeadersToAdd ?? [])],
    responseHeadersToRemove: [...headers.responseHeadersToRemove, ...(action.responseHeadersToRemove ?? [])],
    decorator: { operation: operationOf(action, routeMatch, model.name, options.port) },
    metadata: filterMetadata({ istio: { config: virtualServicePath(model) } }),
    ...(match?.statPrefix === undefined ? {} : { statPrefix: match.statPrefix }),
    ...(Object.keys(perFilter).length === 0 ? {} : { typedPerFilterConfig: perFilter }),
  };
}

/** The sessions of a route are those of its first destination with sessions. */
function sessionOfRoute(
  http: VirtualServiceHttpRoute,
  { sessionOf }: VirtualServiceRouteOptions,
): ServiceSession | undefined {
  if (sessionOf === undefined) return undefined;
  return usedDestinations(http)
    .map(({ destination }) => sessionOf(destination.host))
    .find((session) => session !== undefined);
}

/** The destinations that get requests. If there is only one, its weight does not matter. */
function usedDestinations({ route }: VirtualServiceHttpRoute): VirtualServiceHttpRoute["route"] {
  return route.length === 1 ? route : route.filter((entry) => entry.weight > 0);
}

function actionOf(
  http: VirtualServiceHttpRoute,
  authority: string | undefined,
  options: VirtualServiceRouteOptions,
): RouteInit {
  if (http.redirect !== undefined) return redirectOf(http.redirect, options.port, options.isTls);
  if (http.directResponse !== undefined) return directResponseOf(http.directResponse);
  return forward(http, authority, options);
}

/** The name of the span: the destination if there is only one, or else the VirtualService. */
function operationOf(
  { action }: RouteInit,
  match: NonNullable<RouteInit["match"]>,
  name: string,
  port: number,
): string {
  const { pathSpecifier: path } = match as {
    readonly pathSpecifier?: { readonly case?: string; readonly value?: unknown };
  };
  const shown =
    path?.case === "prefix"
      ? `${String(path.value)}*`
      : path?.case === "path"
        ? String(path.value)
        : path?.case === "safeRegex"
          ? ((path.value as { regex?: string }).regex ?? "/*")
          : "/*";
  const specifier = action?.case === "route" ? (action.value as RouteActionInit).clusterSpecifier : undefined;
  if (specifier?.case !== "cluster") return `${name}:${port}${shown}`;
  const [, clusterPort, , host] = specifier.value.split("|");
  return host === undefined ? `${name}:${port}${shown}` : `${host}:${clusterPort ?? ""}${shown}`;
}

/**
 * The cluster of a destination. Its port is the destination's own, or else the only port of the service, or else the
 * request's port.
 */
export function destinationCluster(
  destination: Destination,
  port: number,
  service: Pick<ServiceModel, "ports" | "aliasOf"> | undefined,
): string {
  if (destination.host === "") return unknownService;
  const host = service === undefined || service.aliasOf === "" ? destination.host : service.aliasOf;
  return subsetClusterName(destinationPort(destination, port, service), destination.subset, host);
}

function destinationPort(
  destination: Destination,
  port: number,
  service: Pick<ServiceModel, "ports"> | undefined,
): number {
  return destination.port?.number ?? (service?.ports.length === 1 ? (service.ports[0]?.port ?? port) : port);
}

const internalServerError = 500;

function forward(
  http: VirtualServiceHttpRoute,
  authority: string | undefined,
  options: VirtualServiceRouteOptions,
): RouteInit {
  const { port, serviceOf } = options;
  const clusterOf = (destination: Destination): string =>
    destinationCluster(destination, port, serviceOf(destination.host));
  const hashOf = (destination: Destination): ConsistentHash | undefined =>
    options.hashOf(destination, destinationPort(destination, port, serviceOf(destination.host)));
  const used = usedDestinations(http);
  if (used.length === 0) return { action: { case: "directResponse", value: { status: internalServerError } } };
  const [only] = used;
  const single = http.route.length === 1 && only !== undefined ? headerChanges(only.headers) : undefined;
  const host = http.rewrite?.authority ?? authority ?? single?.authority;
  const hashes = used.flatMap((entry) => hashOf(entry.destination) ?? []);
  const timeout = durationOfMs(http.timeoutMs ?? 0);
  const policy = retryPolicy(
    http.retries ?? options.mesh.defaultHttpRetryPolicy,
    http.route.length === 1 && hashes.length > 0,
  );
  const value: RouteActionInit = {
    clusterSpecifier:
      single !== undefined && only !== undefined
        ? { case: "cluster", value: clusterOf(only.destination) }
        : {
            case: "weightedClusters",
            value: { clusters: used.map((entry) => clusterWeight(entry, clusterOf(entry.destination))) },
          },
    ...rewriteOf(http),
    ...(host === undefined ? {} : { hostRewriteSpecifier: { case: "hostRewriteLiteral" as const, value: host } }),
    // As in upstream, the original host is sent only if a rewrite replaces it, not if a header change of the route
    // does.
    appendXForwardedHost: http.rewrite !== undefined && options.mesh.proxyHeaders.xForwardedHost,
    timeout,
    maxGrpcTimeout: timeout,
    ...(policy === undefined ? {} : { retryPolicy: policy }),
    requestMirrorPolicies: http.mirrors
      .filter((mirror) => mirror.percentage > 0)
      .map((mirror) => mirrorPolicy(mirror, clusterOf(mirror.destination), options.mesh)),
    hashPolicy: hashes.map((hash) => hashPolicyOf(hash.hashKey)),
  };
  const { authority: _, ...ofDestination } = single ?? { authority: undefined };
  return { action: { case: "route", value }, ...ofDestination };
}

function rewriteOf({ rewrite }: VirtualServiceHttpRoute): RouteActionInit {
  if (rewrite?.uriRegexRewrite !== undefined)
    return {
      regexRewrite: {
        pattern: { regex: rewrite.uriRegexRewrite.match },
        substitution: rewrite.uriRegexRewrite.rewrite,
      },
    };
  return rewrite?.uri === undefined ? {} : { prefixRewrite: rewrite.uri };
}

function clusterWeight(
  entry: VirtualServiceHttpRoute["route"][number],
  name: string,
): MessageInitShape<typeof WeightedCluster_ClusterWeightSchema> {
  const { authority, ...headers } = headerChanges(entry.headers);
  return {
    name,
    weight: entry.weight,
    ...headers,
    ...(authority === undefined
      ? {}
      : { hostRewriteSpecifier: { case: "hostRewriteLiteral" as const, value: authority } }),
  };
}
