import { istioAnnotations } from "../../api/istio/index.ts";
import { daemonSetKind, podKind, type Pod } from "../../api/kubernetes/index.ts";
import type { KubeClient } from "../../kube/index.ts";

const isAmbient = ({ metadata }: Pod): boolean =>
  metadata.annotations?.[istioAnnotations.ambientRedirection] === "enabled";
const hasSidecar = ({ metadata }: Pod): boolean => metadata.annotations?.[istioAnnotations.sidecarStatus] !== undefined;

/**
 * Summarises the pods in the mesh, one line for each kind: `ambient: bookinfo (6 pods), shop (1 pod)`. If the CNI
 * agent's DaemonSet was deleted, pods stay captured by ztunnel. Only an agent can release them.
 */
export async function enrolledPods(client: KubeClient): Promise<string[]> {
  const { items } = await client.list(podKind);
  const agents = await client.list(daemonSetKind, { labelSelector: "k8s-app=istio-cni-node" });
  const ambient =
    agents.items.length > 0
      ? "ambient, which continue in plain text"
      : "ambient, which lose their network until they restart, because no CNI agent removes their redirection (serin install restores it)";
  return [
    [ambient, items.filter(isAmbient)] as const,
    ["with a sidecar, which stays in them until they restart", items.filter(hasSidecar)] as const,
  ].flatMap(([title, pods]) => (pods.length === 0 ? [] : [`${title}: ${byNamespace(pods)}`]));
}

function byNamespace(pods: readonly Pod[]): string {
  const counts = new Map<string, number>();
  for (const { metadata } of pods) {
    const namespace = metadata.namespace ?? "";
    counts.set(namespace, (counts.get(namespace) ?? 0) + 1);
  }
  return [...counts]
    .toSorted(([left], [right]) => (left < right ? -1 : 1))
    .map(([namespace, count]) => `${namespace} (${count} ${count === 1 ? "pod" : "pods"})`)
    .join(", ");
}
