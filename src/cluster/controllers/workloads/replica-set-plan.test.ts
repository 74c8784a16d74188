import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod, ReplicaSet } from "../../../api/kubernetes/index.ts";
import { makePod, namesOf } from "../testing/make-pod.ts";
import { conditionsAfter, planReplicaSet } from "./replica-set-plan.ts";

const nowMs = Date.parse("2026-01-01T12:00:00Z");
const set = (replicas: number, spec: Partial<NonNullable<ReplicaSet["spec"]>> = {}): ReplicaSet => ({
  metadata: { name: "web", generation: 2 },
  spec: { replicas, selector: {}, ...spec },
});
/** Which of the two pods a ReplicaSet removes first. */
const first = (...pods: readonly [Pod, Pod]): string | undefined => {
  const forward = namesOf(planReplicaSet(set(1), pods, nowMs).remove);
  assert.deepEqual(namesOf(planReplicaSet(set(1), pods.toReversed(), nowMs).remove), forward);
  return forward[0];
};

test("missing pods are created, and ended or deleted pods do not count", () => {
  const pods = [makePod("a"), makePod("b", { phase: "Failed" }), makePod("c", { deleted: true })];
  assert.equal(planReplicaSet(set(3), pods, nowMs).create, 2);
  assert.equal(planReplicaSet({ metadata: { name: "web" }, spec: { selector: {} } }, [], nowMs).create, 1);
});

test("a set that is being deleted creates and removes no pods", () => {
  const going = { ...set(1), metadata: { name: "web", deletionTimestamp: "2026-01-01T00:00:00Z" } };
  const { create, remove } = planReplicaSet(going, [makePod("a"), makePod("b")], nowMs);
  assert.deepEqual([create, remove], [0, []]);
  assert.equal(planReplicaSet(going, [], nowMs).create, 0);
});

test("pods without a node are removed before pods with one, and pending pods before running ones", () => {
  assert.equal(first(makePod("free", { ready: false }), makePod("bound", { node: "a", ready: false })), "free");
  assert.equal(
    first(
      makePod("pending", { node: "a", phase: "Pending", ready: false }),
      makePod("running", { node: "b", ready: false }),
    ),
    "pending",
  );
});

test("pods that are not ready are removed before ready ones, whatever their deletion cost", () => {
  const cheap = { "controller.kubernetes.io/pod-deletion-cost": "-100" };
  assert.equal(
    first(makePod("unready", { node: "a", ready: false }), makePod("ready", { node: "b", annotations: cheap })),
    "unready",
  );
});

test("the ready pod with the lowest deletion cost is removed first, and no annotation counts as 0", () => {
  const cost = (value: string): Record<string, string> => ({ "controller.kubernetes.io/pod-deletion-cost": value });
  assert.equal(first(makePod("plain", { node: "a" }), makePod("dear", { node: "b", annotations: cost("1") })), "plain");
  assert.equal(
    first(makePod("plain", { node: "a" }), makePod("cheap", { node: "b", annotations: cost("-1") })),
    "cheap",
  );
});

test("pods on the node with the most of them are removed first", () => {
  const pods = [makePod("alone", { node: "a" }), makePod("one", { node: "b" }), makePod("two", { node: "b" })];
  assert.notEqual(namesOf(planReplicaSet(set(2), pods, nowMs).remove)[0], "alone");
});

test("among otherwise equal pods, those are removed first that became ready last, restarted most, or are the youngest", () => {
  const morning = "2026-01-01T08:00:00Z";
  assert.equal(first(makePod("long", { node: "a" }), makePod("short", { node: "b", since: morning })), "short");
  assert.equal(
    first(makePod("steady", { node: "a", restarts: 0 }), makePod("shaky", { node: "b", restarts: 3 })),
    "shaky",
  );
  assert.equal(first(makePod("old", { node: "a" }), makePod("young", { node: "b", created: morning })), "young");
});

test("a ready pod is available after minReadySeconds, and the plan has the time of the next check", () => {
  const pods = [makePod("a", { since: "2026-01-01T11:59:40Z" }), makePod("b"), makePod("c", { ready: false })];
  const { status, lookAgainMs } = planReplicaSet(set(3, { minReadySeconds: 30 }), pods, nowMs);
  assert.deepEqual([status.readyReplicas, status.availableReplicas, lookAgainMs], [2, 1, 10_000]);
  assert.equal(planReplicaSet(set(3), pods, nowMs).status.availableReplicas, 2);
});

test("the status counts the active pods, and those with all labels of the template", () => {
  const pods = [
    makePod("a", { labels: { app: "web", tier: "x" } }),
    makePod("b", { labels: { app: "web" } }),
    makePod("c", { labels: { app: "web", tier: "x" }, phase: "Succeeded" }),
  ];
  const template = { metadata: { labels: { app: "web", tier: "x" } } };
  const { status } = planReplicaSet(set(2, { template }), pods, nowMs);
  assert.deepEqual([status.replicas, status.fullyLabeledReplicas, status.observedGeneration], [2, 1, 2]);
});

test("the first failure stays in the condition until an attempt succeeds", () => {
  const failed = conditionsAfter(set(1), { reason: "FailedCreate", message: "quota" }, "2026-01-01T00:00:00Z");
  assert.deepEqual(failed, [
    {
      type: "ReplicaFailure",
      status: "True",
      reason: "FailedCreate",
      message: "quota",
      lastTransitionTime: "2026-01-01T00:00:00Z",
    },
  ]);
  const withFailure: ReplicaSet = { ...set(1), status: { replicas: 0, conditions: failed } };
  const again = conditionsAfter(withFailure, { reason: "FailedCreate", message: "webhook" }, "2026-01-01T00:01:00Z");
  assert.deepEqual(again, failed);
  assert.deepEqual(conditionsAfter(withFailure, undefined, "2026-01-01T00:02:00Z"), []);
});

test("a deleted pod counts as terminating until it has ended", () => {
  const pods = [makePod("a", { deleted: true }), makePod("b", { deleted: true, phase: "Failed" }), makePod("c")];
  assert.equal(planReplicaSet(set(1), pods, nowMs).status.terminatingReplicas, 1);
});

test("a set of any size creates a bounded number of pods before it looks again", () => {
  assert.equal(planReplicaSet(set(2 ** 31 - 1), [makePod("a")], nowMs).create, 500);
});
