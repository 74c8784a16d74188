import {
  backendTlsPolicyKind,
  gatewayKind,
  listenerSetKind,
  maxPolicyAncestors,
  type BackendTlsPolicy,
  type Gateway,
  type GatewayStatus,
  type ListenerSet,
  type ListenerStatus,
} from "../../api/gateway/index.ts";
import { ingressKind, type Ingress } from "../../api/kubernetes/index.ts";
import { messageOf, rfc3339Seconds, type Clock, type Logger } from "../../base/index.ts";
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
  type WantedRouteStatuses,
} from "../model/index.ts";
import { mergeConditions } from "./conditions.ts";
import { patchStatus } from "./patch-status.ts";
import { isOwned, staleRoutes, writeRoute } from "./route-status-writer.ts";
import { sameParent } from "./same-parent.ts";
import { resetGateway, resetListenerSet, staleStatuses } from "./status-reset.ts";

export interface StatusWriterOptions {
  readonly client: KubeClient;
  readonly gateways: Collection<WantedGatewayStatus>;
  readonly listenerSets: Collection<WantedListenerSetStatus>;
  readonly policies: Collection<WantedPolicyStatus>;
  readonly routes: readonly WantedRouteStatuses[];
  readonly ingresses: Collection<WantedIngressStatus>;
  readonly includes: (namespace: string) => boolean;
  readonly queues?: QueueMetrics | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

const separator = " ";

/**
 * Writes the status of the Gateways, ListenerSets, policies, routes and Ingresses that this revision owns. Only the
 * leader runs this.
 */
export async function runStatusWriter(options: StatusWriterOptions, signal: AbortSignal): Promise<void> {
  const { queues, clock, log } = options;
  const writers = writersOf(options);
  const reconciler = new Reconciler({
    name: "gateway-status",
    queues,
    log,
    clock,
    maxAttempts: Infinity,
    reconcile: async (name) => {
      const [kind = "", key = ""] = name.split(separator);
      const source = writers.get(kind);
      if (source?.reset !== undefined && source.collection.get(key) === undefined) await source.reset(key);
      else await source?.write(key);
    },
  });
  using subscriptions = new DisposableStack();
  for (const [kind, { collection, isWritten = () => true }] of writers) {
    subscriptions.use(
      collection.subscribe((changes) => {
        for (const change of changes) {
          const states = change.type === "set" ? [change.item, change.previous] : [change.previous];
          if (states.some((state) => state !== undefined && isWritten(state)))
            reconciler.add(`${kind}${separator}${change.key}`);
        }
      }),
    );
  }
  const addStale = async (kind: string, { stale }: StatusSource): Promise<void> => {
    try {
      for (const key of (await stale?.()) ?? []) reconciler.add(`${kind}${separator}${key}`);
    } catch (error) {
      // The kind is not installed, or the server does not answer. Outdated statuses then stay until the next replica
      // leads.
      log.debug("cannot look for outdated statuses", { kind, error: messageOf(error) });
    }
  };
  await Promise.all([
    reconciler.run(signal),
    ...[...writers].map(async ([kind, source]) => await addStale(kind, source)),
  ]);
}

/** The sources of the statuses, by the word with which their keys begin in the queue. */
function writersOf(options: StatusWriterOptions): ReadonlyMap<string, StatusSource> {
  const { client, gateways, listenerSets, policies, routes, ingresses, includes, clock } = options;
  return new Map<string, StatusSource>([
    [
      "gateway",
      {
        collection: gateways,
        write: async (key) => await writeGateway(options, gateways.get(key)),
        reset: async (key) => await resetGateway(client, key),
        stale: async () => await staleStatuses(client, gatewayKind, gateways),
      },
    ],
    [
      "listener-set",
      {
        collection: listenerSets,
        write: async (key) => await writeListenerSet(options, listenerSets.get(key)),
        reset: async (key) => await resetListenerSet(client, key),
        stale: async () => await staleStatuses(client, listenerSetKind, listenerSets),
      },
    ],
    ["ingress", { collection: ingresses, write: async (key) => await writeIngress(options, ingresses.get(key)) }],
    ["policy", { collection: policies, write: async (key) => await writePolicy(options, policies.get(key)) }],
    ...routes.map(
      ({ kind, statuses }) =>
        [
          kind,
          {
            collection: statuses,
            isWritten: (wanted: unknown) => isOwned(wanted as WantedRouteStatus),
            write: async (key: string) => await writeRoute({ client, includes, kind, statuses }, clock, key),
            stale: async () => await staleRoutes({ client, includes, kind, statuses }),
          },
        ] as const,
    ),
  ]);
}

interface StatusSource {
  readonly collection: Collection<unknown>;
  /** Whether this revision writes the status. Absent means that it writes each status of the collection. */
  readonly isWritten?: (wanted: unknown) => boolean;
  readonly write: (key: string) => Promise<void>;
  /** Called when this revision no longer writes a status of the object. */
  readonly reset?: (key: string) => Promise<void>;
  /** The keys of the objects whose status may be outdated since the time before this replica led. */
  readonly stale?: () => Promise<readonly string[]>;
}

async function writeGateway(
  { client, clock }: StatusWriterOptions,
  wanted: WantedGatewayStatus | undefined,
): Promise<void> {
  if (wanted === undefined) return;
  const gateway = await client.get(gatewayKind, wanted.name, wanted.namespace);
  if (gateway === undefined) return;
  const now = rfc3339Seconds(clock.nowMs());
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
  // A merge patch keeps the fields that it omits. So if the object has a count, include the field even if no count is
  // wanted.
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
  const now = rfc3339Seconds(clock.nowMs());
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

/** Keeps the entries of other controllers, and adds ours as far as there is room. */
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
        conditions: mergeConditions(ancestor.conditions, known?.conditions ?? [], rfc3339Seconds(clock.nowMs())),
      };
    }),
  ].slice(0, maxPolicyAncestors);
  if (structurallyEqual(before, ancestors)) return;
  await patchStatus<BackendTlsPolicy>(client, backendTlsPolicyKind, policy, { ancestors });
}
