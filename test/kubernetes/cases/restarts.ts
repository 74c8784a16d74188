// Restarts every part of the mesh under load, one after the other, as users do by hand.
import { nodeKind, podKind } from "../../../src/api/kubernetes/index.ts";
import { systemClock } from "../../../src/base/index.ts";
import { eventually } from "../../support/eventually.ts";
import type { Bench, Case } from "../bench.ts";
import { shop } from "./bookinfo.ts";
import { busyboxImage } from "../base-images.ts";
import { ambient, defaultCpuRequest, deploymentObject, namespaceObject, serviceObject } from "../objects.ts";
import { boundedGet } from "../real-cluster.ts";
import { everythingIsAvailable } from "./drain.ts";
import { applyText, strict } from "./policies.ts";
import { job } from "./workloads.ts";

/** Longer than a kubelet takes to report a node without a network, and Kubernetes to remove its pods from Services. */
const agentsAwayMs = 40_000;
const waiting = "waiting";

/** The parts of the mesh, in the order in which they are restarted. */
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

const rolled = "rolled";
const rolledSidecars = "rolled-sidecars";
const rollouts = 3;

/**
 * Each pod asks once, and its server admits only callers of the mesh. So a pod that starts without its redirect would
 * fail.
 */
export const agentsRolloutCase: Case = {
  name: "agents-rollout",
  title: "the CNI agents are replaced again and again, and each pod that starts meanwhile is in the mesh at once",
  after: ["bookinfo"],
  async run(bench) {
    const { cluster } = bench;
    const command = ["httpd", "-f", "-p", "8080", "-h", "/etc"];
    await applyText(bench, [
      namespaceObject(rolled, ambient),
      namespaceObject(rolledSidecars, { "istio-injection": "enabled" }),
      ...[rolled, rolledSidecars].map(defaultCpuRequest),
      strict(rolled),
      deploymentObject({ name: "web", namespace: rolled, image: busyboxImage, command, port: 8080, replicas: 2 }),
      serviceObject("web", rolled, 80, { targetPort: 8080 }),
    ]);
    await cluster.available(rolled);
    await isCaptured(bench, rolled);
    const ask = boundedGet(`http://web.${rolled}/passwd`, 10).join(" ");
    const words = { name: "ask", parallelism: 4, command: ask };
    const state = { isOver: false };
    const jobs = Promise.all([
      job(bench, { ...words, namespace: rolled, completions: 60 }),
      job(bench, { ...words, namespace: rolledSidecars, completions: 24 }),
    ]).finally(() => {
      state.isOver = true;
    });
    // Whoever awaits `jobs` gets the error.
    jobs.catch(() => undefined);
    const agents = ["daemonset/istio-cni-node", "-n", "istio-system"];
    let replaced = 0;
    while (!state.isOver || replaced < rollouts) {
      await cluster.kubectl("rollout", "restart", ...agents);
      await cluster.kubectl("rollout", "status", ...agents, "--timeout=240s");
      replaced += 1;
    }
    await jobs;
    await cluster.kubectl("delete", "namespace", rolled, rolledSidecars, "--wait=false");
    return `84 of 84 pods were answered during ${replaced} rollouts`;
  },
};
