import { istioAnnotations } from "../../api/istio/index.ts";
import { daemonSetKind, podKind, type Pod } from "../../api/kubernetes/index.ts";
import type { KubeClient } from "../../kube/index.ts";

const isAmbient = ({ metadata }: Pod): boolean =>
  metadata.annotations?.[istioAnnotations.ambientRedirection] === "enabled";
const hasSidecar = ({ metadata }: Pod): boolean => metadata.annotations?.[istioAnnotations.sidecarStatus] !== undefined;

/**
 * Describes what happens to the pods in the mesh when it is removed, one line for each data plane, with the number of
 * pods by namespace. If the DaemonSet of the CNI agent is missing, pods in ambient stay captured, because only an agent
 * can release them.
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
