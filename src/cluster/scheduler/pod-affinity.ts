import { matchesLabelSelector, type LabelSelector } from "../../api/index.ts";
import { ownField } from "../../base/index.ts";
import type { Pod, PodAffinityTerm } from "../../api/kubernetes/index.ts";
import type { NodeState, PlacedPod } from "./node-state.ts";

/** The labels of a namespace, for terms that select namespaces by labels. */
export type NamespaceLabels = (namespace: string) => Readonly<Record<string, string>> | undefined;

/**
 * The selector of a term. `matchLabelKeys` narrows it to pods with the owner's values of these labels, and
 * `mismatchLabelKeys` to pods with other values. With `pod-template-hash` in `matchLabelKeys`, for example, the term
 * selects only pods of the same revision.
 */
export function selectorOf(
  owner: Pod,
  term: {
    readonly labelSelector?: LabelSelector;
    readonly matchLabelKeys?: readonly string[];
    readonly mismatchLabelKeys?: readonly string[];
  },
): LabelSelector | undefined {
  const { labelSelector, matchLabelKeys = [], mismatchLabelKeys = [] } = term;
  if (labelSelector === undefined || matchLabelKeys.length + mismatchLabelKeys.length === 0) return labelSelector;
  const having = (operator: "In" | "NotIn", keys: readonly string[]): LabelSelector["matchExpressions"] =>
    keys.flatMap((key) => {
      const value = ownField(owner.metadata.labels, key);
      return value === undefined ? [] : [{ key, operator, values: [value] }];
    });
  const more = [...(having("In", matchLabelKeys) ?? []), ...(having("NotIn", mismatchLabelKeys) ?? [])];
  return { ...labelSelector, matchExpressions: [...(labelSelector.matchExpressions ?? []), ...more] };
}

export function termMatches(term: PodAffinityTerm, owner: Pod, other: Pod, namespaceLabels: NamespaceLabels): boolean {
  const namespace = other.metadata.namespace ?? "";
  const listed = term.namespaces ?? [];
  const inNamespace =
    term.namespaceSelector === undefined
      ? (listed.length === 0 ? [owner.metadata.namespace ?? ""] : listed).includes(namespace)
      : listed.includes(namespace) || matchesLabelSelector(term.namespaceSelector, namespaceLabels(namespace));
  return inNamespace && matchesLabelSelector(selectorOf(owner, term), other.metadata.labels);
}

/** The number of placed pods that match, by the value of the topology key. */
export function countByDomain(
  nodes: readonly NodeState[],
  topologyKey: string,
  matches: (placed: PlacedPod) => boolean,
): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { node, pods } of nodes) {
    const domain = ownField(node.metadata.labels, topologyKey);
    if (domain === undefined) continue;
    let count = counts.get(domain) ?? 0;
    for (const placed of pods.values()) if (matches(placed)) count += 1;
    counts.set(domain, count);
  }
  return counts;
}
