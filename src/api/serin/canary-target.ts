import { domainFault, isDnsLabel, wildcardDomainFault } from "../istio/domain-names.ts";
import { Reader } from "../reader.ts";
import { parseCopiedMetadata } from "./copied-metadata.ts";
import { maxServiceNameLength, objectName, optionalName } from "./object-name.ts";

/** The objects that a Canary changes. Exactly one of these fields is set. */
export type CanaryTarget =
  | { readonly httpRoute: RouteTarget }
  | { readonly grpcRoute: RouteTarget }
  | { readonly virtualService: VirtualServiceTarget }
  | { readonly deployment: DeploymentTarget }
  | { readonly services: ServicesTarget }
  | { readonly namespaces: NamespacesTarget };

/** One rule of an HTTPRoute or GRPCRoute, and the two backends that share its traffic. */
export interface RouteTarget {
  readonly name: string;
  /** Absent means the Canary's namespace. */
  readonly namespace?: string;
  /** The rule's `name`, or its index in `spec.rules`. */
  readonly rule: number | string;
  readonly stable: BackendTarget;
  readonly canary: BackendTarget;
}

export interface BackendTarget {
  readonly name: string;
  readonly namespace?: string;
  readonly port: number;
}

/** One route of a VirtualService, and the two destinations that share its traffic. */
export interface VirtualServiceTarget {
  readonly name: string;
  readonly namespace?: string;
  /** The list that contains the route: `spec.http`, `spec.tcp` or `spec.tls`. */
  readonly protocol: "http" | "tcp" | "tls";
  /** The route's `name` (http), or its index. */
  readonly route: string | number;
  readonly stable: DestinationTarget;
  readonly canary: DestinationTarget;
}

export interface DestinationTarget {
  readonly host: string;
  readonly subset?: string;
  readonly port?: number;
}

/** The kind of route that the engine creates if the Service has none. */
export type RouteKind = "VirtualService" | "HTTPRoute";

/**
 * A Deployment behind a Service. The engine keeps the Deployment paused (`spec.paused`), creates a canary copy, subsets
 * and routes, and removes them at the end. A change of the pod template (`kubectl set image`) starts a run.
 */
export interface DeploymentTarget {
  readonly name: string;
  /** The Service that clients call. Its selector selects the Deployment's pods. */
  readonly service: string;
  /** A port of the Service. Absent means all ports. */
  readonly port?: number;
  readonly routes: RouteKind;
  /**
   * Where the route applies in addition to the mesh: gateways of a VirtualService, or names of an HTTPRoute's parents.
   * None by default.
   */
  readonly gateways: readonly string[];
  /** Additional hosts of the route, for clients of `gateways`. */
  readonly hosts: readonly string[];
  /** Labels and annotations that only canary pods have. Promotion removes them. */
  readonly canaryMetadata?: {
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  };
  /** The name of a Service with only canary pods, which the engine creates for people and tests. */
  readonly previewService?: string;
}

/** Two Services behind one Service name. The engine creates the route. */
export interface ServicesTarget {
  /** The Service that clients call. It may be `stable` itself. */
  readonly service: string;
  readonly stable: string;
  readonly canary: string;
  readonly port: number;
  readonly routes: RouteKind;
}

/**
 * Two namespaces with the same services, for example an app that is installed twice. The engine moves the backends of
 * each route from one namespace to the other.
 */
export interface NamespacesTarget {
  readonly stable: string;
  readonly canary: string;
  readonly routes: readonly {
    readonly kind: "HTTPRoute" | "GRPCRoute" | "VirtualService";
    readonly name: string;
    readonly namespace?: string;
  }[];
}

const targetFields = ["httpRoute", "grpcRoute", "virtualService", "deployment", "services", "namespaces"] as const;
const lastRule = 15;
const maxRoutes = 32;

export function parseTarget(spec: Reader): CanaryTarget | undefined {
  const target = spec.required("target", spec.object("target"));
  if (target === undefined) return undefined;
  const presentFields = targetFields.filter((field) => target.has(field));
  target.unknownFields();
  const [field] = presentFields;
  if (field === undefined || presentFields.length > 1) {
    target.error(
      `must have exactly one of ${targetFields.join(", ")}, got ${presentFields.length === 0 ? "none" : presentFields.join(" and ")}`,
    );
    return undefined;
  }
  const reader = target.object(field);
  if (reader === undefined) return undefined;
  const parsed = parsers[field](reader);
  reader.unknownFields();
  return parsed;
}

/** The target in the spec of a Canary, stored or parsed. Undefined if the parser refuses it. */
export function targetOfSpec(spec: unknown): CanaryTarget | undefined {
  const reader = new Reader(spec);
  const target = parseTarget(reader);
  return reader.finish(() => target).value;
}

const parsers: Readonly<Record<(typeof targetFields)[number], (target: Reader) => CanaryTarget>> = {
  httpRoute: (target) => ({ httpRoute: parseRoute(target) }),
  grpcRoute: (target) => ({ grpcRoute: parseRoute(target) }),
  virtualService: (target) => ({ virtualService: parseVirtualService(target) }),
  deployment: (target) => ({ deployment: parseDeployment(target) }),
  services: (target) => ({ services: parseServices(target) }),
  namespaces: (target) => ({ namespaces: parseNamespaces(target) }),
};

function parseRoute(target: Reader): RouteTarget {
  const [stable, canary] = [parseBackend(target, "stable"), parseBackend(target, "canary")];
  const same = stable.name === canary.name && stable.namespace === canary.namespace && stable.port === canary.port;
  if (same && stable.name !== "") target.error(`must differ from the stable backend (${stable.name})`, "canary");
  return {
    name: objectName(target, "name"),
    ...optional("namespace", namespace(target)),
    rule: ruleOf(target, "rule", lastRule),
    stable,
    canary,
  };
}

function ruleOf(target: Reader, field: string, last: number): string | number {
  const named = ((target.raw ?? {}) as Readonly<Record<string, unknown>>)[field];
  if (typeof named !== "string") return target.integer(field, 0, last) ?? 0;
  if (named === "") target.error("must not be empty", field);
  return target.string(field) ?? 0;
}

function parseBackend(target: Reader, field: string): BackendTarget {
  const backend = target.required(field, target.object(field));
  if (backend === undefined) return { name: "", port: 0 };
  const result = {
    name: objectName(backend, "name"),
    ...optional("namespace", namespace(backend)),
    port: backend.required("port", port(backend)) ?? 0,
  };
  backend.unknownFields();
  return result;
}

function parseVirtualService(target: Reader): VirtualServiceTarget {
  const [stable, canary] = [parseDestination(target, "stable"), parseDestination(target, "canary")];
  const same = stable.host === canary.host && stable.subset === canary.subset && stable.port === canary.port;
  if (same && stable.host !== "")
    target.error(`must differ from stable in host, subset or port (${stable.host})`, "canary");
  return {
    name: objectName(target, "name"),
    ...optional("namespace", namespace(target)),
    protocol: target.oneOf("protocol", ["http", "tcp", "tls"]) ?? "http",
    route: ruleOf(target, "route", 1000),
    stable,
    canary,
  };
}

function parseDestination(target: Reader, field: string): DestinationTarget {
  const destination = target.required(field, target.object(field));
  if (destination === undefined) return { host: "" };
  const result = {
    host: hostName(destination),
    ...optional("subset", subsetName(destination)),
    ...optional("port", port(destination)),
  };
  destination.unknownFields();
  return result;
}

function parseDeployment(target: Reader): DeploymentTarget {
  const metadata = target.object("canaryMetadata");
  const canaryMetadata =
    metadata === undefined
      ? undefined
      : { labels: parseCopiedMetadata(metadata, "labels"), annotations: parseCopiedMetadata(metadata, "annotations") };
  metadata?.unknownFields();
  return {
    name: objectName(target, "name"),
    service: objectName(target, "service"),
    ...optional("port", port(target)),
    routes: routeKind(target),
    gateways: checked(target, "gateways", gatewayFault),
    hosts: checked(target, "hosts", wildcardDomainFault),
    ...optional("canaryMetadata", canaryMetadata),
    ...optional("previewService", optionalName(target, "previewService", maxServiceNameLength)),
  };
}

function parseServices(target: Reader): ServicesTarget {
  const stable = objectName(target, "stable");
  const canary = objectName(target, "canary");
  if (stable !== "" && stable === canary) target.error(`must differ from the stable Service (${stable})`, "canary");
  return {
    service: optionalName(target, "service") ?? stable,
    stable,
    canary,
    port: target.required("port", port(target)) ?? 0,
    routes: routeKind(target),
  };
}

function parseNamespaces(target: Reader): NamespacesTarget {
  const stable = objectName(target, "stable");
  const canary = objectName(target, "canary");
  if (stable !== "" && stable === canary) target.error(`must differ from the stable namespace (${stable})`, "canary");
  const routes = target.objects("routes").map((route) => {
    const result = {
      kind: route.required("kind", route.oneOf("kind", ["HTTPRoute", "GRPCRoute", "VirtualService"])) ?? "HTTPRoute",
      name: objectName(route, "name"),
      ...optional("namespace", namespace(route)),
    };
    route.unknownFields();
    return result;
  });
  if (routes.length === 0)
    target.error("must name at least one route, such as {kind: HTTPRoute, name: bookinfo}", "routes");
  if (routes.length > maxRoutes) target.error(`must have at most ${maxRoutes} routes, got ${routes.length}`, "routes");
  return { stable, canary, routes };
}

function routeKind(target: Reader): RouteKind {
  return target.oneOf("routes", ["VirtualService", "HTTPRoute"]) ?? "VirtualService";
}

function namespace(reader: Reader): string | undefined {
  return optionalName(reader, "namespace");
}

function hostName(destination: Reader): string {
  const host = destination.required("host", destination.string("host")) ?? "";
  const fault = destination.has("host") ? domainFault(host) : undefined;
  if (fault !== undefined) destination.error(fault, "host");
  return host;
}

function subsetName(destination: Reader): string | undefined {
  const subset = destination.string("subset");
  if (subset !== undefined && !isDnsLabel(subset))
    destination.error(
      `must be the name of a subset: letters, digits and dashes, got ${JSON.stringify(subset)}`,
      "subset",
    );
  return subset;
}

const gatewayPattern = /^([a-z0-9][-a-z0-9.]*\/)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;

function gatewayFault(name: string): string | undefined {
  return gatewayPattern.test(name)
    ? undefined
    : `must be the name of a gateway, NAME or NAMESPACE/NAME, got ${JSON.stringify(name)}`;
}

function checked(target: Reader, field: string, faultOf: (text: string) => string | undefined): readonly string[] {
  const texts = target.strings(field);
  texts.forEach((text, index) => {
    const fault = faultOf(text);
    if (fault !== undefined) target.error(fault, `${field}[${index}]`);
  });
  return texts;
}

function port(reader: Reader): number | undefined {
  return reader.integer("port", 1, 65_535);
}

function optional<Field extends string, Value>(
  field: Field,
  value: Value | undefined,
): { readonly [key in Field]?: Value } {
  return value === undefined ? {} : ({ [field]: value } as { readonly [key in Field]: Value });
}
