// Tests claims, volumes and StatefulSets with claims against the real API server. The test simulates the node.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import {
  eventKind,
  nodeKind,
  persistentVolumeClaimKind,
  persistentVolumeKind,
  podKind,
  statefulSetKind,
  type PersistentVolume,
  type Pod,
} from "../../../api/kubernetes/index.ts";
import { silentLogger, systemClock, systemRandom } from "../../../base/index.ts";
import { until } from "../../../base/testing/index.ts";
import { createInformer, createKubeClient, type KubeConfig } from "../../../kube/index.ts";
import { ServerHarness } from "../../apiserver/testing/index.ts";
import { VolumeJanitor } from "../../node/volumes/volume-janitor.ts";
import { localVolumePath } from "../../record/local-volumes.ts";
import { addScheduler } from "../../scheduler/index.ts";
import { addBootstrap, addControllers, ControllerContext } from "../index.ts";
import { lastingNodeStatus } from "../testing/lasting-node-status.ts";

const options = { log: silentLogger, clock: systemClock };
const namespace = "default";
const harness = new ServerHarness();
const stop = new AbortController();
let client: ReturnType<typeof createKubeClient>;
let nodeClient: ReturnType<typeof createKubeClient>;
let metadataClient: ReturnType<typeof createKubeClient>;
let running: Promise<unknown>;
let hostRoot: string;

before(async () => {
  await harness.start();
  hostRoot = join(harness.directory, "node-a");
  mkdirSync(hostRoot);
  const pem = (path: string): string => readFileSync(path, "utf8");
  const ca = pem(harness.pki.caCertificate);
  const configOf = ({ certificate, key }: { certificate: string; key: string }): KubeConfig => ({
    server: `https://127.0.0.1:${harness.port}`,
    context: "test",
    namespace,
    ca,
    clientCertificate: { certificate: pem(certificate), key: pem(key) },
  });
  client = createKubeClient(configOf(harness.pki.controllerManager), options);
  const identity = harness.pki.nodes["node-a"];
  assert.ok(identity !== undefined);
  // A client with a node's own rights, which may delete the lab's volumes.
  nodeClient = createKubeClient(configOf(identity), options);
  metadataClient = createKubeClient(configOf(harness.pki.controllerManager), { ...options, metadataOnly: true });
  const context = new ControllerContext({ client, log: silentLogger, clock: systemClock, random: systemRandom });
  addScheduler(context);
  addControllers(context, { rootCa: ca, metadataClient, autoscalers: { followsMetrics: false } });
  const bootstrapped = addBootstrap(context, {
    definitions: [],
    dns: { address: "127.0.0.1", port: 53 },
    dnsServiceIP: "10.96.0.10",
  });
  const volumes = createInformer<PersistentVolume>(nodeClient, persistentVolumeKind, options);
  const janitor = new VolumeJanitor({ ...options, client: nodeClient, volumes, nodeName: "node-a", hostRoot });
  running = Promise.all([
    context.run(stop.signal),
    playNode(stop.signal),
    volumes.run(stop.signal),
    janitor.run(stop.signal),
  ]);
  await client.create(nodeKind, {
    metadata: { name: "node-a", labels: { "kubernetes.io/hostname": "node-a" } },
    status: lastingNodeStatus(),
  });
  await bootstrapped;
});

after(async () => {
  stop.abort();
  await running;
  client.close();
  nodeClient.close();
  metadataClient.close();
  await harness.remove();
});

/**
 * Simulates the node: makes the directories of bound pods' volumes and reports the pods as ready, and removes deleted
 * pods.
 */
function playNode(signal: AbortSignal): Promise<void> {
  const pods = createInformer(client, podKind, options);
  const act = async ({ metadata, spec, status }: Pod): Promise<void> => {
    const { name = "", uid = "" } = metadata;
    if (spec?.nodeName === undefined) return;
    if (metadata.deletionTimestamp !== undefined)
      return await client.delete(podKind, name, namespace, { gracePeriodSeconds: 0, preconditions: { uid } });
    if (status?.phase === "Running") return;
    for (const { persistentVolumeClaim } of spec.volumes ?? []) {
      if (persistentVolumeClaim === undefined) continue;
      const claim = await client.get(persistentVolumeClaimKind, persistentVolumeClaim.claimName, namespace);
      const directory = join(hostRoot, localVolumePath(claim?.spec?.volumeName ?? ""));
      mkdirSync(directory, { recursive: true });
      writeFileSync(join(directory, uid), "");
    }
    const conditions = [{ type: "Ready", status: "True", lastTransitionTime: new Date().toISOString() }];
    const running = { status: { phase: "Running", conditions } };
    await client.patchMerge(podKind, name, namespace, running, { subresource: "status" });
  };
  pods.subscribe(({ type, object }) => {
    if (type === "set") void act(object).catch(() => undefined);
  });
  return pods.run(signal);
}

const phaseOfClaim = async (name: string): Promise<string> =>
  (await client.get(persistentVolumeClaimKind, name, namespace))?.status?.phase ?? "gone";
const podUses = (name: string, claimName: string): Pod => ({
  metadata: { name, namespace },
  spec: {
    containers: [{ name: "app", image: "busybox", volumeMounts: [{ name: "data", mountPath: "/data" }] }],
    volumes: [{ name: "data", persistentVolumeClaim: { claimName } }],
  },
});
const requests = { requests: { storage: "64Mi" } };

async function events(reason: string, name: string): Promise<string[]> {
  const { items } = await client.list(eventKind, { namespace });
  return items
    .filter((event) => event.reason === reason && event.involvedObject.name === name)
    .map(({ message = "" }) => message);
}

async function table(path: string, count: number): Promise<unknown[][]> {
  const accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
  const { body } = await harness.call("GET", path, undefined, { accept });
  return body.rows.map(({ cells }: { cells: unknown[] }) => cells.slice(0, count));
}

test("a pod waits for its missing claim; the claim then gets a directory of the pod's node, is kept while the pod lives, and its directory goes with it", async () => {
  await client.create(podKind, podUses("p", "data"));
  await until(async () => (await events("FailedScheduling", "p")).length > 0, "the event");
  assert.deepEqual(await events("FailedScheduling", "p"), [
    '0/1 nodes are available: persistentvolumeclaim "data" not found.',
  ]);
  await client.create(persistentVolumeClaimKind, {
    metadata: { name: "data", namespace },
    spec: { accessModes: ["ReadWriteOnce"], resources: requests },
  });
  await until(async () => (await client.get(podKind, "p", namespace))?.status?.phase === "Running", "runs");
  const claim = await client.get(persistentVolumeClaimKind, "data", namespace);
  const volumeName = claim?.spec?.volumeName ?? "";
  assert.equal(volumeName, `pvc-${claim?.metadata.uid}`);
  assert.deepEqual(claim?.status, { phase: "Bound", accessModes: ["ReadWriteOnce"], capacity: { storage: "64Mi" } });
  await until(
    async () => (await client.get(persistentVolumeKind, volumeName))?.status?.phase === "Bound",
    "the volume is bound",
  );
  assert.deepEqual(await table(`/api/v1/namespaces/${namespace}/persistentvolumeclaims`, 6), [
    ["data", "Bound", volumeName, "64Mi", "RWO", "standard"],
  ]);
  assert.deepEqual(await table("/api/v1/persistentvolumes", 7), [
    [volumeName, "64Mi", "RWO", "Delete", "Bound", "default/data", "standard"],
  ]);
  assert.deepEqual(await table("/apis/storage.k8s.io/v1/storageclasses", 5), [
    ["standard (default)", "lab.serin.dev/local-directory", "Delete", "WaitForFirstConsumer", false],
  ]);

  const directory = join(hostRoot, localVolumePath(volumeName));
  await client.delete(persistentVolumeClaimKind, "data", namespace);
  await systemClock.sleep(200);
  assert.equal(await phaseOfClaim("data"), "Bound");
  assert.ok(existsSync(directory));
  await client.delete(podKind, "p", namespace);
  await until(async () => (await phaseOfClaim("data")) === "gone", "the claim is gone");
  await until(async () => (await client.get(persistentVolumeKind, volumeName)) === undefined, "the volume is gone");
  assert.equal(existsSync(directory), false);
});

test("the pods of a StatefulSet keep their claims and data when they are created again and when the set is scaled", async () => {
  const labels = { app: "db" };
  const data = { metadata: { name: "data" }, spec: { accessModes: ["ReadWriteOnce" as const], resources: requests } };
  await client.create(statefulSetKind, {
    metadata: { name: "db", namespace },
    spec: {
      replicas: 2,
      serviceName: "db",
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { containers: [{ name: "db", image: "db", volumeMounts: [{ name: "data", mountPath: "/data" }] }] },
      },
      volumeClaimTemplates: [data],
    },
  });
  const isReady = async (count: number): Promise<boolean> =>
    (await client.get(statefulSetKind, "db", namespace))?.status?.readyReplicas === count;
  await until(async () => await isReady(2), "two pods");
  const volumeOf = async (name: string): Promise<string> =>
    (await client.get(persistentVolumeClaimKind, name, namespace))?.spec?.volumeName ?? "";
  const [first, second] = [await volumeOf("data-db-0"), await volumeOf("data-db-1")];
  assert.notEqual(first, second);
  const before = await client.get(podKind, "db-1", namespace);
  await client.delete(podKind, "db-1", namespace);
  await until(async () => {
    const pod = await client.get(podKind, "db-1", namespace);
    return pod?.status?.phase === "Running" && pod.metadata.uid !== before?.metadata.uid;
  }, "another pod");
  const patch = async (replicas: number): Promise<unknown> =>
    await client.patchMerge(statefulSetKind, "db", namespace, { spec: { replicas } });
  await patch(0);
  await until(async () => (await client.list(podKind, { namespace })).items.length === 0, "no pods");
  await patch(1);
  await until(async () => await isReady(1), "one pod");
  assert.deepEqual([await volumeOf("data-db-0"), await volumeOf("data-db-1")], [first, second]);
  assert.ok(existsSync(join(hostRoot, localVolumePath(second), before?.metadata.uid ?? "")));

  await client.patchMerge(statefulSetKind, "db", namespace, {
    spec: { persistentVolumeClaimRetentionPolicy: { whenDeleted: "Delete" } },
  });
  await until(
    async () =>
      (await client.get(persistentVolumeClaimKind, "data-db-0", namespace))?.metadata.ownerReferences?.[0]?.kind ===
      "StatefulSet",
    "the set owns its claim",
  );
  await client.delete(statefulSetKind, "db", namespace);
  await until(async () => (await phaseOfClaim("data-db-0")) === "gone", "the owned claim is gone");
  assert.equal(await phaseOfClaim("data-db-1"), "Bound");
  await client.delete(persistentVolumeClaimKind, "data-db-1", namespace);
  await until(async () => (await phaseOfClaim("data-db-1")) === "gone", "the other is gone");
});

test("a volume that was made by hand is bound, kept when its claim goes, and not deleted by the lab", async () => {
  const made = (name: string, policy: "Retain" | "Delete"): PersistentVolume => ({
    metadata: { name },
    spec: {
      accessModes: ["ReadWriteOnce"],
      capacity: { storage: "1Gi" },
      hostPath: { path: `/srv/${name}` },
      persistentVolumeReclaimPolicy: policy,
      storageClassName: "by-hand",
    },
  });
  for (const [name, policy, expected] of [
    ["kept", "Retain", "Released"],
    ["stuck", "Delete", "Failed"],
  ] as const) {
    await client.create(persistentVolumeClaimKind, {
      metadata: { name, namespace },
      spec: { accessModes: ["ReadWriteOnce"], resources: requests, storageClassName: "by-hand" },
    });
    await until(async () => (await events("ProvisioningFailed", name)).length > 0, "it tells why");
    await client.create(persistentVolumeKind, made(name, policy));
    await until(async () => (await phaseOfClaim(name)) === "Bound", "bound");
    await client.delete(persistentVolumeKind, name);
    await client.delete(persistentVolumeClaimKind, name, namespace);
    await until(async () => (await client.get(persistentVolumeKind, name)) === undefined, "gone with its claim");
    await client.create(persistentVolumeClaimKind, {
      metadata: { name, namespace },
      spec: { accessModes: ["ReadWriteOnce"], resources: requests, storageClassName: "by-hand" },
    });
    await client.create(persistentVolumeKind, made(name, policy));
    await until(async () => (await phaseOfClaim(name)) === "Bound", "bound");
    await client.delete(persistentVolumeClaimKind, name, namespace);
    await until(async () => (await client.get(persistentVolumeKind, name))?.status?.phase === expected, expected);
  }
});

test("a claim's spec does not change, and its size only once it is bound and where the class allows it", async () => {
  const path = `/api/v1/namespaces/${namespace}/persistentvolumeclaims`;
  const merge = { contentType: "application/merge-patch+json" };
  const spec = { accessModes: ["ReadWriteOnce"], resources: requests };
  await harness.call("POST", path, { metadata: { name: "fixed" }, spec });
  const modes = await harness.call("PATCH", `${path}/fixed`, { spec: { accessModes: ["ReadOnlyMany"] } }, merge);
  assert.deepEqual([modes.status, /spec is immutable after creation/.test(modes.text)], [422, true]);
  const size = { spec: { resources: { requests: { storage: "1Gi" } } } };
  const pending = await harness.call("PATCH", `${path}/fixed`, size, merge);
  assert.deepEqual([pending.status, /spec is immutable after creation/.test(pending.text)], [422, true]);
  await harness.call("PATCH", `${path}/fixed/status`, { status: { phase: "Bound" } }, merge);
  const larger = await harness.call("PATCH", `${path}/fixed`, size, merge);
  assert.deepEqual([larger.status, /only dynamically provisioned pvc can be resized/.test(larger.text)], [403, true]);
});
