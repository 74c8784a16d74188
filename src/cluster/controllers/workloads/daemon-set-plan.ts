import {
  isFinishedPod,
  untoleratedTaint,
  type DaemonSet,
  type Node,
  type Pod,
  type PodSpec,
  type Toleration,
} from "../../../api/kubernetes/index.ts";
import { matchesNode } from "../pods/node-match.ts";
import { hashOf } from "./controller-revisions.ts";
import { availableAtMs, createdMs, isAvailable, isReady, isTerminating, resolveCount } from "../pods/pod-facts.ts";

export interface DaemonSetPlan {
  /** The names of nodes that need a pod. */
  readonly create: readonly string[];
  readonly remove: readonly Pod[];
  readonly status: NonNullable<DaemonSet["status"]>;
  readonly lookAgainMs: number | undefined;
}

interface NodeSituation {
  readonly node: Node;
  readonly shouldRun: boolean;
  readonly mayStay: boolean;
  readonly fresh: readonly Pod[];
  readonly old: readonly Pod[];
}

/** Plans one step: which nodes need a pod, which pods to remove, and how an update proceeds. */
export function planDaemonSet(
  set: DaemonSet,
  hash: string,
  nodes: readonly Node[],
  pods: readonly Pod[],
  nowMs: number,
): DaemonSetPlan {
  const minReadySeconds = set.spec?.minReadySeconds ?? 0;
  const available = (pod: Pod): boolean => isAvailable(pod, minReadySeconds, nowMs) && !isTerminating(pod);
  const byNode = Map.groupBy(pods, nodeOf);
  const situations = nodes.map((node) => situationOf(set, hash, node, byNode.get(node.metadata.name ?? "") ?? []));
  const create: string[] = [];
  const remove: Pod[] = [];
  for (const { node, shouldRun, mayStay, fresh, old } of situations) {
    const here = [...fresh, ...old];
    const failed = here.filter((pod) => isFinishedPod(pod) && !isTerminating(pod));
    const live = here.filter((pod) => !isFinishedPod(pod) && !isTerminating(pod));
    if (!mayStay) remove.push(...live, ...failed);
    else {
      // Replace pods that have failed. The node gets a new pod after the old one is removed.
      remove.push(...failed, ...surplus(live, hash));
      if (here.length === 0 && shouldRun) create.push(node.metadata.name ?? "");
    }
  }
  const present = new Set(["", ...nodes.map(({ metadata }) => metadata.name)]);
  // Remove unbound pods for nodes that no longer exist, because the scheduler cannot bind them. The pod garbage
  // controller removes the pods that were bound to such a node.
  remove.push(...pods.filter((pod) => pod.spec?.nodeName === undefined && !present.has(nodeOf(pod))));
  if (set.spec?.updateStrategy?.type !== "OnDelete") rollOn(set, situations, available, create, remove);
  const soon = Math.min(
    ...pods
      .filter(isReady)
      .map((pod) => availableAtMs(pod, minReadySeconds))
      .filter((atMs) => atMs > nowMs),
  );
  return {
    create: isTerminating(set) ? [] : create,
    remove: isTerminating(set) ? [] : remove,
    status: statusOf(set, hash, situations, available),
    lookAgainMs: Number.isFinite(soon) ? soon - nowMs : undefined,
  };
}

/** The node of a DaemonSet's pod: the node to which it is bound, or for which its node affinity was made. */
export function nodeOf(pod: Pod): string {
  if (pod.spec?.nodeName !== undefined) return pod.spec.nodeName;
  const terms =
    pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  return terms[0]?.matchFields?.find(({ key }) => key === "metadata.name")?.values?.[0] ?? "";
}

/**
 * The template's spec for one node, with the tolerations that daemon pods need. A required affinity for the node's name
 * replaces the template's own one, which the controller has already evaluated.
 */
export function daemonPodSpec(spec: PodSpec, node: string): PodSpec {
  const matchFields = [{ key: "metadata.name", operator: "In" as const, values: [node] }];
  return {
    ...spec,
    affinity: {
      ...spec.affinity,
      nodeAffinity: {
        ...spec.affinity?.nodeAffinity,
        requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchFields }] },
      },
    },
    tolerations: [...(spec.tolerations ?? []), ...daemonTolerations(spec)],
  };
}

function daemonTolerations(spec: PodSpec): Toleration[] {
  const tolerate = (name: string, effect: string): Toleration => ({
    key: `node.kubernetes.io/${name}`,
    operator: "Exists",
    effect,
  });
  return [
    tolerate("not-ready", "NoExecute"),
    tolerate("unreachable", "NoExecute"),
    tolerate("disk-pressure", "NoSchedule"),
    tolerate("memory-pressure", "NoSchedule"),
    tolerate("pid-pressure", "NoSchedule"),
    tolerate("unschedulable", "NoSchedule"),
    ...(spec.hostNetwork === true ? [tolerate("network-unavailable", "NoSchedule")] : []),
  ];
}

function situationOf(set: DaemonSet, hash: string, node: Node, pods: readonly Pod[]): NodeSituation {
  const spec = set.spec?.template.spec ?? { containers: [] };
  const tolerant: PodSpec = { ...spec, tolerations: [...(spec.tolerations ?? []), ...daemonTolerations(spec)] };
  const fits = (spec.nodeName === undefined || spec.nodeName === node.metadata.name) && matchesNode(spec, node);
  const shouldRun = fits && untoleratedTaint(tolerant, node.spec?.taints, ["NoSchedule", "NoExecute"]) === undefined;
  const mayStay = fits && untoleratedTaint(tolerant, node.spec?.taints, ["NoExecute"]) === undefined;
  return {
    node,
    shouldRun,
    mayStay,
    fresh: pods.filter((pod) => hashOf(pod) === hash),
    old: pods.filter((pod) => hashOf(pod) !== hash),
  };
}

/**
 * The pods to remove if a node has several live pods of the current template, or several of older ones. The oldest
 * ready pod of each group stays.
 */
function surplus(live: readonly Pod[], hash: string): Pod[] {
  const rank = (pod: Pod): number => (isReady(pod) ? 0 : 1);
  const groups = [live.filter((pod) => hashOf(pod) === hash), live.filter((pod) => hashOf(pod) !== hash)];
  return groups.flatMap((group) =>
    [...group].sort((a, b) => rank(a) - rank(b) || createdMs(a) - createdMs(b)).slice(1),
  );
}

function rollOn(
  set: DaemonSet,
  situations: readonly NodeSituation[],
  available: (pod: Pod) => boolean,
  create: string[],
  remove: Pod[],
): void {
  const wanted = situations.filter(({ shouldRun }) => shouldRun);
  const rolling = set.spec?.updateStrategy?.rollingUpdate;
  const maxSurge = resolveCount(rolling?.maxSurge, 0, wanted.length, "up");
  const maxUnavailable = resolveCount(rolling?.maxUnavailable, maxSurge > 0 ? 0 : 1, wanted.length, "up");
  if (maxSurge > 0) rollWithSurge(wanted, available, maxSurge, create, remove);
  else rollInPlace(wanted, available, Math.max(1, maxUnavailable), remove);
}

/** Updates without surge: removes an old pod before its successor is created. Removes unavailable old pods at once. */
function rollInPlace(
  wanted: readonly NodeSituation[],
  available: (pod: Pod) => boolean,
  maxUnavailable: number,
  remove: Pod[],
): void {
  let unavailable = wanted.filter(({ fresh, old }) => ![...fresh, ...old].some(available)).length;
  const candidates = wanted.flatMap(({ old }) =>
    old.filter((pod) => !isTerminating(pod) && !isFinishedPod(pod) && !remove.includes(pod)),
  );
  for (const pod of candidates) if (!available(pod)) remove.push(pod);
  for (const pod of candidates) {
    if (!available(pod)) continue;
    if (unavailable >= maxUnavailable) return;
    remove.push(pod);
    unavailable += 1;
  }
}

/** Updates with surge: creates a new pod beside the old one, and removes the old one when the new one is available. */
function rollWithSurge(
  wanted: readonly NodeSituation[],
  available: (pod: Pod) => boolean,
  maxSurge: number,
  create: string[],
  remove: Pod[],
): void {
  const living = (pods: readonly Pod[]): Pod[] => pods.filter((pod) => !isTerminating(pod) && !isFinishedPod(pod));
  let surging = wanted.filter(
    ({ fresh, old }) => living(fresh).length > 0 && old.some((pod) => !isFinishedPod(pod)),
  ).length;
  for (const { node, fresh, old } of wanted) {
    const olds = living(old);
    if (living(fresh).some(available)) {
      remove.push(...olds.filter((pod) => !remove.includes(pod)));
      continue;
    }
    if (olds.length === 0 || living(fresh).length > 0) continue;
    // If the old pod is unavailable anyway, its replacement does not count against the limit.
    if (!olds.some(available)) create.push(node.metadata.name ?? "");
    else if (surging < maxSurge) {
      create.push(node.metadata.name ?? "");
      surging += 1;
    }
  }
}

function statusOf(
  set: DaemonSet,
  hash: string,
  situations: readonly NodeSituation[],
  available: (pod: Pod) => boolean,
): NonNullable<DaemonSet["status"]> {
  const status = {
    observedGeneration: set.metadata.generation ?? 0,
    currentNumberScheduled: 0,
    desiredNumberScheduled: 0,
    numberMisscheduled: 0,
    numberReady: 0,
    updatedNumberScheduled: 0,
    numberAvailable: 0,
    numberUnavailable: 0,
  };
  for (const { shouldRun, fresh, old } of situations) {
    const pods = [...fresh, ...old].filter((pod) => !isTerminating(pod));
    if (!shouldRun) {
      if (pods.length > 0) status.numberMisscheduled += 1;
      continue;
    }
    status.desiredNumberScheduled += 1;
    if (pods.length > 0) status.currentNumberScheduled += 1;
    if (pods.some(isReady)) status.numberReady += 1;
    if (pods.some(available)) status.numberAvailable += 1;
    const oldest = oldestOf([...fresh, ...old]);
    if (oldest !== undefined && hashOf(oldest) === hash) status.updatedNumberScheduled += 1;
  }
  status.numberUnavailable = status.desiredNumberScheduled - status.numberAvailable;
  return status;
}

/**
 * The pod that decides whether the status counts its node as updated. As in Kubernetes, during a surge this is the old
 * pod until it is removed.
 */
function oldestOf(pods: readonly Pod[]): Pod | undefined {
  const ageOf = ({ metadata }: Pod): string => `${metadata.creationTimestamp ?? ""}/${metadata.name ?? ""}`;
  return pods.toSorted((a, b) => (ageOf(a) < ageOf(b) ? -1 : 1))[0];
}
