import type { PeerRow } from "../../api/dashboard/index.ts";
import { edgeNumbers, serviceText } from "./graph-edge.ts";
import { isNamed, type TrafficEdge } from "./traffic.ts";
import { isVisible, type VisibleNamespaces } from "./view-input.ts";

/** One row for each peer, service and protocol. */
export function peerRows(
  edges: readonly TrafficEdge[],
  end: "source" | "destination",
  visible: VisibleNamespaces,
): Record<string, PeerRow> {
  const groups = Map.groupBy(edges, (edge) => {
    const { namespace, workload } = edge[end];
    const peer = isNamed(edge[end]) && isVisible(visible, namespace) ? `${namespace}/${workload}` : "unknown";
    return `${peer} ${edge.protocol} ${serviceText(edge, visible)}`;
  });
  return Object.fromEntries(
    [...groups].flatMap(([key, parts]) => {
      const [first] = parts;
      if (first === undefined) return [];
      const isKnown = !key.startsWith("unknown ");
      const nodeOf = (side: "source" | "destination"): string =>
        side === end && !isKnown ? "unknown" : `workload ${first[side].namespace}/${first[side].workload}`;
      const peerNamespace = isKnown ? first[end].namespace : "";
      const peerName = isKnown
        ? first[end].workload
        : end === "destination" &&
            first.service.host !== "unknown" &&
            !isNamed(first[end]) &&
            serviceText(first, visible) !== ""
          ? first.service.host
          : "unknown";
      const row: PeerRow = {
        from: nodeOf("source"),
        to: nodeOf("destination"),
        protocol: first.protocol,
        ...edgeNumbers(parts),
        service: serviceText(first, visible),
        route: "",
        peer: isKnown ? `${peerNamespace}/${peerName}` : peerName,
        peerNamespace,
        peerName,
      };
      return [[key, row] as const];
    }),
  );
}
