import { metaTime, type KindDefinition, type KubernetesObject } from "../../api/index.ts";
import {
  backendTlsPolicyKind,
  gatewayKind,
  grpcRouteKind,
  httpRouteKind,
  listenerSetKind,
  tcpRouteKind,
  tlsRouteKind,
  udpRouteKind,
  type BackendTlsPolicy,
  type Gateway,
  type GatewayStatus,
  type ListenerSet,
  type ListenerStatus,
  type ParentReference,
  type RouteParentStatus,
} from "../../api/gateway/index.ts";
import { ingressKind, type Ingress } from "../../api/kubernetes/index.ts";
import type { Clock, Logger } from "../../base/index.ts";
import {
  Reconciler,
  structurallyEqual,
  type Collection,
  type KubeClient,
  type QueueMetrics,
} from "../../kube/index.ts";
import {
  gatewayControllerName,
  meshControllerName,
  type WantedGatewayStatus,
  type WantedIngressStatus,
  type WantedListenerSetStatus,
  type WantedPolicyStatus,
  type WantedRouteStatus,
} from "../model/index.ts";
import { mergeConditions } from "./conditions.ts";
import { patchStatus } from "./patch-status.ts";

export interface StatusWriterOptions {
  readonly client: KubeClient;
  readonly gateways: Collection<WantedGatewayStatus>;
  readonly listenerSets: Collection<WantedListenerSetStatus>;
  readonly policies: Collection<WantedPolicyStatus>;
  /** One collection for each kind of route. */
  readonly routes: readonly Collection<WantedRouteStatus>[];
  /** Kubernetes' kind Ingress. */
  readonly ingresses: Collection<WantedIngressStatus>;
  readonly queues?: QueueMetrics | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

const separator = " ";

/**
 * Writes the status of the Gateways, ListenerSets, policies, routes and Ingresses that this revision owns. Runs on the
 * leader only.
 */
export async function runStatusWriter(options: StatusWriterOptions, signal: AbortSignal): Promise<void> {
  const { gateways, listenerSets, policies, routes, ingresses, queues, clock, log } = options;
  const writers = new Map<string, StatusSource>([
    ["gateway", { collection: gateways, write: async (key) => await writeGateway(options, gateways.get(key)) }],
    [
      "listener-set",
      { collection: listenerSets, write: async (key) => await writeListenerSet(options, listenerSets.get(key)) },
    ],
    ["ingress", { collection: ingresses, write: async (key) => await writeIngress(options, ingresses.get(key)) }],
    ["policy", { collection: policies, write: async (key) => await writePolicy(options, policies.get(key)) }],
    ...routes.map(
      (collection, index) =>
        [
          `route-${index}`,
          { collection, write: async (key: string) => await writeRoute(options, collection.get(key)) },
        ] as const,
    ),
  ]);
  const reconciler = new Reconciler({
    name: "gateway-status",
    queues,
    log,
    clock,
    maxAttempts: Infinity,
    reconcile: async (name) => {
      const [kind = "", key = ""] = name.split(separator);
      await writers.get(kind)?.write(key);
    },
  });
  using subscriptions = new DisposableStack();
  for (const [kind, { collection }] of writers) {
    subscriptions.use(
      collection.subscribe((changes) => {
        for (const change of changes) if (change.type === "set") reconciler.add(`${kind}${separator}${change.key}`);
      }),
    );
  }
  await reconciler.run(signal);
}

interface StatusSource {
  readonly collection: Collection<unknown>;
  readonly write: (key: string) => Promise<void>;
}

async function writeGateway(
  { client, clock }: StatusWriterOptions,
  wanted: WantedGatewayStatus | undefined,
): Promise<void> {
  if (wanted === undefined) return;
  const gateway = await client.get(gatewayKind, wanted.name, wanted.namespace);
  if (gateway === undefined) return;
  const now = metaTime(clock.nowMs());
  const before = gateway.status;
  const status: GatewayStatus = {
    addresses: [...wanted.addresses],
    ...(wanted.attachedListenerSets === 0 ? {} : { attachedListenerSets: wanted.attachedListenerSets }),
    conditions: mergeConditions(wanted.conditions, before?.conditions ?? [], now),
    listeners: mergeListeners(wanted.listeners, before?.listeners ?? [], now),
  };
  const { addresses = [], attachedListenerSets, conditions = [], listeners = [] } = before ?? {};
  if (
    structurallyEqual(
      {
        addresses,
        ...(attachedListenerSets === undefined || attachedListenerSets === 0 ? {} : { attachedListenerSets }),
        conditions,
        listeners,
      },
      status,
    )
  )
    return;
  // A merge patch keeps fields that it omits, so an outdated count must be named to remove it.
  await patchStatus<Gateway>(
    client,
    gatewayKind,
    gateway,
    attachedListenerSets === undefined ? status : { ...status, attachedListenerSets: wanted.attachedListenerSets },
  );
}

function mergeListeners(
  wanted: WantedGatewayStatus["listeners"],
  before: readonly ListenerStatus[],
  now: string,
): ListenerStatus[] {
  return wanted.map((listener) => ({
    ...listener,
    conditions: mergeConditions(
      listener.conditions,
      before.find(({ name }) => name === listener.name)?.conditions ?? [],
      now,
    ),
  }));
}

async function writeListenerSet(
  { client, clock }: StatusWriterOptions,
  wanted: WantedListenerSetStatus | undefined,
): Promise<void> {
  if (wanted === undefined) return;
  const set = await client.get(listenerSetKind, wanted.name, wanted.namespace);
  if (set === undefined) return;
  const now = metaTime(clock.nowMs());
  const { conditions = [], listeners = [] } = set.status ?? {};
  const status = {
    conditions: mergeConditions(wanted.conditions, conditions, now),
    listeners: mergeListeners(wanted.listeners, listeners, now),
  };
  if (structurallyEqual({ conditions, listeners }, status)) return;
  await patchStatus<ListenerSet>(client, listenerSetKind, set, status);
}

async function writeIngress({ client }: StatusWriterOptions, wanted: WantedIngressStatus | undefined): Promise<void> {
  if (wanted === undefined) return;
  const ingress = await client.get(ingressKind, wanted.name, wanted.namespace);
  if (ingress === undefined) return;
  const addresses = [...wanted.addresses];
  if (structurallyEqual(ingress.status?.loadBalancer?.ingress ?? [], addresses)) return;
  await patchStatus<Ingress>(client, ingressKind, ingress, { loadBalancer: { ingress: addresses } });
}

/** Keeps the entries of other controllers. */
async function writePolicy(
  { client, clock }: StatusWriterOptions,
  wanted: WantedPolicyStatus | undefined,
): Promise<void> {
  if (wanted === undefined) return;
  const policy = await client.get(backendTlsPolicyKind, wanted.name, wanted.namespace);
  if (policy === undefined) return;
  const before = policy.status?.ancestors ?? [];
  const ours: ReadonlySet<string> = new Set([gatewayControllerName, meshControllerName]);
  const ancestors = [
    ...before.filter(({ controllerName }) => !ours.has(controllerName)),
    ...wanted.ancestors.map((ancestor) => {
      const known = before.find(
        (other) =>
          other.controllerName === ancestor.controllerName && sameParent(other.ancestorRef, ancestor.ancestorRef),
      );
      return {
        ...ancestor,
        conditions: mergeConditions(ancestor.conditions, known?.conditions ?? [], metaTime(clock.nowMs())),
      };
    }),
  ];
  if (structurallyEqual(before, ancestors)) return;
  await patchStatus<BackendTlsPolicy>(client, backendTlsPolicyKind, policy, { ancestors });
}

/** The fields that all kinds of routes share for their status. */
type AnyRoute = KubernetesObject & {
  spec: { parentRefs?: readonly Partial<ParentReference>[] };
  status?: { parents?: RouteParentStatus[] };
};
const routeKinds: Readonly<Record<WantedRouteStatus["kind"], KindDefinition<AnyRoute>>> = {
  HTTPRoute: httpRouteKind,
  GRPCRoute: grpcRouteKind,
  TLSRoute: tlsRouteKind,
  TCPRoute: tcpRouteKind,
  UDPRoute: udpRouteKind,
};

async function writeRoute(
  { client, clock }: StatusWriterOptions,
  wanted: WantedRouteStatus | undefined,
): Promise<void> {
  if (wanted === undefined) return;
  const kind = routeKinds[wanted.kind];
  const route = await client.get(kind, wanted.name, wanted.namespace);
  if (route === undefined) return;
  const parents = mergeParents(
    wanted,
    route.status?.parents ?? [],
    route.spec.parentRefs ?? [],
    metaTime(clock.nowMs()),
  );
  if (structurallyEqual(route.status?.parents ?? [], parents)) return;
  await patchStatus<AnyRoute>(client, kind, route, { parents });
}

/**
 * Keeps the entries of other controllers, and those of Gateways that another revision owns. Removes entries whose
 * parent the route no longer names.
 */
function mergeParents(
  wanted: WantedRouteStatus,
  before: readonly RouteParentStatus[],
  parentRefs: readonly Partial<ParentReference>[],
  now: string,
): RouteParentStatus[] {
  const owned = wanted.parents.filter((parent) => parent.owned);
  const isOwned = (entry: RouteParentStatus): boolean =>
    owned.some((parent) => sameParent(parent.status.parentRef, entry.parentRef));
  const kept = before.filter(
    (entry) =>
      entry.controllerName !== gatewayControllerName ||
      (!isOwned(entry) && parentRefs.some((reference) => sameParent(reference, entry.parentRef))),
  );
  const ours = owned.map(({ status }) => {
    const known = before.find(
      (entry) => entry.controllerName === gatewayControllerName && sameParent(entry.parentRef, status.parentRef),
    );
    return { ...status, conditions: mergeConditions(status.conditions, known?.conditions ?? [], now) };
  });
  return [...kept, ...ours];
}

function sameParent(left: Partial<ParentReference>, right: Partial<ParentReference>): boolean {
  return (["group", "kind", "namespace", "name", "sectionName", "port"] as const).every(
    (field) => (left[field] ?? defaults[field]) === (right[field] ?? defaults[field]),
  );
}

const defaults: Partial<ParentReference> = { group: "gateway.networking.k8s.io", kind: "Gateway" };
