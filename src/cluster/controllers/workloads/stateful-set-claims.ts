import type { OwnerReference } from "../../../api/index.ts";
import {
  podKind,
  statefulSetKind,
  type PersistentVolumeClaim,
  type Pod,
  type StatefulSet,
  type Volume,
} from "../../../api/kubernetes/index.ts";
import { ownerReference } from "../../../kube/index.ts";

/** The claims of the pod with the ordinal, one for each template: `<template>-<set>-<ordinal>`. */
export function claimsFor(set: StatefulSet, ordinal: number): PersistentVolumeClaim[] {
  return (set.spec?.volumeClaimTemplates ?? []).map((template) => {
    const { name = "", annotations } = template.metadata;
    return {
      apiVersion: "v1",
      kind: "PersistentVolumeClaim",
      metadata: {
        name: claimName(set, name, ordinal),
        namespace: set.metadata.namespace ?? "",
        labels: { ...template.metadata.labels, ...set.spec?.selector.matchLabels },
        ...(annotations === undefined ? {} : { annotations }),
      },
      ...(template.spec === undefined ? {} : { spec: structuredClone(template.spec) }),
    };
  });
}

/** The pod's volumes. Its claims replace declared volumes with the same names. */
export function volumesFor(set: StatefulSet, ordinal: number, declared: readonly Volume[]): Volume[] {
  const claimed = (set.spec?.volumeClaimTemplates ?? []).map(({ metadata: { name = "" } }) => ({
    name,
    persistentVolumeClaim: { claimName: claimName(set, name, ordinal) },
  }));
  return [...claimed, ...declared.filter(({ name }) => !claimed.some((claim) => claim.name === name))];
}

function claimName(set: StatefulSet, template: string, ordinal: number): string {
  return `${template}-${set.metadata.name ?? ""}-${ordinal}`;
}

/**
 * The owners of a claim under the set's retention policy, in addition to its other owners. This is the set if claims
 * are deleted together with the set, or the pod if the pod is being scaled down and claims are deleted on a scale-down.
 */
export function claimOwners(
  set: StatefulSet,
  claim: PersistentVolumeClaim,
  pod: Pod | undefined,
  isCondemned: boolean,
): OwnerReference[] {
  const { whenDeleted = "Retain", whenScaled = "Retain" } = set.spec?.persistentVolumeClaimRetentionPolicy ?? {};
  const setUid = set.metadata.uid;
  const others = (claim.metadata.ownerReferences ?? []).filter(
    ({ kind, uid }) => uid !== setUid && !(kind === "Pod" && uid === pod?.metadata.uid),
  );
  if (whenScaled === "Delete" && isCondemned && pod !== undefined)
    return [...others, plain(ownerReference(podKind, pod))];
  return whenDeleted === "Delete" ? [...others, plain(ownerReference(statefulSetKind, set))] : others;
}

/** An owner reference that neither marks a controller nor blocks the owner's deletion. */
function plain({ apiVersion, kind, name, uid }: OwnerReference): OwnerReference {
  return { apiVersion, kind, name, uid };
}
