import { ownField } from "../../base/index.ts";
import { controllerOf } from "../../kube/index.ts";
import { untoleratedTaint, type Pod } from "../../api/kubernetes/index.ts";
import { filtersFor, refusalReasons, spreadNodes, type FilterInputs } from "./filters.ts";
import { matchesTerm } from "../controllers/pods/node-match.ts";
import { allocatable, type NodeState } from "./node-state.ts";
import { countByDomain, termMatches, type NamespaceLabels } from "./pod-affinity.ts";
import { requestsOf } from "./resources.ts";

export type Decision = { readonly node: string } | { readonly node: undefined; readonly message: string };

/** Chooses a node for the pod. If there is none, explains why, with kube-scheduler's text. */
export function decide(inputs: FilterInputs): Decision {
  const { nodes } = inputs;
  if (nodes.length === 0) return { node: undefined, message: "no nodes available to schedule pods" };
  const { refusal } = inputs.volumeNeeds;
  if (refusal !== undefined) return { node: undefined, message: `0/${nodes.length} nodes are available: ${refusal}.` };
  const filters = filtersFor(inputs);
  const reasons = new Map<string, number>();
  const feasible: NodeState[] = [];
  for (const state of nodes) {
    const found = refusalReasons(filters, state);
    if (found.length === 0) feasible.push(state);
    for (const reason of found) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  const best = choose(inputs, feasible);
  if (best !== undefined) return { node: best.node.metadata.name ?? "" };
  const parts = [...reasons].map(([reason, count]) => `${count} ${reason}`).sort();
  return { node: undefined, message: `0/${nodes.length} nodes are available: ${parts.join(", ")}.` };
}

/**
 * The weights of the scores. For scores that kube-scheduler has too, they are those of its default profile. No score
 * weighs more than spreading the pods of one owner.
 */
const weights = {
  siblings: 3,
  taints: 3,
  nodeAffinity: 2,
  podAffinity: 2,
  spread: 2,
  leastPods: 1,
  leastRequested: 1,
} as const;

function choose({ pod, nodes, namespaceLabels }: FilterInputs, feasible: readonly NodeState[]): NodeState | undefined {
  if (feasible.length <= 1) return feasible[0];
  const totals = new Map<NodeState, number>(feasible.map((state) => [state, 0]));
  const score = (weight: number, valueOf: (state: NodeState) => number): void => {
    const values = feasible.map(valueOf);
    const low = Math.min(...values);
    const high = Math.max(...values);
    if (high === low) return;
    for (const [index, state] of feasible.entries()) {
      totals.set(state, (totals.get(state) ?? 0) + weight * (((values[index] ?? 0) - low) / (high - low)));
    }
  };
  const owner = controllerOf(pod);
  if (owner !== undefined)
    score(
      weights.siblings,
      ({ pods }) => -[...pods.values()].filter((placed) => controllerOf(placed.pod)?.uid === owner.uid).length,
    );
  score(
    weights.taints,
    ({ node }) =>
      -(node.spec?.taints ?? []).filter((taint) => untoleratedTaint(pod, [taint], ["PreferNoSchedule"]) !== undefined)
        .length,
  );
  score(weights.nodeAffinity, (state) => preferredNode(pod, state));
  score(weights.podAffinity, preferredPods(pod, nodes, namespaceLabels));
  score(weights.spread, softSpread(pod, nodes));
  score(weights.leastPods, ({ pods }) => -pods.size);
  score(weights.leastRequested, (state) => -requestedShare(pod, state));
  return [...feasible].sort(
    (a, b) =>
      (totals.get(b) ?? 0) - (totals.get(a) ?? 0) ||
      ((a.node.metadata.name ?? "") < (b.node.metadata.name ?? "") ? -1 : 1),
  )[0];
}

function preferredNode(pod: Pod, { node }: NodeState): number {
  let total = 0;
  for (const { weight, preference } of pod.spec?.affinity?.nodeAffinity
    ?.preferredDuringSchedulingIgnoredDuringExecution ?? []) {
    if (matchesTerm(preference, node)) total += weight;
  }
  return total;
}

function preferredPods(
  pod: Pod,
  nodes: readonly NodeState[],
  namespaceLabels: NamespaceLabels,
): (state: NodeState) => number {
  const { podAffinity, podAntiAffinity } = pod.spec?.affinity ?? {};
  const terms = [
    ...(podAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []),
    ...(podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(({ weight, podAffinityTerm }) => ({
      weight: -weight,
      podAffinityTerm,
    })),
  ].map(({ weight, podAffinityTerm }) => ({
    weight,
    key: podAffinityTerm.topologyKey,
    counts: countByDomain(nodes, podAffinityTerm.topologyKey, (placed) =>
      termMatches(podAffinityTerm, pod, placed.pod, namespaceLabels),
    ),
  }));
  return ({ node }) =>
    terms.reduce(
      (total, { weight, key, counts }) => total + weight * (counts.get(ownField(node.metadata.labels, key) ?? "") ?? 0),
      0,
    );
}

function softSpread(pod: Pod, nodes: readonly NodeState[]): (state: NodeState) => number {
  const constraints = (pod.spec?.topologySpreadConstraints ?? [])
    .filter(({ whenUnsatisfiable }) => whenUnsatisfiable === "ScheduleAnyway")
    .map((constraint) => ({
      topologyKey: constraint.topologyKey,
      counts: countByDomain(spreadNodes(pod, constraint, nodes), constraint.topologyKey, (placed) =>
        termMatches(constraint, pod, placed.pod, () => undefined),
      ),
    }));
  return ({ node }) =>
    -constraints.reduce(
      (total, { topologyKey, counts }) => total + (counts.get(ownField(node.metadata.labels, topologyKey) ?? "") ?? 0),
      0,
    );
}

/** The requested share of the node's CPU or memory with this pod on it, whichever is larger. */
function requestedShare(pod: Pod, { node, requested }: NodeState): number {
  const wanted = requestsOf(pod);
  const shares = ["cpu", "memory"].map(
    (name) => ((requested.get(name) ?? 0) + (wanted.get(name) ?? 0)) / (allocatable(node, name) || 1),
  );
  return Math.max(...shares);
}
