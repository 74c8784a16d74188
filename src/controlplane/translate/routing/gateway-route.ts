import type { JsonObject, MessageInitShape } from "@bufbuild/protobuf";
import type { HttpRouteMatch, HttpRouteRule } from "../../../api/gateway/index.ts";
import { narrowerHost, type HashKey } from "../../../api/istio/index.ts";
import {
  RouteAction_ClusterNotFoundResponseCode,
  type RouteActionSchema,
  type RouteConfiguration,
  type RouteSchema,
  type VirtualHostSchema,
  type WeightedCluster_ClusterWeightSchema,
} from "../../../wire/envoy/index.ts";
import type { ResolvedBackend } from "../../model/gateway/backend-resolution.ts";
import { byAge, compareText, factsKey, type GatewayFacts, type MeshSettings } from "../../model/facts.ts";
import { isUnsupported, type RouteBackends, type RouteModel } from "../../model/gateway/gateway-model.ts";
import type { ServiceSession } from "../../model/service/service-session.ts";
import { unknownService } from "../cluster.ts";
import { durationOfMs, filterMetadata } from "../envoy-any.ts";
import { nobody, routeConfiguration } from "./route-configuration.ts";
import { corsPolicy, headerChanges, mirrorPolicies, redirectAction, rewriteAction } from "./route-filter.ts";
import { byPrecedence, routeMatch } from "./route-match.ts";
import { perRouteSession } from "./stateful-session.ts";
import { defaultRetries, hashPolicyOf, retryPolicy } from "./virtual-service-action.ts";

type RouteInit = Exclude<MessageInitShape<typeof RouteSchema>, { $typeName: string }>;
type RouteActionInit = MessageInitShape<typeof RouteActionSchema>;

interface RouteEntry {
  readonly model: RouteModel;
  readonly leads: RouteBackends;
  readonly rule: HttpRouteRule;
  readonly ruleIndex: number;
  readonly match: HttpRouteMatch;
  readonly matchIndex: number;
  readonly listener: string;
}

const internalServerError = 500;
const corsFilterName = "envoy.filters.http.cors";

export interface GatewayRouteContext {
  readonly mesh: MeshSettings;
  /** The consistent hashing that the client's DestinationRule sets for a backend. */
  readonly hashOf: (host: string, port: number) => HashKey | undefined;
}

export interface RouteTableScope {
  readonly name: string;
  readonly port: number;
  /**
   * The listeners by id. A route configuration is for all plain HTTP listeners of a port, or for one HTTPS listener.
   */
  readonly listeners: ReadonlyMap<string, TableListener>;
}

export interface TableListener {
  readonly owner: { readonly namespace: string; readonly name: string };
  readonly name: string;
  /** The listener's hostname. `*` means all hosts. */
  readonly hostname: string;
  /**
   * Hostnames of other listeners with the same port and protocol. If one is more specific for a host, requests for that
   * host belong to that listener.
   */
  readonly others: readonly string[];
}

export function routeTable(
  gateway: GatewayFacts,
  { name, port, listeners }: RouteTableScope,
  routes: readonly RouteModel[],
  context: GatewayRouteContext,
): RouteConfiguration {
  const byHost = entriesByHost(gateway, listeners, routes);
  // Even if no route matches, answer requests for a listener's host here, so that they do not reach a less specific
  // listener.
  for (const { hostname } of listeners.values()) {
    if (!byHost.has(hostname) && [...byHost.keys()].some((wider) => narrowerHost(wider, hostname) === hostname))
      byHost.set(hostname, []);
  }
  const hosts = [...byHost].sort(([left], [right]) => compareText(left, right));
  return routeConfiguration(
    name,
    hosts.length === 0
      ? [nobody(port)]
      : hosts.map(([host, entries]) => virtualHost(listeners, host, port, entries, context)),
  );
}

function entriesByHost(
  gateway: GatewayFacts,
  listeners: RouteTableScope["listeners"],
  routes: readonly RouteModel[],
): Map<string, RouteEntry[]> {
  const key = factsKey(gateway);
  const byHost = new Map<string, RouteEntry[]>();
  for (const model of [...routes].sort((left, right) => byAge(left.route, right.route))) {
    const seen = new Set<string>();
    for (const parent of model.parents) {
      if (parent.gateway !== key) continue;
      for (const { name, hostnames } of parent.listeners) {
        const listener = listeners.get(name);
        if (listener === undefined) continue;
        for (const host of hostnames) {
          // A route may have two parents on one port. Add it only once.
          if (seen.has(host) || !isOwn(host, listener)) continue;
          seen.add(host);
          byHost.set(host, [...(byHost.get(host) ?? []), ...entriesOf(model, name)]);
        }
      }
    }
  }
  return byHost;
}

/** Whether no other listener of the port has a more specific hostname that covers the host. */
function isOwn(host: string, { hostname, others }: TableListener): boolean {
  const isNarrower = (other: string): boolean => other !== hostname && narrowerHost(other, hostname) === other;
  return !others.some((other) => isNarrower(other) && narrowerHost(host, other) === host);
}

function entriesOf(model: RouteModel, listener: string): readonly RouteEntry[] {
  return model.route.spec.rules.flatMap((rule, ruleIndex) =>
    rule.matches.map((match, matchIndex) => ({
      model,
      leads: model.gateway,
      rule,
      ruleIndex,
      match,
      matchIndex,
      listener,
    })),
  );
}

function virtualHost(
  listeners: RouteTableScope["listeners"],
  host: string,
  port: number,
  entries: readonly RouteEntry[],
  context: GatewayRouteContext,
): MessageInitShape<typeof VirtualHostSchema> {
  // Sorting is stable: among equal matches the older route, the earlier rule and the earlier match come first.
  const sorted = [...entries].sort((left, right) => byPrecedence(left.match, right.match));
  const sourceOf = (id: string): string => {
    const { owner, name } = listeners.get(id) ?? { owner: { namespace: "", name: "" }, name: id };
    return `${owner.namespace}~${owner.name}~istio-autogenerated-k8s-gateway~${name}~${host}`;
  };
  return {
    name: `${host}:${port}`,
    domains: [host],
    includeRequestAttemptCount: !context.mesh.proxyHeaders.attemptCountDisabled,
    routes: sorted.map((entry) => routeOf(sourceOf(entry.listener), port, entry, context)),
  };
}

/**
 * The routes for requests to one port of a Service, from all HTTPRoutes that are attached to it. Among equal matches,
 * those of the oldest route come first.
 */
export function serviceRoutes(
  service: { readonly namespace: string; readonly hostname: string },
  port: number,
  models: readonly RouteModel[],
  context: GatewayRouteContext,
): readonly RouteInit[] {
  const entries = [...models]
    .sort((left, right) => byAge(left.route, right.route))
    .flatMap((model) => entriesOf(model, "").map((entry) => ({ ...entry, leads: model.mesh })));
  const sorted = entries.sort((left, right) => byPrecedence(left.match, right.match));
  return sorted.map((entry) => {
    const route = routeOf(`${service.namespace}~${port}~${service.hostname}`, port, entry, context);
    const { path } = entry.match;
    const anyPath = { pathSpecifier: { case: "prefix" as const, value: "/" } };
    return isEverything(entry.match)
      ? { ...route, match: path.value === "" ? anyPath : { ...anyPath, caseSensitive: true } }
      : route;
  });
}

function isEverything({ path, headers, queryParams, method }: HttpRouteMatch): boolean {
  return (
    path.type === "PathPrefix" &&
    (path.value === "/" || path.value === "") &&
    headers.length + queryParams.length === 0 &&
    method === undefined
  );
}

function routeOf(source: string, port: number, entry: RouteEntry, context: GatewayRouteContext): RouteInit {
  const { model, leads, rule, ruleIndex, match } = entry;
  const { route } = model;
  const cors = rule.filters.find((filter) => filter.type === "CORS");
  const redirect = rule.filters.find((filter) => filter.type === "RequestRedirect");
  const { authority, ...headers } = headerChanges(rule.filters);
  const backends = leads.backends[ruleIndex] ?? [];
  const action: Pick<RouteInit, "action"> =
    redirect?.type === "RequestRedirect"
      ? { action: { case: "redirect", value: redirectAction(redirect.requestRedirect, port) } }
      : forwardAction(entry, backends, leads.mirrors[ruleIndex] ?? [], authority, context);
  const perFilter = {
    ...(cors?.type === "CORS" ? { [corsFilterName]: corsPolicy(cors.cors) } : {}),
    ...(action.action?.case === "route" ? perRouteSession(sessionOf(rule, backends)) : {}),
  };
  return {
    name: rule.name ?? `${route.namespace}.${route.name}.${ruleIndex}`,
    match: routeMatch(match),
    ...action,
    decorator: { operation: operationOf(source, port, match, backends) },
    metadata: filterMetadata({ istio: istioMetadata(source, route) }),
    ...headers,
    ...(Object.keys(perFilter).length === 0 ? {} : { typedPerFilterConfig: perFilter }),
  };
}

/** The sessions of a rule are those of its first backend with sessions and a weight above 0. */
function sessionOf(rule: HttpRouteRule, backends: readonly ResolvedBackend[]): ServiceSession | undefined {
  return backends
    .filter((_, index) => (rule.backendRefs[index]?.weight ?? 0) > 0)
    .map((backend) => ("fault" in backend ? undefined : backend.session))
    .find((session) => session !== undefined);
}

function istioMetadata(source: string, route: RouteModel["route"]): JsonObject {
  return { config: `/apis/networking.istio.io/v1/namespaces/${route.namespace}/virtual-service/${source}` };
}

/** The name of the span: the destination if there is only one, or else the route. */
function operationOf(
  source: string,
  port: number,
  match: HttpRouteMatch,
  backends: readonly ResolvedBackend[],
): string {
  const [only] = backends;
  const path = match.path.type === "Exact" ? match.path.value : "/*";
  return backends.length === 1 && only !== undefined && !("fault" in only)
    ? `${only.host}:${only.port}${path}`
    : `${source}:${port}${path}`;
}

function forwardAction(
  { rule, match }: RouteEntry,
  backends: readonly ResolvedBackend[],
  mirrors: readonly ResolvedBackend[],
  authority: string | undefined,
  { mesh, hashOf }: GatewayRouteContext,
): Pick<RouteInit, "action"> {
  const weighted = rule.backendRefs
    .map((reference, index) => ({ reference, resolved: backends[index] }))
    .filter(({ reference }) => reference.weight > 0);
  const allFaulty = weighted.every(({ resolved }) => resolved === undefined || "fault" in resolved);
  if (allFaulty || rule.filters.some(isUnsupported))
    return { action: { case: "directResponse", value: { status: internalServerError } } };
  const rewrite = rule.filters.find((filter) => filter.type === "URLRewrite");
  const hashes = weighted.flatMap(({ resolved }) =>
    resolved === undefined || "fault" in resolved ? [] : (hashOf(resolved.host, resolved.port) ?? []),
  );
  const retries = retriesOf(rule, mesh, rule.backendRefs.length === 1 && hashes.length > 0);
  const timeoutMs = timeoutOf(rule);
  const value: RouteActionInit = {
    ...destinationOf(weighted),
    ...(authority === undefined
      ? {}
      : { hostRewriteSpecifier: { case: "hostRewriteLiteral" as const, value: authority } }),
    ...(rewrite?.type === "URLRewrite" ? rewriteAction(rewrite.urlRewrite, match.path.value) : {}),
    appendXForwardedHost: rewrite !== undefined && mesh.proxyHeaders.xForwardedHost,
    clusterNotFoundResponseCode: RouteAction_ClusterNotFoundResponseCode.INTERNAL_SERVER_ERROR,
    timeout: durationOfMs(timeoutMs),
    maxGrpcTimeout: durationOfMs(timeoutMs),
    ...(retries === undefined ? {} : { retryPolicy: retries }),
    requestMirrorPolicies: mirrorPolicies(rule.filters, mirrors, mesh),
    hashPolicy: hashes.map(hashPolicyOf),
  };
  return { action: { case: "route", value } };
}

/**
 * The timeout of a request. Without retries there is only one attempt, so an attempt's timeout applies if it is set.
 */
function timeoutOf({ timeouts, retry }: HttpRouteRule): number {
  const { requestMs = 0, backendRequestMs = 0 } = timeouts ?? {};
  return retry === undefined && backendRequestMs > 0 ? backendRequestMs : requestMs;
}

interface WeightedBackend {
  readonly reference: HttpRouteRule["backendRefs"][number];
  readonly resolved: ResolvedBackend | undefined;
}

function destinationOf(backends: readonly WeightedBackend[]): Pick<RouteActionInit, "clusterSpecifier"> {
  const [only] = backends;
  if (backends.length === 1 && only !== undefined && only.reference.filters.length === 0)
    return { clusterSpecifier: { case: "cluster", value: clusterOf(only.resolved) } };
  return { clusterSpecifier: { case: "weightedClusters", value: { clusters: backends.map(clusterWeight) } } };
}

/** A backend that cannot be resolved answers its share of the requests with an error. */
function clusterWeight({
  reference,
  resolved,
}: WeightedBackend): MessageInitShape<typeof WeightedCluster_ClusterWeightSchema> {
  const { authority, ...headers } = headerChanges(reference.filters);
  const isSupported = reference.filters.every(
    ({ type }) => type === "RequestHeaderModifier" || type === "ResponseHeaderModifier",
  );
  return {
    name: isSupported ? clusterOf(resolved) : unknownService,
    weight: reference.weight,
    ...headers,
    ...(authority === undefined
      ? {}
      : { hostRewriteSpecifier: { case: "hostRewriteLiteral" as const, value: authority } }),
  };
}

function clusterOf(resolved: ResolvedBackend | undefined): string {
  return resolved === undefined || "fault" in resolved ? unknownService : resolved.cluster;
}

/**
 * The retries of a rule, with the same defaults as for a VirtualService. A rule's status codes add to the conditions
 * for failed connections. An attempt's timeout of 0 means none.
 */
function retriesOf(
  { retry, timeouts }: HttpRouteRule,
  mesh: MeshSettings,
  byHash: boolean,
): RouteActionInit["retryPolicy"] {
  if (retry === undefined) return retryPolicy(mesh.defaultHttpRetryPolicy, byHash);
  const perTryTimeoutMs = timeouts?.backendRequestMs === 0 ? undefined : timeouts?.backendRequestMs;
  return retryPolicy(
    {
      attempts: retry.attempts ?? defaultRetries,
      perTryTimeoutMs,
      backoffMs: retry.backoffMs,
      retryOn: [...connectionFailures, ...retry.codes].join(","),
    },
    byHash,
  );
}

const connectionFailures = ["connect-failure", "refused-stream", "unavailable", "cancelled"];
