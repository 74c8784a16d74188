// Tests the controllers and the scheduler against the real API server in one process. The test simulates the nodes.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  daemonSetKind,
  deploymentKind,
  endpointSliceKind,
  eventKind,
  namespaceKind,
  nodeKind,
  podKind,
  replicaSetKind,
  serviceAccountKind,
  serviceKind,
  statefulSetKind,
  type Deployment,
  type Event,
  type Pod,
} from "../../api/kubernetes/index.ts";
import { defineKind, type KubernetesObject } from "../../api/index.ts";
import { silentLogger, systemClock, systemRandom } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { createInformer, createKubeClient, type KubeClient } from "../../kube/index.ts";
import { ServerHarness } from "../apiserver/testing/index.ts";
import { addScheduler } from "../scheduler/index.ts";
import { addControllers, ControllerContext } from "./index.ts";
import { lastingNodeStatus } from "./testing/lasting-node-status.ts";

const options = { log: silentLogger, clock: systemClock };
const namespace = "shop";
const resourceQuotaKind = defineKind<KubernetesObject & { spec?: { hard?: Record<string, string> } }>({
  group: "",
  versions: ["v1"],
  kind: "ResourceQuota",
  plural: "resourcequotas",
  namespaced: true,
});

const priorityClassKind = defineKind<KubernetesObject & { value: number }>({
  group: "scheduling.k8s.io",
  versions: ["v1"],
  kind: "PriorityClass",
  plural: "priorityclasses",
  namespaced: false,
});

/** Simulates the nodes: reports bound pods as running, and removes deleted pods. */
function playNodes(client: KubeClient, signal: AbortSignal): Promise<void> {
  let address = 1;
  const pods = createInformer(client, podKind, options);
  const act = async ({ metadata, spec, status }: Pod): Promise<void> => {
    const { name = "", uid = "" } = metadata;
    if (spec?.nodeName === undefined) return;
    if (metadata.deletionTimestamp !== undefined)
      return await client.delete(podKind, name, metadata.namespace, { gracePeriodSeconds: 0, preconditions: { uid } });
    if (status?.podIP !== undefined) return;
    const podIP = `10.244.1.${(address += 1)}`;
    const conditions = [{ type: "Ready", status: "True", lastTransitionTime: new Date().toISOString() }];
    await client.patchMerge(
      podKind,
      name,
      metadata.namespace,
      { status: { phase: "Running", podIP, podIPs: [{ ip: podIP }], conditions } },
      { subresource: "status" },
    );
  };
  pods.subscribe(({ type, object }) => {
    if (type === "set") void act(object).catch(() => undefined);
  });
  return pods.run(signal);
}

/** Records patches of the client that change nothing. The server keeps the object's version for such a patch. */
function noteIdlePatches(client: KubeClient): readonly string[] {
  const idle: string[] = [];
  const versions = new Set<string>();
  const send = client.patchMerge.bind(client);
  const patchMerge: KubeClient["patchMerge"] = async (kind, name, ownNamespace, patch, patchOptions) => {
    const written = await send(kind, name, ownNamespace, patch, patchOptions);
    const version = `${written.metadata.uid ?? ""} ${written.metadata.resourceVersion ?? ""}`;
    if (versions.has(version)) idle.push(`${kind.kind}/${name} ${JSON.stringify(patch)}`);
    versions.add(version);
    return written;
  };
  Object.assign(client, { patchMerge });
  return idle;
}

/** Starts an API server with the controllers, the scheduler and two simulated nodes. Creates the test's namespace. */
async function startCluster(): Promise<{
  readonly client: KubeClient;
  readonly idlePatches: readonly string[];
  readonly stop: () => Promise<void>;
}> {
  const harness = await new ServerHarness().start();
  const pem = (path: string): string => readFileSync(path, "utf8");
  const ca = pem(harness.pki.caCertificate);
  const { certificate, key } = harness.pki.controllerManager;
  const config = {
    server: `https://127.0.0.1:${harness.port}`,
    context: "test",
    namespace: "default",
    ca,
    clientCertificate: { certificate: pem(certificate), key: pem(key) },
  };
  const client = createKubeClient(config, options);
  const metadataClient = createKubeClient(config, { ...options, metadataOnly: true });
  const ownClient = createKubeClient(config, options);
  const idlePatches = noteIdlePatches(ownClient);
  const context = new ControllerContext({
    client: ownClient,
    log: silentLogger,
    clock: systemClock,
    random: systemRandom,
  });
  addScheduler(context);
  addControllers(context, { rootCa: ca, metadataClient, autoscalers: { followsMetrics: false } });
  const stop = new AbortController();
  const running = Promise.all([context.run(stop.signal), playNodes(client, stop.signal)]);

  for (const name of ["a", "b"]) {
    const status = lastingNodeStatus();
    await client.create(nodeKind, { metadata: { name }, status });
    await client.patchMerge(nodeKind, name, undefined, { status }, { subresource: "status" });
  }
  await client.create(namespaceKind, { metadata: { name: namespace } });
  await until(
    async () => (await client.get(serviceAccountKind, "default", namespace)) !== undefined,
    "the default account",
  );
  return {
    client,
    idlePatches,
    stop: async () => {
      stop.abort();
      await running;
      client.close();
      ownClient.close();
      metadataClient.close();
      await harness.remove();
    },
  };
}

test("a Deployment rolls out and over behind its Service, its pods are replaced, and its namespace is deleted with its objects", async () => {
  const { client, idlePatches, stop } = await startCluster();
  const labels = { app: "web" };
  const template = { metadata: { labels }, spec: { containers: [{ name: "app", image: "web:1" }] } };
  await client.create(deploymentKind, {
    metadata: { name: "web", namespace },
    spec: { replicas: 4, selector: { matchLabels: labels }, template },
  });
  await client.create(serviceKind, {
    metadata: { name: "web", namespace },
    spec: { selector: labels, ports: [{ port: 80, targetPort: 8080 }] },
  });
  const rolledOut = async (): Promise<boolean> => {
    const found = await client.get(deploymentKind, "web", namespace);
    const status = found?.status;
    return (
      status?.observedGeneration === found?.metadata.generation &&
      status?.updatedReplicas === 4 &&
      status.availableReplicas === 4 &&
      status.replicas === 4
    );
  };
  await until(rolledOut, "rolled out");
  const pods = async (): Promise<readonly Pod[]> =>
    (await client.list(podKind, { namespace, labelSelector: "app=web" })).items;
  assert.deepEqual((await pods()).map(({ spec }) => spec?.nodeName ?? "").sort(), ["a", "a", "b", "b"]);

  await client.patchMerge(deploymentKind, "web", namespace, {
    spec: { template: { spec: { containers: [{ name: "app", image: "web:2" }] } } },
  });
  await until(
    async () => (await rolledOut()) && (await pods()).every(({ spec }) => spec?.containers[0]?.image === "web:2"),
    "rolled over",
  );
  assert.equal((await client.list(replicaSetKind, { namespace })).items.length, 2);
  const ready = async (): Promise<number> => {
    const { items } = await client.list(endpointSliceKind, { namespace });
    return items.flatMap(({ endpoints }) => endpoints ?? []).filter(({ conditions }) => conditions?.ready === true)
      .length;
  };
  await until(async () => (await ready()) === 4, "four endpoints");

  const [victim] = await pods();
  await client.delete(podKind, victim?.metadata.name ?? "", namespace);
  await until(
    async () =>
      (await pods()).length === 4 && (await pods()).every(({ metadata }) => metadata.uid !== victim?.metadata.uid),
    "replaced",
  );

  await client.delete(namespaceKind, namespace);
  await until(async () => (await client.get(namespaceKind, namespace)) === undefined, "the namespace is gone");
  assert.deepEqual(await pods(), []);
  assert.deepEqual(idlePatches, []);
  await stop();
});

test("no controller writes again what the server has stored", async (context) => {
  const { client, idlePatches, stop } = await startCluster();
  context.after(stop);
  const labels = { app: "each" };
  const spec = {
    selector: { matchLabels: labels },
    template: { metadata: { labels }, spec: { containers: [{ name: "app", image: "web:1" }] } },
  };
  const objects = [
    [deploymentKind, { replicas: 1 }],
    [daemonSetKind, {}],
    [statefulSetKind, { replicas: 1, serviceName: "web" }],
  ] as const;
  for (const [kind, own] of objects)
    await client.create<KubernetesObject>(kind, {
      metadata: { name: "web", namespace },
      spec: { ...spec, ...own },
    } as never);
  const pods = async (): Promise<readonly Pod[]> => (await client.list(podKind, { namespace })).items;
  await until(
    async () => (await pods()).filter(({ status }) => status?.podIP !== undefined).length === 4,
    "four pods run",
  );
  // Every change makes the controller reconcile the object again.
  for (const count of ["1", "2", "3"]) {
    for (const [kind] of objects)
      await client.patchMerge<KubernetesObject>(kind, "web", namespace, { metadata: { annotations: { count } } });
    const set = async (): Promise<string | undefined> =>
      (await client.list(replicaSetKind, { namespace })).items[0]?.metadata.annotations?.["count"];
    await until(async () => (await set()) === count, "the annotation is copied");
  }
  assert.deepEqual(idlePatches, []);
});

test("a Deployment reports that a quota refuses its pods, and continues when the quota has room", async (context) => {
  const { client, stop } = await startCluster();
  context.after(stop);
  const quota = { metadata: { name: "few", namespace }, spec: { hard: { pods: "1" } } };
  await client.create(resourceQuotaKind, quota);
  const labels = { app: "web" };
  await client.create(deploymentKind, {
    metadata: { name: "web", namespace },
    spec: {
      replicas: 2,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: "app", image: "web:1" }] } },
    },
  });
  const deployment = async (): Promise<Deployment["status"]> =>
    (await client.get(deploymentKind, "web", namespace))?.status;
  const failure = (status: Deployment["status"]): NonNullable<NonNullable<Deployment["status"]>["conditions"]> =>
    (status?.conditions ?? []).filter(({ type }) => type === "ReplicaFailure");
  await until(async () => failure(await deployment()).length === 1, "refused");
  const [{ reason, message } = { reason: "", message: "" }] = failure(await deployment());
  assert.equal(reason, "FailedCreate");
  assert.match(message, /exceeded quota: few, requested: pods=1, used: pods=1, limited: pods=1/);
  await client.patchMerge(resourceQuotaKind, "few", namespace, { spec: { hard: { pods: "2" } } });
  await until(async () => {
    const status = await deployment();
    return status?.availableReplicas === 2 && failure(status).length === 0;
  }, "rolled out");
});

test("a pod of high priority takes the place of one of lower priority, whose status and event say why", async (context) => {
  const { client, stop } = await startCluster();
  context.after(stop);
  await client.create(priorityClassKind, { metadata: { name: "high" }, value: 1000 });
  const make = async (name: string, cpu: string, more: object = {}): Promise<void> => {
    const spec = { containers: [{ name: "app", image: "x", resources: { requests: { cpu } } }], ...more };
    await client.create(podKind, { metadata: { name, namespace, finalizers: ["test/kept"] }, spec });
  };
  const nodeOf = async (name: string): Promise<string | undefined> =>
    (await client.get(podKind, name, namespace))?.spec?.nodeName;
  await make("low-1", "4");
  await make("low-2", "4");
  await until(async () => (await nodeOf("low-1")) !== undefined && (await nodeOf("low-2")) !== undefined, "full");
  await make("important", "1", { priorityClassName: "high" });
  const deleted = async (): Promise<readonly Pod[]> =>
    (await client.list(podKind, { namespace })).items.filter(
      ({ metadata }) => metadata.deletionTimestamp !== undefined,
    );
  await until(async () => (await deleted()).length > 0, "a pod is preempted");
  const [victim] = await deleted();
  const { name = "" } = victim?.metadata ?? {};
  const cause = victim?.status?.conditions?.find(({ type }) => type === "DisruptionTarget");
  assert.equal(cause?.reason, "PreemptionByScheduler");
  const waiting = await client.get(podKind, "important", namespace);
  assert.equal(waiting?.status?.nominatedNodeName, victim?.spec?.nodeName);
  const events = async (): Promise<readonly Event[]> =>
    (await client.list(eventKind, { namespace })).items.filter(({ reason }) => reason === "Preempted");
  await until(async () => (await events()).some(({ involvedObject }) => involvedObject.name === name), "an event");
  // The node's free resources are reserved for the pod that waits for them.
  await make("greedy", "4");
  await client.patchMerge(podKind, name, namespace, { metadata: { finalizers: null } });
  await until(async () => (await nodeOf("important")) === victim?.spec?.nodeName, "the important pod runs");
  assert.equal(await nodeOf("greedy"), undefined);
  assert.equal((await deleted()).length, 0);
});
