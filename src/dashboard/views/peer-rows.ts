import type { PeerRow } from "../../api/dashboard/index.ts";
import { edgeNumbers, serviceText } from "./graph-edge.ts";
import { isNamed, type TrafficEdge } from "./traffic.ts";
import { isVisible, type VisibleNamespaces } from "./view-input.ts";

type End = "source" | "destination";

export function peerRows(edges: readonly TrafficEdge[], end: End, visible: VisibleNamespaces): Record<string, PeerRow> {
  const groups = Map.groupBy(edges, (edge) => {
    const { namespace, workload } = edge[end];
    const peer = isKnown(edge, end, visible) ? `${namespace}/${workload}` : "unknown";
    return `${peer} ${edge.protocol} ${serviceText(edge, visible)}`;
  });
  return Object.fromEntries(
    [...groups].flatMap(([key, edgesOfRow]) => {
      const [first] = edgesOfRow;
      return first === undefined ? [] : [[key, peerRow(first, edgesOfRow, end, visible)] as const];
    }),
  );
}

/** Whether the peer is a workload that the reader may see. */
function isKnown(edge: TrafficEdge, end: End, visible: VisibleNamespaces): boolean {
  return isNamed(edge[end]) && isVisible(visible, edge[end].namespace);
}

function peerRow(first: TrafficEdge, edges: readonly TrafficEdge[], end: End, visible: VisibleNamespaces): PeerRow {
  const known = isKnown(first, end, visible);
  const { namespace, workload } = first[end];
  const nodeOf = (side: End): string =>
    side === end && !known ? "unknown" : `workload ${first[side].namespace}/${first[side].workload}`;
  const peerName = known ? workload : nameOfUnknown(first, end, visible);
  return {
    from: nodeOf("source"),
    to: nodeOf("destination"),
    protocol: first.protocol,
    ...edgeNumbers(edges),
    service: serviceText(first, visible),
    route: "",
    peer: known ? `${namespace}/${workload}` : peerName,
    peerNamespace: known ? namespace : "",
    peerName,
  };
}

/** Names an unknown destination after the host that was called, if the reader may see that service. */
function nameOfUnknown(edge: TrafficEdge, end: End, visible: VisibleNamespaces): string {
  const { host } = edge.service;
  if (end === "source" || host === "unknown" || isNamed(edge[end])) return "unknown";
  return serviceText(edge, visible) === "" ? "unknown" : host;
}
