import type { GraphNode, LadderProxy, PodRow } from "../../../api/dashboard/index.ts";

export interface ProxyPod {
  readonly pod: string;
  readonly namespace: string;
}

/**
 * The pods with the proxies that carry a workload's traffic: those that are connected to a control plane, or if none
 * is, those that should be. In ambient mode, they are the ztunnels of the pods' nodes.
 */
export function proxiesOfWorkload({
  namespace,
  dataPlane,
  pods,
  proxies,
}: {
  readonly namespace: string;
  readonly dataPlane: GraphNode["dataPlane"];
  readonly pods: readonly PodRow[];
  readonly proxies: readonly LadderProxy[];
}): readonly ProxyPod[] {
  if (proxies.length > 0) return proxies.map(({ pod, namespace }) => ({ pod, namespace }));
  if (dataPlane === "ambient") return ztunnelsOf(pods);
  return dataPlane === "none" ? [] : pods.map(({ name }) => ({ pod: name, namespace }));
}

/**
 * Reads ztunnels from texts such as `istio-system/ztunnel-x7k2p` or `istio-system/ztunnel-x7k2p, not ready`. Skips
 * texts that say why there is none.
 */
function ztunnelsOf(pods: readonly PodRow[]): readonly ProxyPod[] {
  const named = pods
    .map(({ ztunnel }) => /^([a-z0-9.-]+)\/([a-z0-9.-]+)(,|$)/.exec(ztunnel))
    .filter((found) => found !== null);
  return [...new Map(named.map(([, namespace = "", pod = ""]) => [pod, { pod, namespace }])).values()];
}
