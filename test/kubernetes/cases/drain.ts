import { deploymentKind, podKind, type Deployment } from "../../../src/api/kubernetes/index.ts";
import type { UntypedObject } from "../../../src/api/index.ts";
import type { Bench, Case } from "../bench.ts";
import { nodeName, nodeNumbers } from "../cluster-layout.ts";
import { shop } from "./bookinfo.ts";
import { applyText } from "./policies.ts";

/** Who asks: one is enough, and it may be away for a moment. */
const asking = "load";

/** A second pod of everything that must go on, as whoever drains nodes has them; one at a time may be evicted. */
async function doubled({ cluster }: Bench): Promise<readonly Deployment[]> {
  const lists = await Promise.all([
    cluster.api.client.list(deploymentKind, { namespace: shop }),
    cluster.api.client.list(deploymentKind, { namespace: "istio-system", labelSelector: "app=istiod" }),
  ]);
  return lists
    .flatMap(({ items }) => items)
    .filter(({ metadata, spec }) => metadata.name !== asking && (spec?.replicas ?? 1) === 1);
}

async function scale({ cluster }: Bench, deployments: readonly Deployment[], replicas: number): Promise<void> {
  for (const { metadata } of deployments) {
    const deployment = `deployment/${metadata.name ?? ""}`;
    await cluster.kubectl("scale", "-n", metadata.namespace ?? "", deployment, `--replicas=${replicas}`);
  }
  await everythingIsAvailable(cluster);
}

async function everythingIsAvailable(cluster: Bench["cluster"]): Promise<void> {
  for (const namespace of ["kube-system", "istio-system", shop]) await cluster.available(namespace);
}

/** Without it both pods of a Deployment could go at once, where they are on one node. An installation of one istiod has none. */
function budget({ metadata, spec }: Deployment): UntypedObject {
  const { name = "", namespace = "" } = metadata;
  return {
    apiVersion: "policy/v1",
    kind: "PodDisruptionBudget",
    metadata: { name: `drain-${name}`, namespace, labels: { case: "drain" } },
    spec: { minAvailable: 1, selector: spec?.selector ?? {} },
  };
}

export const drainCase: Case = {
  name: "drain",
  title: "a node is drained and taken back, one after the other, with two pods of everything",
  after: ["bookinfo"],
  async run(bench) {
    const { cluster, load } = bench;
    const deployments = await doubled(bench);
    await scale(bench, deployments, 2);
    await applyText(bench, deployments.map(budget));
    const moved: string[] = [];
    for (const number of nodeNumbers.toReversed()) {
      const node = nodeName(number);
      const before = await podsOn(bench, node);
      await cluster.ok(
        ["kubectl", "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=240s"],
        { timeoutMs: 270_000 },
      );
      await load.more(100);
      const left = await podsOn(bench, node);
      if (left.length > 0) throw new Error(`${node} is drained and has still ${left.join(", ")}`);
      await cluster.kubectl("uncordon", node);
      await everythingIsAvailable(cluster);
      await load.more(100);
      moved.push(`${before.length} pods left ${node}`);
    }
    await cluster.kubectl("delete", "poddisruptionbudget", "-A", "-l", "case=drain");
    await scale(bench, deployments, 1);
    return moved.join(", ");
  },
};

/** Pods of bookinfo on a node that are not ending. */
async function podsOn({ cluster }: Bench, node: string): Promise<string[]> {
  const { items } = await cluster.api.client.list(podKind, { namespace: shop });
  return items
    .filter(
      ({ metadata, spec, status }) =>
        spec?.nodeName === node && status?.phase === "Running" && metadata.deletionTimestamp === undefined,
    )
    .map(({ metadata }) => metadata.name ?? "");
}
