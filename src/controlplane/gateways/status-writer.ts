import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import { gatewayClassKind, gatewayKind, grpcRouteKind, httpRouteKind, tcpRouteKind, tlsRouteKind, type Gateway, type GatewayClass, type GatewayStatus, type ParentReference, type RouteParentStatus } from "../../api/gateway/index.ts";
import type { Clock, Logger } from "../../base/index.ts";
import { Reconciler, structurallyEqual, type Collection, type KubeClient } from "../../kube/index.ts";
import { gatewayControllerName, type WantedGatewayStatus, type WantedRouteStatus } from "../model/index.ts";
import { mergeConditions } from "./conditions.ts";

export interface StatusWriterOptions {
  readonly client: KubeClient;
  readonly gateways: Collection<WantedGatewayStatus>;
  /** One a kind. */
  readonly routes: readonly Collection<WantedRouteStatus>[];
  readonly clock: Clock;
  readonly log: Logger;
}

const separator = " ";
const fieldManager = "istio.io/gateway-controller";

/** Writes the status of Gateways and routes that this revision owns, while it leads. */
export async function runStatusWriter(options: StatusWriterOptions, signal: AbortSignal): Promise<void> {
  const { gateways, routes, clock, log } = options;
  const reconciler = new Reconciler({
    name: "gateway-status",
    log,
    clock,
    maxAttempts: Infinity,
    reconcile: async (name) => {
      const [kind = "", key = ""] = name.split(separator);
      if (kind === "gateway") await writeGateway(options, gateways.get(key));
      else await writeRoute(options, routes[Number(kind)]?.get(key));
    },
  });
  using _gateways = gateways.subscribe((changes) => {
    for (const change of changes) if (change.type === "set") reconciler.add(`gateway${separator}${change.key}`);
  });
  using subscriptions = new DisposableStack();
  for (const [index, collection] of routes.entries()) {
    subscriptions.use(
      collection.subscribe((changes) => {
        for (const change of changes) if (change.type === "set") reconciler.add(`${index}${separator}${change.key}`);
      }),
    );
  }
  await reconciler.run(signal);
}

async function writeGateway({ client, clock }: StatusWriterOptions, wanted: WantedGatewayStatus | undefined): Promise<void> {
  if (wanted === undefined) return;
  const gateway = await client.get(gatewayKind, wanted.name, wanted.namespace);
  if (gateway === undefined) return;
  const now = timeOf(clock);
  const before = gateway.status;
  const status: GatewayStatus = {
    addresses: [...wanted.addresses],
    conditions: mergeConditions(wanted.conditions, before?.conditions ?? [], now),
    listeners: wanted.listeners.map((listener) => ({
      ...listener,
      conditions: mergeConditions(listener.conditions, before?.listeners?.find(({ name }) => name === listener.name)?.conditions ?? [], now),
    })),
  };
  const { addresses = [], conditions = [], listeners = [] } = before ?? {};
  if (structurallyEqual({ addresses, conditions, listeners }, status)) return;
  await patchStatus<Gateway>(client, gatewayKind, gateway, status);
}

/** As far as status is concerned all kinds of routes are one. */
type AnyRoute = KubernetesObject & { spec: { parentRefs?: readonly Partial<ParentReference>[] }; status?: { parents?: RouteParentStatus[] } };
const routeKinds: Readonly<Record<WantedRouteStatus["kind"], KindDefinition<AnyRoute>>> = {
  HTTPRoute: httpRouteKind,
  GRPCRoute: grpcRouteKind,
  TLSRoute: tlsRouteKind,
  TCPRoute: tcpRouteKind,
};

async function writeRoute({ client, clock }: StatusWriterOptions, wanted: WantedRouteStatus | undefined): Promise<void> {
  if (wanted === undefined) return;
  const kind = routeKinds[wanted.kind];
  const route = await client.get(kind, wanted.name, wanted.namespace);
  if (route === undefined) return;
  const parents = mergeParents(wanted, route.status?.parents ?? [], route.spec.parentRefs ?? [], timeOf(clock));
  if (structurallyEqual(route.status?.parents ?? [], parents)) return;
  await patchStatus<AnyRoute>(client, kind, route, { parents });
}

/** Entries of other controllers stay, and those of ours whose Gateway another revision owns; ours of parents that are gone go. */
export function mergeParents(wanted: WantedRouteStatus, before: readonly RouteParentStatus[], parentRefs: readonly Partial<ParentReference>[], now: string): RouteParentStatus[] {
  const owned = wanted.parents.filter((parent) => parent.owned);
  const isOwned = (entry: RouteParentStatus): boolean => owned.some((parent) => sameParent(parent.status.parentRef, entry.parentRef));
  const kept = before.filter((entry) => entry.controllerName !== gatewayControllerName || (!isOwned(entry) && parentRefs.some((reference) => sameParent(reference, entry.parentRef))));
  const ours = owned.map(({ status }) => {
    const known = before.find((entry) => entry.controllerName === gatewayControllerName && sameParent(entry.parentRef, status.parentRef));
    return { ...status, conditions: mergeConditions(status.conditions, known?.conditions ?? [], now) };
  });
  return [...kept, ...ours];
}

function sameParent(left: Partial<ParentReference>, right: Partial<ParentReference>): boolean {
  return (["group", "kind", "namespace", "name", "sectionName", "port"] as const).every((field) => (left[field] ?? defaults[field]) === (right[field] ?? defaults[field]));
}
const defaults: Partial<ParentReference> = { group: "gateway.networking.k8s.io", kind: "Gateway" };

const classControllers: Readonly<Record<string, { readonly controllerName: string; readonly description: string }>> = {
  istio: { controllerName: gatewayControllerName, description: "The default Istio GatewayClass" },
  "istio-remote": { controllerName: "istio.io/unmanaged-gateway", description: "Remote to this cluster. Does not deploy or affect configuration." },
  "istio-waypoint": { controllerName: "istio.io/mesh-controller", description: "The default Istio waypoint GatewayClass" },
};

/** How long to wait before looking again whether the Gateway API is installed. */
const absentRetryMs = 10_000;
/** Deleted classes come back within this time. */
const resyncMs = 60_000;

/** Makes the GatewayClasses of Istio where they are missing, and accepts them. */
export async function runGatewayClassController(client: KubeClient, clock: Clock, log: Logger, signal: AbortSignal): Promise<void> {
  const reconciler = new Reconciler({
    name: "gateway-class",
    log,
    clock,
    maxAttempts: Infinity,
    reconcile: async (name) => {
      const builtIn = classControllers[name];
      if (builtIn === undefined) return undefined;
      const found = await client.get(gatewayClassKind, name).catch(() => undefined);
      const object = found ?? (await createClass(client, name, builtIn));
      if (object === undefined) return absentRetryMs;
      await acceptClass(client, object, clock);
      return resyncMs;
    },
  });
  for (const name of Object.keys(classControllers)) reconciler.add(name);
  await reconciler.run(signal);
}

/** Undefined when the kind is not there. */
async function createClass(client: KubeClient, name: string, spec: GatewayClass["spec"]): Promise<GatewayClass | undefined> {
  return await client.create(gatewayClassKind, { apiVersion: "gateway.networking.k8s.io/v1", kind: "GatewayClass", metadata: { name }, spec }, { fieldManager }).catch(() => undefined);
}

async function acceptClass(client: KubeClient, object: GatewayClass, clock: Clock): Promise<void> {
  const before = object.status?.conditions ?? [];
  const accepted = { type: "Accepted", status: "True", reason: "Accepted", message: "Handled by Istio controller", observedGeneration: object.metadata.generation ?? 0 } as const;
  const conditions = [...mergeConditions([accepted], before, timeOf(clock)), ...before.filter((condition) => condition.type !== "Accepted")];
  if (structurallyEqual(before, conditions)) return;
  await patchStatus<GatewayClass>(client, gatewayClassKind, object, { conditions });
}

/** Fails with `conflict` when the object has changed since it was read; the reconciler then tries again. */
async function patchStatus<Value extends Gateway | AnyRoute | GatewayClass>(
  client: KubeClient,
  kind: Parameters<typeof client.patchMerge<Value>>[0],
  object: Value,
  status: Value["status"],
): Promise<void> {
  const { name = "", namespace, resourceVersion } = object.metadata;
  await client.patchMerge(kind, name, namespace, { metadata: { resourceVersion }, status }, { subresource: "status", fieldManager });
}

function timeOf(clock: Clock): string {
  return `${new Date(clock.nowMs()).toISOString().slice(0, "2026-01-01T00:00:00".length)}Z`;
}
