import { countOf, formatRate, formatShare } from "../format.ts";
import type { DisplayEdge, DisplayGraph, DisplayNode } from "./display-graph.ts";
import { edgeLabel } from "./edge-label.ts";

export const groupingTitles = {
  versionedApp: "Apps with versions",
  workload: "Workloads",
  app: "Apps",
  service: "Services",
} as const;

/** What screen readers say about a node that keyboard navigation reaches. */
export function nodeWords(graph: DisplayGraph, { key, node, title, stack }: DisplayNode): string {
  const inbound = graph.edges.filter(({ edge }) => edge.to === key).length;
  const outbound = graph.edges.filter(({ edge }) => edge.from === key).length;
  const name = stack === "" ? title : `${node.app} ${title}`;
  const parts = [
    `${name}, ${node.kind}${node.namespace === "" ? "" : ` in ${node.namespace}`}`,
    node.reason === "" ? node.health : `${node.health}: ${node.reason}`,
    node.requestRate > 0 ? `${formatRate(node.requestRate)}, ${formatShare(node.errorShare)} errors` : "no requests",
    `${countOf(inbound, "caller")}, calls ${outbound}`,
  ];
  if (node.rollout !== "") parts.push(`moved by ${node.rollout}`);
  return `${parts.join("; ")}.`;
}

export function edgeWords({ from, to, edge }: DisplayEdge): string {
  const rate = edgeLabel(edge, "rate");
  return `${fullName(from)} to ${fullName(to)}, ${edge.protocol}, ${rate === "" ? "idle" : rate}, ${edge.health}`;
}

/** A node's name, with the app if its card shows only the version. */
export function fullName({ node, title, stack }: DisplayNode): string {
  return stack === "" ? title : `${node.app} ${title}`;
}
