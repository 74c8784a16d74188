import type { UntypedObject } from "../../api/index.ts";
import type { ObjectReference } from "../../api/serin/index.ts";
import { invariant, seededRandom, type Random } from "../../base/index.ts";
import { reference } from "../plan/index.ts";
import { fieldsOfBody } from "./model-object.ts";

export const canaryTargets = [
  "httpRoute",
  "grpcRoute",
  "virtualService",
  "services",
  "namespaces",
  "deployment",
] as const;
/** What a step does besides moving a weight. */
export const stepKinds = ["match", "mirror", "scale", "preview", "experiment", "iterations"] as const;
export type StepKind = (typeof stepKinds)[number];
export type SimRouteKind = "HTTPRoute" | "GRPCRoute" | "VirtualService";

/** The application of a simulated Canary and what its spec names, which is one cell of the matrix. */
export interface SimCanary {
  readonly target: (typeof canaryTargets)[number];
  /** The kind of the routes, for the targets that can have several. */
  readonly routes: SimRouteKind;
  /** The list of a VirtualService that moves. */
  readonly protocol: "http" | "tcp" | "tls";
  /** How a VirtualService of the user names the versions. */
  readonly by: "hosts" | "subsets";
  /** The canary's Service is in another namespace than the route. */
  readonly elsewhere: boolean;
  /** The rule that moves comes after another one, and its backends have weights. A Deployment has a second port. */
  readonly second: boolean;
  /** The user has a DestinationRule for the host of the Deployment. */
  readonly rule: boolean;
  /** An autoscaler sets the number of the Deployment's pods. */
  readonly autoscaled: boolean;
  /** The stable version shrinks as the canary grows. */
  readonly dynamic: boolean;
  /** The old version runs on for a while after the end. */
  readonly delayed: boolean;
  /** Clients stay on the canary by a cookie. */
  readonly affinity: boolean;
  /** The spec names one port of the Deployment's Service, which has more. */
  readonly onePort: boolean;
  /** The Service also has a port without HTTP. */
  readonly tcpPort: boolean;
  readonly replicas: number;
  /** The kind of the first step. Absent if it moves a weight. */
  readonly first?: StepKind;
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

/** The shape of a seed. A watched target is a Deployment, and no other one is. */
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

/** The shape without what its target cannot have. */
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

/** Whether the first step of this target can be of the kind. */
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

/** The second namespace of an application, for canaries that are not in the first. */
export function otherNamespace({ name }: Pick<SimApp, "name">): string {
  return `x-${name}`;
}

const gatewayVersion = "gateway.networking.k8s.io/v1";
const istioVersion = "networking.istio.io/v1";

/** The objects of an application, by their role. */
export function objectsOf(app: SimApp) {
  const { name, namespace, canary: shape = plainCanary } = app;
  const isAway = shape.elsewhere || shape.target === "namespaces";
  const canaryNamespace = isAway ? otherNamespace(app) : namespace;
  const version = shape.routes === "VirtualService" ? istioVersion : gatewayVersion;
  return {
    /** The first route that moves. */
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

/** Whether the engine makes the routes of this target. */
export function makesRoutes({ target }: SimCanary): boolean {
  return target === "services" || target === "deployment";
}

function routeName(name: string, shape: SimCanary): string {
  if (!makesRoutes(shape)) return name;
  const several = shape.routes === "HTTPRoute" && shape.target === "deployment" && shape.second && !shape.onePort;
  return several ? `${name}-canary-${httpPort}` : `${name}-canary`;
}

/** The list of the route that moves. */
export function routePointer({ canary: shape = plainCanary }: Pick<SimApp, "canary">): string {
  return shape.routes === "VirtualService" ? `/spec/${shape.protocol}` : "/spec/rules";
}

export const httpPort = 80;
export const otherHttpPort = 8080;
export const tcpPort = 90;

/** The objects of the application before the rollout. */
export function canaryBefore(app: SimApp): [ObjectReference, Record<string, unknown>][] {
  return bodiesBefore(app).map((body) => [referenceOf(body), fieldsOfBody(body)]);
}

function referenceOf({ apiVersion = "", kind = "", metadata }: UntypedObject): ObjectReference {
  return reference(apiVersion, kind, metadata.name ?? "", metadata.namespace);
}

/** The pod template of a version of the application's own Deployment. */
export function podTemplate(app: SimApp, version: string): Readonly<Record<string, unknown>> {
  return template(version, labelsOf(app).stable);
}

function template(version: string, labels: Readonly<Record<string, string>>): Readonly<Record<string, unknown>> {
  return { metadata: { labels }, spec: { containers: [{ name: "main", image: version }] } };
}

/** The labels of the pods of both versions, if their user runs both in one namespace. */
function labelsOf({
  name,
  canary: shape = plainCanary,
}: SimApp): Readonly<Record<"stable" | "canary", Readonly<Record<string, string>>>> {
  const app = { app: name };
  return shape.target === "deployment" || shape.target === "namespaces"
    ? { stable: app, canary: app }
    : { stable: { ...app, version: "v1" }, canary: { ...app, version: "v2" } };
}

/** The version of a pod template: its image. */
export function versionOf(template: unknown): string {
  const { spec } = (template ?? {}) as { spec?: { containers?: readonly { image?: string }[] } };
  return spec?.containers?.[0]?.image ?? "";
}

function bodiesBefore(app: SimApp): UntypedObject[] {
  const { canary: shape = plainCanary } = app;
  switch (shape.target) {
    case "deployment":
      return deploymentBefore(app, shape);
    case "namespaces":
      return [
        ...[app.namespace, otherNamespace(app)].flatMap((namespace) => [
          workload(app, { role: namespace === app.namespace ? "app" : "canary", namespace, version: "v1" }),
          ...[`web-${app.name}`, `api-${app.name}`].map((name) => service(name, namespace, { app: app.name })),
        ]),
        ...[app.name, `api-${app.name}`].map((name, index) =>
          userRoute(app, shape, { name, to: index === 0 ? `web-${app.name}` : `api-${app.name}` }),
        ),
      ];
    default:
      return versionsBefore(app, shape);
  }
}

/** Two versions that the user runs, behind two Services or as subsets of one. */
function versionsBefore(app: SimApp, shape: SimCanary): UntypedObject[] {
  const { name, namespace } = app;
  const { canaryNamespace } = objectsOf(app);
  const subset = shape.target === "virtualService" && shape.by === "subsets";
  const versions = labelsOf(app);
  return [
    workload(app, { role: "app", namespace, version: "v1" }),
    workload(app, { role: "canary", namespace: canaryNamespace, version: "v2" }),
    service(name, namespace, subset ? { app: name } : versions.stable),
    ...(subset
      ? [
          {
            apiVersion: istioVersion,
            kind: "DestinationRule",
            metadata: { name, namespace },
            spec: {
              host: name,
              subsets: [
                { name: "v1", labels: { version: "v1" } },
                { name: "v2", labels: { version: "v2" } },
              ],
            },
          },
        ]
      : [
          service(`stable-${name}`, namespace, versions.stable),
          service(`canary-${name}`, canaryNamespace, versions.canary),
        ]),
    ...(shape.target === "services" ? [] : [userRoute(app, shape, { name, to: subset ? name : `stable-${name}` })]),
  ];
}

/** A Deployment whose pods the engine runs, and what is around it. */
function deploymentBefore(app: SimApp, shape: SimCanary): UntypedObject[] {
  const { name, namespace } = app;
  return [
    workload(app, { role: "app", namespace, version: "v1" }),
    {
      ...service(name, namespace, { app: name }),
      spec: {
        selector: { app: name },
        ports: [
          { name: "http", port: httpPort },
          ...(shape.onePort || shape.second ? [{ name: "http-more", port: otherHttpPort }] : []),
          ...(shape.tcpPort ? [{ name: "tcp", port: tcpPort }] : []),
        ],
      },
    },
    ...(shape.rule
      ? [
          {
            apiVersion: istioVersion,
            kind: "DestinationRule",
            metadata: { name, namespace },
            spec: { host: name, subsets: [{ name: "blue", labels: { color: "blue" } }] },
          },
        ]
      : []),
    ...(shape.autoscaled
      ? [
          {
            apiVersion: "autoscaling/v2",
            kind: "HorizontalPodAutoscaler",
            metadata: { name: `app-${name}`, namespace },
            spec: { minReplicas: 1, maxReplicas: shape.replicas },
          },
        ]
      : []),
  ];
}

interface Workload {
  readonly role: "app" | "canary";
  readonly namespace: string;
  readonly version: string;
}

function workload(app: SimApp, { role, namespace, version }: Workload): UntypedObject {
  const labels = labelsOf(app)[role === "app" ? "stable" : "canary"];
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: `${role}-${app.name}`, namespace },
    spec: {
      replicas: app.canary?.replicas ?? 1,
      template: template(version, labels),
    },
  };
}

function service(name: string, namespace: string, selector: Readonly<Record<string, string>>): UntypedObject {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace },
    spec: { selector, ports: [{ name: "http", port: httpPort }] },
  };
}

function userRoute(
  app: SimApp,
  { routes, protocol, by, target, second }: SimCanary,
  { name, to }: { readonly name: string; readonly to: string },
): UntypedObject {
  const { namespace } = app;
  if (routes !== "VirtualService") {
    const rule = { backendRefs: [{ name: to, port: httpPort, ...(second ? { weight: 1 } : {}) }] };
    const other = { matches: [{ path: { type: "PathPrefix", value: "/other" } }], backendRefs: rule.backendRefs };
    return {
      apiVersion: gatewayVersion,
      kind: routes,
      metadata: { name, namespace },
      spec: { parentRefs: [{ name: "gateway" }], rules: second && target !== "namespaces" ? [other, rule] : [rule] },
    };
  }
  const destination = { host: to, ...(by === "subsets" && target === "virtualService" ? { subset: "v1" } : {}) };
  const route = [{ destination, ...(second ? { weight: 100 } : {}) }];
  const match = {
    http: {},
    tcp: { match: [{ port: tcpPort }] },
    tls: { match: [{ port: 443, sniHosts: [`${name}.example`] }] },
  }[protocol];
  const named = protocol === "http" ? { name: "main" } : {};
  const other = { name: "other", match: [{ uri: { prefix: "/other" } }], route };
  return {
    apiVersion: istioVersion,
    kind: "VirtualService",
    metadata: { name, namespace },
    spec: {
      hosts: [name],
      [protocol]: [
        ...(second && protocol === "http" && target !== "namespaces" ? [other] : []),
        { ...named, ...match, route },
      ],
    },
  };
}
