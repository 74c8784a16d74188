import { matchesLabelSelector } from "../../api/index.ts";
import { ownField } from "../../base/index.ts";
import {
  untoleratedTaint,
  type Pod,
  type PodAffinityTerm,
  type TopologySpreadConstraint,
} from "../../api/kubernetes/index.ts";
import { formatTaint, matchesNode } from "../controllers/pods/node-match.ts";
import { allocatable, hostPortsOf, portsConflict, type NodeState, type PlacedPod } from "./node-state.ts";
import { countByDomain, selectorOf, termMatches, type NamespaceLabels } from "./pod-affinity.ts";
import { requestsOf } from "./resources.ts";
import { volumeFilter, type VolumeNeeds } from "./volume-needs.ts";

export interface FilterInputs {
  readonly pod: Pod;
  readonly nodes: readonly NodeState[];
  readonly repelling: readonly PlacedPod[];
  readonly namespaceLabels: NamespaceLabels;
  readonly volumeNeeds: VolumeNeeds;
}

/**
 * Returns the reasons why the pod does not fit on the node, with kube-scheduler's texts. The list is empty if it fits.
 */
export type Filter = (state: NodeState) => readonly string[];

type SimpleFilter = (state: NodeState) => string | undefined;

/** All filters for one pod in kube-scheduler's order. Values that do not depend on the node are computed once. */
export function filtersFor(inputs: FilterInputs): Filter[] {
  return [
    ...[unschedulable, taints, nodeAffinity, ready, hostPorts].map((filter) => withOneReason(filter(inputs))),
    resources(inputs),
    ...[volumeFilter(inputs.volumeNeeds), ...spread(inputs), ...podAffinity(inputs)].map(withOneReason),
  ];
}

function withOneReason(filter: SimpleFilter): Filter {
  return (state) => {
    const reason = filter(state);
    return reason === undefined ? [] : [reason];
  };
}

/** Returns the reasons of the first filter that refuses the node, or an empty list if the pod fits on it. */
export function refusalReasons(filters: readonly Filter[], state: NodeState): readonly string[] {
  for (const filter of filters) {
    const reasons = filter(state);
    if (reasons.length > 0) return reasons;
  }
  return [];
}

function unschedulable({ pod }: FilterInputs): SimpleFilter {
  const taint = { key: "node.kubernetes.io/unschedulable", effect: "NoSchedule" } as const;
  return ({ node }) =>
    node.spec?.unschedulable === true && untoleratedTaint(pod, [taint], ["NoSchedule"]) !== undefined
      ? "node(s) were unschedulable"
      : undefined;
}

function taints({ pod }: FilterInputs): SimpleFilter {
  return ({ node }) => {
    const taint = untoleratedTaint(pod, node.spec?.taints, ["NoSchedule", "NoExecute"]);
    return taint === undefined ? undefined : `node(s) had untolerated taint ${formatTaint(taint)}`;
  };
}

function nodeAffinity({ pod }: FilterInputs): SimpleFilter {
  return ({ node }) =>
    pod.spec !== undefined && matchesNode(pod.spec, node)
      ? undefined
      : "node(s) didn't match Pod's node affinity/selector";
}

/**
 * Refuses a node that is not ready. Kubernetes relies on a taint for this, which the node controller sets only a moment
 * after the node has appeared.
 */
function ready({ pod }: FilterInputs): SimpleFilter {
  return ({ node }) => {
    if (node.status?.conditions?.find(({ type }) => type === "Ready")?.status === "True") return undefined;
    const taint = { key: "node.kubernetes.io/not-ready", effect: "NoSchedule" } as const;
    return untoleratedTaint(pod, [taint], ["NoSchedule"]) === undefined
      ? undefined
      : `node(s) had untolerated taint ${formatTaint(taint)}`;
  };
}

function hostPorts({ pod }: FilterInputs): SimpleFilter {
  const wanted = hostPortsOf(pod);
  return ({ pods }) => {
    if (wanted.length === 0) return undefined;
    for (const placed of pods.values()) {
      if (placed.hostPorts.some((port) => wanted.some((own) => portsConflict(own, port))))
        return "node(s) didn't have free ports for the requested pod ports";
    }
    return undefined;
  };
}

/** Refuses a node that lacks resources. The reasons name all of the missing resources. */
function resources({ pod }: FilterInputs): Filter {
  const wanted = [...requestsOf(pod)];
  return ({ node, pods, requested }) => [
    ...(pods.size + 1 > allocatable(node, "pods") ? ["Too many pods"] : []),
    ...wanted.flatMap(([name, value]) =>
      value > 0 && value + (requested.get(name) ?? 0) > allocatable(node, name) + 1e-9 ? [`Insufficient ${name}`] : [],
    ),
  ];
}

function podAffinity(inputs: FilterInputs): SimpleFilter[] {
  const { pod, nodes, repelling, namespaceLabels } = inputs;
  const { podAffinity: attract, podAntiAffinity: repel } = pod.spec?.affinity ?? {};
  const filters = attraction(inputs, attract?.requiredDuringSchedulingIgnoredDuringExecution ?? []);
  for (const term of repel?.requiredDuringSchedulingIgnoredDuringExecution ?? []) {
    const counts = countByDomain(nodes, term.topologyKey, (placed) =>
      termMatches(term, pod, placed.pod, namespaceLabels),
    );
    filters.push(({ node }) =>
      (counts.get(ownField(node.metadata.labels, term.topologyKey) ?? "") ?? 0) > 0
        ? "node(s) didn't match pod anti-affinity rules"
        : undefined,
    );
  }
  if (repelling.length > 0) filters.push(existingAntiAffinity(pod, nodes, repelling, namespaceLabels));
  return filters;
}

/** Requires the pod affinity. As in kube-scheduler, another pod counts only if it matches all terms. */
function attraction({ pod, nodes, namespaceLabels }: FilterInputs, terms: readonly PodAffinityTerm[]): SimpleFilter[] {
  if (terms.length === 0) return [];
  const matchesAll = (other: Pod): boolean => terms.every((term) => termMatches(term, pod, other, namespaceLabels));
  const placed = nodes.flatMap(({ pods }) => [...pods.values()]);
  const group = new Set(placed.filter(({ pod: other }) => matchesAll(other)));
  const counts = terms.map(({ topologyKey }) => countByDomain(nodes, topologyKey, (other) => group.has(other)));
  // The first pod of a group with an affinity to itself may start anywhere.
  const isFirst = counts.every((domains) => [...domains.values()].every((count) => count === 0)) && matchesAll(pod);
  return terms.map(({ topologyKey }, index) => ({ node }) => {
    const domain = ownField(node.metadata.labels, topologyKey);
    return domain !== undefined && (isFirst || (counts[index]?.get(domain) ?? 0) > 0)
      ? undefined
      : "node(s) didn't match pod affinity rules";
  });
}

function existingAntiAffinity(
  pod: Pod,
  nodes: readonly NodeState[],
  repelling: readonly PlacedPod[],
  namespaceLabels: NamespaceLabels,
): SimpleFilter {
  const labelsOf = new Map(nodes.map(({ node }) => [node.metadata.name ?? "", node.metadata.labels ?? {}]));
  const closed = new Set<string>();
  for (const placed of repelling) {
    for (const term of placed.pod.spec?.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ??
      []) {
      const domain = ownField(labelsOf.get(placed.node), term.topologyKey);
      if (domain !== undefined && termMatches(term, placed.pod, pod, namespaceLabels))
        closed.add(`${term.topologyKey}=${domain}`);
    }
  }
  return ({ node }) =>
    Object.entries(node.metadata.labels ?? {}).some(([key, value]) => closed.has(`${key}=${value}`))
      ? "node(s) didn't satisfy existing pods anti-affinity rules"
      : undefined;
}

/** The nodes in whose domains a topology spread constraint counts pods. */
export function spreadNodes(
  pod: Pod,
  { nodeAffinityPolicy, nodeTaintsPolicy }: TopologySpreadConstraint,
  nodes: readonly NodeState[],
): readonly NodeState[] {
  const { spec } = pod;
  if (spec === undefined) return [];
  return nodes.filter(
    ({ node }) =>
      (nodeAffinityPolicy === "Ignore" || matchesNode(spec, node)) &&
      (nodeTaintsPolicy !== "Honor" ||
        untoleratedTaint(pod, node.spec?.taints, ["NoSchedule", "NoExecute"]) === undefined),
  );
}

function spread({ pod, nodes }: FilterInputs): SimpleFilter[] {
  return (pod.spec?.topologySpreadConstraints ?? [])
    .filter(({ whenUnsatisfiable }) => whenUnsatisfiable === "DoNotSchedule")
    .map((constraint) => {
      const { topologyKey, maxSkew, minDomains = 1 } = constraint;
      const selector = selectorOf(pod, constraint);
      const matches = (placed: PlacedPod): boolean =>
        placed.pod.metadata.namespace === pod.metadata.namespace &&
        placed.pod.metadata.deletionTimestamp === undefined &&
        matchesLabelSelector(selector, placed.pod.metadata.labels);
      const counts = countByDomain(spreadNodes(pod, constraint, nodes), topologyKey, matches);
      // If there are fewer domains than `minDomains`, the missing domains count as empty.
      const least = counts.size < minDomains || counts.size === 0 ? 0 : Math.min(...counts.values());
      const self = matchesLabelSelector(selector, pod.metadata.labels) ? 1 : 0;
      return ({ node }: NodeState) => {
        const domain = ownField(node.metadata.labels, topologyKey);
        if (domain === undefined)
          return "node(s) didn't match pod topology spread constraints (missing required label)";
        return (counts.get(domain) ?? 0) + self - least > maxSkew
          ? "node(s) didn't match pod topology spread constraints"
          : undefined;
      };
    });
}
