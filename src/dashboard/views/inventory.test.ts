import assert from "node:assert/strict";
import { test } from "node:test";
import type { Deployment, Job, Pod, StatefulSet } from "../../api/kubernetes/index.ts";
import { makeInventory, revisionOfPod } from "./inventory.ts";
import { noObjects, withoutKinds, type MeshObjects } from "./mesh-objects.ts";
import { pod } from "./testing/small-mesh.ts";

test("a pod's revision is that of its injector, its gateway's Deployment or its ztunnel", () => {
  const containers = ["app", "istio-proxy"];
  assert.equal(revisionOfPod(pod("shop", "a", { containers, annotations: { "istio.io/rev": "new" } })), "new");
  assert.equal(revisionOfPod(pod("shop", "a", { containers, labels: { "istio.io/rev": "old" } })), "old");
  assert.equal(revisionOfPod(pod("shop", "a", { containers })), "default");
  assert.equal(
    revisionOfPod(
      pod("shop", "a", {
        annotations: { "ambient.istio.io/redirection": "enabled", "serin.dev/ztunnel-owner": "new" },
      }),
    ),
    "new",
  );
  assert.equal(revisionOfPod(pod("shop", "a", { annotations: { "istio.io/rev": "new" } })), "", "nothing was injected");
});

test("objects, configuration, journals and Events of unlistable kinds are removed", () => {
  const named = (kind: string, name: string): never =>
    ({ apiVersion: "rollout.serin.dev/v1alpha1", kind, metadata: { name } }) as never;
  const [upgrade, freeze, canary] = [named("MeshUpgrade", "up"), named("Freeze", "holidays"), named("Canary", "web")];
  const events = ["MeshUpgrade", "Pod"].map((kind) => ({ metadata: { name: kind }, involvedObject: { kind } }));
  const journals = ["meshupgrade.up", "canary.shop.web"].map((name) => ({
    ...(named("RolloutJournal", name) as object),
    entries: [],
  })) as never;
  const objects = {
    ...noObjects,
    upgrades: [upgrade],
    freezes: [freeze],
    canaries: [canary],
    configs: [upgrade, freeze, canary],
    events,
    journals,
  };
  assert.equal(withoutKinds(objects, new Set()), objects);
  const kept = withoutKinds(objects, new Set(["MeshUpgrade", "Freeze"]));
  assert.deepEqual([kept.upgrades, kept.freezes, kept.configs, kept.canaries], [[], [], [canary], [canary]]);
  assert.deepEqual(
    [kept.events.map(({ metadata }) => metadata.name), kept.journals.map(({ metadata }) => metadata.name)],
    [["Pod"], ["canary.shop.web"]],
  );
});

const owned = (kind: string, name: string, labels: Record<string, string> = {}): Pod => ({
  metadata: {
    name: `${name}-x`,
    namespace: "shop",
    labels,
    ownerReferences: [{ apiVersion: "apps/v1", kind, name, uid: "u", controller: true }],
  },
  status: { phase: "Running" },
});
const job = (name: string, cronJob?: string): Job => ({
  metadata: {
    name,
    namespace: "shop",
    ...(cronJob === undefined
      ? {}
      : { ownerReferences: [{ apiVersion: "batch/v1", kind: "CronJob", name: cronJob, uid: "c", controller: true }] }),
  },
  status: { active: 1 },
});

test("a pod of an Argo Rollout or a CronJob belongs to the workload that proxies' metrics name", () => {
  const { workloads } = makeInventory({
    ...noObjects,
    pods: [
      owned("ReplicaSet", "web-5d", { "rollouts-pod-template-hash": "5d" }),
      owned("Job", "report-29380000"),
      owned("Job", "report-29380001"),
    ],
    jobs: [job("report-29380000", "report"), job("report-29380001", "report")],
  });
  assert.deepEqual(
    [...workloads.values()].map(({ key, kind, pods, wantedPods }) => [key, kind, pods.length, wantedPods]),
    [
      ["shop/report", "CronJob", 2, 2],
      ["shop/web", "Rollout", 1, 1],
    ],
  );
});

test("a Job and its pods are one workload, whether or not its name ends like those of a CronJob's Jobs", () => {
  const { workloads } = makeInventory({
    ...noObjects,
    pods: [owned("Job", "manual-1"), owned("Job", "import-20251101")],
    jobs: [job("manual-1", "report"), job("import-20251101")],
  });
  assert.deepEqual(
    [...workloads.values()].map(({ key, kind, pods, wantedPods }) => [key, kind, pods.length, wantedPods]),
    [
      ["shop/manual-1", "Job", 1, 1],
      ["shop/import", "CronJob", 1, 1],
    ],
  );
});

test("objects of several kinds with one name are one workload that wants the pods of all", () => {
  const metadata = { name: "report", namespace: "shop" };
  const replica = (index: number): Pod => {
    const pod = owned("ReplicaSet", "report-5d", { "pod-template-hash": "5d" });
    return { ...pod, metadata: { ...pod.metadata, name: `report-5d-${index}` } };
  };
  const template = { metadata: { labels: { app: "report", tier: "web" } } };
  const deployment = { metadata, spec: { replicas: 3, template } } as unknown as Deployment;
  const rowsOf = (given: Partial<MeshObjects>): unknown =>
    [...makeInventory({ ...noObjects, ...given }).workloads.values()].map(({ key, kind, pods, wantedPods, labels }) => [
      key,
      kind,
      pods.length,
      wantedPods,
      labels["tier"],
    ]);
  const pods = [replica(1), replica(2), replica(3)];
  assert.deepEqual(
    rowsOf({
      deployments: [deployment],
      jobs: [job("report-29380000", "report")],
      pods: [...pods, owned("Job", "report-29380000")],
    }),
    [["shop/report", "Deployment", 4, 4, "web"]],
  );
  const statefulSet = { metadata, spec: { replicas: 2 } } as unknown as StatefulSet;
  assert.deepEqual(rowsOf({ deployments: [deployment], statefulSets: [statefulSet], pods }), [
    ["shop/report", "Deployment", 3, 5, "web"],
  ]);
  // A Rollout with a `workloadRef` scales the Deployment of its name to 0. The dashboard does not read Rollouts.
  const rollout = owned("ReplicaSet", "report-7c", { "rollouts-pod-template-hash": "7c" });
  assert.deepEqual(rowsOf({ deployments: [{ ...deployment, spec: { replicas: 0 } } as Deployment], pods: [rollout] }), [
    ["shop/report", "Deployment", 1, 1, undefined],
  ]);
});
