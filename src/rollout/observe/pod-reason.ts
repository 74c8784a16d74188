import { matchesLabels } from "../../api/index.ts";
import type { Pod } from "../../api/kubernetes/index.ts";
import type { ObjectAccess } from "../act/object-access.ts";
import type { KubeClient } from "../../kube/index.ts";
import { creationProblem } from "../../kube/obstacles/index.ts";
import type { SettleState } from "../decide/index.ts";
import type { ClusterView } from "./cluster-view.ts";

type Workload = Awaited<ReturnType<ObjectAccess["get"]>>;

/** Adds to a waiting state why the workload's first unready pod is not ready. */
export function withPodReason(state: SettleState, workload: Workload, view: ClusterView): SettleState {
  return state.state === "waiting" ? { ...state, detail: `${state.detail}${podReason(workload, view)}` } : state;
}

/**
 * Why the workload's first unready pod is not ready: a text in parentheses after a space. Empty if no pod of the
 * workload is unready.
 */
export function podReason(workload: Workload, view: ClusterView): string {
  const pod = firstUnready(workload, view);
  return pod === undefined ? "" : inParentheses(whyNotReady(pod));
}

/**
 * The same as {@link withPodReason}, but prefers the reason why the kubelet cannot create the pod, such as a missing
 * Secret of a volume. Only the pod's events contain that reason.
 */
export async function withKubeletReason(
  state: SettleState,
  workload: Workload,
  { view, client }: { readonly view: ClusterView; readonly client: Pick<KubeClient, "list"> },
): Promise<SettleState> {
  const pod = state.state === "waiting" ? firstUnready(workload, view) : undefined;
  if (pod === undefined) return state;
  const reason = (await creationProblem(client, pod)) ?? whyNotReady(pod);
  return state.state === "met" ? state : { ...state, detail: `${state.detail}${inParentheses(reason)}` };
}

function inParentheses(reason: string): string {
  return ` (${reason})`;
}

function firstUnready(workload: Workload, view: ClusterView): Pod | undefined {
  const { selector } = (workload?.["spec"] ?? {}) as { selector?: { matchLabels?: Record<string, string> } };
  if (workload === undefined || selector?.matchLabels === undefined) return undefined;
  const { matchLabels } = selector;
  return view
    .podsIn(workload.metadata.namespace ?? "")
    .find((candidate) => matchesLabels(matchLabels, candidate.metadata.labels) && isUnready(candidate));
}

function isUnready(pod: Pod): boolean {
  return pod.metadata.deletionTimestamp === undefined && !isReady(pod);
}

export function isReady({ status }: Pod): boolean {
  return status?.conditions?.some(({ type, status: value }) => type === "Ready" && value === "True") === true;
}

/**
 * Says which component moves an enrolled pod to another ztunnel, and how to see whether its node is lost, because then
 * nothing moves the pod. Empty if the pod has no node.
 */
export function whoChangesOwner({ spec }: Pod): string {
  const { nodeName } = spec ?? {};
  return nodeName === undefined ? "" : ` (the CNI agent of its node changes that: kubectl get node ${nodeName})`;
}

export function whyNotReady({ spec, status }: Pod): string {
  const unscheduled = status?.conditions?.find(
    (condition) => condition.type === "PodScheduled" && condition.status === "False",
  );
  if (unscheduled !== undefined) return `it cannot be scheduled: ${unscheduled.message ?? ""}`;
  // The init containers without `restartPolicy: Always`. They have no readiness probes: the pod waits until they end.
  const ending = new Set(
    spec?.initContainers?.filter(({ restartPolicy }) => restartPolicy !== "Always").map(({ name }) => name),
  );
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
      const running = ending.has(name) ? "the pod waits for its end" : "does not answer its readiness probe";
      return `container ${name}: ${waiting ?? running}${last}`;
    });
  if (reasons.length > 0) return reasons.join("; ");
  // A readiness gate may keep a pod unready although all of its containers are ready.
  const ready = status?.conditions?.find(({ type, status: value }) => type === "Ready" && value === "False");
  return (status?.containerStatuses ?? []).length === 0
    ? `its node ${spec?.nodeName === undefined ? "" : `${spec.nodeName} `}has not started it`
    : (ready?.message ?? ready?.reason ?? "its containers are ready, and it is not");
}
