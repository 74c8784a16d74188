import { istioLabels } from "../api/istio/index.ts";
import { daemonSetKind, type DaemonSet } from "../api/kubernetes/index.ts";
import type { KubernetesObject } from "../api/index.ts";
import type { Clock } from "../base/index.ts";
import type { KubeClient } from "../kube/index.ts";
import { podsLeft } from "./pods-gone.ts";

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
/**
 * The time to wait for an agent. It is longer than its grace period. A killed agent has released nothing, so waiting
 * longer would not help.
 */
const patienceMs = 60_000;

/**
 * Removes the nodes' CNI agents, and waits until each has released its pods and removed its files. ztunnel may be
 * removed only afterwards. Returns the number of removed agents.
 */
export async function releasePods(options: ReleaseOptions): Promise<number> {
  const { client, clock, labelSelector, keeps, onRemoved, onWait } = options;
  const { items } = await client.list(daemonSetKind, { labelSelector });
  const agents = items.filter(
    (daemonSet) => daemonSet.metadata.labels?.[istioLabels.component] === agentComponent && !keeps(daemonSet),
  );
  for (const agent of agents) {
    const { name = "", namespace = "" } = agent.metadata;
    // With foreground deletion the agents still find their DaemonSet, with a deletion timestamp, and release their
    // pods. If it were gone, they would leave the pods in the mesh.
    await client.delete(daemonSetKind, name, namespace, { propagationPolicy: "Foreground" });
    const left = await podsLeft({ client, clock, patienceMs }, agent);
    if (left.length > 0)
      onWait(`these CNI agents did not end, and may not have released the pods of their nodes: ${left.join(", ")}`);
    onRemoved({ kind: daemonSetKind.kind, metadata: agent.metadata });
  }
  return agents.length;
}
