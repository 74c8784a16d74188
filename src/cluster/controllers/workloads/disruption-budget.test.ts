import assert from "node:assert/strict";
import { test } from "node:test";
import {
  podDisruptionBudgetKind,
  podKind,
  replicaSetKind,
  type Pod,
  type PodDisruptionBudget,
} from "../../../api/kubernetes/index.ts";
import { HandCluster } from "../testing/hand-cluster.ts";
import { makePod } from "../testing/make-pod.ts";
import { addDisruptionBudgetController, budgetStatus, expectedScale, type Scale } from "./disruption-budget.ts";

const now = "2026-01-01T12:00:00Z";
const budget = (
  spec: NonNullable<PodDisruptionBudget["spec"]>,
  status?: PodDisruptionBudget["status"],
): PodDisruptionBudget => ({
  metadata: { name: "web", generation: 2 },
  spec,
  ...(status === undefined ? {} : { status }),
});
const pods = (healthy: number, others: readonly Pod[] = []): Pod[] => [
  ...Array.from({ length: healthy }, (_, index) => makePod(`p-${index}`)),
  ...others,
];
/** A status as text: `healthy of wanted, allowed`. */
const describeStatus = (
  spec: NonNullable<PodDisruptionBudget["spec"]>,
  podList: readonly Pod[],
  expected: number,
): string => {
  const { currentHealthy, desiredHealthy, disruptionsAllowed } = budgetStatus(budget(spec), podList, expected, now);
  return `${currentHealthy} of ${desiredHealthy}, ${disruptionsAllowed}`;
};

test("with minAvailable as a number, the healthy pods above it may be disrupted", () => {
  assert.equal(describeStatus({ minAvailable: 2 }, pods(3), 3), "3 of 2, 1");
  assert.equal(describeStatus({ minAvailable: 3 }, pods(3), 3), "3 of 3, 0");
  assert.equal(describeStatus({ minAvailable: 5 }, pods(3), 3), "3 of 5, 0");
});

test("a percentage refers to the pods that the controllers want, and is rounded up", () => {
  assert.equal(describeStatus({ minAvailable: "50%" }, pods(7), 7), "7 of 4, 3");
  assert.equal(describeStatus({ maxUnavailable: "30%" }, pods(7), 7), "7 of 4, 3");
  assert.equal(describeStatus({ minAvailable: "50%" }, pods(3), 10), "3 of 5, 0");
});

test("maxUnavailable allows that many disruptions as long as no other pod is missing", () => {
  assert.equal(describeStatus({ maxUnavailable: 1 }, pods(3), 3), "3 of 2, 1");
  assert.equal(describeStatus({ maxUnavailable: 1 }, pods(2), 3), "2 of 2, 0");
  assert.equal(describeStatus({ maxUnavailable: 5 }, pods(3), 3), "3 of 0, 3");
  assert.equal(describeStatus({ maxUnavailable: 0 }, pods(3), 3), "3 of 3, 0");
});

test("pods that are not ready and pods that are being deleted are not healthy", () => {
  const others = [makePod("unready", { ready: false }), makePod("going", { deleted: true })];
  assert.equal(describeStatus({ minAvailable: 1 }, pods(2, others), 4), "2 of 1, 1");
});

test("a budget without pods allows no disruption", () => {
  assert.equal(describeStatus({ minAvailable: 0 }, [], 0), "0 of 0, 0");
  assert.equal(describeStatus({ maxUnavailable: 1 }, [], 0), "0 of 0, 0");
});

test("expectedPods counts the existing pods for a minAvailable number, and otherwise the pods that the controllers want", () => {
  const expected = (spec: NonNullable<PodDisruptionBudget["spec"]>): number | undefined =>
    budgetStatus(budget(spec), pods(3), 5, now).expectedPods;
  assert.deepEqual([{ minAvailable: 1 }, { minAvailable: "20%" }, { maxUnavailable: 1 }].map(expected), [3, 5, 5]);
});

test("the condition says whether a disruption is allowed, and its time changes only when that changes", () => {
  const allowed = budgetStatus(budget({ minAvailable: 2 }), pods(3), 3, now);
  const [condition] = allowed.conditions ?? [];
  assert.deepEqual(
    [condition?.type, condition?.status, condition?.reason],
    ["DisruptionAllowed", "True", "SufficientPods"],
  );
  const still = budgetStatus(budget({ minAvailable: 2 }, allowed), pods(4), 4, "2026-01-01T13:00:00Z");
  assert.equal(still.conditions?.[0]?.lastTransitionTime, now);
  const refused = budgetStatus(budget({ minAvailable: 2 }, allowed), pods(2), 2, "2026-01-01T13:00:00Z");
  const [after] = refused.conditions ?? [];
  assert.deepEqual(
    [after?.status, after?.reason, after?.lastTransitionTime],
    ["False", "InsufficientPods", "2026-01-01T13:00:00Z"],
  );
});

const ownedBy = (kind: string, uid: string, pod: Pod): Pod => ({
  ...pod,
  metadata: { ...pod.metadata, ownerReferences: [{ apiVersion: "apps/v1", kind, name: uid, uid, controller: true }] },
});

test("the expected pods are the sizes of the pods' controllers, each once", () => {
  const scales: Readonly<Record<string, Scale>> = {
    "old-set": { uid: "deployment", replicas: 4 },
    "new-set": { uid: "deployment", replicas: 4 },
    db: { uid: "db", replicas: 3 },
  };
  const owned = [
    ownedBy("ReplicaSet", "old-set", makePod("a")),
    ownedBy("ReplicaSet", "new-set", makePod("b")),
    ownedBy("StatefulSet", "db", makePod("c")),
    ownedBy("StatefulSet", "db", makePod("d")),
  ];
  assert.equal(
    expectedScale(owned, ({ uid }) => scales[uid]),
    7,
  );
  assert.equal(
    expectedScale([], () => undefined),
    0,
  );
});

test("pods without a controller have no size, so that only minAvailable as a number protects them or allows their eviction", () => {
  const bare = expectedScale(pods(3), () => undefined);
  assert.ok(bare === 0, "no size");
  assert.equal(describeStatus({ maxUnavailable: 1 }, pods(3), bare), "3 of 0, 0");
  assert.equal(describeStatus({ minAvailable: "50%" }, pods(3), bare), "3 of 0, 0");
  assert.equal(describeStatus({ minAvailable: 2 }, pods(3), bare), "3 of 2, 1");
});

/** A cluster with a budget, and with a pod whose controller has the given kind. */
async function withPodOf(kind: string, spec: NonNullable<PodDisruptionBudget["spec"]>): Promise<HandCluster> {
  const cluster = new HandCluster();
  addDisruptionBudgetController(cluster.context);
  const labels = { app: "web" };
  cluster.put(podKind, ownedBy(kind, "owner", makePod("a", { labels })));
  cluster.put(podDisruptionBudgetKind, {
    metadata: { name: "web", namespace: "default", generation: 1 },
    spec: { selector: { matchLabels: labels }, ...spec },
  });
  await cluster.settle();
  return cluster;
}

const condition = (cluster: HandCluster): (string | undefined)[] => {
  const [found] = cluster.all(podDisruptionBudgetKind)[0]?.status?.conditions ?? [];
  return [found?.type, found?.status, found?.reason, found?.message];
};

test("a budget that needs a size allows no disruption and has the reason, if a controller has no size", async () => {
  const cluster = await withPodOf("DaemonSet", { maxUnavailable: 1 });
  const problem = "daemonsets.apps does not implement the scale subresource";
  assert.deepEqual(condition(cluster), ["DisruptionAllowed", "False", "SyncFailed", problem]);
  assert.equal(cluster.all(podDisruptionBudgetKind)[0]?.status?.disruptionsAllowed, 0);
  assert.deepEqual(cluster.events, ["CalculateExpectedPodCountFailed"]);
  const writes = cluster.writes.length;
  cluster.put(
    podKind,
    ownedBy("DaemonSet", "owner", makePod("a", { labels: { app: "web" }, annotations: { x: "y" } })),
  );
  await cluster.settle();
  assert.equal(cluster.writes.length, writes);
});

test("a budget with a number of minAvailable needs no sizes", async () => {
  const cluster = await withPodOf("DaemonSet", { minAvailable: 0 });
  assert.deepEqual(condition(cluster).slice(0, 3), ["DisruptionAllowed", "True", "SufficientPods"]);
});

test("a budget fails while the controller of its pod does not exist", async () => {
  const cluster = await withPodOf("ReplicaSet", { maxUnavailable: 1 });
  assert.deepEqual(condition(cluster).slice(2), ["SyncFailed", 'found no controllers for pod "a"']);
  cluster.put(replicaSetKind, {
    metadata: { name: "owner", namespace: "default", uid: "owner" },
    spec: { replicas: 1, selector: {}, template: {} },
  });
  cluster.put(podKind, ownedBy("ReplicaSet", "owner", makePod("a", { labels: { app: "web" } })));
  await cluster.settle();
  assert.deepEqual(condition(cluster).slice(1), ["True", "SufficientPods", ""]);
});
