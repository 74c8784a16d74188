import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesObject } from "../api/index.ts";
import { podKind } from "../api/kubernetes/index.ts";
import { systemClock, type Clock } from "../base/index.ts";
import { removeInstalled } from "./index.ts";
import { install } from "./testing/install-profile.ts";
import { MemoryCluster } from "./testing/memory-cluster.ts";

test("a removal deletes webhooks first, and keeps what all revisions share", async () => {
  const cluster = new MemoryCluster();
  await install(cluster, ["profile=ambient"]);
  await install(cluster, ["profile=minimal", "revision=canary"]);
  cluster.writes.length = 0;
  await removeInstalled({
    client: cluster,
    clock: systemClock,
    selection: { revision: "canary" },
    onRemoved: () => undefined,
  });
  assert.match(cluster.writes[0] ?? "", /WebhookConfiguration/);
  const ofAnother = { revision: "default", owner: "another" };
  assert.equal(
    await removeInstalled({ client: cluster, clock: systemClock, selection: ofAnother, onRemoved: () => undefined }),
    0,
  );
  assert.deepEqual(cluster.names("Deployment"), [
    "istio-system/istio-ingressgateway",
    "istio-system/istiod",
    "serin-system/serin-rollout",
  ]);
  await removeInstalled({
    client: cluster,
    clock: systemClock,
    selection: { revision: "default" },
    onRemoved: () => undefined,
  });
  assert.deepEqual(cluster.names("DaemonSet"), ["istio-system/istio-cni-node"]);
  await removeInstalled({ client: cluster, clock: systemClock, selection: "everything", onRemoved: () => undefined });
  assert.deepEqual(
    [
      cluster.names("DaemonSet"),
      cluster.names("MutatingWebhookConfiguration"),
      cluster.names("CustomResourceDefinition").length,
    ],
    [[], [], 1],
  );
});

test("a removal by labels keeps the node agent while another revision may need it, and removes it with the last one", async () => {
  const selection = { labelSelector: "operator.istio.io/component,istio.io/rev=v2", revision: "v2" };
  const agents = async (cluster: MemoryCluster): Promise<string[]> => {
    const remove = { client: cluster, clock: systemClock, selection };
    const wouldGo: string[] = [];
    await removeInstalled({
      ...remove,
      dryRun: true,
      onRemoved: ({ metadata }) => void wouldGo.push(metadata.name ?? ""),
    });
    await removeInstalled({ ...remove, onRemoved: () => undefined });
    const left = cluster.names("DaemonSet").filter((name) => name.includes("cni"));
    assert.equal(wouldGo.includes("istio-cni-node"), left.length === 0);
    assert.equal(cluster.names("Deployment").includes("istio-system/istiod-v2"), false);
    return left;
  };
  for (const [profile, others] of [
    ["ambient", ["Deployment", "DaemonSet", "MutatingWebhookConfiguration"]],
    ["ambient", ["Deployment"]],
    ["ambient", ["DaemonSet"]],
    ["ambient", ["MutatingWebhookConfiguration"]],
    ["ambient", []],
  ] as const) {
    const cluster = new MemoryCluster();
    await install(cluster, [`profile=${profile}`, "revision=v2"]);
    for (const kind of others) {
      const app = { Deployment: "istiod", DaemonSet: "ztunnel", MutatingWebhookConfiguration: "sidecar-injector" }[
        kind
      ];
      cluster.put(kind, { metadata: { name: "first", labels: { app, "istio.io/rev": "default" } } });
    }
    assert.deepEqual(await agents(cluster), others.length === 0 ? [] : ["istio-system/istio-cni-node"], others.join());
  }
});

test("a complete removal waits for the CNI agents to release their pods, while everything else still exists", async () => {
  const cluster = new MemoryCluster();
  await install(cluster, ["profile=ambient"]);
  cluster.put("Pod", {
    metadata: { name: "istio-cni-node-1", namespace: "istio-system", labels: { "k8s-app": "istio-cni-node" } },
  });
  let names: readonly string[] = [];
  const clock: Clock = {
    ...systemClock,
    sleep: async () => {
      names = [...cluster.names("DaemonSet"), ...cluster.names("Deployment")];
      await cluster.delete(podKind, "istio-cni-node-1", "istio-system");
    },
  };
  await removeInstalled({ client: cluster, clock, selection: "everything", onRemoved: () => undefined });
  assert.deepEqual(
    names.filter((name) => /istiod|ztunnel|cni/.test(name)),
    ["istio-system/ztunnel", "istio-system/istiod"],
  );
  assert.deepEqual(cluster.names("DaemonSet"), []);
});

test("a control plane keeps its rights until its pods have ended, so that it can give up its leases", async () => {
  const cluster = new MemoryCluster();
  await install(cluster, ["profile=minimal", "revision=canary"]);
  const labels = { app: "istiod", "istio.io/rev": "canary" };
  cluster.put("Pod", { metadata: { name: "istiod-canary-1", namespace: "istio-system", labels } });
  let names: readonly string[] = [];
  const clock: Clock = {
    ...systemClock,
    sleep: async () => {
      names = [...cluster.names("Deployment"), ...cluster.names("Role")].filter((name) =>
        name.includes("istiod-canary"),
      );
      await cluster.delete(podKind, "istiod-canary-1", "istio-system");
    },
  };
  await removeInstalled({ client: cluster, clock, selection: { revision: "canary" }, onRemoved: () => undefined });
  assert.deepEqual(names, ["istio-system/istiod-canary"]);
  assert.equal(cluster.names("Role").includes("istio-system/istiod-canary"), false);
});

test("a complete removal waits for the pods of what it removed, and names those whose connections last longer", async () => {
  const cluster = new MemoryCluster();
  await install(cluster, ["profile=ambient"]);
  const put = (name: string, app: string, nodeName: string): void => {
    cluster.put("Pod", {
      metadata: { name, namespace: "istio-system", labels: { app, istio: app.replace("istio-", "") } },
      spec: { nodeName, containers: [] },
    } as KubernetesObject);
  };
  put("ztunnel-1", "ztunnel", "n1");
  put("ztunnel-2", "ztunnel", "n2");
  put("istio-ingressgateway-1", "istio-ingressgateway", "n1");
  let nowMs = 0;
  let setsWhileWaiting: readonly string[] = [];
  const clock: Clock = {
    ...systemClock,
    steadyMs: () => nowMs,
    sleep: async (ms) => {
      nowMs += ms;
      setsWhileWaiting = cluster.names("DaemonSet");
      if (nowMs > 5_000)
        for (const name of ["ztunnel-1", "istio-ingressgateway-1"])
          await cluster.delete(podKind, name, "istio-system").catch(() => undefined);
    },
  };
  const messages: string[] = [];
  await removeInstalled({
    client: cluster,
    clock,
    selection: "everything",
    onRemoved: () => undefined,
    onWarning: (text) => void messages.push(text),
  });
  assert.deepEqual(setsWhileWaiting, []);
  assert.equal(nowMs > 30_000 && nowMs < 70_000, true, String(nowMs));
  assert.deepEqual(messages, [
    "these pods still end, because they have open connections or their node does not answer: istio-system/ztunnel-2 on n2. Wait for them before you delete their namespaces: kubectl wait --for=delete pod -n istio-system -l app=ztunnel --timeout=1h",
  ]);
});

test("an agent that does not end appears in the error", async () => {
  const cluster = new MemoryCluster();
  await install(cluster, ["profile=ambient"]);
  cluster.put("Pod", {
    metadata: { name: "istio-cni-node-1", namespace: "istio-system", labels: { "k8s-app": "istio-cni-node" } },
    spec: { nodeName: "worker-7", containers: [] },
  } as KubernetesObject);
  let nowMs = 0;
  const clock: Clock = {
    ...systemClock,
    steadyMs: () => nowMs,
    sleep: (ms) => Promise.resolve(void (nowMs += ms)),
  };
  const messages: string[] = [];
  await removeInstalled({
    client: cluster,
    clock,
    selection: "everything",
    onRemoved: () => undefined,
    onWarning: (text) => void messages.push(text),
  });
  assert.match(messages.join(""), /did not end.*: istio-cni-node-1 on worker-7\. A node with the plugin/);
  assert.deepEqual(cluster.names("DaemonSet"), []);
});

test("the node of an agent that was not ready is named, because nobody removed the CNI plugin there", async () => {
  const cluster = new MemoryCluster();
  await install(cluster, ["profile=ambient"]);
  const labels = { "k8s-app": "istio-cni-node" };
  for (const [name, status] of [
    ["worker-1", "True"],
    ["worker-2", "False"],
  ] as const)
    cluster.put("Pod", {
      metadata: { name: `agent-${name}`, namespace: "istio-system", labels },
      spec: { nodeName: name, containers: [] },
      status: { conditions: [{ type: "Ready", status }] },
    } as KubernetesObject);
  let nowMs = 0;
  const clock: Clock = {
    ...systemClock,
    steadyMs: () => nowMs,
    sleep: (ms) => {
      const deletionTimestamp = "2026-01-01T00:00:00Z";
      for (const name of ["agent-worker-1", "agent-worker-2"])
        cluster.put("Pod", { metadata: { name, namespace: "istio-system", deletionTimestamp } });
      return Promise.resolve(void (nowMs += ms));
    },
  };
  const messages: string[] = [];
  await removeInstalled({
    client: cluster,
    clock,
    selection: "everything",
    onRemoved: () => undefined,
    onWarning: (text) => void messages.push(text),
  });
  assert.equal(messages.length, 1);
  assert.match(messages[0] ?? "", /may not have cleaned up their nodes: agent-worker-2 on worker-2\. /);
});
