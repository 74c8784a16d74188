import type { Pod } from "../../api/kubernetes/index.ts";
import type { ProbePodFacts } from "../decide/index.ts";
import { probeNamespace, type PlannedProbePair } from "../plan/index.ts";
import type { ClusterView } from "./cluster-view.ts";
import type { AgeOfEvent } from "./event-ages.ts";
import { isReady } from "./pod-reason.ts";
import { probePodState } from "./probe-start.ts";

const gatewayNameLabel = "gateway.networking.k8s.io/gateway-name";

/**
 * Which pods stand for the probes, gateways and waypoints of the pairs, and which of these is absent because it is
 * deleted or its successor starts.
 */
export function probePodFacts(
  view: Pick<ClusterView, "pods">,
  pairs: readonly PlannedProbePair[],
  ageMs: AgeOfEvent,
): ProbePodFacts {
  const serving: Record<string, string> = {};
  let absent: string | undefined;
  let readyForMs = Infinity;
  for (const [name, pods] of podsByProbe(view, pairs)) {
    const present = pods.filter((pod) => pod.metadata.deletionTimestamp === undefined && hasBeenReady(pod));
    serving[name] = present
      .map(({ metadata }) => metadata.uid ?? "")
      .toSorted()
      .join(" ");
    if (present.length === 0) absent ??= absenceOf(name, pods, ageMs);
    for (const pod of present)
      readyForMs = Math.min(readyForMs, ageMs(`ready: ${pod.metadata.uid ?? ""}`, readyAt(pod)));
  }
  return { serving, readyForMs, ...(absent === undefined ? {} : { absent }) };
}

/** The pods of each client and server, and of each gateway and waypoint that has pods. */
function podsByProbe(view: Pick<ClusterView, "pods">, pairs: readonly PlannedProbePair[]): Map<string, Pod[]> {
  const found = new Map<string, Pod[]>();
  for (const name of pairs.flatMap(({ client, server }) => [client, server])) {
    const pod = view.pods.get(`${probeNamespace}/${name}`);
    found.set(name, pod === undefined ? [] : [pod]);
  }
  for (const pod of view.pods.list()) {
    const gateway = pod.metadata.namespace === probeNamespace ? pod.metadata.labels?.[gatewayNameLabel] : undefined;
    if (gateway !== undefined) found.set(gateway, [...(found.get(gateway) ?? []), pod]);
  }
  return found;
}

/** Undefined for a pod that has ended or does not start, for which nobody need wait. */
function absenceOf(name: string, pods: readonly Pod[], ageMs: AgeOfEvent): string | undefined {
  const states = pods.map((pod) =>
    pod.metadata.deletionTimestamp === undefined
      ? probePodState(pod, pod.metadata.name ?? name, ageMs)
      : { state: "waiting" as const, detail: `probe ${pod.metadata.name ?? name} is being deleted, as by a drain` },
  );
  if (states.length === 0) return `probe ${name} was deleted, as by a drain, and is made again`;
  return states.flatMap((state) => (state.state === "waiting" ? [state.detail ?? ""] : [])).at(-1);
}

/**
 * Whether the pod is ready, or was: the kubelet reports a starting pod as not ready before it starts its containers,
 * and changes that time when the pod is ready no longer. A container that was started again is no start either.
 */
function hasBeenReady(pod: Pod): boolean {
  const statuses = pod.status?.containerStatuses ?? [];
  if (isReady(pod) || statuses.some(({ restartCount }) => restartCount > 0)) return true;
  const started = statuses.map(({ state }) => Date.parse(state?.running?.startedAt ?? ""));
  return started.length > 0 && readyAt(pod) > Math.max(...started);
}

/** When the pod became ready, or no longer was. */
function readyAt({ status }: Pod): number {
  const condition = status?.conditions?.find(({ type }) => type === "Ready");
  return Date.parse(condition?.lastTransitionTime ?? "") || 0;
}
