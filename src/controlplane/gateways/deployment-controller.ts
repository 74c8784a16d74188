import { gatewayKind, type Gateway } from "../../api/gateway/index.ts";
import { istioLabels } from "../../api/istio/index.ts";
import { deploymentKind, serviceAccountKind, serviceKind, type Deployment } from "../../api/kubernetes/index.ts";
import type { Clock, Logger } from "../../base/index.ts";
import { createInformer, Reconciler, type Collection, type KubeClient } from "../../kube/index.ts";
import type { GatewayPlacement } from "../model/index.ts";
import { canaryDeployment, canaryLabel, canaryName, gatewayObjects, managedBy, waypointsManagedBy } from "./gateway-objects.ts";
import type { ProxySettings } from "./proxy-pod.ts";
import { waypointObjects } from "./waypoint-objects.ts";

export interface GatewayDeploymentOptions {
  readonly client: KubeClient;
  /** What this revision has to do with each Gateway of the class. */
  readonly placements: Collection<GatewayPlacement>;
  readonly proxy: () => ProxySettings;
  readonly clock: Clock;
  readonly log: Logger;
}

const fieldManager = "istio.io/gateway-controller";
const apply = { fieldManager, force: true } as const;

/** Deploys proxies for the Gateways that this revision owns or is a canary for, while it leads. */
export async function runGatewayDeploymentController(options: GatewayDeploymentOptions, signal: AbortSignal): Promise<void> {
  const { client, placements, clock, log } = options;
  const managed = { labelSelector: `${istioLabels.gatewayManaged} in (${managedBy},${waypointsManagedBy})`, log, clock };
  const deployments = createInformer(client, deploymentKind, managed);
  const services = createInformer(client, serviceKind, managed);
  const deploymentsOf = (gateway: string): readonly Deployment[] => [...deployments.list()].filter((deployment) => gatewayOf(deployment) === gateway);
  const reconciler = new Reconciler({
    name: "gateway-deployment",
    log,
    clock,
    maxAttempts: Infinity,
    after: [deployments.synced, services.synced],
    reconcile: async (key) => await reconcile(options, key, deploymentsOf(key)),
  });
  using _placements = placements.subscribe((changes) => {
    for (const change of changes) reconciler.add(change.key);
  });
  // What somebody else changes or deletes is put right; changes of status alone are not.
  deployments.subscribe((change) => {
    if (change.type === "delete" || change.previous?.metadata.generation !== change.object.metadata.generation) reconciler.add(gatewayOf(change.object));
  });
  services.subscribe((change) => {
    if (change.type === "delete") reconciler.add(gatewayOf(change.object));
  });
  await Promise.all([deployments.run(signal), services.run(signal), reconciler.run(signal)]);
}

/** `namespace/name` of the Gateway that an object is made for. */
function gatewayOf({ metadata }: { readonly metadata: { namespace?: string; labels?: Record<string, string> } }): string {
  return `${metadata.namespace ?? ""}/${metadata.labels?.[istioLabels.gatewayName] ?? ""}`;
}

async function reconcile(options: GatewayDeploymentOptions, key: string, known: readonly Deployment[]): Promise<void> {
  const { client, placements } = options;
  const placement = placements.get(key);
  const [namespace = "", name = ""] = key.split("/");
  const raw = await client.get(gatewayKind, name, namespace);
  const gateway: Gateway | undefined = raw === undefined ? undefined : gatewayKind.parse?.(raw).value;
  if (gateway === undefined || gateway.metadata.deletionTimestamp !== undefined) return;
  if (placement?.waypoints === undefined) await reconcileGateway(options, gateway, placement, known);
  else if (placement.owned && placement.managed) await reconcileWaypoints(options, gateway, placement.waypoints, known);
}

async function reconcileGateway(options: GatewayDeploymentOptions, gateway: Gateway, placement: GatewayPlacement | undefined, known: readonly Deployment[]): Promise<void> {
  const { client, log } = options;
  const proxy = options.proxy();
  const { name, namespace } = gateway.metadata;
  if (placement?.owned === true && placement.managed) {
    const { serviceAccount, service, deployment } = gatewayObjects(gateway, proxy);
    await client.apply(serviceAccountKind, serviceAccount, apply);
    await client.apply(deploymentKind, deployment, apply);
    await client.apply(serviceKind, service, apply);
  }
  const canary = canaryName(gateway, proxy.revision);
  if (placement?.canary === true && placement.managed) {
    await client.apply(deploymentKind, canaryDeployment(gateway, proxy), apply);
  } else if (known.find((deployment) => deployment.metadata.name === canary)?.metadata.labels?.[canaryLabel] === name) {
    log.info("a gateway's canary is over", { gateway: name, namespace, revision: proxy.revision });
    await client.delete(deploymentKind, canary, namespace);
  }
}

/** Of accounts that are served no more the Deployments go; what sends to them has heard so by the model. */
async function reconcileWaypoints(options: GatewayDeploymentOptions, gateway: Gateway, waypoints: NonNullable<GatewayPlacement["waypoints"]>, known: readonly Deployment[]): Promise<void> {
  const { client, log } = options;
  for (const waypoint of waypoints) {
    const { serviceAccount, service, deployment } = waypointObjects(gateway, waypoint, options.proxy());
    if (serviceAccount !== undefined) await client.apply(serviceAccountKind, serviceAccount, apply);
    await client.apply(deploymentKind, deployment, apply);
    if (service !== undefined) await client.apply(serviceKind, service, apply);
  }
  for (const { metadata } of known) {
    if (metadata.labels?.[istioLabels.gatewayManaged] !== waypointsManagedBy || waypoints.some(({ name }) => name === metadata.name)) continue;
    log.info("a waypoint is no longer wanted", { gateway: gateway.metadata.name, namespace: gateway.metadata.namespace, deployment: metadata.name });
    await client.delete(deploymentKind, metadata.name ?? "", metadata.namespace);
  }
}
