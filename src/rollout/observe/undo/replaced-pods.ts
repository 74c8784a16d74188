import type { UntypedObject } from "../../../api/index.ts";
import type { Pod } from "../../../api/kubernetes/index.ts";
import type { ObjectReference } from "../../../api/serin/index.ts";
import type { Missing } from "../../act/undo-context.ts";
import type { ClusterView } from "../cluster-view.ts";
import { isInUse, podName } from "../live-pods.ts";
import { isReady, podReason } from "../pod-reason.ts";
import { unreadyOf, type ReadyQuery } from "../ready-state.ts";
import { workloadOf } from "../sidecar-workloads.ts";
import { workloadObstacle } from "../workload-obstacle.ts";
import { isStranded } from "../stranded-pod.ts";

export interface MissingPods extends Missing {
  readonly left: number;
}

/** A workload whose template undo has restored, or that undo has restarted. */
export interface RestoredWorkload {
  readonly object: ObjectReference;
  readonly found: UntypedObject | undefined;
  /** The time that undo wrote to restart the workload. Undefined if undo restored the template instead. */
  readonly restartedAt: string | undefined;
  readonly lacked: number;
}

/**
 * What a workload lacks after undo has restored its template or restarted it. Undo does not wait for pods that nothing
 * replaces: those of a paused workload, those that the update strategy leaves alone, and those on lost nodes. It also
 * does not wait for pods that the workload lacked before the rollout.
 */
export function missingPods(
  { view, nowMs }: { readonly view: ClusterView; readonly nowMs: number },
  { object, found, restartedAt, lacked }: RestoredWorkload,
): MissingPods | undefined {
  if (found === undefined || found.metadata.deletionTimestamp !== undefined) return undefined;
  const pods = podsOf(view, object);
  if (restartedAt !== undefined) return olderPods(pods.filter(isInUse), Date.parse(restartedAt), lacked);
  if (workloadObstacle(object.kind, found) !== undefined) return undefined;
  const missing = missingOf(view, { object, found }, { lacked });
  if (missing === undefined) return undefined;
  const stranded = pods.filter((pod) => isStranded(pod, nowMs));
  return stranded.length >= missing.left
    ? undefined
    : { ...missing, detail: `${missing.detail}${howToReplace(pods.filter(isInUse), object, found)}` };
}

/** What a workload lacks until all of its pods match its spec and are ready, and why a pod is not ready. */
export function missingOf(
  view: ClusterView,
  { object, found }: Pick<RestoredWorkload, "object" | "found">,
  query: ReadyQuery,
): MissingPods | undefined {
  const unready = unreadyOf(found, object, query);
  if (unready === undefined) return undefined;
  return { detail: `${unready.text}${podReason(found, view)}`, followsName: true, left: unready.left };
}

function podsOf(view: ClusterView, { kind, name, namespace = "" }: ObjectReference): Pod[] {
  return view.podsIn(namespace).filter((pod) => {
    const own = workloadOf(pod);
    return own.kind === kind && own.name === name;
  });
}

const templateHashLabel = "controller-revision-hash";

/**
 * The advice to delete a pod of a StatefulSet that has another template and is not ready. Even after undo has restored
 * the template, the StatefulSet waits until such a pod is ready before it replaces any pod. Empty if there is none.
 */
function howToReplace(pods: readonly Pod[], object: ObjectReference, found: UntypedObject): string {
  const { updateRevision } = (found["status"] ?? {}) as { readonly updateRevision?: string };
  if (object.kind !== "StatefulSet" || updateRevision === undefined) return "";
  const broken = pods.find((pod) => !isReady(pod) && pod.metadata.labels?.[templateHashLabel] !== updateRevision);
  const name = broken?.metadata.name ?? "";
  return broken === undefined ? "" : ` (if it stays: kubectl -n ${object.namespace ?? ""} delete pod ${name})`;
}

/**
 * The pods of a workload that its restart has not replaced yet. The times of pods are rounded down to seconds. Argo's
 * controller replaces no pod of a Rollout that lacks too many pods, so pods that were not ready before the rollout may
 * stay.
 */
function olderPods(pods: readonly Pod[], restartedAtMs: number, lacked: number): MissingPods | undefined {
  const older = pods.filter((pod) => Date.parse(pod.metadata.creationTimestamp ?? "") + 1000 <= restartedAtMs);
  const [first] = older;
  if (first === undefined || (older.length <= lacked && !older.some(isReady))) return undefined;
  return { detail: `${podName(first)} is from before its restart`, left: older.length };
}
