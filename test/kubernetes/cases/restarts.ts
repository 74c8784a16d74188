// What a user restarts by hand: every part of the mesh, one after the other, under load.
import { nodeKind, podKind } from "../../../src/api/kubernetes/index.ts";
import { systemClock } from "../../../src/base/index.ts";
import { eventually } from "../../support/eventually.ts";
import type { Bench, Case } from "../bench.ts";
import { shop } from "./bookinfo.ts";
import { busyboxImage } from "../base-images.ts";
import { ambient, deploymentObject, namespaceObject } from "../objects.ts";
import { everythingIsAvailable } from "./drain.ts";
import { applyText } from "./policies.ts";

/** Longer than a kubelet takes to report a node without a network, and Kubernetes to take its pods out of Services. */
const agentsAwayMs = 40_000;
const waiting = "waiting";

/** The parts in an order in which each one restarts while its neighbours stand. */
const parts = [
  { workload: "deployment/istiod", namespace: "istio-system" },
  { workload: "daemonset/istio-cni-node", namespace: "istio-system" },
  { workload: "daemonset/ztunnel", namespace: "istio-system" },
  { workload: "deployment/waypoint", namespace: shop },
  { workload: "deployment/bookinfo-gateway-istio", namespace: shop },
  { workload: "deployment/serin-rollout", namespace: "serin-system" },
] as const;

export const restartsCase: Case = {
  name: "restarts",
  title: "kubectl rollout restart of each part of the mesh",
  after: ["waypoint"],
  async run(bench) {
    const { cluster, load } = bench;
    for (const { workload, namespace } of parts) {
      await cluster.kubectl("rollout", "restart", workload, "-n", namespace);
      await cluster.kubectl("rollout", "status", workload, "-n", namespace, "--timeout=240s");
      await load.more(150);
    }
    await everythingIsAvailable(cluster);
    await isCaptured(bench, shop);
    return `${parts.length} workloads restarted, one after the other`;
  },
};

/** Resolves when every application's pod of the namespace is in the mesh. */
async function isCaptured({ cluster }: Bench, namespace: string): Promise<void> {
  await eventually(`every pod of ${namespace} without a proxy is captured`, async () => {
    const { items } = await cluster.api.client.list(podKind, { namespace });
    return items
      .filter(({ metadata }) => metadata.labels?.["gateway.networking.k8s.io/gateway-name"] === undefined)
      .every(({ metadata }) => metadata.annotations?.["ambient.istio.io/redirection"] === "enabled");
  });
}

async function agentsOn({ cluster }: Bench): Promise<number> {
  const { items } = await cluster.api.client.list(podKind, {
    namespace: "istio-system",
    labelSelector: "k8s-app=istio-cni-node",
  });
  return items.length;
}

async function placeAgents({ cluster }: Bench, away: string | null): Promise<void> {
  const patch = { spec: { template: { spec: { nodeSelector: { away } } } } };
  await cluster.kubectl("patch", "daemonset/istio-cni-node", "-n", "istio-system", "-p", JSON.stringify(patch));
}

/** Fails if a node reports at any time until the end that it is not ready. */
async function nodesStayReady({ cluster }: Bench, durationMs: number): Promise<void> {
  const endsAt = performance.now() + durationMs;
  while (performance.now() < endsAt) {
    const { items } = await cluster.api.client.list(nodeKind);
    for (const { metadata, status } of items) {
      const ready = status?.conditions?.find(({ type }) => type === "Ready");
      if (ready?.status !== "True") throw new Error(`${metadata.name} is not ready: ${ready?.message}`);
    }
    await systemClock.sleep(1_000);
  }
}

export const agentsAwayCase: Case = {
  name: "agents-away",
  title: "the CNI agents are away: nodes stay ready, and pods that start meanwhile wait for them",
  after: ["bookinfo"],
  async run(bench) {
    const { cluster, load } = bench;
    await placeAgents(bench, "true");
    try {
      await eventually("no agent runs", async () => (await agentsOn(bench)) === 0);
      await applyText(bench, [
        namespaceObject(waiting, ambient),
        deploymentObject({ name: "web", namespace: waiting, image: busyboxImage, command: ["sleep", "infinity"] }),
      ]);
      await nodesStayReady(bench, agentsAwayMs);
      await load.more(100);
      const phases = await cluster.kubectl("get", "pods", "-n", waiting, "-o", "jsonpath={.items[*].status.phase}");
      if (phases !== "Pending") throw new Error(`the new pod did not wait: ${phases}`);
    } finally {
      await placeAgents(bench, null);
    }
    await cluster.kubectl("rollout", "status", "daemonset/istio-cni-node", "-n", "istio-system", "--timeout=120s");
    await cluster.available(waiting);
    await isCaptured(bench, waiting);
    await cluster.kubectl("delete", "namespace", waiting, "--wait=false");
    return "both nodes stayed ready, and the pod that started meanwhile is in the mesh";
  },
};
