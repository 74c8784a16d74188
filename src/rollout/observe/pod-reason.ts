import { matchesLabels } from "../../api/index.ts";
import type { Pod } from "../../api/kubernetes/index.ts";
import type { ObjectAccess } from "../act/object-access.ts";
import type { SettleState } from "../decide/index.ts";
import type { ClusterView } from "./cluster-view.ts";

/** Adds to a waiting state why the workload's first unready pod is not ready. */
export function withPodReason(
  state: SettleState,
  workload: Awaited<ReturnType<ObjectAccess["get"]>>,
  view: ClusterView,
): SettleState {
  if (state.state !== "waiting" || workload === undefined) return state;
  const { selector } = (workload["spec"] ?? {}) as { selector?: { matchLabels?: Record<string, string> } };
  if (selector?.matchLabels === undefined) return state;
  const { matchLabels } = selector;
  const pod = view.pods
    .list()
    .find(
      (candidate) =>
        candidate.metadata.namespace === workload.metadata.namespace &&
        matchesLabels(matchLabels, candidate.metadata.labels) &&
        isUnready(candidate),
    );
  return pod === undefined ? state : { ...state, detail: `${state.detail} (${whyNotReady(pod)})` };
}

function isUnready(pod: Pod): boolean {
  return pod.metadata.deletionTimestamp === undefined && !isReady(pod);
}

/** Whether the kubelet reports the pod as ready. A pod that ends may still be ready. */
export function isReady({ status }: Pod): boolean {
  return status?.conditions?.some(({ type, status: value }) => type === "Ready" && value === "True") === true;
}

/** Who gives an enrolled pod to another ztunnel. A node that is lost does not. Empty if the pod has no node. */
export function whoChangesOwner({ spec }: Pod): string {
  const { nodeName } = spec ?? {};
  return nodeName === undefined ? "" : ` (the CNI agent of its node changes that: kubectl get node ${nodeName})`;
}

/** Why a pod is not ready, from the status of its containers. */
export function whyNotReady({ spec, status }: Pod): string {
  const unscheduled = status?.conditions?.find(
    (condition) => condition.type === "PodScheduled" && condition.status === "False",
  );
  if (unscheduled !== undefined) return `it cannot be scheduled: ${unscheduled.message ?? ""}`;
  const reasons = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])]
    .filter(({ ready, state }) => !ready && state?.terminated?.exitCode !== 0)
    .map(({ name, state, lastState, restartCount }) => {
      const waiting =
        state?.waiting === undefined
          ? undefined
          : [state.waiting.reason, state.waiting.message]
              .filter((part) => part !== undefined && part !== "")
              .join(": ");
      const ended = lastState?.terminated ?? state?.terminated;
      const last =
        ended === undefined
          ? ""
          : `, ended with ${ended.exitCode} before${restartCount === 0 ? "" : ` (${restartCount} restarts)`}`;
      return `container ${name}: ${waiting ?? "does not answer its readiness probe"}${last}`;
    });
  if (reasons.length > 0) return reasons.join("; ");
  // A readiness gate may be missing although all containers are ready.
  const ready = status?.conditions?.find(({ type, status: value }) => type === "Ready" && value === "False");
  return (status?.containerStatuses ?? []).length === 0
    ? `its node ${spec?.nodeName === undefined ? "" : `${spec.nodeName} `}has not started it`
    : (ready?.message ?? ready?.reason ?? "its containers are ready, and it is not");
}
