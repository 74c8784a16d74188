import assert from "node:assert/strict";
import { test } from "node:test";
import { makeInventory, revisionOfPod } from "./inventory.ts";
import { noObjects, withoutKinds } from "./mesh-objects.ts";
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

test("a pod of an Argo Rollout or a CronJob belongs to the workload that proxies' metrics name", () => {
  const owned = (kind: string, name: string, labels: Record<string, string> = {}) => ({
    metadata: {
      name: `${name}-x`,
      namespace: "shop",
      labels,
      ownerReferences: [{ apiVersion: "apps/v1", kind, name, uid: "u", controller: true }],
    },
    status: { phase: "Running" as const },
  });
  const job = (name: string) => ({
    metadata: {
      name,
      namespace: "shop",
      ownerReferences: [{ apiVersion: "batch/v1", kind: "CronJob", name: "report", uid: "c", controller: true }],
    },
    status: { active: 1 },
  });
  const { workloads } = makeInventory({
    ...noObjects,
    pods: [
      owned("ReplicaSet", "web-5d", { "rollouts-pod-template-hash": "5d" }),
      owned("Job", "report-29380000"),
      owned("Job", "report-29380001"),
    ],
    jobs: [job("report-29380000"), job("report-29380001")],
  });
  assert.deepEqual(
    [...workloads.values()].map(({ key, kind, pods, wantedPods }) => [key, kind, pods.length, wantedPods]),
    [
      ["shop/report", "CronJob", 2, 2],
      ["shop/web", "Rollout", 1, 1],
    ],
  );
});
