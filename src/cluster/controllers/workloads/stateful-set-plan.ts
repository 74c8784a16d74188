import type { Pod, StatefulSet } from "../../../api/kubernetes/index.ts";
import { hashOf } from "./controller-revisions.ts";
import { isAvailable, isFinished, isReady, isTerminating, maxNewPods } from "../pods/pod-facts.ts";

export interface StatefulSetPlan {
  /** The ordinals of pods to create, with the hash of their template. */
  readonly create: readonly { readonly ordinal: number; readonly hash: string }[];
  readonly remove: readonly Pod[];
  readonly status: NonNullable<StatefulSet["status"]>;
}

/**
 * Plans one step: one pod at a time if ordered, all missing pods if parallel. Updates begin with the highest ordinal.
 */
export function planStatefulSet(
  set: StatefulSet,
  currentHash: string,
  updateHash: string,
  claimed: readonly Pod[],
  nowMs: number,
): StatefulSetPlan {
  const pods = claimed.filter((pod) => isMember(set, pod));
  const replicas = set.spec?.replicas ?? 1;
  const start = set.spec?.ordinals?.start ?? 0;
  const partition = set.spec?.updateStrategy?.rollingUpdate?.partition ?? 0;
  const parallel = set.spec?.podManagementPolicy === "Parallel";
  const minReadySeconds = set.spec?.minReadySeconds ?? 0;
  const byOrdinal = new Map<number, Pod>(pods.map((pod) => [ordinalOf(pod), pod]));
  const healthy = (pod: Pod | undefined): boolean =>
    pod !== undefined && isAvailable(pod, minReadySeconds, nowMs) && !isTerminating(pod);
  const create: { ordinal: number; hash: string }[] = [];
  const remove: Pod[] = [];

  for (let index = start; index < start + replicas && create.length < maxNewPods; index += 1) {
    const pod = byOrdinal.get(index);
    if (pod === undefined) create.push({ ordinal: index, hash: index - start < partition ? currentHash : updateHash });
    else if (isFinished(pod) && !isTerminating(pod)) remove.push(pod);
    if (!parallel && !healthy(pod)) break;
  }
  const settled = create.length === 0 && remove.length === 0;
  const isWanted = (pod: Pod): boolean => ordinalOf(pod) >= start && ordinalOf(pod) < start + replicas;
  const allHealthy = [...byOrdinal.values()].filter((pod) => isWanted(pod) && healthy(pod)).length === replicas;
  const condemned = pods.filter((pod) => !isWanted(pod)).sort((a, b) => ordinalOf(b) - ordinalOf(a));
  if (parallel) remove.push(...condemned);
  else if (settled && allHealthy && condemned[0] !== undefined) remove.push(condemned[0]);
  // An ordered set updates only while all its pods are available, so that an update never makes a second pod
  // unavailable.
  const mayUpdate = settled && condemned.length === 0 && (parallel || allHealthy);
  if (set.spec?.updateStrategy?.type !== "OnDelete" && mayUpdate) {
    for (let index = start + replicas - 1; index >= start + partition; index -= 1) {
      const pod = byOrdinal.get(index);
      if (pod !== undefined && hashOf(pod) !== updateHash) {
        remove.push(pod);
        break;
      }
      if (!healthy(pod)) break;
    }
  }
  return { create, remove, status: statusOf(set, currentHash, updateHash, pods, nowMs) };
}

/** Whether the pod's name is the set's name with an ordinal. A pod with another name does not belong to the set. */
export function isMember(set: StatefulSet, pod: Pod): boolean {
  return ordinalOf(pod) >= 0 && pod.metadata.name === `${set.metadata.name ?? ""}-${ordinalOf(pod)}`;
}

export function ordinalOf(pod: Pod): number {
  const found = /-(\d+)$/.exec(pod.metadata.name ?? "");
  return found === null ? -1 : Number(found[1]);
}

function statusOf(
  set: StatefulSet,
  currentHash: string,
  updateHash: string,
  pods: readonly Pod[],
  nowMs: number,
): NonNullable<StatefulSet["status"]> {
  const live = pods.filter((pod) => !isTerminating(pod));
  const updated = live.filter((pod) => hashOf(pod) === updateHash).length;
  const ready = pods.filter(isReady);
  const wanted = set.spec?.replicas ?? 1;
  const done = [updated, pods.length, ready.length].every((count) => count === wanted);
  const name = set.metadata.name ?? "";
  return {
    observedGeneration: set.metadata.generation ?? 0,
    // A pod counts until it is gone, so that readers can wait for the end of a scale-down.
    replicas: pods.length,
    readyReplicas: ready.length,
    availableReplicas: ready.filter((pod) => isAvailable(pod, set.spec?.minReadySeconds ?? 0, nowMs)).length,
    currentReplicas: done ? updated : live.filter((pod) => hashOf(pod) === currentHash).length,
    updatedReplicas: updated,
    currentRevision: `${name}-${done ? updateHash : currentHash}`,
    updateRevision: `${name}-${updateHash}`,
    collisionCount: 0,
  };
}
