import { type Random, invariant, seededRandom } from "../../base/index.ts";
import { reference } from "../plan/index.ts";

export const canaryTargets = [
  "httpRoute",
  "grpcRoute",
  "virtualService",
  "services",
  "namespaces",
  "deployment",
] as const;

/** What a step may do besides moving a weight. */
export const stepKinds = ["match", "mirror", "scale", "preview", "experiment", "iterations"] as const;

export type StepKind = (typeof stepKinds)[number];

export type SimRouteKind = "HTTPRoute" | "GRPCRoute" | "VirtualService";

/** The application of a simulated Canary and the options of its spec: one cell of the matrix. */
export interface SimCanary {
  readonly target: (typeof canaryTargets)[number];
  /** The kind of the routes. Some targets allow only one. */
  readonly routes: SimRouteKind;
  /** The list of a VirtualService that moves. */
  readonly protocol: "http" | "tcp" | "tls";
  /** How a VirtualService of the user names the versions. */
  readonly by: "hosts" | "subsets";
  /** Whether the canary's Service is in another namespace than the route. */
  readonly elsewhere: boolean;
  /**
   * Whether the moved rule comes after another rule, and its backends have weights. For a Deployment: whether its
   * Service has a second HTTP port.
   */
  readonly second: boolean;
  /** Whether the user has a DestinationRule for the host of the Deployment. */
  readonly rule: boolean;
  readonly autoscaled: boolean;
  /** Whether the stable version shrinks as the canary grows. */
  readonly dynamic: boolean;
  /** Whether the old version runs on for a while after the end. */
  readonly delayed: boolean;
  /** Whether a cookie keeps clients on the canary. */
  readonly affinity: boolean;
  /** Whether the spec names one port of the Deployment's Service, which has more. */
  readonly onePort: boolean;
  /** Whether the Service also has a port without HTTP. */
  readonly tcpPort: boolean;
  readonly replicas: number;
  readonly first?: StepKind;
  /**
   * The application whose route contains the rule of this one, before all others. Absent if this one has a route of its
   * own.
   */
  readonly guestOf?: string;
  /** The application whose rule this one's route contains. */
  readonly guest?: string;
}

export const plainCanary: SimCanary = {
  target: "virtualService",
  routes: "VirtualService",
  protocol: "http",
  by: "hosts",
  elsewhere: false,
  second: false,
  rule: false,
  autoscaled: false,
  dynamic: false,
  delayed: false,
  affinity: false,
  onePort: false,
  tcpPort: false,
  replicas: 2,
};

/** The shape for a seed. Exactly Canaries of a Deployment are watched. */
export function canaryOf(seed: number, watched: boolean): SimCanary {
  const random = seededRandom(seed);
  const target = watched ? "deployment" : one(random, canaryTargets.slice(0, -1));
  const shape: SimCanary = {
    target,
    routes: one(random, routeKindsOf(target)),
    protocol: target === "virtualService" ? one(random, ["http", "http", "tcp", "tls"] as const) : "http",
    by: one(random, ["hosts", "subsets"] as const),
    elsewhere: random() < 0.3,
    second: random() < 0.4,
    rule: random() < 0.3,
    autoscaled: random() < 0.3,
    dynamic: random() < 0.25,
    delayed: random() < 0.2,
    affinity: random() < 0.2,
    onePort: random() < 0.3,
    tcpPort: random() < 0.3,
    replicas: one(random, [1, 2, 5] as const),
  };
  const first = random() < 0.4 ? one(random, stepKinds) : undefined;
  return fitting(first === undefined ? shape : { ...shape, first });
}

/** The shape without some options that its target or protocol cannot have. */
export function fitting(shape: SimCanary): SimCanary {
  const { target, protocol, first, autoscaled, dynamic, affinity } = shape;
  const isDeployment = target === "deployment";
  const isHttp = protocol === "http";
  const { first: _first, ...rest } = shape;
  return {
    ...rest,
    elsewhere: shape.elsewhere && (target === "httpRoute" || target === "grpcRoute"),
    dynamic: dynamic && isDeployment && !autoscaled,
    affinity: affinity && isHttp && target !== "grpcRoute" && shape.routes !== "GRPCRoute",
    ...(first !== undefined && canHave(shape, first) ? { first } : {}),
  };
}

export function canHave({ target, protocol }: SimCanary, first: StepKind): boolean {
  if (first === "scale" || first === "preview" || first === "experiment") return target === "deployment";
  return first === "iterations" || protocol === "http";
}

export function routeKindsOf(target: SimCanary["target"]): readonly SimRouteKind[] {
  if (target === "httpRoute") return ["HTTPRoute"];
  if (target === "grpcRoute") return ["GRPCRoute"];
  if (target === "virtualService") return ["VirtualService"];
  return target === "namespaces" ? ["HTTPRoute", "GRPCRoute", "VirtualService"] : ["VirtualService", "HTTPRoute"];
}

function one<Value>(random: Random, values: readonly Value[]): Value {
  const found = values[Math.floor(random() * values.length)];
  invariant(found !== undefined, "no values to choose from");
  return found;
}

export interface SimApp {
  readonly name: string;
  readonly namespace: string;
  readonly canary?: SimCanary;
}

export function otherNamespace({ name }: Pick<SimApp, "name">): string {
  return `x-${name}`;
}

export const gatewayVersion = "gateway.networking.k8s.io/v1";

export const istioVersion = "networking.istio.io/v1";

export function objectsOf(app: SimApp) {
  const { name, namespace, canary: shape = plainCanary } = app;
  const isAway = shape.elsewhere || shape.target === "namespaces";
  const canaryNamespace = isAway ? otherNamespace(app) : namespace;
  const version = shape.routes === "VirtualService" ? istioVersion : gatewayVersion;
  return {
    route: reference(version, shape.routes, routeName(name, shape), namespace),
    app: reference("apps/v1", "Deployment", `app-${name}`, namespace),
    canary:
      shape.target === "deployment"
        ? reference("apps/v1", "Deployment", `app-${name}-canary`, namespace)
        : reference("apps/v1", "Deployment", `canary-${name}`, canaryNamespace),
    rule: reference(istioVersion, "DestinationRule", name, namespace),
    canaryNamespace,
  };
}

export function makesRoutes({ target }: SimCanary): boolean {
  return target === "services" || target === "deployment";
}

function routeName(name: string, shape: SimCanary): string {
  if (shape.guestOf !== undefined) return shape.guestOf;
  if (!makesRoutes(shape)) return name;
  const several = shape.routes === "HTTPRoute" && shape.target === "deployment" && shape.second && !shape.onePort;
  return several ? `${name}-canary-${httpPort}` : `${name}-canary`;
}

/** The path of the requests of an application that has a rule in another one's route. */
export function guestPath(name: string): string {
  return `/of-${name}`;
}

export function guestRule(name: string): string {
  return `of-${name}`;
}

export function routePointer({ canary: shape = plainCanary }: Pick<SimApp, "canary">): string {
  return shape.routes === "VirtualService" ? `/spec/${shape.protocol}` : "/spec/rules";
}

export const httpPort = 80;

export const otherHttpPort = 8080;

export const tcpPort = 90;
