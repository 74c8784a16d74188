import { messageOf, jsonEqual } from "../../base/index.ts";
import {
  apiVersionOf,
  formatIssues,
  type KindDefinition,
  type KubernetesObject,
  type OwnerReference,
  type UntypedObject,
} from "../../api/index.ts";
import {
  banzaiIstioKind,
  banzaiMeshGatewayKind,
  isRelease,
  parseBanzaiIstio,
  type BanzaiIstio,
  type BanzaiStatus,
} from "../../api/banzai/index.ts";
import { customResourceDefinitionKind, namespaceKind } from "../../api/kubernetes/index.ts";
import {
  controlPlaneLabels,
  installedKinds,
  meshGatewayNames,
  banzaiPilotIssues,
  renderBanzaiControlPlane,
  renderMeshGateways,
} from "../../install/index.ts";
import { isKubeCode, type Informer, type KubeClient } from "../../kube/index.ts";
import { readinessCheck } from "../readiness.ts";
import { injectionLabelChanges, type InjectingIstio } from "./injection-labels.ts";
import type { BanzaiWorld, IstioObject } from "./banzai-world.ts";

export const finalizer = "istio-operator.finializer.banzaicloud.io";
const retryMs = 1000;
const webhookKinds = new Set(["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"]);
/**
 * Kinds whose objects the finalizer does not delete. CRDs and namespaces stay. Policies belong to the node agent, which
 * this operator does not install.
 */
const keptOrForeign = new Set([
  "CustomResourceDefinition",
  "Namespace",
  "ValidatingAdmissionPolicy",
  "ValidatingAdmissionPolicyBinding",
]);

/**
 * Brings the control plane of one Istio object into the state of its spec. Returns the milliseconds until the next
 * check, if a check is needed.
 */
export async function reconcileControlPlane(world: BanzaiWorld, key: string): Promise<number | void> {
  const raw = world.istios.get(key);
  if (raw === undefined || (hasRelease(raw) && !world.isOurs(raw))) return;
  const { value: istio, errors, warnings } = parseBanzaiIstio(raw);
  if (raw.metadata.deletionTimestamp !== undefined) return await finalize(world, istio ?? unparsed(raw));
  if (istio === undefined)
    return await setStatus(world, raw, { Status: "ReconcileFailed", ErrorMessage: formatIssues(errors) });
  if (warnings.length > 0) world.warn(raw, formatIssues(warnings));
  const conflict = otherGlobal(world, istio);
  if (conflict !== undefined) {
    return await setStatus(world, raw, {
      Status: "ReconcileFailed",
      ErrorMessage: `${conflict} is already a control plane without a revision; set spec.global to false`,
    });
  }
  const faults = banzaiPilotIssues(istio, world.images);
  if (faults.length > 0)
    return await setStatus(world, raw, { Status: "ReconcileFailed", ErrorMessage: faults.join("; ") });
  try {
    return await bringUp(world, istio);
  } catch (error) {
    if (!isKubeCode(error, "conflict"))
      await setStatus(world, raw, { Status: "ReconcileFailed", ErrorMessage: messageOf(error) });
    throw error;
  }
}

/**
 * The metadata and the fields that {@link finalize} needs, of an object whose spec has become invalid. Without `global:
 * false`, the object is the control plane without a revision.
 */
function unparsed({ metadata, spec }: IstioObject): InjectingIstio {
  const version = typeof spec?.["version"] === "string" ? spec["version"] : "";
  return { metadata, spec: { version, global: spec?.["global"] !== false, autoInjectionNamespaces: [] } };
}

/**
 * Whether the object names a release. An object without one belongs to no operator, so any running operator reports the
 * fault.
 */
export function hasRelease({ spec }: IstioObject): boolean {
  const version = spec?.["version"];
  return typeof version === "string" && isRelease(version);
}

/** Returns the `namespace/name` of an older Istio object that is also a control plane without a revision. */
function otherGlobal(world: BanzaiWorld, istio: BanzaiIstio): string | undefined {
  if (!istio.spec.global) return undefined;
  const born = (object: KubernetesObject): string =>
    `${object.metadata.creationTimestamp ?? ""} ${object.metadata.uid ?? ""}`;
  const older = world.istios
    .list()
    .find(
      (other) =>
        other.metadata.uid !== istio.metadata.uid &&
        other.spec?.["global"] !== false &&
        other.metadata.deletionTimestamp === undefined &&
        born(other) < born(istio),
    );
  return older === undefined ? undefined : `${older.metadata.namespace ?? ""}/${older.metadata.name ?? ""}`;
}

async function bringUp(world: BanzaiWorld, istio: BanzaiIstio): Promise<number | void> {
  await addFinalizer(world, istio);
  if (istio.status?.Status !== "Available") await setStatus(world, istio, { Status: "Reconciling" });
  await ensureDefinitions(world);
  const objects = renderBanzaiControlPlane(istio, world.images).map((object) =>
    ownedBy(object, istioReference(istio), istio.metadata.namespace),
  );
  for (const object of objects) if (!webhookKinds.has(object.kind ?? "")) await world.owned.apply(object);
  await authenticationPolicy(world, istio);
  await writeGateways(world, istio);
  for (const object of objects) {
    const missing = object.kind === "Deployment" ? await readinessCheck(object, world.client)?.() : undefined;
    // Webhooks must not call a control plane that does not answer. They are written in a later round.
    if (missing !== undefined) return retryMs;
  }
  for (const object of objects) if (webhookKinds.has(object.kind ?? "")) await world.owned.apply(object);
  // Label namespaces last, because users expect injection as soon as they see the label.
  await labelNamespaces(world, istio, false);
  const addresses = world.gatewayAddressesOf(istio);
  await setStatus(world, istio, {
    Status: "Available",
    ...(addresses.length === 0 ? {} : { GatewayAddress: addresses }),
  });
}

function istioReference({ metadata }: BanzaiIstio): OwnerReference {
  return {
    apiVersion: apiVersionOf(banzaiIstioKind),
    kind: banzaiIstioKind.kind,
    name: metadata.name ?? "",
    uid: metadata.uid ?? "",
    controller: true,
    blockOwnerDeletion: true,
  };
}

/**
 * Sets the owner reference of an object in the owner's namespace, so that the garbage collector deletes both. Returns
 * other objects unchanged: Kubernetes allows no owner in another namespace. The finalizer deletes cluster-scoped
 * objects by their labels.
 */
export function ownedBy(object: UntypedObject, owner: OwnerReference, namespace: string | undefined): UntypedObject {
  return object.metadata.namespace === namespace
    ? { ...object, metadata: { ...object.metadata, ownerReferences: [owner] } }
    : object;
}

async function addFinalizer({ client }: BanzaiWorld, { metadata }: BanzaiIstio): Promise<void> {
  if (metadata.finalizers?.includes(finalizer) === true) return;
  const finalizers = [...(metadata.finalizers ?? []), finalizer];
  await client.patchMerge(banzaiIstioKind, metadata.name ?? "", metadata.namespace, {
    metadata: { finalizers, resourceVersion: metadata.resourceVersion },
  });
}

/**
 * Installs missing CRDs of Istio's kinds. Leaves existing CRDs unchanged, because another installer may have installed
 * newer ones.
 */
async function ensureDefinitions({ client, definitions, fieldManager }: BanzaiWorld): Promise<void> {
  for (const definition of await definitions()) {
    if ((await client.get(customResourceDefinitionKind, definition.metadata.name ?? "")) === undefined) {
      await client.apply(customResourceDefinitionKind, definition, { fieldManager, force: true });
    }
  }
}

const authenticationKind = {
  group: "security.istio.io",
  versions: ["v1"],
  kind: "PeerAuthentication",
  plural: "peerauthentications",
  namespaced: true,
} as const;

/**
 * Writes the mesh-wide PeerAuthentication for `meshPolicy.mtlsMode`. PERMISSIVE needs none, because it is the default.
 */
async function authenticationPolicy({ client, fieldManager }: BanzaiWorld, istio: BanzaiIstio): Promise<void> {
  const { mtlsMode, global } = istio.spec;
  const { namespace = "" } = istio.metadata;
  if (!global) return;
  const found = await client.get(authenticationKind, "default", namespace);
  const isOurs = found?.metadata.ownerReferences?.some(({ uid }) => uid === istio.metadata.uid) === true;
  if (mtlsMode === "PERMISSIVE") {
    if (isOurs) await client.delete(authenticationKind, "default", namespace);
    return;
  }
  // A user's own policy takes precedence.
  if (found !== undefined && !isOurs) return;
  const policy: UntypedObject = {
    apiVersion: apiVersionOf(authenticationKind),
    kind: authenticationKind.kind,
    metadata: { name: "default", namespace, ownerReferences: [istioReference(istio)] },
    spec: { mtls: { mode: mtlsMode === "DISABLED" ? "DISABLE" : mtlsMode } },
  };
  await client.apply(authenticationKind, policy, { fieldManager, force: true });
}

/** Writes the MeshGateways of the Istio object. Skips a MeshGateway that a user has moved to another control plane. */
async function writeGateways(world: BanzaiWorld, istio: BanzaiIstio): Promise<void> {
  const { client, fieldManager } = world;
  const { name, namespace = "" } = istio.metadata;
  const wanted = renderMeshGateways(istio);
  for (const { object, createOnly } of wanted) {
    const found = await client.get(banzaiMeshGatewayKind, object.metadata.name ?? "", namespace);
    const leadsTo = (found?.spec?.["istioControlPlane"] as { readonly name?: string } | undefined)?.name;
    if (found !== undefined && (createOnly || (leadsTo !== undefined && leadsTo !== name))) continue;
    await client.apply(
      banzaiMeshGatewayKind,
      { ...object, metadata: { ...object.metadata, ownerReferences: [istioReference(istio)] } },
      { fieldManager, force: true },
    );
  }
  const names = new Set(wanted.map(({ object }) => object.metadata.name));
  for (const gateway of meshGatewayNames(istio)) {
    const found = names.has(gateway) ? undefined : world.gateways.get(`${namespace}/${gateway}`);
    if (found?.metadata.ownerReferences?.some(({ uid }) => uid === istio.metadata.uid) === true)
      await client.delete(banzaiMeshGatewayKind, gateway, namespace);
  }
}

async function labelNamespaces(
  { client, namespaces, log }: BanzaiWorld,
  istio: InjectingIstio,
  isGoing: boolean,
): Promise<void> {
  for (const { name, labels } of injectionLabelChanges(istio, namespaces.list(), isGoing)) {
    log.info("labelling a namespace", { namespace: name, labels: JSON.stringify(labels) });
    await client.patchMerge(namespaceKind, name, undefined, { metadata: { labels } });
  }
}

/**
 * Deletes the cluster-scoped objects, webhooks first. Then removes the finalizer, so that the garbage collector deletes
 * the namespaced objects.
 */
async function finalize(world: BanzaiWorld, istio: InjectingIstio): Promise<void> {
  const { client, log } = world;
  const { metadata } = istio;
  if (metadata.finalizers?.includes(finalizer) !== true) return;
  await labelNamespaces(world, istio, true);
  const labelSelector = Object.entries(controlPlaneLabels(istio))
    .map(([name, value]) => `${name}=${value}`)
    .join(",");
  const clusterWide = installedKinds
    .toReversed()
    .filter(({ namespaced, kind }) => !namespaced && !keptOrForeign.has(kind));
  for (const kind of [
    ...clusterWide.filter(({ kind }) => webhookKinds.has(kind)),
    ...clusterWide.filter(({ kind }) => !webhookKinds.has(kind)),
  ]) {
    for (const { metadata: found } of (await client.list(kind, { labelSelector })).items)
      await client.delete(kind, found.name ?? "");
  }
  const finalizers = metadata.finalizers.filter((held) => held !== finalizer);
  await client.patchMerge(banzaiIstioKind, metadata.name ?? "", metadata.namespace, {
    metadata: { finalizers, resourceVersion: metadata.resourceVersion },
  });
  log.info("removed a control plane", { istio: `${metadata.namespace ?? ""}/${metadata.name ?? ""}` });
}

async function setStatus(
  { client, istios }: BanzaiWorld,
  object: KubernetesObject,
  status: BanzaiStatus,
): Promise<void> {
  await writeStatus(client, { kind: banzaiIstioKind, informer: istios }, object, status);
}

type WithStatus = KubernetesObject & { readonly status?: BanzaiStatus };

/** One of Banzai Cloud's kinds, and the informer of its objects. */
interface ObservedObjects<Value extends WithStatus> {
  readonly kind: KindDefinition<Value>;
  readonly informer: Pick<Informer<Value>, "get">;
}

/** Writes an object's status, unless the informer already has the same status. */
export async function writeStatus<Value extends WithStatus>(
  client: KubeClient,
  { kind, informer }: ObservedObjects<Value>,
  { metadata }: Pick<KubernetesObject, "metadata">,
  status: BanzaiStatus,
): Promise<void> {
  const before = informer.get(`${metadata.namespace ?? ""}/${metadata.name ?? ""}`)?.status;
  if (
    before?.Status === status.Status &&
    before?.ErrorMessage === status.ErrorMessage &&
    jsonEqual(before?.GatewayAddress, status.GatewayAddress)
  )
    return;
  const patch = {
    status: {
      Status: status.Status,
      ErrorMessage: status.ErrorMessage ?? null,
      GatewayAddress: status.GatewayAddress ?? null,
    },
  };
  await client.patchMerge(kind, metadata.name ?? "", metadata.namespace, patch, { subresource: "status" });
}
