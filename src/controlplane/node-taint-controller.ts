import type { KubernetesObject } from "../api/index.ts";
import { nodeKind, type Node, type Pod } from "../api/kubernetes/index.ts";
import { Reconciler, type Informer, type InformerChange, type KubeClient } from "../kube/index.ts";
import type { NodeTaintSettings } from "../api/pilot-settings/index.ts";
import { leadAlone, type LeadingControllerOptions } from "./leadership/index.ts";

export interface NodeTaintControllerOptions extends LeadingControllerOptions {
  readonly settings: NodeTaintSettings;
  /** The latest objects, including those of namespaces that the mesh config's selectors exclude. */
  readonly objectsOf: (kind: "Node" | "Pod") => Informer<KubernetesObject> | undefined;
}

const fieldManager = "istio-node-untaint";

/**
 * Removes a taint from each node whose CNI agent is ready. The tool that creates the nodes sets the taint, so that no
 * pod starts on a node before its agent. Each revision has its own leader, because another revision may have another
 * taint, or its agents in another namespace. Revisions with the same settings do not disturb each other, because all of
 * them only remove the taint.
 */
export async function runNodeTaintController(options: NodeTaintControllerOptions, signal: AbortSignal): Promise<void> {
  await leadAlone(
    options,
    `istio-node-untaint-${options.revision}`,
    signal,
    async (leading, client) => await removeTaints({ ...options, client }, leading),
  );
}

async function removeTaints(options: NodeTaintControllerOptions, signal: AbortSignal): Promise<void> {
  const { client, settings, objectsOf, queues, clock, log } = options;
  const nodes: Informer<Node> | undefined = objectsOf("Node");
  const pods: Informer<Pod> | undefined = objectsOf("Pod");
  if (nodes === undefined || pods === undefined) return;
  const agents = new ReadyAgents(settings.agentNamespace);
  const reconciler = new Reconciler({
    name: "node-taints",
    queues,
    log,
    clock,
    maxAttempts: Infinity,
    after: [nodes.synced, pods.synced],
    reconcile: async (name) => {
      const node = nodes.get(name);
      if (node === undefined || !hasTaint(node, settings.taint) || !agents.isReadyOn(name)) return;
      await removeTaint(client, node, settings.taint);
      log.info("the CNI agent of a node is ready, so the taint is removed", { node: name, taint: settings.taint });
    },
  });
  using _pods = pods.subscribe((change) => {
    const name = agents.see(change);
    if (name !== undefined) reconciler.add(name);
  });
  using _nodes = nodes.subscribe((change) => {
    if (change.type === "set" && hasTaint(change.object, settings.taint)) reconciler.add(change.key);
  });
  await reconciler.run(signal);
}

function hasTaint({ spec }: Node, taint: string): boolean {
  return spec?.taints?.some(({ key }) => key === taint) ?? false;
}

/**
 * Removes the taint, and keeps those of other writers. Fails with `conflict` if the node has changed since it was read;
 * the next try reads it again.
 */
async function removeTaint(client: KubeClient, { metadata, spec }: Node, taint: string): Promise<void> {
  const { name = "", resourceVersion } = metadata;
  const kept = (spec?.taints ?? []).filter(({ key }) => key !== taint);
  await client.patchMerge(
    nodeKind,
    name,
    undefined,
    { metadata: { resourceVersion }, spec: { taints: kept.length === 0 ? null : kept } },
    { fieldManager },
  );
}

/** The label of the CNI DaemonSet's pods. Upstream's chart also sets it. */
const agentLabel = { name: "k8s-app", value: "istio-cni-node" } as const;

class ReadyAgents {
  readonly #namespace: string;
  /** The nodes of ready agents, by the agent's key. */
  readonly #nodes = new Map<string, string>();

  constructor(namespace: string) {
    this.#namespace = namespace;
  }

  /** Returns the pod's node if the pod is a ready agent now. */
  see(change: InformerChange<Pod>): string | undefined {
    const node = change.type === "set" && this.#isReadyAgent(change.object) ? change.object.spec?.nodeName : undefined;
    if (node === undefined) this.#nodes.delete(change.key);
    else this.#nodes.set(change.key, node);
    return node;
  }

  /**
   * Searches all agents. Must be called only for nodes with the taint: few nodes have it at the same time, so the
   * search is rare.
   */
  isReadyOn(name: string): boolean {
    return [...this.#nodes.values()].includes(name);
  }

  /**
   * Whether the pod is a ready CNI agent. One that is about to end does not count, because its successor may not become
   * ready.
   */
  #isReadyAgent({ metadata, status }: Pod): boolean {
    return (
      metadata.namespace === this.#namespace &&
      metadata.labels?.[agentLabel.name] === agentLabel.value &&
      metadata.deletionTimestamp === undefined &&
      status?.phase !== "Failed" &&
      (status?.conditions?.some((condition) => condition.type === "Ready" && condition.status === "True") ?? false)
    );
  }
}
