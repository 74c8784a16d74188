import assert from "node:assert/strict";
import { test } from "node:test";
import type { Deployment, ReplicaSet } from "../../../api/kubernetes/index.ts";
import {
  boundsOf,
  desiredReplicasAnnotation,
  initialReplicas,
  maxReplicasAnnotation,
  planRollingUpdate,
  planScaling,
  revisionAnnotation,
  revisionOf,
  wasScaled,
} from "./deployment-plan.ts";

type DeploymentSpec = NonNullable<Deployment["spec"]>;

const set = (name: string, replicas: number, available: number, created = "2026-01-01T00:00:00Z"): ReplicaSet => ({
  metadata: { name, creationTimestamp: created },
  spec: { replicas, selector: {} },
  status: { replicas, availableReplicas: available },
});
const noted = (from: ReplicaSet, annotations: Record<string, string>): ReplicaSet => ({
  ...from,
  metadata: { ...from.metadata, annotations },
});
const deployment = (spec: Partial<DeploymentSpec>): Deployment => ({
  metadata: { name: "web" },
  spec: { selector: {}, template: {}, ...spec },
});
const rolling = (replicas: number, maxSurge?: number | string, maxUnavailable?: number | string): Deployment =>
  deployment({
    replicas,
    strategy: {
      type: "RollingUpdate",
      rollingUpdate: {
        ...(maxSurge === undefined ? {} : { maxSurge }),
        ...(maxUnavailable === undefined ? {} : { maxUnavailable }),
      },
    },
  });
const sizes = (plan: ReadonlyMap<string, number>): Record<string, number> => Object.fromEntries(plan);

test("the default bounds are a quarter: surge is rounded up, unavailability down", () => {
  assert.deepEqual(boundsOf(deployment({ replicas: 10 })), { desired: 10, maxSurge: 3, maxUnavailable: 2 });
  assert.deepEqual(boundsOf(deployment({})), { desired: 1, maxSurge: 1, maxUnavailable: 0 });
});

test("percentages that round to no pods at all allow one unavailable pod, so that the update can begin", () => {
  assert.deepEqual(boundsOf(rolling(3, "0%", "10%")), { desired: 3, maxSurge: 0, maxUnavailable: 1 });
});

test("the strategy Recreate has no bounds of a rolling update: no additional pod, and no pod that may be unavailable", () => {
  const recreate = deployment({ replicas: 4, strategy: { type: "Recreate" } });
  assert.deepEqual(boundsOf(recreate), { desired: 4, maxSurge: 0, maxUnavailable: 0 });
});

test("no more pods can be unavailable than are wanted", () => {
  assert.equal(boundsOf(rolling(2, 1, 5)).maxUnavailable, 2);
  assert.equal(boundsOf(rolling(0, 0, 0)).maxUnavailable, 0);
});

test("a new set starts with the number of pods that the surge allows besides the old ones", () => {
  assert.equal(initialReplicas(rolling(4, 1, 1), [set("old", 4, 4)]), 1);
  assert.equal(initialReplicas(rolling(4, 1, 1), []), 4);
  assert.equal(initialReplicas(rolling(4, 0, 1), [set("old", 4, 4)]), 0);
});

test("a new set of the strategy Recreate starts with all pods", () => {
  assert.equal(initialReplicas(deployment({ replicas: 4, strategy: { type: "Recreate" } }), [set("old", 4, 4)]), 4);
});

test("a rolling update never goes below desired - maxUnavailable nor above desired + maxSurge, and ends", () => {
  for (const bounds of [
    { desired: 4, maxSurge: 1, maxUnavailable: 1 },
    { desired: 4, maxSurge: 1, maxUnavailable: 0 },
    { desired: 3, maxSurge: 0, maxUnavailable: 1 },
  ]) {
    const current = new Map([
      ["old", bounds.desired],
      ["new", 0],
    ]);
    let ready = 0;
    for (let step = 0; step < 40; step += 1) {
      const old = current.get("old") ?? 0;
      const plan = planRollingUpdate(bounds, set("new", current.get("new") ?? 0, ready), [set("old", old, old)]);
      for (const [name, size] of plan) current.set(name, size);
      const total = (current.get("old") ?? 0) + (current.get("new") ?? 0);
      assert.ok(total <= bounds.desired + bounds.maxSurge);
      assert.ok((current.get("old") ?? 0) + ready >= bounds.desired - bounds.maxUnavailable);
      // One new pod becomes ready in each turn.
      ready = Math.min(current.get("new") ?? 0, ready + 1);
    }
    assert.deepEqual(sizes(current), { old: 0, new: bounds.desired });
  }
});

test("a rolling update removes unavailable old pods first, even while no new pod is available", () => {
  const bounds = { desired: 3, maxSurge: 1, maxUnavailable: 1 };
  assert.deepEqual(sizes(planRollingUpdate(bounds, set("new", 1, 0), [set("old", 3, 2)])), { old: 2 });
});

test("a rolling update waits while too few pods are available", () => {
  const bounds = { desired: 4, maxSurge: 1, maxUnavailable: 1 };
  assert.deepEqual(sizes(planRollingUpdate(bounds, set("new", 2, 0), [set("old", 3, 1)])), {});
});

test("a rolling update empties the oldest set first", () => {
  const bounds = { desired: 4, maxSurge: 1, maxUnavailable: 1 };
  const oldSets = [set("younger", 1, 1, "2026-01-02T00:00:00Z"), set("older", 2, 2)];
  assert.deepEqual(sizes(planRollingUpdate(bounds, set("new", 2, 2), oldSets)), { older: 0 });
});

test("a new set that is larger than wanted shrinks to the wanted size", () => {
  const bounds = { desired: 2, maxSurge: 1, maxUnavailable: 0 };
  assert.deepEqual(sizes(planRollingUpdate(bounds, set("new", 5, 5), [])), { new: 2 });
});

test("the only set with pods takes the whole new size, and without pods the newest set does", () => {
  const bounds = { desired: 5, maxSurge: 1, maxUnavailable: 1 };
  assert.deepEqual(sizes(planScaling(bounds, set("new", 3, 3), [set("old", 0, 0)], "RollingUpdate")), { new: 5 });
  const oldSets = [set("older", 0, 0), set("younger", 0, 0, "2026-01-02T00:00:00Z")];
  assert.deepEqual(sizes(planScaling(bounds, undefined, oldSets, "RollingUpdate")), { younger: 5 });
  assert.deepEqual(sizes(planScaling(bounds, set("new", 5, 5), [], "RollingUpdate")), {});
});

test("a change of size during a rollout spreads over the sets in proportion to their sizes", () => {
  const bounds = { desired: 15, maxSurge: 3, maxUnavailable: 2 };
  // This is the example of Kubernetes' documentation: ten pods become fifteen.
  assert.deepEqual(sizes(planScaling(bounds, set("new", 5, 0), [set("old", 8, 8)], "RollingUpdate")), {
    new: 7,
    old: 11,
  });
});

test("scaling a Deployment to zero empties all its sets", () => {
  const bounds = { desired: 0, maxSurge: 1, maxUnavailable: 0 };
  assert.deepEqual(sizes(planScaling(bounds, set("new", 2, 2), [set("old", 3, 3)], "RollingUpdate")), {
    new: 0,
    old: 0,
  });
});

test("a Deployment was scaled if a set with pods was sized for another number of replicas", () => {
  const sized = (replicas: number, desired: string): ReplicaSet =>
    noted(set("a", replicas, replicas), { [desiredReplicasAnnotation]: desired });
  assert.equal(wasScaled(5, [sized(3, "3")]), true);
  assert.equal(wasScaled(3, [sized(3, "3")]), false);
  // A set that was scaled to zero keeps its annotation from the time when it had pods. It must not count.
  assert.equal(wasScaled(5, [sized(0, "3")]), false);
  assert.equal(wasScaled(5, [set("a", 3, 3)]), false);
});

test("a set without a readable revision has the revision 0", () => {
  assert.equal(revisionOf(noted(set("a", 1, 1), { [revisionAnnotation]: "7" })), 7);
  assert.equal(revisionOf(noted(set("a", 1, 1), { [revisionAnnotation]: "x" })), 0);
  assert.equal(revisionOf(set("a", 1, 1)), 0);
});

test("proportions refer to the size for which the sets were created, including the surge", () => {
  const bounds = { desired: 20, maxSurge: 3, maxUnavailable: 2 };
  const made = { [maxReplicasAnnotation]: "13" };
  const plan = planScaling(bounds, noted(set("new", 2, 0), made), [noted(set("old", 8, 8), made)], "RollingUpdate");
  // 8 * 23 / 13 is 14, and 2 * 23 / 13 is 4, both rounded. The remaining five go to the largest set.
  assert.deepEqual(sizes(plan), { old: 19, new: 4 });
});

test("a change of size empties old sets beside a new set that has all wanted pods available", () => {
  const bounds = { desired: 3, maxSurge: 1, maxUnavailable: 1 };
  const full = noted(set("new", 3, 3), { [desiredReplicasAnnotation]: "3" });
  assert.deepEqual(sizes(planScaling(bounds, full, [set("adopted", 2, 2), set("empty", 0, 0)], "RollingUpdate")), {
    adopted: 0,
  });
  assert.deepEqual(sizes(planScaling(bounds, full, [set("adopted", 2, 2)], "Recreate")), { adopted: 0 });
});
