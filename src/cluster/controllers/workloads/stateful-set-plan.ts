import { isFinishedPod, type Pod, type StatefulSet } from "../../../api/kubernetes/index.ts";
import { hashOf } from "./controller-revisions.ts";
import { isAvailable, isReady, isTerminating, maxNewPods } from "../pods/pod-facts.ts";

export interface StatefulSetPlan {
  /** The ordinals of pods to create, with the hash of their template. */
  readonly create: readonly { readonly ordinal: number; readonly hash: string }[];
  readonly remove: readonly Pod[];
  readonly status: NonNullable<StatefulSet["status"]>;
}

/** The hashes of two pod templates: of the one that the set's pods have, and of the one that an update gives them. */
export interface TemplateHashes {
  readonly current: string;
  readonly update: string;
}

/** The set's pods by ordinal, and the bounds from its spec. */
interface Members {
  readonly byOrdinal: ReadonlyMap<number, Pod>;
  /** The first wanted ordinal, and the ordinal after the last wanted one. */
  readonly start: number;
  readonly end: number;
  /** The lowest ordinal that an update changes. Pods below it keep the current template. */
  readonly firstUpdated: number;
  readonly isParallel: boolean;
  readonly isHealthy: (pod: Pod | undefined) => boolean;
}

/**
 * Plans one step: one pod at a time with the policy OrderedReady, or all missing pods with Parallel. Updates begin with
 * the highest ordinal.
 */
export function planStatefulSet(
  set: StatefulSet,
  hashes: TemplateHashes,
  claimed: readonly Pod[],
  nowMs: number,
): StatefulSetPlan {
  const pods = claimed.filter((pod) => isMember(set, pod));
  const members = membersOf(set, pods, nowMs);
  const { byOrdinal, start, end, isParallel, isHealthy } = members;
  const { create, remove } = missingPods(members, hashes);
  const isSettled = create.length === 0 && remove.length === 0;
  const isWanted = (pod: Pod): boolean => ordinalOf(pod) >= start && ordinalOf(pod) < end;
  const allHealthy = [...byOrdinal.values()].filter((pod) => isWanted(pod) && isHealthy(pod)).length === end - start;
  const condemned = pods.filter((pod) => !isWanted(pod)).sort((a, b) => ordinalOf(b) - ordinalOf(a));
  if (isParallel) remove.push(...condemned);
  else if (isSettled && allHealthy && condemned[0] !== undefined) remove.push(condemned[0]);
  // An ordered set updates only while all its pods are available, so that an update never makes a second pod
  // unavailable.
  const mayUpdate = isSettled && condemned.length === 0 && (isParallel || allHealthy);
  const outdated = mayUpdate ? outdatedPod(set, members, hashes) : undefined;
  if (outdated !== undefined) remove.push(outdated);
  return { create, remove, status: statusOf(set, hashes, pods, nowMs) };
}

function membersOf({ spec }: StatefulSet, pods: readonly Pod[], nowMs: number): Members {
  const start = spec?.ordinals?.start ?? 0;
  const minReadySeconds = spec?.minReadySeconds ?? 0;
  return {
    byOrdinal: new Map(pods.map((pod) => [ordinalOf(pod), pod])),
    start,
    end: start + (spec?.replicas ?? 1),
    firstUpdated: start + (spec?.updateStrategy?.rollingUpdate?.partition ?? 0),
    isParallel: spec?.podManagementPolicy === "Parallel",
    isHealthy: (pod) => pod !== undefined && isAvailable(pod, minReadySeconds, nowMs) && !isTerminating(pod),
  };
}

/** The pods to create, and the finished pods to remove, so that the next step creates them again. */
function missingPods(
  { byOrdinal, start, end, firstUpdated, isParallel, isHealthy }: Members,
  hashes: TemplateHashes,
): { readonly create: { ordinal: number; hash: string }[]; readonly remove: Pod[] } {
  const create: { ordinal: number; hash: string }[] = [];
  const remove: Pod[] = [];
  for (let ordinal = start; ordinal < end && create.length < maxNewPods; ordinal += 1) {
    const pod = byOrdinal.get(ordinal);
    if (pod === undefined) create.push({ ordinal, hash: ordinal < firstUpdated ? hashes.current : hashes.update });
    else if (isFinishedPod(pod) && !isTerminating(pod)) remove.push(pod);
    if (!isParallel && !isHealthy(pod)) break;
  }
  return { create, remove };
}

/**
 * Returns the pod that an update replaces next. Returns undefined if all are updated, or if a pod with a higher ordinal
 * is not healthy yet.
 */
function outdatedPod(
  { spec }: StatefulSet,
  { byOrdinal, end, firstUpdated, isHealthy }: Members,
  hashes: TemplateHashes,
): Pod | undefined {
  if (spec?.updateStrategy?.type === "OnDelete") return undefined;
  for (let ordinal = end - 1; ordinal >= firstUpdated; ordinal -= 1) {
    const pod = byOrdinal.get(ordinal);
    if (pod !== undefined && hashOf(pod) !== hashes.update) return pod;
    if (!isHealthy(pod)) return undefined;
  }
  return undefined;
}

/** Whether the pod's name consists of the set's name and an ordinal. Otherwise the pod does not belong to the set. */
export function isMember(set: StatefulSet, pod: Pod): boolean {
  return ordinalOf(pod) >= 0 && pod.metadata.name === `${set.metadata.name ?? ""}-${ordinalOf(pod)}`;
}

export function ordinalOf(pod: Pod): number {
  const found = /-(\d+)$/.exec(pod.metadata.name ?? "");
  return found === null ? -1 : Number(found[1]);
}

function statusOf(
  set: StatefulSet,
  hashes: TemplateHashes,
  pods: readonly Pod[],
  nowMs: number,
): NonNullable<StatefulSet["status"]> {
  const live = pods.filter((pod) => !isTerminating(pod));
  const updated = live.filter((pod) => hashOf(pod) === hashes.update).length;
  const ready = pods.filter(isReady);
  const wanted = set.spec?.replicas ?? 1;
  const done = [updated, pods.length, ready.length].every((count) => count === wanted);
  const name = set.metadata.name ?? "";
  return {
    observedGeneration: set.metadata.generation ?? 0,
    // Count a terminating pod until it is gone, so that readers can wait for the end of a scale-down.
    replicas: pods.length,
    readyReplicas: ready.length,
    availableReplicas: ready.filter((pod) => isAvailable(pod, set.spec?.minReadySeconds ?? 0, nowMs)).length,
    currentReplicas: done ? updated : live.filter((pod) => hashOf(pod) === hashes.current).length,
    updatedReplicas: updated,
    currentRevision: `${name}-${done ? hashes.update : hashes.current}`,
    updateRevision: `${name}-${hashes.update}`,
    collisionCount: 0,
  };
}
