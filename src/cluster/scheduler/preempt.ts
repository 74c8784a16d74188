import { matchesLabelSelector } from "../../api/index.ts";
import type { Pod, PodDisruptionBudget } from "../../api/kubernetes/index.ts";
import { filtersFor, refusalReasons, type FilterInputs } from "./filters.ts";
import type { NodeState, PlacedPod } from "./node-state.ts";

/** A node on which the pod fits after the victims are removed from it. */
export interface Preemption {
  readonly node: string;
  readonly victims: readonly Pod[];
}

interface Candidate extends Preemption {
  /** The number of victims that a disruption budget protects. */
  readonly violations: number;
}

export function priorityOf({ spec }: Pod): number {
  return spec?.priority ?? 0;
}

/** Chooses pods of lower priority to evict so that the pod fits on a node. The choice follows kube-scheduler. */
export function preempt(inputs: FilterInputs, budgets: readonly PodDisruptionBudget[]): Preemption | undefined {
  const { pod, nodes } = inputs;
  if (pod.spec?.preemptionPolicy === "Never" || inputs.volumeNeeds.refusal !== undefined) return undefined;
  const priority = priorityOf(pod);
  const candidates = nodes.flatMap((state) => {
    const lower = [...state.pods.values()].filter((placed) => priorityOf(placed.pod) < priority);
    return lower.length === 0 ? [] : (candidateOf(inputs, state, lower, budgets) ?? []);
  });
  return candidates.sort(compareCandidates)[0];
}

/**
 * The victims on one node. Assumes that all pods of lower priority are removed, and then spares as many as fit. Pods
 * that budgets protect are spared first.
 */
function candidateOf(
  inputs: FilterInputs,
  state: NodeState,
  lower: readonly PlacedPod[],
  budgets: readonly PodDisruptionBudget[],
): Candidate | undefined {
  const removed = new Set(lower);
  const fits = (): boolean => {
    const rest = without(state, removed);
    const nodes = inputs.nodes.map((other) => (other === state ? rest : other));
    const repelling = inputs.repelling.filter((placed) => !removed.has(placed));
    return refusalReasons(filtersFor({ ...inputs, nodes, repelling }), rest).length === 0;
  };
  if (!fits()) return undefined;
  const ordered = lower.toSorted((a, b) => comparePods(b.pod, a.pod));
  const guarded = guardedPods(ordered, budgets);
  const takeBack = (placed: PlacedPod): void => {
    removed.delete(placed);
    if (!fits()) removed.add(placed);
  };
  for (const placed of ordered) if (guarded.has(placed)) takeBack(placed);
  for (const placed of ordered) if (!guarded.has(placed)) takeBack(placed);
  const victims = ordered.filter((placed) => removed.has(placed));
  return {
    node: state.node.metadata.name ?? "",
    victims: victims.map((placed) => placed.pod),
    violations: victims.filter((placed) => guarded.has(placed)).length,
  };
}

function without(state: NodeState, removed: ReadonlySet<PlacedPod>): NodeState {
  const requested = new Map(state.requested);
  for (const { requests } of removed)
    for (const [name, value] of requests) requested.set(name, (requested.get(name) ?? 0) - value);
  return { ...state, requested, pods: new Map([...state.pods].filter(([, placed]) => !removed.has(placed))) };
}

/** The pods whose end would violate a budget if all of these pods ended in this order. */
function guardedPods(pods: readonly PlacedPod[], budgets: readonly PodDisruptionBudget[]): ReadonlySet<PlacedPod> {
  const allowed = new Map(budgets.map((budget) => [budget, budget.status?.disruptionsAllowed ?? 0]));
  const guarded = new Set<PlacedPod>();
  for (const placed of pods) {
    const { name = "", namespace, labels = {} } = placed.pod.metadata;
    for (const budget of budgets) {
      if (budget.metadata.namespace !== namespace || !matchesLabelSelector(budget.spec?.selector, labels)) continue;
      if (Object.hasOwn(budget.status?.disruptedPods ?? {}, name)) continue;
      const left = (allowed.get(budget) ?? 0) - 1;
      allowed.set(budget, left);
      if (left < 0) guarded.add(placed);
    }
  }
  return guarded;
}

/** Orders pods from the least to the most important: by priority, and among equal ones the youngest first. */
function comparePods(a: Pod, b: Pod): number {
  return priorityOf(a) - priorityOf(b) || startMs(b) - startMs(a);
}

function startMs({ metadata, status }: Pod): number {
  return Date.parse(status?.startTime ?? metadata.creationTimestamp ?? "") || 0;
}

/**
 * Orders candidates: first the node with the fewest budget violations, then by the least important victims, then by the
 * fewest victims, then by the youngest victims.
 */
function compareCandidates(a: Candidate, b: Candidate): number {
  const highest = ({ victims }: Candidate): number => Math.max(...victims.map(priorityOf));
  const sum = ({ victims }: Candidate): number => victims.reduce((total, victim) => total + priorityOf(victim), 0);
  const start = (candidate: Candidate): number =>
    Math.min(...candidate.victims.filter((victim) => priorityOf(victim) === highest(candidate)).map(startMs));
  return (
    a.violations - b.violations ||
    highest(a) - highest(b) ||
    sum(a) - sum(b) ||
    a.victims.length - b.victims.length ||
    start(b) - start(a) ||
    (a.node < b.node ? -1 : 1)
  );
}
