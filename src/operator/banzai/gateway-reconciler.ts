import { istioLabels } from "../../api/istio/index.ts";
import { messageOf, transientError } from "../../base/index.ts";
import { apiVersionOf, formatIssues, type OwnerReference, type UntypedObject } from "../../api/index.ts";
import {
  banzaiIstioKind,
  banzaiMeshGatewayKind,
  parseBanzaiIstio,
  parseBanzaiMeshGateway,
  type BanzaiIstio,
  type BanzaiMeshGateway,
  type BanzaiStatus,
} from "../../api/banzai/index.ts";
import { deploymentKind, replicaSetKind, serviceKind } from "../../api/kubernetes/index.ts";
import { gatewaySelector, renderBanzaiGateway } from "../../install/index.ts";
import { controllerOf, isKubeCode } from "../../kube/index.ts";
import { readinessCheck } from "../readiness.ts";
import type { BanzaiWorld, IstioObject, MeshGatewayObject } from "./banzai-world.ts";
import { hasRelease, ownedBy, writeStatus } from "./control-plane-reconciler.ts";

const retryMs = 1000;
const goneTimeoutMs = 10_000;
const pollMs = 20;

/**
 * Brings the Deployment and Service of one MeshGateway into the state of its spec. Returns the milliseconds until the
 * next check, if a check is needed.
 */
export async function reconcileGateway(world: BanzaiWorld, key: string): Promise<number | void> {
  const raw = world.gateways.get(key);
  if (raw === undefined || raw.metadata.deletionTimestamp !== undefined) return;
  const { value: gateway, errors } = parseBanzaiMeshGateway(raw);
  if (gateway === undefined)
    return await setStatus(world, raw, { Status: "ReconcileFailed", ErrorMessage: formatIssues(errors) });
  const related = relatedIstio(world, gateway);
  if (related === undefined) {
    const { name, namespace } = gateway.spec.istioControlPlane ?? { name: "(none)", namespace: "" };
    return await setStatus(world, raw, {
      Status: "ReconcileFailed",
      ErrorMessage: `could not get related Istio CR: ${gateway.spec.istioControlPlane === undefined ? "no Istio CRs were found" : `there is no Istio ${namespace}/${name}`}`,
    });
  }
  if (!hasRelease(related))
    return await setStatus(world, raw, {
      Status: "ReconcileFailed",
      ErrorMessage: `spec.version of Istio ${related.metadata.namespace ?? ""}/${related.metadata.name ?? ""} is not a known release: see its status`,
    });
  if (!world.isOurs(related) || related.metadata.deletionTimestamp !== undefined) return;
  const { value: istio } = parseBanzaiIstio(related);
  // The status of the Istio object already says why the object is invalid.
  if (istio === undefined) return;
  try {
    return await bringUp(world, gateway, istio);
  } catch (error) {
    if (!isKubeCode(error, "conflict"))
      await setStatus(world, raw, { Status: "ReconcileFailed", ErrorMessage: messageOf(error) });
    throw error;
  }
}

/** The Istio object that the gateway names, or the oldest one in the cluster if the gateway names none. */
function relatedIstio({ istios }: BanzaiWorld, { spec }: BanzaiMeshGateway): IstioObject | undefined {
  const { istioControlPlane: named } = spec;
  if (named !== undefined) return istios.get(`${named.namespace}/${named.name}`);
  return istios
    .list()
    .toSorted((a, b) => (a.metadata.creationTimestamp ?? "").localeCompare(b.metadata.creationTimestamp ?? ""))[0];
}

async function bringUp(world: BanzaiWorld, gateway: BanzaiMeshGateway, istio: BanzaiIstio): Promise<number | void> {
  const { client } = world;
  const { metadata } = gateway;
  await moveOwnership(world, gateway, istio);
  if (gateway.status?.Status !== "Available") await setStatus(world, gateway, { Status: "Reconciling" });
  const owner: OwnerReference = {
    apiVersion: apiVersionOf(banzaiMeshGatewayKind),
    kind: banzaiMeshGatewayKind.kind,
    name: metadata.name ?? "",
    uid: metadata.uid ?? "",
    controller: true,
    blockOwnerDeletion: true,
  };
  const objects = renderBanzaiGateway(gateway, istio, world.images).map((object) =>
    ownedBy(object, owner, metadata.namespace),
  );
  for (const object of objects) {
    if (object.kind === "Deployment") await letGoOfOther(world, object);
    await world.owned.apply(object);
  }
  const deployment = objects.find(({ kind }) => kind === "Deployment");
  if (deployment !== undefined && (await readinessCheck(deployment, client)?.()) !== undefined) return retryMs;
  await removeLetGo(world, gateway, deployment);
  const addresses = await serviceAddresses(world, gateway);
  if (addresses === undefined) {
    await setStatus(world, gateway, {
      Status: "ReconcileFailed",
      ErrorMessage: "gateway address is pending: the Service has no address of a load balancer yet",
    });
    return retryMs;
  }
  await setStatus(world, gateway, {
    Status: "Available",
    ...(addresses.length === 0 ? {} : { GatewayAddress: addresses }),
  });
}

/**
 * Makes the new Istio object the owner of a gateway that has moved to it. Otherwise the gateway would be deleted with
 * its first owner. A gateway without an owner was made by a user, and stays without an owner.
 */
async function moveOwnership(
  { client, log }: BanzaiWorld,
  { metadata }: BanzaiMeshGateway,
  istio: BanzaiIstio,
): Promise<void> {
  const owner = controllerOf({ metadata });
  if (owner === undefined || owner.kind !== banzaiIstioKind.kind || owner.uid === istio.metadata.uid) return;
  const others = (metadata.ownerReferences ?? []).filter(({ uid }) => uid !== owner.uid);
  const isNear = istio.metadata.namespace === metadata.namespace;
  const reference: OwnerReference = { ...owner, name: istio.metadata.name ?? "", uid: istio.metadata.uid ?? "" };
  const patch = {
    metadata: { ownerReferences: isNear ? [...others, reference] : others, resourceVersion: metadata.resourceVersion },
  };
  await client.patchMerge(banzaiMeshGatewayKind, metadata.name ?? "", metadata.namespace, patch);
  log.info("took over a gateway", {
    gateway: `${metadata.namespace ?? ""}/${metadata.name ?? ""}`,
    from: owner.name,
    to: istio.metadata.name ?? "",
  });
}

/**
 * Deletes the gateway's Deployment if it has another selector, because the selector of a Deployment is immutable. The
 * pods of the deleted Deployment continue to serve.
 */
async function letGoOfOther({ client, clock, owned, log }: BanzaiWorld, wanted: UntypedObject): Promise<void> {
  const { name = "", namespace } = wanted.metadata;
  const found = await client.get(deploymentKind, name, namespace);
  if (found === undefined) return;
  const selector = (wanted["spec"] as { selector: { matchLabels: Record<string, string> } }).selector.matchLabels;
  const isSame =
    found.metadata.deletionTimestamp === undefined &&
    sortedText(found.spec?.selector.matchLabels ?? {}) === sortedText(selector);
  if (isSame) return;
  log.info("moving a gateway: its pods serve until those of the other control plane are ready", {
    deployment: `${namespace ?? ""}/${name}`,
  });
  owned.forget(wanted);
  await client.delete(deploymentKind, name, namespace, {
    propagationPolicy: "Orphan",
    preconditions: { uid: found.metadata.uid ?? "" },
  });
  const deadline = clock.steadyMs() + goneTimeoutMs;
  while ((await client.get(deploymentKind, name, namespace))?.metadata.uid === found.metadata.uid) {
    if (clock.steadyMs() > deadline)
      throw transientError(
        "not-gone",
        `Deployment ${namespace ?? ""}/${name} was deleted, but still exists after ${goneTimeoutMs / 1000} s`,
      );
    await clock.sleep(pollMs);
  }
}

function sortedText(labels: Readonly<Record<string, string>>): string {
  return JSON.stringify(Object.entries(labels).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** Deletes the ReplicaSets, with their pods, that {@link letGoOfOther} has left without a Deployment. */
async function removeLetGo(
  { client, log }: BanzaiWorld,
  gateway: BanzaiMeshGateway,
  deployment: UntypedObject | undefined,
): Promise<void> {
  const { namespace = "" } = gateway.metadata;
  const current = deployment?.metadata.labels?.[istioLabels.revision];
  const labelSelector = Object.entries(gatewaySelector(gateway))
    .map(([name, value]) => `${name}=${value}`)
    .join(",");
  for (const set of (await client.list(replicaSetKind, { namespace, labelSelector })).items) {
    if (controllerOf(set) !== undefined || set.metadata.labels?.[istioLabels.revision] === current) continue;
    log.info("removing the pods of the previous control plane", {
      replicaSet: `${namespace}/${set.metadata.name ?? ""}`,
    });
    await client.delete(replicaSetKind, set.metadata.name ?? "", namespace, { propagationPolicy: "Background" });
  }
}

/** The addresses of a gateway's Service. Returns undefined while the Service waits for a load balancer. */
async function serviceAddresses(
  { client }: BanzaiWorld,
  { metadata }: BanzaiMeshGateway,
): Promise<string[] | undefined> {
  const service = await client.get(serviceKind, metadata.name ?? "", metadata.namespace);
  if (service?.spec?.type !== "LoadBalancer")
    return service?.spec?.clusterIP === undefined ? [] : [service.spec.clusterIP];
  const ingress = service.status?.loadBalancer?.ingress ?? [];
  const addresses = ingress.map(({ ip, hostname }) => ip ?? hostname ?? "").filter((address) => address !== "");
  return addresses.length === 0 ? undefined : addresses;
}

async function setStatus(
  { client, gateways }: BanzaiWorld,
  object: MeshGatewayObject | BanzaiMeshGateway,
  status: BanzaiStatus,
): Promise<void> {
  await writeStatus(client, { kind: banzaiMeshGatewayKind, informer: gateways }, object, status);
}
