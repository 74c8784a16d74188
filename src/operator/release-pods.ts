import { daemonSetKind, podKind, type DaemonSet } from "../api/kubernetes/index.ts";
import type { KubernetesObject } from "../api/index.ts";
import type { Clock } from "../base/index.ts";
import type { KubeClient } from "../kube/index.ts";

export interface ReleaseOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  /** Selects the installation's objects. */
  readonly labelSelector: string;
  readonly keeps: (daemonSet: DaemonSet) => boolean;
  readonly onRemoved: (object: KubernetesObject) => void;
  readonly onWait: (text: string) => void;
}

const agentComponent = "Cni";
const pollMs = 250;
/** Longer than an agent's grace period. A killed agent has released nothing, so waiting longer would not help. */
const patienceMs = 60_000;

/**
 * Removes the nodes' CNI agents, and waits until each has released its pods and removed its files. ztunnel may be
 * removed only afterwards. Returns the number of removed agents.
 */
export async function releasePods(options: ReleaseOptions): Promise<number> {
  const { client, clock, labelSelector, keeps, onRemoved, onWait } = options;
  const { items } = await client.list(daemonSetKind, { labelSelector });
  const agents = items.filter(
    (daemonSet) => daemonSet.metadata.labels?.["operator.istio.io/component"] === agentComponent && !keeps(daemonSet),
  );
  for (const agent of agents) {
    const { name = "", namespace = "" } = agent.metadata;
    await client.delete(daemonSetKind, name, namespace, { propagationPolicy: "Background" });
    const left = await untilGone(client, clock, agent);
    if (left.length > 0)
      onWait(`these CNI agents did not end, and may not have released the pods of their nodes: ${left.join(", ")}`);
    onRemoved({ kind: daemonSetKind.kind, metadata: agent.metadata });
  }
  return agents.length;
}

/** The pods that remain after the wait. */
async function untilGone(client: KubeClient, clock: Clock, { metadata, spec }: DaemonSet): Promise<string[]> {
  const labels = Object.entries(spec?.selector?.matchLabels ?? {}).map((pair) => pair.join("="));
  // An empty selector would match every pod.
  if (labels.length === 0) return [];
  const deadline = clock.steadyMs() + patienceMs;
  for (;;) {
    const { items } = await client.list(podKind, {
      namespace: metadata.namespace ?? "",
      labelSelector: labels.join(","),
    });
    if (items.length === 0) return [];
    if (clock.steadyMs() > deadline) return items.map((pod) => pod.metadata.name ?? "");
    await clock.sleep(pollMs);
  }
}
