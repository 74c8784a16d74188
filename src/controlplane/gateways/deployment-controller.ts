import { keyOf, type KindDefinition, type KubernetesObject } from "../../api/index.ts";
import { gatewayKind, type Gateway } from "../../api/gateway/index.ts";
import { istioLabels } from "../../api/istio/index.ts";
import { canaryOfLabel, gatewayCanaryAnnotations } from "../../api/serin/index.ts";
import {
  deploymentKind,
  serviceAccountKind,
  serviceKind,
  type Deployment,
  type Service,
  type ServiceAccount,
} from "../../api/kubernetes/index.ts";
import type { Clock, Logger } from "../../base/index.ts";
import { createInformer, Reconciler, type Collection, type KubeClient, type QueueMetrics } from "../../kube/index.ts";
import { eastWestManagedBy, waypointsManagedBy, type GatewayPlacement, type ProxyConfigFacts } from "../model/index.ts";
import { autoscalerKind, budgetOf, disruptionBudgetKind, overlaid, scalerOf } from "./gateway-overlays.ts";
import { canaryDeployment, gatewayObjects, managedBy } from "./gateway-objects.ts";
import { withProxyConfigs } from "./gateway-proxy-config.ts";
import { fieldManager } from "./patch-status.ts";
import type { ProxySettings } from "./proxy-pod.ts";
import { waypointCanary, waypointObjects } from "./waypoint-objects.ts";

export interface GatewayDeploymentOptions {
  readonly client: KubeClient;
  /** This revision's role for each Gateway of the class. */
  readonly placements: Collection<GatewayPlacement>;
  readonly proxy: () => ProxySettings;
  /** Registers a callback for changes that concern the pods of all Gateways. */
  readonly onProxyChange?: ((changed: () => void) => Disposable) | undefined;
  readonly proxyConfigs: Collection<ProxyConfigFacts>;
  readonly rootNamespace: () => string;
  readonly queues?: QueueMetrics | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

const apply = { fieldManager, force: true } as const;

interface Remembered {
  /**
   * The parameters with which the Gateway was last deployed. They stay in use while the current ones cannot be read.
   */
  overlays?: GatewayPlacement["overlays"];
  /** The conflicting objects that were logged already, so that a lasting conflict is logged once. */
  inTheWay?: string;
}

/** Deploys proxies for the Gateways that this revision owns or for which it is a canary. Only the leader runs this. */
export async function runGatewayDeploymentController(
  options: GatewayDeploymentOptions,
  signal: AbortSignal,
): Promise<void> {
  const { client, placements, queues, clock, log } = options;
  const managed = {
    labelSelector: `${istioLabels.gatewayManaged} in (${managedBy},${waypointsManagedBy},${eastWestManagedBy})`,
    log,
    clock,
  };
  const deployments = createInformer(client, deploymentKind, managed);
  const services = createInformer(client, serviceKind, managed);
  const remembered = new Map<string, Remembered>();
  const deploymentsOf = (gateway: string): readonly Deployment[] =>
    [...deployments.list()].filter((deployment) => gatewayOf(deployment) === gateway);
  const reconciler = new Reconciler({
    name: "gateway-deployment",
    queues,
    log,
    clock,
    maxAttempts: Infinity,
    after: [deployments.synced, services.synced],
    reconcile: async (key) => await reconcile(options, key, deploymentsOf(key), remembered),
  });
  using _placements = placements.subscribe((changes) => {
    for (const change of changes) {
      if (change.type === "delete") remembered.delete(change.key);
      reconciler.add(change.key);
    }
  });
  const addAll = (): void => {
    for (const [key] of placements.entries()) reconciler.add(key);
  };
  using _proxyConfigs = options.proxyConfigs.subscribe(addAll);
  using _values = options.onProxyChange?.(addAll);
  // Objects that somebody else changes or deletes must be repaired. A change of status matters only if it changes the
  // availability, because a canary may be removed then.
  deployments.subscribe((change) => {
    if (
      change.type === "delete" ||
      change.previous?.metadata.generation !== change.object.metadata.generation ||
      isAvailable(change.object) !== isAvailable(change.previous)
    ) {
      reconciler.add(gatewayOf(change.object));
    }
  });
  services.subscribe((change) => {
    if (change.type === "delete") reconciler.add(gatewayOf(change.object));
  });
  await Promise.all([deployments.run(signal), services.run(signal), reconciler.run(signal)]);
}

function proxyOf(
  { proxy, proxyConfigs, rootNamespace }: GatewayDeploymentOptions,
  namespace: string,
  name: string,
): ProxySettings {
  return withProxyConfigs(proxy(), proxyConfigs.values(), { namespace, name, rootNamespace: rootNamespace() });
}

function gatewayOf({
  metadata,
}: {
  readonly metadata: { namespace?: string; labels?: Record<string, string> };
}): string {
  return `${metadata.namespace ?? ""}/${metadata.labels?.[istioLabels.gatewayName] ?? ""}`;
}

/**
 * Creates, changes and removes the objects of a Gateway. Returns how long to wait before the next check, or undefined
 * if no conflicting object exists.
 */
async function reconcile(
  options: GatewayDeploymentOptions,
  key: string,
  known: readonly Deployment[],
  remembered: Map<string, Remembered>,
): Promise<number | undefined> {
  const { client, placements } = options;
  const placement = placements.get(key);
  const [namespace = "", name = ""] = key.split("/");
  const raw = await client.get(gatewayKind, name, namespace);
  const gateway: Gateway | undefined = raw === undefined ? undefined : gatewayKind.parse?.(raw).value;
  if (gateway === undefined || gateway.metadata.deletionTimestamp !== undefined) return undefined;
  const memory: Remembered = remembered.get(key) ?? {};
  if (placement !== undefined) remembered.set(key, memory);
  // While the parameters cannot be read, use the last known ones: deploying without parameters would replace the pods
  // needlessly. If none are known, leave everything unchanged.
  const overlays = placement?.overlays ?? memory.overlays;
  if (placement !== undefined && overlays === undefined) return undefined;
  const wanted =
    placement === undefined || overlays === undefined
      ? nothing
      : wantedObjects(gateway, { ...placement, overlays }, proxyOf(options, namespace, name));
  const inTheWay: KubernetesObject[] = [];
  const applyAll = async <Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    objects: readonly Value[],
  ): Promise<void> => {
    for (const object of objects) {
      const found = await client.get(kind, object.metadata.name ?? "", namespace);
      if (found === undefined || isMadeFor(found, gateway)) await client.apply(kind, object, apply);
      else inTheWay.push(found);
    }
  };
  await applyAll(serviceAccountKind, wanted.serviceAccounts);
  await applyAll(deploymentKind, wanted.deployments);
  await applyAll(serviceKind, wanted.services);
  await applyAll(autoscalerKind, wanted.autoscalers);
  await applyAll(disruptionBudgetKind, wanted.budgets);
  // Parameters that cannot be applied must not become the fallback. So remember them only now that they are applied.
  memory.overlays = overlays;
  for (const unwanted of wanted.unwanted) {
    const found = await client.get(unwanted.kind, unwanted.name, namespace);
    if (found !== undefined && isMadeFor(found, gateway)) await client.delete(unwanted.kind, unwanted.name, namespace);
  }
  const names = new Set(wanted.deployments.map(({ metadata }) => metadata.name));
  for (const deployment of known) {
    if (
      !names.has(deployment.metadata.name) &&
      isLeftOver(deployment, gateway, placement, options.proxy().revision) &&
      isNotNeeded(deployment, known)
    )
      await remove(options, gateway, deployment);
  }
  return waitFor(options, gateway, inTheWay, memory);
}

/** Whether an object was made for the Gateway. Objects of users, other tools or other Gateways stay unchanged. */
function isMadeFor({ metadata: { labels = {} } }: KubernetesObject, gateway: Gateway): boolean {
  return (
    labels[istioLabels.gatewayManaged] !== undefined &&
    gatewayNameLabels.some((label) => labels[label] === gateway.metadata.name)
  );
}

/** The labels that name an object's Gateway. Control planes before 1.24 set the second one. */
const gatewayNameLabels = [istioLabels.gatewayName, "istio.io/gateway-name"];

/**
 * Logs the objects of others that are in the way, and returns how long to wait before the next check, because this
 * controller does not watch such objects. A service account that a user made is not in the way: the proxies can use it.
 */
function waitFor(
  { log }: GatewayDeploymentOptions,
  { metadata }: Gateway,
  objects: readonly KubernetesObject[],
  memory: Remembered,
): number | undefined {
  const foreign = objects.filter(
    ({ kind, metadata: { labels } }) =>
      kind !== serviceAccountKind.kind || labels?.[istioLabels.gatewayManaged] !== undefined,
  );
  const inTheWay = foreign.map((object) => `${object.kind ?? ""}/${object.metadata.uid ?? keyOf(object)}`).join(" ");
  if (inTheWay !== memory.inTheWay) {
    for (const {
      kind,
      metadata: { name },
    } of foreign)
      log.warn(
        "an object that does not belong to a Gateway has the name of one of the Gateway's objects; it is not changed",
        {
          gateway: metadata.name,
          namespace: metadata.namespace,
          kind,
          name,
        },
      );
  }
  memory.inTheWay = inTheWay;
  return foreign.length === 0 ? undefined : inTheWayRetryMs;
}

const inTheWayRetryMs = 60_000;

/**
 * Whether a left-over Deployment can be removed. The canary of an ended rollout stays until the Gateway's own proxies
 * are available, because they may have been scaled down for it and may still be starting.
 */
function isNotNeeded({ metadata }: Deployment, known: readonly Deployment[]): boolean {
  if (metadata.labels?.[canaryOfLabel] === undefined) return true;
  return known.filter((other) => other.metadata.labels?.[canaryOfLabel] === undefined).every(isAvailable);
}

/** Whether all pods of the Deployment are available, and there is at least one. */
function isAvailable(deployment: Deployment | undefined): boolean {
  const { metadata, spec, status } = deployment ?? {};
  const available = status?.availableReplicas ?? 0;
  return (
    available > 0 &&
    available >= (spec?.replicas ?? 1) &&
    (status?.observedGeneration ?? 0) >= (metadata?.generation ?? 0)
  );
}

interface WantedObjects {
  readonly serviceAccounts: readonly ServiceAccount[];
  readonly services: readonly Service[];
  readonly deployments: readonly Deployment[];
  readonly autoscalers: readonly KubernetesObject[];
  readonly budgets: readonly KubernetesObject[];
  /** Optional objects that the parameters no longer request. */
  readonly unwanted: readonly { readonly kind: KindDefinition; readonly name: string }[];
}

const nothing: WantedObjects = {
  serviceAccounts: [],
  services: [],
  deployments: [],
  autoscalers: [],
  budgets: [],
  unwanted: [],
};

function wantedObjects(
  gateway: Gateway,
  { owned, canary, managed, ports, overlays = {}, waypoints }: GatewayPlacement,
  proxy: ProxySettings,
): WantedObjects {
  if (!managed) return nothing;
  const made =
    waypoints === undefined
      ? [gatewayObjects(gateway, ports, proxy)]
      : waypoints.map((waypoint) => waypointObjects(gateway, waypoint, proxy));
  const canaries =
    waypoints === undefined
      ? [canaryDeployment(gateway, proxy)]
      : waypoints.map((waypoint) => waypointCanary(gateway, waypoint, proxy));
  return {
    serviceAccounts: owned
      ? made.flatMap(({ serviceAccount }) =>
          serviceAccount === undefined ? [] : overlaid(serviceAccount, overlays["serviceAccount"]),
        )
      : [],
    services: owned
      ? made.flatMap(({ service }) => (service === undefined ? [] : overlaid(service, overlays["service"])))
      : [],
    deployments: [...(owned ? made.map(({ deployment }) => deployment) : []), ...(canary ? canaries : [])].map(
      (deployment) => overlaid(deployment, overlays["deployment"]),
    ),
    autoscalers: owned
      ? made.flatMap(({ deployment }) => scalerOf(deployment, overlays["horizontalPodAutoscaler"]))
      : [],
    budgets: owned ? made.flatMap(({ deployment }) => budgetOf(deployment, overlays["podDisruptionBudget"])) : [],
    unwanted: owned
      ? unwantedOf(
          made.map(({ deployment }) => deployment.metadata.name ?? ""),
          overlays,
        )
      : [],
  };
}

function unwantedOf(names: readonly string[], overlays: Readonly<Record<string, string>>): WantedObjects["unwanted"] {
  const kinds = [
    ...(overlays["horizontalPodAutoscaler"] === undefined ? [autoscalerKind] : []),
    ...(overlays["podDisruptionBudget"] === undefined ? [disruptionBudgetKind] : []),
  ];
  return kinds.flatMap((kind) => names.map((name) => ({ kind, name })));
}

/** Whether a Deployment is an ended or abandoned canary, or the waypoint of an account that no longer needs one. */
function isLeftOver(
  { metadata }: Deployment,
  gateway: Gateway,
  placement: GatewayPlacement | undefined,
  revision: string,
): boolean {
  const owned = placement?.owned === true && placement.managed;
  const {
    [canaryOfLabel]: canaryOf,
    [istioLabels.revision]: podRevision,
    [istioLabels.gatewayManaged]: manager,
  } = metadata.labels ?? {};
  if (canaryOf === gateway.metadata.name)
    return (
      podRevision === revision ||
      (owned && podRevision !== gateway.metadata.annotations?.[gatewayCanaryAnnotations.revision])
    );
  return owned && placement.waypoints !== undefined && manager === waypointsManagedBy;
}

/**
 * Deletes a Deployment. Clients learn from the model that its pods are terminating, and the proxies serve open
 * connections to their end.
 */
async function remove(
  { client, log }: GatewayDeploymentOptions,
  gateway: Gateway,
  { metadata }: Deployment,
): Promise<void> {
  log.info("a Gateway's proxies are no longer needed", {
    gateway: gateway.metadata.name,
    namespace: gateway.metadata.namespace,
    deployment: metadata.name,
  });
  await client.delete(deploymentKind, metadata.name ?? "", metadata.namespace);
}
