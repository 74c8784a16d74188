import type { PersistentVolume, PersistentVolumeClaim, Pod, StorageClass } from "../../api/kubernetes/index.ts";
import { bestMatch, isOnNode } from "../controllers/volumes/volume-plan.ts";
import { claimNamesOf } from "../controllers/volumes/volume-protection.ts";
import type { NodeState } from "./node-state.ts";

export interface StorageFacts {
  readonly claim: (namespace: string, name: string) => PersistentVolumeClaim | undefined;
  readonly volume: (name: string) => PersistentVolume | undefined;
  readonly volumes: () => readonly PersistentVolume[];
  readonly storageClass: (name: string) => StorageClass | undefined;
}

/** What a pod's claims require of its node. */
export interface VolumeNeeds {
  /** Why no node is suitable, with kube-scheduler's text. Absent if a node may be. */
  readonly refusal?: string;
  /** The volumes of bound claims. */
  readonly bound: readonly PersistentVolume[];
  /** The claims that are bound only after the pod has a node. */
  readonly waiting: readonly PersistentVolumeClaim[];
  /** The claims whose class creates no volumes. The node must have a free volume for each of them. */
  readonly existingOnly: readonly PersistentVolumeClaim[];
  readonly volumes: readonly PersistentVolume[];
}

export function volumeNeedsOf(pod: Pod, facts: StorageFacts): VolumeNeeds {
  const bound: PersistentVolume[] = [];
  const waiting: PersistentVolumeClaim[] = [];
  const existingOnly: PersistentVolumeClaim[] = [];
  const needs = { bound, waiting, existingOnly, volumes: [] as readonly PersistentVolume[] };
  for (const name of claimNamesOf(pod)) {
    const claim = facts.claim(pod.metadata.namespace ?? "", name);
    const refusal = refusalOf(name, claim);
    if (refusal !== undefined || claim === undefined)
      return { ...needs, ...(refusal === undefined ? {} : { refusal }) };
    if (claim.status?.phase === "Bound") {
      const volume = facts.volume(claim.spec?.volumeName ?? "");
      if (volume === undefined)
        return { ...needs, refusal: `persistentvolume "${claim.spec?.volumeName ?? ""}" not found` };
      bound.push(volume);
      continue;
    }
    const storageClass = facts.storageClass(claim.spec?.storageClassName ?? "");
    if (storageClass?.volumeBindingMode !== "WaitForFirstConsumer" || (claim.spec?.volumeName ?? "") !== "")
      return { ...needs, refusal: "pod has unbound immediate PersistentVolumeClaims" };
    waiting.push(claim);
    if (storageClass.provisioner === "kubernetes.io/no-provisioner") existingOnly.push(claim);
  }
  return { ...needs, volumes: existingOnly.length === 0 ? [] : facts.volumes() };
}

function refusalOf(name: string, claim: PersistentVolumeClaim | undefined): string | undefined {
  if (claim === undefined) return `persistentvolumeclaim "${name}" not found`;
  if (claim.metadata.deletionTimestamp !== undefined) return `persistentvolumeclaim "${name}" is being deleted`;
  if (claim.status?.phase === "Lost")
    return `persistentvolumeclaim "${name}" bound to non-existent persistentvolume "${claim.spec?.volumeName ?? ""}"`;
  return undefined;
}

/** A filter for nodes on which the pod can use its volumes. Returns kube-scheduler's text for other nodes. */
export function volumeFilter(needs: VolumeNeeds): (state: NodeState) => string | undefined {
  return ({ node }) => {
    if (needs.bound.some((volume) => !isOnNode(volume, node)))
      return "node(s) didn't match PersistentVolume's node affinity";
    return needs.existingOnly.some((claim) => bestMatch(claim, needs.volumes, node) === undefined)
      ? "node(s) didn't find available persistent volumes to bind"
      : undefined;
  };
}
