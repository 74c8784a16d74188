import { istioLabels } from "../../../api/istio/index.ts";
import type { ContainerStatus, Pod } from "../../../api/kubernetes/index.ts";
import type { ProbePodFacts, ServingPod } from "../../decide/index.ts";
import { probeNamespace, type PlannedProbePair } from "../../plan/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import type { AgeOfEvent } from "../event-ages.ts";
import { isReady } from "../pod-reason.ts";
import { probePodState } from "./probe-start.ts";

/**
 * A running pod that is unready for longer counts against the mesh. A kubelet that was restarted reports all of its
 * pods as unready until their next readiness probe, which may take 15 s for a gateway.
 */
const unreadyLimitMs = 30_000;
/** A kubelet may report a crash this much later than it happened, and rounds times to whole seconds. */
const crashMarginMs = 5_000;

/**
 * The pods that are the probes, gateways and waypoints of the pairs. `absent` names a probe that cannot answer because
 * of its node: its pod is deleted, its successor starts, or its kubelet has not checked its readiness yet.
 */
export function probePodFacts(
  view: Pick<ClusterView, "pods">,
  pairs: readonly PlannedProbePair[],
  ageMs: AgeOfEvent,
): ProbePodFacts {
  const serving: Record<string, readonly ServingPod[]> = {};
  const absences: Absence[] = [];
  let readyForMs = Infinity;
  const sinceMs = (pod: Pod): number => ageMs(`ready: ${pod.metadata.uid ?? ""}`, readyAt(pod));
  for (const [name, pods] of podsByProbe(view, pairs)) {
    const present = pods.filter(
      (pod) => pod.metadata.deletionTimestamp === undefined && !hasEnded(pod) && hasBeenReady(pod),
    );
    const ready = present.filter(isReady);
    const paused = present.filter((pod) => !isReady(pod) && ranOn(pod) && sinceMs(pod) < unreadyLimitMs);
    serving[name] = present.map((pod) => servingPod(pod)).toSorted((a, b) => a.uid.localeCompare(b.uid));
    if (present.length === 0) absences.push(...absenceOf(name, pods, ageMs));
    else if (ready.length === 0)
      absences.push(...paused.map(({ metadata }) => ({ detail: pauseText(metadata.name ?? name), isPause: true })));
    for (const pod of ready) readyForMs = Math.min(readyForMs, sinceMs(pod));
  }
  const absent = absences.find(({ isPause }) => !isPause) ?? absences[0];
  return { serving, readyForMs, ...(absent === undefined ? {} : { absent }) };
}

function servingPod(pod: Pod): ServingPod {
  const { initContainerStatuses = [], containerStatuses = [] } = pod.status ?? {};
  const restarts = [...initContainerStatuses, ...containerStatuses].reduce(
    (sum, status) => sum + status.restartCount,
    0,
  );
  const serving = { uid: pod.metadata.uid ?? "", restarts };
  return isReady(pod) ? { ...serving, readyAtMs: readyAt(pod) } : serving;
}

function pauseText(name: string): string {
  return `probe ${name} runs, but is not ready, for example after a restart of its kubelet`;
}

function podsByProbe(view: Pick<ClusterView, "pods">, pairs: readonly PlannedProbePair[]): Map<string, Pod[]> {
  const found = new Map<string, Pod[]>();
  for (const name of pairs.flatMap(({ client, server }) => [client, server])) {
    const pod = view.pods.get(`${probeNamespace}/${name}`);
    found.set(name, pod === undefined ? [] : [pod]);
  }
  for (const pod of view.pods.list()) {
    const gateway =
      pod.metadata.namespace === probeNamespace ? pod.metadata.labels?.[istioLabels.gatewayName] : undefined;
    if (gateway !== undefined) found.set(gateway, [...(found.get(gateway) ?? []), pod]);
  }
  return found;
}

type Absence = NonNullable<ProbePodFacts["absent"]>;

/**
 * Why a probe has no pod that can answer. Empty if its pod is ready, or cannot start, because waiting would not help.
 */
function absenceOf(name: string, pods: readonly Pod[], ageMs: AgeOfEvent): Absence[] {
  const running = pods.filter((pod) => !hasEnded(pod));
  // An evicted pod stays, with the phase Failed, until the engine or a controller replaces it.
  if (pods.length > 0 && running.length === 0)
    return [{ detail: `probe ${name} has ended; the engine recreates it`, isPause: false }];
  const states = running.map((pod) =>
    pod.metadata.deletionTimestamp === undefined
      ? probePodState(pod, pod.metadata.name ?? name, ageMs)
      : {
          state: "waiting" as const,
          detail: `probe ${pod.metadata.name ?? name} is being deleted, for example by a drain`,
        },
  );
  if (states.length === 0)
    return [{ detail: `probe ${name} was deleted, for example by a drain; the engine recreates it`, isPause: false }];
  return states
    .flatMap((state) => (state.state === "waiting" ? [{ detail: state.detail ?? "", isPause: false }] : []))
    .slice(-1);
}

function hasEnded({ status }: Pod): boolean {
  return status?.phase === "Failed" || status?.phase === "Succeeded";
}

/**
 * Whether every container ran on when the pod became unready, so that no crash was the cause. A kubelet may start a
 * container again in the same second, so the end of its predecessor counts too.
 */
function ranOn(pod: Pod): boolean {
  const unreadyMs = readyAt(pod);
  return lastingContainers(pod).every(({ state, lastState }) => {
    const endedMs = Date.parse(lastState?.terminated?.finishedAt ?? "");
    return Date.parse(state?.running?.startedAt ?? "") <= unreadyMs && !(endedMs >= unreadyMs - crashMarginMs);
  });
}

/** The containers that run as long as their pod, including native sidecars. */
function lastingContainers({ spec, status }: Pod): ContainerStatus[] {
  const sidecars = (spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === "Always");
  const names = new Set(sidecars.map(({ name }) => name));
  const inits = (status?.initContainerStatuses ?? []).filter(({ name }) => names.has(name));
  return [...inits, ...(status?.containerStatuses ?? [])];
}

/**
 * Whether the pod is or was ready. The kubelet reports a new pod as unready before it starts the containers. So a pod
 * that became unready after their start was ready before. A container that was restarted also belongs to a pod that
 * started before.
 */
function hasBeenReady(pod: Pod): boolean {
  const statuses = pod.status?.containerStatuses ?? [];
  if (isReady(pod) || statuses.some(({ restartCount }) => restartCount > 0)) return true;
  const started = statuses.map(({ state }) => Date.parse(state?.running?.startedAt ?? ""));
  return started.length > 0 && readyAt(pod) > Math.max(...started);
}

/** When the pod last became ready or unready, in milliseconds since 1970. 0 if unknown. */
function readyAt({ status }: Pod): number {
  const condition = status?.conditions?.find(({ type }) => type === "Ready");
  return Date.parse(condition?.lastTransitionTime ?? "") || 0;
}
