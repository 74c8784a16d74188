import { deploymentKind, podKind, type Deployment } from "../../../src/api/kubernetes/index.ts";
import type { UntypedObject } from "../../../src/api/index.ts";
import { eventually } from "../../support/eventually.ts";
import type { Bench, Case } from "../bench.ts";
import { nodeName, nodeNumbers } from "../cluster-layout.ts";
import { shop } from "./bookinfo.ts";
import { applyText } from "./policies.ts";

/** Within this time, Kubernetes deletes the pods of a node that was removed. */
const collectedMs = 180_000;

/** The load generator's Deployment. It needs no second pod, because it may pause. */
const loadPod = "load";

/** The Deployments that need a second pod before a node is drained, as they would in any cluster. */
async function doubled({ cluster }: Bench): Promise<readonly Deployment[]> {
  const lists = await Promise.all([
    cluster.api.client.list(deploymentKind, { namespace: shop }),
    cluster.api.client.list(deploymentKind, { namespace: "istio-system", labelSelector: "app=istiod" }),
  ]);
  return lists
    .flatMap(({ items }) => items)
    .filter(({ metadata, spec }) => metadata.name !== loadPod && (spec?.replicas ?? 1) === 1);
}

/** Resolves when everything is available again. */
export async function scale({ cluster }: Bench, deployments: readonly Deployment[], replicas: number): Promise<void> {
  for (const { metadata } of deployments) {
    const deployment = `deployment/${metadata.name ?? ""}`;
    await cluster.kubectl("scale", "-n", metadata.namespace ?? "", deployment, `--replicas=${replicas}`);
  }
  await everythingIsAvailable(cluster);
}

export async function everythingIsAvailable(cluster: Bench["cluster"]): Promise<void> {
  for (const namespace of ["kube-system", "istio-system", shop]) await cluster.available(namespace);
}

/**
 * A disruption budget that keeps one pod. Without it, a drain could evict both at once if they are on the same node. An
 * installation with one istiod has no budget of its own.
 */
function budget({ metadata, spec }: Deployment): UntypedObject {
  const { name = "", namespace = "" } = metadata;
  return {
    apiVersion: "policy/v1",
    kind: "PodDisruptionBudget",
    metadata: { name: `drain-${name}`, namespace, labels: { case: "drain" } },
    spec: { minAvailable: 1, selector: spec?.selector ?? {} },
  };
}

/** Runs `act` while every Deployment has two pods, of which only one at a time may be evicted. */
export async function withTwoOfEverything(bench: Bench, act: () => Promise<void>): Promise<void> {
  const deployments = await doubled(bench);
  await scale(bench, deployments, 2);
  await applyText(bench, deployments.map(budget));
  await act();
  await bench.cluster.kubectl("delete", "poddisruptionbudget", "-A", "-l", "case=drain");
  await scale(bench, deployments, 1);
}

/** Drains a node. Returns how many pods were evicted. */
export async function drain(bench: Bench, node: string): Promise<number> {
  const before = await podsOn(bench, node);
  const command = ["kubectl", "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force"];
  try {
    await bench.cluster.ok([...command, "--timeout=240s"], { timeoutMs: 270_000 });
  } catch (error) {
    // If the node stayed cordoned, later cases would fail too.
    await bench.cluster.kubectl("uncordon", node);
    throw error;
  }
  await bench.load.more(100);
  const left = await podsOn(bench, node);
  if (left.length > 0) throw new Error(`${node} is drained and has still ${left.join(", ")}`);
  return before.length;
}

export const drainCase: Case = {
  name: "drain",
  title: "each node in turn is drained and made schedulable again, with two pods of every workload",
  after: ["bookinfo"],
  async run(bench) {
    const { cluster, load } = bench;
    const moved: string[] = [];
    await withTwoOfEverything(bench, async () => {
      for (const node of nodeNumbers.toReversed().map(nodeName)) {
        const count = await drain(bench, node);
        await cluster.kubectl("uncordon", node);
        await everythingIsAvailable(cluster);
        await load.more(100);
        moved.push(`${count} pods left ${node}`);
      }
    });
    return moved.join(", ");
  },
};

export const removeNodeCase: Case = {
  name: "remove-node",
  title: "a node is drained, deleted and switched off, and later joins again",
  after: ["bookinfo"],
  async run(bench) {
    const { cluster, load } = bench;
    const number = 2;
    const node = nodeName(number);
    await withTwoOfEverything(bench, async () => {
      await drain(bench, node);
      await cluster.kubectl("delete", "node", node);
      await cluster.nodes[number].powerOff();
      await load.more(200);
      await eventually(
        `the pods of ${node} are collected`,
        async () => !(await cluster.kubectl("get", "pods", "-A", "-o", "wide")).includes(` ${node} `),
        collectedMs,
      );
      await load.more(100);
      await cluster.nodes[number].powerOn();
      await cluster.nodesReady();
      await everythingIsAvailable(cluster);
      for (const agent of ["istio-cni-node", "ztunnel"])
        await cluster.kubectl("rollout", "status", `daemonset/${agent}`, "-n", "istio-system", "--timeout=120s");
      await load.more(100);
    });
    return `${node} left without a failed request, and serves again`;
  },
};

/** The pods of bookinfo on a node, without those that are ending. */
async function podsOn({ cluster }: Bench, node: string): Promise<string[]> {
  const { items } = await cluster.api.client.list(podKind, { namespace: shop });
  return items
    .filter(
      ({ metadata, spec, status }) =>
        spec?.nodeName === node && status?.phase === "Running" && metadata.deletionTimestamp === undefined,
    )
    .map(({ metadata }) => metadata.name ?? "");
}
