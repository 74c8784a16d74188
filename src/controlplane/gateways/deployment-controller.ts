import { gatewayKind, type Gateway } from "../../api/gateway/index.ts";
import { istioLabels } from "../../api/istio/index.ts";
import { deploymentKind, serviceAccountKind, serviceKind, type Deployment } from "../../api/kubernetes/index.ts";
import type { Clock, Logger } from "../../base/index.ts";
import { createInformer, Reconciler, type Collection, type KubeClient } from "../../kube/index.ts";
import type { GatewayPlacement } from "../model/index.ts";
import { canaryDeployment, canaryLabel, canaryName, gatewayObjects, managedBy } from "./gateway-objects.ts";
import type { ProxySettings } from "./proxy-pod.ts";

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
  const managed = { labelSelector: `${istioLabels.gatewayManaged}=${managedBy}`, log, clock };
  const deployments = createInformer(client, deploymentKind, managed);
  const services = createInformer(client, serviceKind, managed);
  const reconciler = new Reconciler({
    name: "gateway-deployment",
    log,
    clock,
    maxAttempts: Infinity,
    after: [deployments.synced, services.synced],
    reconcile: async (key) => await reconcile(options, key, (name) => deployments.get(name)),
  });
  using _placements = placements.subscribe((changes) => {
    for (const change of changes) reconciler.add(change.key);
  });
  // What somebody else changes or deletes is put right; changes of status alone are not.
  const gatewayOf = (object: { metadata: { namespace?: string; labels?: Record<string, string> } }): string =>
    `${object.metadata.namespace ?? ""}/${object.metadata.labels?.[istioLabels.gatewayName] ?? ""}`;
  deployments.subscribe((change) => {
    if (change.type === "delete" || change.previous?.metadata.generation !== change.object.metadata.generation) reconciler.add(gatewayOf(change.object));
  });
  services.subscribe((change) => {
    if (change.type === "delete") reconciler.add(gatewayOf(change.object));
  });
  await Promise.all([deployments.run(signal), services.run(signal), reconciler.run(signal)]);
}

async function reconcile(options: GatewayDeploymentOptions, key: string, known: (key: string) => Deployment | undefined): Promise<void> {
  const { client, placements, log } = options;
  const proxy = options.proxy();
  const placement = placements.get(key);
  const [namespace = "", name = ""] = key.split("/");
  const raw = await client.get(gatewayKind, name, namespace);
  const gateway: Gateway | undefined = raw === undefined ? undefined : gatewayKind.parse?.(raw).value;
  if (gateway === undefined || gateway.metadata.deletionTimestamp !== undefined) return;
  if (placement?.owned === true && placement.managed) {
    const { serviceAccount, service, deployment } = gatewayObjects(gateway, proxy);
    await client.apply(serviceAccountKind, serviceAccount, apply);
    await client.apply(deploymentKind, deployment, apply);
    await client.apply(serviceKind, service, apply);
  }
  const canary = `${namespace}/${canaryName(gateway, proxy.revision)}`;
  if (placement?.canary === true && placement.managed) {
    await client.apply(deploymentKind, canaryDeployment(gateway, proxy), apply);
  } else if (known(canary)?.metadata.labels?.[canaryLabel] === name) {
    log.info("a gateway's canary is over", { gateway: key, revision: proxy.revision });
    await client.delete(deploymentKind, canaryName(gateway, proxy.revision), namespace);
  }
}
