import type { Tree } from "../../../base/index.ts";
import { gatewayKind, grpcRouteKind, httpRouteKind, storedGateway, type Gateway } from "../../../api/gateway/index.ts";
import { istioLabels, virtualServiceKind } from "../../../api/istio/index.ts";
import { matchesLabels, type KindDefinition, type KubernetesObject } from "../../../api/index.ts";
import { serviceKind } from "../../../api/kubernetes/index.ts";
import { itemsIfServed } from "../../../kube/index.ts";
import { canaryKind, type Canary, type ObjectReference } from "../../../api/serin/index.ts";
import {
  carriesHttp,
  carriesTls,
  copyLabel,
  protocolOf,
  resolveHost,
  targetError,
  type MovedRoute,
} from "../../plan/index.ts";
import { storedSpec } from "../stored-fields.ts";
import { sidecarRevision } from "../sidecar-workloads.ts";
import type { CanarySources } from "./canary-sources.ts";
import { oneCanary } from "./other-canaries.ts";

export interface ServiceInWorld {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly ports: readonly Tree[];
  readonly selector: Readonly<Record<string, string>>;
}

export async function requireService(
  { client }: CanarySources,
  field: string,
  namespace: string,
  name: string,
  port: number | undefined,
): Promise<ServiceInWorld> {
  const service = await client.get(serviceKind, name, namespace);
  if (service === undefined)
    throw targetError(
      "target-missing",
      `${field}: Service ${namespace}/${name} does not exist`,
      "create it first, or name another",
    );
  const { ports = [], selector = {} } = (service.spec ?? {}) as unknown as {
    ports?: readonly Tree[];
    selector?: Record<string, string>;
  };
  if (port !== undefined && !ports.some((candidate) => candidate["port"] === port)) {
    throw targetError(
      "target-missing",
      `${field}: Service ${namespace}/${name} has no port ${port}`,
      `it has ${ports.map((candidate) => String(candidate["port"])).join(", ")}`,
    );
  }
  return { name, namespace, labels: service.metadata.labels ?? {}, ports, selector };
}

/**
 * Throws if the given port carries no HTTP requests, because steps move only those. Without a given port, one of the
 * ports must carry HTTP requests. A gateway also moves the requests of a TLS port: it ends the client's TLS, routes by
 * weight, and begins TLS to the pods.
 */
export function requireHttp(
  field: string,
  { name, namespace, ports }: Pick<ServiceInWorld, "name" | "namespace" | "ports">,
  { port, gateways = [] }: { readonly port?: number; readonly gateways?: readonly string[] } = {},
): void {
  const moved = ports.filter((candidate) => port === undefined || candidate["port"] === port);
  const isMoved = (candidate: Tree): boolean =>
    carriesHttp(candidate) || (gateways.length > 0 && carriesTls(candidate));
  if (moved.length === 0 || moved.some(isMoved)) return;
  const named = moved.map((candidate) => `${String(candidate["port"])} (${protocolOf(candidate)})`).join(", ");
  throw targetError(
    "target-unclear",
    `${field}: Service ${namespace}/${name} has no HTTP on port ${named}, and the steps move only HTTP requests`,
    "if the port has HTTP, set its appProtocol to http; to move connections, run the new version as another Deployment, and use target.virtualService with protocol: tcp",
  );
}

/**
 * Throws if the Service also selects pods of another workload. The route of the Canary sends all requests to the pods
 * of its own Deployment, so the pods of the other workload would get none.
 */
export function refuseOtherWorkloads(
  { view }: CanarySources,
  { name, namespace, selector }: Pick<ServiceInWorld, "name" | "namespace" | "selector">,
  deployment: string,
): void {
  const workloads = [
    ...view.deployments.list().map((object) => ({ ...object, kind: "Deployment" })),
    ...view.statefulSets.list().map((object) => ({ ...object, kind: "StatefulSet" })),
    ...view.daemonSets.list().map((object) => ({ ...object, kind: "DaemonSet" })),
  ];
  const other = workloads.find(
    ({ kind, metadata, spec }) =>
      metadata.namespace === namespace &&
      !(kind === "Deployment" && metadata.name === deployment) &&
      metadata.labels?.[copyLabel] === undefined &&
      (spec as { replicas?: number } | undefined)?.replicas !== 0 &&
      matchesLabels(selector, spec?.template.metadata?.labels),
  );
  if (other === undefined) return;
  const title = `${other.kind} ${other.metadata.name ?? ""}`;
  throw targetError(
    "target-unclear",
    `spec.target.deployment.service: Service ${namespace}/${name} also selects the pods of ${title}, which would get no requests, because this Canary's route sends all to Deployment ${deployment}`,
    `let the selector of Service ${name} leave them out, or move requests between the two by target.virtualService or target.services`,
  );
}

/**
 * Throws if the Service is in ambient mode and has no waypoint, because only a waypoint applies routes there. Requests
 * would go to all pods of the Service. With `begins` false, a Canary already moves the Service, and the Service has
 * lost its proxy: somebody deleted the waypoint, or the namespace joined ambient. Pods with sidecars apply the routes
 * until they are replaced, so the run goes on while such pods exist.
 */
export async function requireLayer7(
  sources: CanarySources,
  field: string,
  service: Pick<ServiceInWorld, "name" | "namespace" | "labels">,
  begins: boolean,
): Promise<void> {
  const { name, namespace, labels } = service;
  const { labels: ofNamespace = {} } = sources.view.namespaces.get(namespace)?.metadata ?? {};
  if (ofNamespace[istioLabels.dataplaneMode] !== "ambient") return;
  const chosen = labels[istioLabels.useWaypoint] === undefined ? ofNamespace : labels;
  const waypoint = chosen[istioLabels.useWaypoint] ?? "none";
  const without = "so no proxy reads its requests and no weight has an effect";
  if (waypoint === "none" || waypoint === "") {
    if (!begins && hasSidecars(sources, namespace)) return;
    if ((await gatewaysOf(sources, namespace)).some(({ spec }) => spec.gatewayClassName === "istio-mesh")) return;
    throw targetError(
      "target-missing",
      `${field}: Service ${namespace}/${name} is in ambient and has no waypoint, ${without}`,
      `create one: serin waypoint apply -n ${namespace} --enroll-namespace`,
    );
  }
  const home = chosen[istioLabels.useWaypointNamespace] ?? namespace;
  if ((await gatewaysOf(sources, home)).some(({ metadata }) => metadata.name === waypoint)) return;
  throw targetError(
    "target-missing",
    `${field}: Service ${namespace}/${name} is in ambient, and its waypoint ${home}/${waypoint} does not exist, ${without}`,
    `create it: serin waypoint apply -n ${home} --name ${waypoint}`,
  );
}

function hasSidecars({ view }: CanarySources, namespace: string): boolean {
  return view.pods.list().some((pod) => pod.metadata.namespace === namespace && sidecarRevision(pod) !== undefined);
}

async function gatewaysOf({ client, view }: CanarySources, namespace: string): Promise<readonly Gateway[]> {
  return await view.recently(`gateways of ${namespace}`, async () =>
    (await itemsIfServed(client.list(gatewayKind, { namespace }))).map(storedGateway),
  );
}

/** Throws if a route of the user applies only to Services, and no proxy would apply it. */
export async function requireReaders(sources: CanarySources, { object, field }: MovedRoute): Promise<void> {
  if (sources.view.pods.list().some((pod) => sidecarRevision(pod) !== undefined)) return;
  const route = await sources.objects.get(object);
  for (const { name, namespace } of servicesOfRoute(object, storedSpec(object.kind, route ?? { metadata: {} }))) {
    const service = await sources.client.get(serviceKind, name, namespace);
    if (service !== undefined)
      await requireLayer7(sources, field, { name, namespace, labels: service.metadata.labels ?? {} }, true);
  }
}

/** The Services to which a route applies. Empty if the route has a gateway, which applies it. */
function servicesOfRoute({ kind, namespace = "" }: ObjectReference, spec: Tree): { name: string; namespace: string }[] {
  if (kind === "VirtualService") {
    const { gateways = ["mesh"], hosts = [] } = spec as { gateways?: readonly string[]; hosts?: readonly string[] };
    if (gateways.some((gateway) => gateway !== "mesh")) return [];
    return hosts.flatMap((host) => {
      const [name = "", at = ""] = resolveHost(host, namespace).split(".");
      return name === "*" ? [] : [{ name, namespace: at }];
    });
  }
  const { parentRefs = [] } = spec as { parentRefs?: readonly { kind?: string; name: string; namespace?: string }[] };
  if (parentRefs.some((parent) => parent.kind !== "Service")) return [];
  return parentRefs.map((parent) => ({ name: parent.name, namespace: parent.namespace ?? namespace }));
}

/**
 * Throws if another route exists for the same host, because the engine's route might have no effect beside it. Also
 * throws if a route names the Service as a backend, because that route bypasses the engine's.
 */
export async function refuseOtherRoutes(
  sources: CanarySources,
  field: string,
  canary: Canary,
  service: string,
): Promise<void> {
  const { namespace = "default" } = canary.metadata;
  const host = resolveHost(service, namespace);
  const [virtualServices, ...routes] = await Promise.all([
    listed(sources, virtualServiceKind),
    listed(sources, httpRouteKind),
    listed(sources, grpcRouteKind),
  ]);
  for (const { metadata, spec } of virtualServices) {
    const at = metadata.namespace ?? "";
    const place = `VirtualService ${at}/${metadata.name ?? ""}`;
    const { hosts = [] } = spec as { hosts?: readonly string[] };
    if (hosts.some((name) => resolveHost(name, at) === host)) {
      await refuseOtherCanary(sources, field, { labels: metadata.labels, place, canary, service });
      throw targetError(
        "target-taken",
        `${field}: ${place} already has routes of ${host}`,
        `move ${place} itself: use target.virtualService with name ${metadata.name ?? ""}; or delete it`,
      );
    }
    if (
      destinationsOf(spec).some(
        (destination) => resolveHost(destination.host ?? "", at) === host && destination.subset === undefined,
      )
    ) {
      throw targetError(
        "target-unclear",
        `${field}: ${place} sends to ${host} itself, to the pods of all versions alike`,
        `move ${place} itself: use target.virtualService with name ${metadata.name ?? ""}; or let this Canary's route apply there too, with gateways and hosts, and delete ${place}`,
      );
    }
  }
  for (const { kind = "HTTPRoute", metadata, spec } of routes.flat()) {
    const at = metadata.namespace ?? "";
    const place = `${kind} ${at}/${metadata.name ?? ""}`;
    const { parentRefs = [], rules = [] } = spec as {
      parentRefs?: readonly Tree[];
      rules?: readonly { backendRefs?: readonly Tree[] }[];
    };
    const isIt = ({ kind: backendKind = "Service", name, namespace: its = at }: Tree): boolean =>
      backendKind === "Service" && name === service && its === namespace;
    if (parentRefs.some((parent) => parent["kind"] === "Service" && isIt(parent))) {
      await refuseOtherCanary(sources, field, { labels: metadata.labels, place, canary, service });
      throw targetError(
        "target-taken",
        `${field}: ${place} already has routes of Service ${namespace}/${service}`,
        `move ${place} itself: use target.httpRoute with name ${metadata.name ?? ""}; or delete it`,
      );
    }
    if (rules.some(({ backendRefs = [] }) => backendRefs.some(isIt))) {
      throw targetError(
        "target-unclear",
        `${field}: ${place} sends to Service ${namespace}/${service} itself, to the pods of all versions alike`,
        `move ${place} itself: use target.httpRoute with name ${metadata.name ?? ""} and two Services; or let this Canary's route apply there too, with gateways and hosts, and delete ${place}`,
      );
    }
  }
}

/**
 * Throws if the engine made the route for another Canary of the same Service, or for a deleted Canary that left it
 * behind. The errors differ, because deleting the route of a live Canary would break that Canary.
 */
async function refuseOtherCanary(
  sources: CanarySources,
  field: string,
  route: {
    readonly labels: Readonly<Record<string, string>> | undefined;
    readonly place: string;
    readonly canary: Canary;
    readonly service: string;
  },
): Promise<void> {
  const { labels = {}, place, canary, service } = route;
  const { namespace = "default" } = canary.metadata;
  if (labels["app.kubernetes.io/managed-by"] !== "serin-rollout") return;
  const owner = (await listed(sources, canaryKind)).find(({ metadata, spec }) => {
    const { deployment, services } = (spec["target"] ?? {}) as Readonly<Record<string, Tree | undefined>>;
    const its = deployment?.["service"] ?? services?.["service"] ?? services?.["stable"];
    return metadata.namespace === namespace && metadata.name !== canary.metadata.name && its === service;
  });
  if (owner === undefined)
    throw targetError(
      "target-taken",
      `${field}: ${place} already has routes of Service ${namespace}/${service}; a deleted Canary left it behind`,
      `delete ${place}`,
    );
  const name = owner.metadata.name ?? "";
  throw targetError(
    "target-taken",
    `${field}: Canary ${namespace}/${name} already moves Service ${namespace}/${service}`,
    oneCanary(namespace, name),
  );
}

async function listed<Value extends KubernetesObject>(
  { client }: CanarySources,
  kind: KindDefinition<Value>,
): Promise<readonly (KubernetesObject & { spec: Tree })[]> {
  const items = await itemsIfServed(client.list(kind));
  return items.map((item) => ({ ...item, kind: kind.kind, spec: storedSpec<Tree>(kind.kind, item) }));
}

function destinationsOf(spec: Tree): { host?: string; subset?: string }[] {
  return ["http", "tcp", "tls"].flatMap((list) =>
    (
      (spec[list] ?? []) as readonly { route?: readonly { destination?: { host?: string; subset?: string } }[] }[]
    ).flatMap(({ route = [] }) => route.map(({ destination = {} }) => destination)),
  );
}
