import { istioLabels } from "../api/istio/index.ts";
import { daemonSetKind, type DaemonSet, type Pod } from "../api/kubernetes/index.ts";
import type { KubernetesObject } from "../api/index.ts";
import type { Clock } from "../base/index.ts";
import type { KubeClient } from "../kube/index.ts";
import { podsLeft, podsOf, type PodsGoneOptions } from "./pods-gone.ts";

export interface ReleaseOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  /** A label selector for the installation's objects. */
  readonly labelSelector: string;
  readonly keeps: (daemonSet: DaemonSet) => boolean;
  readonly onRemoved: (object: KubernetesObject) => void;
  /** Called with a message that names agents that may not have cleaned up their nodes. */
  readonly onWarning: (text: string) => void;
  readonly onWait?: PodsGoneOptions["onWait"];
}

const agentComponent = "Cni";
/**
 * The time to wait for an agent. It is longer than the agent's grace period. After this time the agent has been killed,
 * so waiting longer would not help.
 */
const patienceMs = 60_000;

/**
 * Removes the nodes' CNI agents, and waits until each has released its pods and removed its files. ztunnel may be
 * removed only after this. Returns the number of removed agents.
 */
export async function releasePods(options: ReleaseOptions): Promise<number> {
  const { client, clock, labelSelector, keeps, onRemoved, onWarning, onWait } = options;
  const { items } = await client.list(daemonSetKind, { labelSelector });
  const agents = items.filter(
    (daemonSet) => daemonSet.metadata.labels?.[istioLabels.component] === agentComponent && !keeps(daemonSet),
  );
  for (const agent of agents) {
    const { name = "", namespace = "" } = agent.metadata;
    const unready = (await podsOf(client, agent)).filter(isUnready);
    // With foreground deletion the agents still find their DaemonSet with a deletion timestamp, by which they know that
    // they must release their pods. If the DaemonSet were gone, they would leave the pods in the mesh.
    await client.delete(daemonSetKind, name, namespace, { propagationPolicy: "Foreground" });
    const left = [...unready, ...(await podsLeft({ client, clock, patienceMs, ...(onWait && { onWait }) }, agent))];
    if (left.length > 0) onWarning(uncleanNodes(left));
    onRemoved({ kind: daemonSetKind.kind, metadata: agent.metadata });
  }
  return agents.length;
}

/** Whether an agent does not work, for example on a node that is off. Such an agent does not clean up its node. */
function isUnready({ status }: Pod): boolean {
  const ready = status?.conditions?.find(({ type }) => type === "Ready");
  return ready !== undefined && ready.status !== "True";
}

function uncleanNodes(agents: readonly Pod[]): string {
  const names = new Set(agents.map(({ metadata, spec }) => `${metadata.name ?? ""} on ${spec?.nodeName ?? "no node"}`));
  return `these CNI agents were not ready or did not end, and may not have cleaned up their nodes: ${[...names].join(", ")}. A node with the plugin and without an agent starts no pod. For such a node: when it is ready, run serin install and serin uninstall --purge again, or remove the plugin serin-cni by hand from the file of its CNI configuration, for example in /etc/cni/net.d`;
}
