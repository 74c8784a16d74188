import type { UntypedObject } from "../../api/index.ts";
import type { ObjectReference } from "../../api/serin/index.ts";
import { reference } from "../plan/index.ts";
import {
  type SimCanary,
  plainCanary,
  type SimApp,
  otherNamespace,
  gatewayVersion,
  istioVersion,
  objectsOf,
  guestPath,
  guestRule,
  httpPort,
  otherHttpPort,
  tcpPort,
} from "./canary-shape.ts";
import { fieldsOfBody } from "./model-object.ts";

/** The application's objects before the rollout, each with its fields. */
export function canaryBefore(app: SimApp): [ObjectReference, Record<string, unknown>][] {
  return bodiesBefore(app).map((body) => [referenceOf(body), fieldsOfBody(body)]);
}

function referenceOf({ apiVersion = "", kind = "", metadata }: UntypedObject): ObjectReference {
  return reference(apiVersion, kind, metadata.name ?? "", metadata.namespace);
}

export function podTemplate(app: SimApp, version: string): Readonly<Record<string, unknown>> {
  return template(version, labelsOf(app).stable);
}

function template(version: string, labels: Readonly<Record<string, string>>): Readonly<Record<string, unknown>> {
  return { metadata: { labels }, spec: { containers: [{ name: "main", image: version }] } };
}

/** The labels of the pods of both versions. The label `version` tells two versions in one namespace apart. */
function labelsOf({
  name,
  canary: shape = plainCanary,
}: SimApp): Readonly<Record<"stable" | "canary", Readonly<Record<string, string>>>> {
  const app = { app: name };
  return shape.target === "deployment" || shape.target === "namespaces"
    ? { stable: app, canary: app }
    : { stable: { ...app, version: "v1" }, canary: { ...app, version: "v2" } };
}

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
    ...(shape.target === "services" || shape.guestOf !== undefined
      ? []
      : [userRoute(app, shape, { name, to: subset ? name : `stable-${name}` })]),
  ];
}

/** The user's Deployment, its Service, and what the shape puts around them. */
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
  { routes, protocol, by, target, second, guest }: SimCanary,
  { name, to }: { readonly name: string; readonly to: string },
): UntypedObject {
  const { namespace } = app;
  if (routes !== "VirtualService") {
    const rule = { backendRefs: [{ name: to, port: httpPort, ...(second ? { weight: 1 } : {}) }] };
    const other = { matches: [{ path: { type: "PathPrefix", value: "/other" } }], backendRefs: rule.backendRefs };
    const guests =
      guest === undefined
        ? []
        : [
            {
              matches: [{ path: { type: "PathPrefix", value: guestPath(guest) } }],
              backendRefs: [{ name: `stable-${guest}`, port: httpPort }],
            },
          ];
    return {
      apiVersion: gatewayVersion,
      kind: routes,
      metadata: { name, namespace },
      spec: {
        parentRefs: [{ name: "gateway" }],
        rules: [...guests, ...(second && target !== "namespaces" ? [other] : []), rule],
      },
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
  const guests = guest === undefined ? [] : [guestRoute(guest, by)];
  return {
    apiVersion: istioVersion,
    kind: "VirtualService",
    metadata: { name, namespace },
    spec: {
      hosts: [name],
      [protocol]: [
        ...guests,
        ...(second && protocol === "http" && target !== "namespaces" ? [other] : []),
        { ...named, ...match, route },
      ],
    },
  };
}

function guestRoute(guest: string, by: SimCanary["by"]): Readonly<Record<string, unknown>> {
  return {
    name: guestRule(guest),
    match: [{ uri: { prefix: guestPath(guest) } }],
    route: [{ destination: by === "subsets" ? { host: guest, subset: "v1" } : { host: `stable-${guest}` } }],
  };
}
