import { keyOf, matchesLabelSelector } from "../../../api/index.ts";
import type { Node, PersistentVolume, PersistentVolumeClaim, StorageClass } from "../../../api/kubernetes/index.ts";
import type { EventNote } from "../../../kube/index.ts";
import { localVolumePath, localVolumes, volumeAnnotations } from "../../record/local-volumes.ts";
import { compareQuantities, parseQuantity } from "../../schema/quantity.ts";
import { matchesTerm } from "../pods/node-match.ts";

export interface ClaimWorld {
  readonly volumes: readonly PersistentVolume[];
  readonly storageClass: (name: string) => StorageClass | undefined;
  readonly node: (name: string) => Node | undefined;
}

export type ClaimStep =
  | { readonly kind: "wait"; readonly note?: EventNote }
  | { readonly kind: "bind"; readonly volume: PersistentVolume }
  | { readonly kind: "provision"; readonly volume: PersistentVolume }
  | { readonly kind: "lost"; readonly note: EventNote };

const waits: ClaimStep = { kind: "wait" };

export function planClaim(claim: PersistentVolumeClaim, world: ClaimWorld): ClaimStep {
  const { volumeName = "" } = claim.spec ?? {};
  if (volumeName !== "") return planNamed(claim, volumeName, world);
  if (claim.status?.phase === "Lost" || claim.metadata.deletionTimestamp !== undefined) return waits;
  const reserved = world.volumes.find((volume) => isReservedFor(volume, claim));
  if (reserved !== undefined) return { kind: "bind", volume: reserved };
  const className = claim.spec?.storageClassName ?? "";
  const storageClass = world.storageClass(className);
  const nodeName = claim.metadata.annotations?.[volumeAnnotations.selectedNode];
  if (storageClass?.volumeBindingMode === "WaitForFirstConsumer" && nodeName === undefined)
    return {
      kind: "wait",
      note: {
        type: "Normal",
        reason: "WaitForFirstConsumer",
        message: "waiting for first consumer to be created before binding",
      },
    };
  const node = nodeName === undefined ? undefined : world.node(nodeName);
  const match = bestMatch(claim, world.volumes, node);
  if (match !== undefined) return { kind: "bind", volume: match };
  if (className === "")
    return {
      kind: "wait",
      note: {
        type: "Normal",
        reason: "FailedBinding",
        message: "no persistent volumes available for this claim and no storage class is set",
      },
    };
  if (storageClass === undefined) return fails(`storageclass.storage.k8s.io "${className}" not found`);
  return planProvision({ claim, storageClass, node, nodeName, made: countMade(world.volumes) });
}

function planNamed(claim: PersistentVolumeClaim, volumeName: string, world: ClaimWorld): ClaimStep {
  const volume = world.volumes.find(({ metadata }) => metadata.name === volumeName);
  const wasBound = claim.metadata.annotations?.[volumeAnnotations.bindCompleted] !== undefined;
  if (volume === undefined)
    return wasBound
      ? lost("ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!")
      : {
          kind: "wait",
          note: { type: "Warning", reason: "FailedBinding", message: `volume "${volumeName}" not found` },
        };
  const { claimRef } = volume.spec ?? {};
  if (claimRef === undefined || isReservedFor(volume, claim)) return { kind: "bind", volume };
  return wasBound
    ? lost("ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")
    : {
        kind: "wait",
        note: {
          type: "Warning",
          reason: "FailedBinding",
          message: `volume "${volumeName}" already bound to a different claim.`,
        },
      };
}

interface Provision {
  readonly claim: PersistentVolumeClaim;
  readonly storageClass: StorageClass;
  readonly node: Node | undefined;
  readonly nodeName: string | undefined;
  readonly made: number;
}

function planProvision({ claim, storageClass, node, nodeName, made }: Provision): ClaimStep {
  const { provisioner } = storageClass;
  if (provisioner === "kubernetes.io/no-provisioner")
    return fails("no persistent volumes available for this claim, and its storage class makes none");
  if (provisioner !== localVolumes.provisioner)
    return {
      kind: "wait",
      note: {
        type: "Normal",
        reason: "ExternalProvisioning",
        message: `Waiting for a volume to be created either by the external provisioner '${provisioner}' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.`,
      },
    };
  const refusal = refusalOf(claim, made);
  if (refusal !== undefined) return fails(refusal);
  if (nodeName === undefined)
    return fails(
      `volumes of the lab are directories of one node, which a pod selects: set volumeBindingMode: WaitForFirstConsumer in StorageClass "${storageClass.metadata.name ?? ""}"`,
    );
  if (node === undefined) return fails(`node "${nodeName}" not found`);
  return { kind: "provision", volume: localVolumeFor(claim, storageClass, node) };
}

/** Returns why the lab refuses to make a volume for the claim, or undefined if it makes one. */
function refusalOf({ spec = {} }: PersistentVolumeClaim, made: number): string | undefined {
  const shared = spec.accessModes?.find((mode) => mode !== "ReadWriteOnce" && mode !== "ReadWriteOncePod");
  if (shared !== undefined)
    return `spec.accessModes: the lab's volumes are directories of one node, so they do not support ${shared}; use ReadWriteOnce`;
  if (spec.volumeMode === "Block")
    return "spec.volumeMode: the lab's volumes are directories, not block devices; use Filesystem";
  if (spec.selector !== undefined)
    return "spec.selector: a claim with a selector takes only volumes that exist already";
  if (spec.dataSource !== undefined || spec.dataSourceRef !== undefined)
    return "spec.dataSource: the lab neither clones volumes nor restores snapshots; leave it out";
  const requested = spec.resources?.requests?.["storage"] ?? "0";
  const size = parseQuantity(requested);
  if (size !== undefined && !isAtMost(requested, localVolumes.maxSize))
    return `spec.resources.requests.storage: ${requested} is more than the ${localVolumes.maxSize} that the lab allows`;
  if (made >= localVolumes.maxVolumes)
    return `the lab has ${made} volumes already, and allows ${localVolumes.maxVolumes}; delete claims that nobody uses`;
  return undefined;
}

function localVolumeFor(claim: PersistentVolumeClaim, storageClass: StorageClass, node: Node): PersistentVolume {
  const { name = "", namespace = "", uid = "" } = claim.metadata;
  const volumeName = `pvc-${uid}`;
  const hostname = node.metadata.labels?.["kubernetes.io/hostname"] ?? node.metadata.name ?? "";
  return {
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: { name: volumeName, annotations: { [volumeAnnotations.provisionedBy]: localVolumes.provisioner } },
    spec: {
      accessModes: claim.spec?.accessModes ?? ["ReadWriteOnce"],
      capacity: { storage: claim.spec?.resources?.requests?.["storage"] ?? "0" },
      claimRef: { apiVersion: "v1", kind: "PersistentVolumeClaim", namespace, name, uid },
      hostPath: { path: localVolumePath(volumeName), type: "DirectoryOrCreate" },
      nodeAffinity: {
        required: {
          nodeSelectorTerms: [
            { matchExpressions: [{ key: "kubernetes.io/hostname", operator: "In", values: [hostname] }] },
          ],
        },
      },
      persistentVolumeReclaimPolicy: storageClass.reclaimPolicy ?? "Delete",
      storageClassName: storageClass.metadata.name ?? "",
      volumeMode: "Filesystem",
    },
  };
}

/** The smallest free volume that satisfies the claim. If a node is selected, the volume must be usable there. */
export function bestMatch(
  claim: PersistentVolumeClaim,
  volumes: readonly PersistentVolume[],
  node: Node | undefined,
): PersistentVolume | undefined {
  const fitting = volumes.filter(
    (volume) => isFree(volume) && serves(volume, claim) && (node === undefined || isOnNode(volume, node)),
  );
  const sizeOf = (volume: PersistentVolume): bigint => nanosOf(volume.spec?.capacity?.["storage"]);
  return fitting.sort((a, b) => {
    const order = sizeOf(a) < sizeOf(b) ? -1 : sizeOf(a) > sizeOf(b) ? 1 : 0;
    return order === 0 ? keyOf(a).localeCompare(keyOf(b)) : order;
  })[0];
}

function serves({ metadata, spec = {} }: PersistentVolume, { spec: wanted = {} }: PersistentVolumeClaim): boolean {
  return (
    (spec.storageClassName ?? "") === (wanted.storageClassName ?? "") &&
    (spec.volumeMode ?? "Filesystem") === (wanted.volumeMode ?? "Filesystem") &&
    (wanted.accessModes ?? []).every((mode) => spec.accessModes?.includes(mode) === true) &&
    (wanted.selector === undefined || matchesLabelSelector(wanted.selector, metadata.labels)) &&
    isAtMost(wanted.resources?.requests?.["storage"] ?? "0", spec.capacity?.["storage"] ?? "0")
  );
}

function isFree({ metadata, spec, status }: PersistentVolume): boolean {
  return spec?.claimRef === undefined && metadata.deletionTimestamp === undefined && status?.phase !== "Failed";
}

/** Whether pods on the node can mount the volume. */
export function isOnNode({ spec }: PersistentVolume, node: Node): boolean {
  const required = spec?.nodeAffinity?.required;
  return required === undefined || required.nodeSelectorTerms.some((term) => matchesTerm(term, node));
}

/** Whether the volume's `claimRef` names the claim: by its uid, or by its name if the reference has no uid yet. */
function isReservedFor({ spec }: PersistentVolume, { metadata }: PersistentVolumeClaim): boolean {
  const { name, namespace, uid = "" } = spec?.claimRef ?? {};
  return name === metadata.name && namespace === metadata.namespace && (uid === "" || uid === metadata.uid);
}

/**
 * Returns the phase of a volume. Returns undefined while its claim names no volume, because the phase is not decided
 * yet.
 */
export function phaseOf(
  volume: PersistentVolume,
  claim: PersistentVolumeClaim | undefined,
): NonNullable<PersistentVolume["status"]>["phase"] {
  const { uid = "" } = volume.spec?.claimRef ?? {};
  if (uid === "") return "Available";
  if (claim === undefined || claim.metadata.uid !== uid) return "Released";
  const named = claim.spec?.volumeName ?? "";
  if (named === "") return undefined;
  // The claim is bound to another volume by now, so this volume is released.
  return named === volume.metadata.name ? "Bound" : "Released";
}

function countMade(volumes: readonly PersistentVolume[]): number {
  return volumes.filter(
    ({ metadata }) => metadata.annotations?.[volumeAnnotations.provisionedBy] === localVolumes.provisioner,
  ).length;
}

function isAtMost(size: string, limit: string): boolean {
  const [wanted, bound] = [parseQuantity(size), parseQuantity(limit)];
  return wanted !== undefined && bound !== undefined && compareQuantities(wanted, bound) <= 0;
}

function nanosOf(size: string | undefined): bigint {
  return parseQuantity(size ?? "0")?.nanos ?? 0n;
}

function fails(message: string): ClaimStep {
  return { kind: "wait", note: { type: "Warning", reason: "ProvisioningFailed", message } };
}

function lost(reason: string, message: string): ClaimStep {
  return { kind: "lost", note: { type: "Warning", reason, message } };
}
