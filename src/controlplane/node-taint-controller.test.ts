import assert from "node:assert/strict";
import { after, test, type TestContext } from "node:test";
import type { KindDefinition, KubernetesObject } from "../api/index.ts";
import { nodeKind, podKind, type Node, type Pod, type Taint } from "../api/kubernetes/index.ts";
import { silentLogger, systemClock } from "../base/index.ts";
import { until } from "../base/testing/index.ts";
import { createInformer, type Informer, type WriteOptions } from "../kube/index.ts";
import { readControlPlaneSettings } from "../api/pilot-settings/index.ts";
import { runNodeTaintController } from "./node-taint-controller.ts";
import { FakeKubeClient } from "./testing/fake-kube-client.ts";

const notReady: Taint = { key: "cni.istio.io/not-ready", value: "true", effect: "NoSchedule" };
const other: Taint = { key: "example.com/gpu", effect: "NoExecute" };
const agentLabels = { "k8s-app": "istio-cni-node" };

const stopped = new AbortController();
const running: Promise<void>[] = [];
after(async () => {
  stopped.abort();
  await Promise.all(running);
});

/** The last node of a test. When it has lost the taint, the controller has seen all earlier events. */
const later = "later";

/** Records the nodes that are written, except the last one. */
class RecordingClient extends FakeKubeClient {
  readonly written: string[] = [];
  before: (name: string) => void = () => undefined;

  override async patchMerge<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    name: string,
    namespace: string | undefined,
    patch: unknown,
    options?: WriteOptions,
  ): Promise<Value> {
    if (kind.kind === "Node" && name !== later) {
      this.written.push(name);
      this.before(name);
    }
    return await super.patchMerge(kind, name, namespace, patch, options);
  }
}

function putNode(client: FakeKubeClient, name: string, taints: readonly Taint[]): void {
  client.put(nodeKind, { metadata: { name }, spec: { taints: [...taints] } } as Node);
}

interface AgentSettings {
  readonly ready?: boolean;
  readonly namespace?: string;
  readonly labels?: Record<string, string>;
  readonly deletionTimestamp?: string;
}

function putAgent(client: FakeKubeClient, node: string, settings: AgentSettings = {}): void {
  const { ready = true, namespace = "istio-system", labels = agentLabels, deletionTimestamp } = settings;
  client.put(podKind, {
    metadata: {
      name: `agent-${node}`,
      namespace,
      labels,
      ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
    },
    spec: { nodeName: node },
    status: { phase: "Running", conditions: [{ type: "Ready", status: ready ? "True" : "False" }] },
  } as Pod);
}

async function taintsOf(client: FakeKubeClient, name: string): Promise<readonly string[]> {
  return ((await client.get(nodeKind, name))?.spec?.taints ?? []).map(({ key }) => key);
}

/** Resolves when the node has lost the taint and the informers have seen this. */
async function untainted(client: FakeKubeClient, name: string, taint = notReady.key): Promise<void> {
  await until(async () => !(await taintsOf(client, name)).includes(taint));
  await new Promise((resolve) => setImmediate(resolve));
}

async function caughtUp(client: FakeKubeClient): Promise<void> {
  putNode(client, later, [notReady]);
  putAgent(client, later);
  await untainted(client, later);
}

async function start(
  t: TestContext,
  client: FakeKubeClient,
  { revision = "default", taint = notReady.key }: { readonly revision?: string; readonly taint?: string } = {},
): Promise<void> {
  const ended = new AbortController();
  t.after(() => ended.abort());
  const signal = AbortSignal.any([stopped.signal, ended.signal]);
  const options = { log: silentLogger, clock: systemClock };
  const informers: Readonly<Record<"Node" | "Pod", Informer<KubernetesObject>>> = {
    Node: createInformer(client, nodeKind, options),
    Pod: createInformer(client, podKind, options),
  };
  running.push(...Object.values(informers).map(async (informer) => await informer.run(signal)));
  await Promise.all(Object.values(informers).map(async ({ synced }) => await synced));
  running.push(
    runNodeTaintController(
      {
        client,
        namespace: "istio-system",
        revision,
        podName: `istiod-${revision}`,
        settings: { taint, agentNamespace: "istio-system" },
        objectsOf: (kind) => informers[kind],
        clock: systemClock,
        log: silentLogger,
      },
      signal,
    ),
  );
}

test("only nodes with a ready CNI agent lose the taint, and they keep other taints", async (t) => {
  const client = new RecordingClient();
  putNode(client, "ready", [other, notReady, { ...notReady, effect: "NoExecute" }]);
  putNode(client, "unready", [notReady]);
  putNode(client, "without", [notReady]);
  putAgent(client, "ready");
  putAgent(client, "unready", { ready: false });
  await start(t, client);
  await untainted(client, "ready");
  await caughtUp(client);
  assert.deepEqual(await taintsOf(client, "ready"), [other.key]);
  assert.deepEqual(await taintsOf(client, "unready"), [notReady.key]);
  assert.deepEqual(await taintsOf(client, "without"), [notReady.key]);
  assert.deepEqual(client.written, ["ready"]);
});

test("a node loses the taint when its agent becomes ready, and its list of taints is removed with the last taint", async (t) => {
  const client = new RecordingClient();
  putNode(client, "new", [notReady]);
  putAgent(client, "new", { ready: false });
  await start(t, client);
  await caughtUp(client);
  assert.deepEqual(client.written, []);
  putAgent(client, "new");
  await untainted(client, "new");
  assert.deepEqual((await client.get(nodeKind, "new"))?.spec, {});
});

test("pods of another namespace, without the label or that are being deleted are no CNI agents", async (t) => {
  const client = new RecordingClient();
  putNode(client, "a", [notReady]);
  putNode(client, "b", [notReady]);
  putNode(client, "c", [notReady]);
  putAgent(client, "a", { namespace: "shop" });
  putAgent(client, "b", { labels: { "k8s-app": "other" } });
  putAgent(client, "c", { deletionTimestamp: "2026-01-01T00:00:00Z" });
  await start(t, client);
  await caughtUp(client);
  assert.deepEqual(client.written, []);
});

test("the controller writes no node without the taint, until the taint returns", async (t) => {
  const client = new RecordingClient();
  putNode(client, "node", [notReady]);
  putAgent(client, "node");
  await start(t, client);
  await untainted(client, "node");
  putAgent(client, "node", { ready: false });
  putAgent(client, "node");
  putNode(client, "node", [other]);
  await caughtUp(client);
  assert.deepEqual(client.written, ["node"]);
  putNode(client, "node", [other, notReady]);
  await untainted(client, "node");
  assert.deepEqual(client.written, ["node", "node"]);
  assert.deepEqual(await taintsOf(client, "node"), [other.key]);
});

test("the taint of a node whose agent no longer runs stays", async (t) => {
  const client = new RecordingClient();
  putNode(client, "node", []);
  putAgent(client, "node");
  await start(t, client);
  await caughtUp(client);
  await client.delete(podKind, "agent-node", "istio-system");
  await caughtUp(client);
  putNode(client, "node", [notReady]);
  await caughtUp(client);
  assert.deepEqual(client.written, []);
});

test("a write that conflicts with another writer's change is repeated, and keeps that change", async (t) => {
  const client = new RecordingClient();
  putNode(client, "node", [notReady]);
  putAgent(client, "node");
  client.before = (name) => {
    client.before = () => undefined;
    putNode(client, name, [notReady, other]);
  };
  await start(t, client);
  await untainted(client, "node");
  assert.deepEqual(await taintsOf(client, "node"), [other.key]);
  assert.ok(client.written.length > 1);
});

test("two revisions remove one taint without disturbing each other, or each removes its own taint", async (t) => {
  const client = new RecordingClient();
  const mine: Taint = { key: "example.com/mesh-not-ready", effect: "NoSchedule" };
  putNode(client, "node", [notReady, mine, other]);
  putAgent(client, "node");
  await start(t, client, { revision: "a" });
  await start(t, client, { revision: "b" });
  await start(t, client, { revision: "c", taint: mine.key });
  await Promise.all([untainted(client, "node"), untainted(client, "node", mine.key)]);
  assert.deepEqual(await taintsOf(client, "node"), [other.key]);
  const before = (await client.get(nodeKind, "node"))?.metadata.resourceVersion;
  await caughtUp(client);
  assert.equal((await client.get(nodeKind, "node"))?.metadata.resourceVersion, before);
});

test("the environment turns the controller on, and the agents are in the pilot's namespace unless a flag names another", () => {
  const read = (env: Readonly<Record<string, string>>, ...args: readonly string[]): unknown =>
    readControlPlaneSettings(["discovery", ...args], { POD_NAMESPACE: "mesh", ...env }, "1.0.0").nodeTaint;
  const on = { PILOT_ENABLE_NODE_UNTAINT_CONTROLLERS: "true" };
  assert.equal(read({}, "--cniNamespace=kube-system"), undefined);
  assert.deepEqual(read(on), { taint: "cni.istio.io/not-ready", agentNamespace: "mesh" });
  assert.deepEqual(
    read({ ...on, PILOT_NODE_UNTAINT_CONTROLLERS_TAINT_NAME: "example.com/x" }, "--cniNamespace=kube-system"),
    { taint: "example.com/x", agentNamespace: "kube-system" },
  );
});
