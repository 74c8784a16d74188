import type { Pod } from "../../api/kubernetes/index.ts";
import {
  istioLabels,
  type DestinationRule,
  type HttpMatch,
  type IstioGateway,
  type L4Match,
  type TlsMatch,
  type VirtualService,
} from "../../api/istio/index.ts";
import type {
  BackendObjectReference,
  GrpcRoute,
  GrpcRouteMatch,
  HttpRoute,
  HttpRouteMatch,
  NamedMatch,
  ParentReference,
  TcpRoute,
  TlsRoute,
} from "../../api/gateway/index.ts";
import { isProxyAlone, podWorkload } from "./inventory.ts";
import type { TrafficEdge, WorkloadEnd } from "./traffic.ts";

export interface RouteObjects {
  readonly virtualServices: readonly VirtualService[];
  readonly destinationRules: readonly DestinationRule[];
  readonly gateways: readonly IstioGateway[];
  readonly httpRoutes: readonly HttpRoute[];
  readonly grpcRoutes: readonly GrpcRoute[];
  readonly tlsRoutes: readonly TlsRoute[];
  readonly tcpRoutes: readonly TcpRoute[];
  readonly pods: readonly Pod[];
}

export interface RuleDestination {
  readonly text: string;
  readonly namespace: string;
  readonly service: string;
  /** The labels of a subset. Undefined for every workload of the service. */
  readonly labels: Readonly<Record<string, string>> | undefined;
  /** The destination's share of the sum of all weights in the rule, from 0 to 1. */
  readonly weight: number;
}

export interface RouteRule {
  readonly kind: "VirtualService" | "HTTPRoute" | "GRPCRoute" | "TLSRoute" | "TCPRoute";
  /** What the rule divides. Calls are those of gRPC. */
  readonly divides: "requests" | "calls" | "connections";
  readonly namespace: string;
  readonly name: string;
  /** From 1. In a VirtualService, the rules of `http` come first, then those of `tls` and `tcp`. */
  readonly number: number;
  /** The match as a text. Without a match, `all requests` or `all connections`. */
  readonly condition: string;
  readonly appliesTo: (source: WorkloadEnd) => boolean;
  readonly destinations: readonly RuleDestination[];
}

const domain = ".svc.cluster.local";

/** Computes all rules, in the order of their objects. */
export function routePlan(objects: RouteObjects): RoutePlan {
  const gatewayPods = objects.pods.filter(isGatewayPod);
  const known: KnownGateways = { objects, gatewayPods, anyGateway: new Set(gatewayPods.map(podWorkload)) };
  const rules = [
    ...objects.virtualServices.flatMap((object) => rulesOfVirtualService(object, known)),
    ...objects.httpRoutes.flatMap((object) =>
      rulesOfRoute("HTTPRoute", object, ({ matches }) => httpRouteCondition(matches), known),
    ),
    ...objects.grpcRoutes.flatMap((object) =>
      rulesOfRoute("GRPCRoute", object, ({ matches }) => grpcRouteCondition(matches), known),
    ),
    ...objects.tlsRoutes.flatMap((object) =>
      rulesOfRoute(
        "TLSRoute",
        object,
        () =>
          object.spec.hostnames.length === 0 ? everyConnection : `server name ${object.spec.hostnames.join(", ")}`,
        known,
      ),
    ),
    ...objects.tcpRoutes.flatMap((object) => rulesOfRoute("TCPRoute", object, () => everyConnection, known)),
  ];
  return { rules, labels: workloadLabels(objects.pods) };
}

/** All rules of the mesh. Computed once after a change of objects. */
export interface RoutePlan {
  readonly rules: readonly RouteRule[];
  readonly labels: WorkloadLabels;
}

interface KnownGateways {
  readonly objects: RouteObjects;
  readonly gatewayPods: readonly Pod[];
  readonly anyGateway: ReadonlySet<string>;
}

function rulesOfVirtualService(
  object: VirtualService,
  { objects, gatewayPods, anyGateway }: KnownGateways,
): RouteRule[] {
  const { name = "", namespace = "" } = object.metadata;
  const gateways = object.spec.gateways.length === 0 ? ["mesh"] : object.spec.gateways;
  // A rule for gateways applies at these gateways. A rule for the mesh applies everywhere else.
  const appliesAt = (names: readonly string[]): RouteRule["appliesTo"] => {
    const selected = gatewayWorkloads(names, namespace, objects, gatewayPods);
    return (source) =>
      anyGateway.has(workloadKey(source)) ? selected.has(workloadKey(source)) : names.includes("mesh");
  };
  const appliesTo = appliesAt(gateways);
  const { http, tls, tcp } = object.spec;
  const sections = [
    ...http.map(({ route, match }) => ({
      route,
      divides: "requests" as const,
      condition: virtualServiceCondition(match),
      appliesTo,
    })),
    ...[...tls, ...tcp].map(({ route, match }) => {
      const named = match.flatMap((condition) => condition.gateways);
      return {
        route,
        divides: "connections" as const,
        condition: connectionCondition(match),
        appliesTo: named.length === 0 ? appliesTo : appliesAt(named),
      };
    }),
  ];
  return sections.flatMap(({ route, ...section }, index) => {
    if (route.length === 0) return [];
    const sum = route.reduce((total, { weight }) => total + weight, 0);
    const destinations = route.map(({ destination: { host, subset }, weight }): RuleDestination => {
      const service = serviceOf(host, namespace);
      const labels = subset === undefined ? undefined : subsetLabels(objects.destinationRules, host, namespace, subset);
      return {
        ...service,
        text: subset === undefined ? service.service : `${service.service} ${subset}`,
        labels,
        weight: shareOf(weight, sum, route.length),
      };
    });
    return [{ kind: "VirtualService" as const, namespace, name, number: index + 1, ...section, destinations }];
  });
}

function shareOf(weight: number, sum: number, count: number): number {
  return sum > 0 ? weight / sum : 1 / count;
}

function serviceOf(host: string, namespace: string): { readonly service: string; readonly namespace: string } {
  const bare = host.endsWith(domain) ? host.slice(0, -domain.length) : host;
  const [service = "", own = namespace] = bare.split(".");
  return host.includes(".") && !host.endsWith(domain) && !/^[^.]+\.[^.]+(\.svc)?$/.test(host)
    ? { service: host, namespace }
    : { service, namespace: own };
}

function subsetLabels(
  rules: readonly DestinationRule[],
  host: string,
  namespace: string,
  subset: string,
): Readonly<Record<string, string>> {
  const wanted = serviceOf(host, namespace);
  for (const { metadata, spec } of rules) {
    const own = serviceOf(spec.host, metadata.namespace ?? "");
    if (own.service !== wanted.service || own.namespace !== wanted.namespace) continue;
    const found = spec.subsets.find(({ name }) => name === subset);
    if (found !== undefined) return found.labels;
  }
  return { version: subset };
}

function gatewayWorkloads(
  names: readonly string[],
  namespace: string,
  { gateways }: RouteObjects,
  pods: readonly Pod[],
): ReadonlySet<string> {
  const wanted = new Set(
    names.filter((name) => name !== "mesh").map((name) => (name.includes("/") ? name : `${namespace}/${name}`)),
  );
  const selectors = gateways
    .filter(({ metadata }) => wanted.has(`${metadata.namespace ?? ""}/${metadata.name ?? ""}`))
    .map(({ spec }) => Object.entries(spec.selector));
  const selected = pods.filter(({ metadata }) =>
    selectors.some((selector) => selector.every(([label, value]) => metadata.labels?.[label] === value)),
  );
  return new Set(selected.map(podWorkload));
}

function isGatewayPod(pod: Pod): boolean {
  return pod.metadata.labels?.[istioLabels.gatewayName] !== undefined || isProxyAlone(pod);
}

export function workloadKey({
  namespace,
  workload,
}: {
  readonly namespace: string;
  readonly workload: string;
}): string {
  return `${namespace}/${workload}`;
}

interface GatewayApiRoute<Rule> {
  readonly metadata: { readonly name?: string; readonly namespace?: string };
  readonly spec: { readonly parentRefs: readonly ParentReference[]; readonly rules: readonly Rule[] };
}

const dividedBy = {
  HTTPRoute: "requests",
  GRPCRoute: "calls",
  TLSRoute: "connections",
  TCPRoute: "connections",
} as const;

function rulesOfRoute<
  Rule extends { readonly backendRefs: readonly (BackendObjectReference & { readonly weight: number })[] },
>(
  kind: keyof typeof dividedBy,
  { metadata, spec }: GatewayApiRoute<Rule>,
  conditionOf: (rule: Rule) => string,
  { gatewayPods: pods, anyGateway }: KnownGateways,
): RouteRule[] {
  const { name = "", namespace = "" } = metadata;
  const gateways = new Set(
    spec.parentRefs
      .filter((parent) => parent.kind === "Gateway")
      .flatMap((parent) =>
        pods
          .filter(
            (pod) =>
              pod.metadata.labels?.[istioLabels.gatewayName] === parent.name &&
              pod.metadata.namespace === (parent.namespace ?? namespace),
          )
          .map(podWorkload),
      ),
  );
  const inMesh = spec.parentRefs.some((parent) => parent.kind === "Service" || parent.kind === "ServiceEntry");
  const appliesTo = (source: WorkloadEnd): boolean =>
    gateways.has(workloadKey(source)) || (inMesh && !anyGateway.has(workloadKey(source)));
  return spec.rules.flatMap((rule, index) => {
    const backends = rule.backendRefs.filter((backend) => backend.kind === "Service");
    if (backends.length === 0) return [];
    const sum = rule.backendRefs.reduce((total, { weight }) => total + weight, 0);
    const destinations = backends.map((backend): RuleDestination => ({
      text: backend.name,
      namespace: backend.namespace ?? namespace,
      service: backend.name,
      labels: undefined,
      weight: sum > 0 ? backend.weight / sum : 0,
    }));
    return [
      {
        kind,
        divides: dividedBy[kind],
        namespace,
        name,
        number: index + 1,
        condition: conditionOf(rule),
        appliesTo,
        destinations,
      },
    ];
  });
}

const everything = "all requests";
const everyConnection = "all connections";

function connectionCondition(matches: readonly (L4Match | TlsMatch)[]): string {
  if (matches.length === 0) return everyConnection;
  return matches
    .map((match) => {
      const parts = [
        "sniHosts" in match && match.sniHosts.length > 0 ? `server name ${match.sniHosts.join(", ")}` : "",
        match.port === undefined ? "" : `port ${match.port}`,
        match.destinationSubnets.length === 0 ? "" : `to ${match.destinationSubnets.join(", ")}`,
      ];
      return parts.filter((part) => part !== "").join(" and ");
    })
    .map((text) => (text === "" ? everyConnection : text))
    .join(", or ");
}

function grpcRouteCondition(matches: readonly GrpcRouteMatch[]): string {
  const texts = matches.map(({ method, headers }) =>
    [
      method === undefined
        ? ""
        : `method ${[method.service, method.method].filter((part) => part !== undefined).join("/")}`,
      ...headers.map(headerText),
    ]
      .filter((part) => part !== "")
      .join(" and "),
  );
  return texts.every((text) => text === "")
    ? everything
    : texts.map((text) => (text === "" ? everything : text)).join(", or ");
}

function headerText({ name, value }: NamedMatch): string {
  return `header ${name} ${value}`;
}

function virtualServiceCondition(matches: readonly HttpMatch[]): string {
  if (matches.length === 0) return everything;
  return matches
    .map(({ uri, method, headers, queryParams, port }) => {
      const parts = [
        uri === undefined ? "" : `path ${uri.kind} ${uri.value}`,
        method === undefined ? "" : `method ${method.value}`,
        port === undefined ? "" : `port ${port}`,
      ];
      const named = (
        kind: string,
        values: Readonly<Record<string, { readonly kind: string; readonly value?: string }>>,
      ): string[] =>
        Object.entries(values).map(([key, { kind: how, value }]) =>
          how === "present" ? `${kind} ${key}` : `${kind} ${key} ${how} ${value ?? ""}`,
        );
      return [...parts, ...named("header", headers), ...named("parameter", queryParams)]
        .filter((part) => part !== "")
        .join(" and ");
    })
    .map((text) => (text === "" ? "some requests" : text))
    .join(", or ");
}

function httpRouteCondition(matches: readonly HttpRouteMatch[]): string {
  const texts = matches.map(({ path, headers, queryParams, method }) => {
    const parts = [
      path.type === "PathPrefix" && path.value === "/" ? "" : `path ${path.type} ${path.value}`,
      method === undefined ? "" : `method ${method}`,
      ...headers.map(headerText),
      ...queryParams.map(({ name, value }) => `parameter ${name} ${value}`),
    ];
    return parts.filter((part) => part !== "").join(" and ");
  });
  return texts.every((text) => text === "")
    ? everything
    : texts.map((text) => (text === "" ? everything : text)).join(", or ");
}

/** The labels of each workload's pods, for subsets that select by other labels than the version. */
type WorkloadLabels = ReadonlyMap<string, Readonly<Record<string, string>>>;

function workloadLabels(pods: readonly Pod[]): WorkloadLabels {
  return new Map(pods.map((pod) => [podWorkload(pod), pod.metadata.labels ?? {}]));
}

/** Whether the rule divides the traffic of this edge. A rule for requests also divides gRPC calls. */
export function takes({ divides }: RouteRule, { responses, protocol }: TrafficEdge): boolean {
  if (divides === "connections") return responses.size === 0;
  return responses.size > 0 && (divides === "requests" || protocol === "grpc");
}

export function reaches(
  { service, namespace, labels }: RuleDestination,
  edge: TrafficEdge,
  { labels: known }: RoutePlan,
): boolean {
  if (edge.service.name !== service && edge.service.host !== service) return false;
  if (edge.service.name === service && edge.service.namespace !== namespace) return false;
  if (labels === undefined) return true;
  const own = known.get(workloadKey(edge.destination)) ?? {
    version: edge.destination.version,
    app: edge.destination.app,
  };
  return Object.entries(labels).every(([name, value]) => own[name] === value);
}
