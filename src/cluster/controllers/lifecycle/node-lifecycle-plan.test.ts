import assert from "node:assert/strict";
import { test } from "node:test";
import type { Lease, Node, NodeCondition, Pod, Taint, Toleration } from "../../../api/kubernetes/index.ts";
import { makePod } from "../testing/make-pod.ts";
import { judgeNode, stayMs, unknownConditions, wantedTaints } from "./node-lifecycle-plan.ts";

const nowMs = Date.parse("2026-01-01T12:00:00Z");
const secondsAgo = (seconds: number): string => new Date(nowMs - seconds * 1000).toISOString();
const ready = (status: NodeCondition["status"], heartbeat?: string): NodeCondition => ({
  type: "Ready",
  status,
  ...(heartbeat === undefined ? {} : { lastHeartbeatTime: heartbeat }),
});
const node = (condition: NodeCondition | undefined, spec: Node["spec"] = {}, created = secondsAgo(3_600)): Node => ({
  metadata: { name: "a", creationTimestamp: created },
  spec,
  status: { conditions: condition === undefined ? [] : [condition] },
});
const lease = (renewTime: string): Lease => ({ metadata: { name: "a" }, spec: { renewTime } });
const keys = (taints: readonly Taint[]): string[] => taints.map(({ key, effect }) => `${key}:${effect}`);
const executed = (key: string): Taint => ({ key, effect: "NoExecute" });
const tolerant = (...tolerations: readonly Toleration[]): Pod => {
  const pod = makePod("p");
  return { ...pod, spec: { ...(pod.spec ?? { containers: [] }), tolerations: [...tolerations] } };
};

test("a node that renews its lease keeps the state that it reports", () => {
  const verdict = judgeNode(node(ready("True", secondsAgo(300))), lease(secondsAgo(10)), undefined, nowMs);
  assert.deepEqual(verdict, { ready: "True", lookAgainMs: 40_000 });
  assert.equal(judgeNode(node(ready("False", secondsAgo(1))), undefined, undefined, nowMs).ready, "False");
});

test("a node that is silent for fifty seconds is unknown", () => {
  const silent = node(ready("True", secondsAgo(50)));
  assert.equal(judgeNode(silent, lease(secondsAgo(50)), undefined, nowMs).ready, "Unknown");
  assert.equal(judgeNode(silent, lease(secondsAgo(49)), undefined, nowMs).ready, "True");
});

test("the change of a lease counts from the time at which this process saw it, whatever the node's clock says", () => {
  assert.equal(judgeNode(node(ready("True")), lease(secondsAgo(9_000)), nowMs - 5_000, nowMs).ready, "True");
});

test("a new node has fifty seconds to report", () => {
  assert.equal(judgeNode(node(undefined, {}, secondsAgo(49)), undefined, undefined, nowMs).lookAgainMs, 1_000);
  assert.equal(judgeNode(node(undefined, {}, secondsAgo(51)), undefined, undefined, nowMs).ready, "Unknown");
});

test("a ready node has only the taints of other writers", () => {
  const foreign: Taint = { key: "example.com/gpu", effect: "NoSchedule" };
  const taints = [foreign, executed("node.kubernetes.io/not-ready"), executed("node.kubernetes.io/unreachable")];
  assert.deepEqual(wantedTaints(node(ready("True"), { taints }), "True"), [foreign]);
});

test("a node that is not ready and one that is unreachable repel and evict pods, each by its own taint", () => {
  assert.deepEqual(keys(wantedTaints(node(ready("False")), "False")), [
    "node.kubernetes.io/not-ready:NoSchedule",
    "node.kubernetes.io/not-ready:NoExecute",
  ]);
  assert.deepEqual(keys(wantedTaints(node(ready("Unknown")), "Unknown")), [
    "node.kubernetes.io/unreachable:NoSchedule",
    "node.kubernetes.io/unreachable:NoExecute",
  ]);
});

test("a cordoned node repels pods until it is uncordoned", () => {
  const taint = { key: "node.kubernetes.io/unschedulable", effect: "NoSchedule" } as const;
  assert.deepEqual(wantedTaints(node(ready("True"), { unschedulable: true }), "True"), [taint]);
  assert.deepEqual(wantedTaints(node(ready("True"), { taints: [taint] }), "True"), []);
});

test("a taint keeps the time at which it was added", () => {
  const since = { ...executed("node.kubernetes.io/unreachable"), timeAdded: "2026-01-01T11:00:00Z" };
  const taints = wantedTaints(node(ready("Unknown"), { taints: [since] }), "Unknown");
  assert.deepEqual(
    taints.find(({ effect }) => effect === "NoExecute"),
    since,
  );
});

test("all conditions of a silent node become unknown, and those that were unknown before keep their time", () => {
  const before: NodeCondition = { type: "DiskPressure", status: "Unknown", lastTransitionTime: "2026-01-01T01:00:00Z" };
  const silent = node(ready("True"));
  silent.status = { conditions: [...(silent.status?.conditions ?? []), before] };
  const conditions = unknownConditions(silent, "2026-01-01T12:00:00Z");
  assert.deepEqual(
    conditions.map(({ type, status, lastTransitionTime }) => [type, status, lastTransitionTime]),
    [
      ["Ready", "Unknown", "2026-01-01T12:00:00Z"],
      ["DiskPressure", "Unknown", "2026-01-01T01:00:00Z"],
    ],
  );
  assert.equal(conditions[0]?.message, "Kubelet stopped posting node status.");
});

test("a pod leaves at once for a taint NoExecute that it does not tolerate", () => {
  assert.equal(stayMs(tolerant(), [executed("a")]), 0);
  assert.equal(stayMs(tolerant({ key: "b", operator: "Exists" }), [executed("b"), executed("a")]), 0);
});

test("a pod stays despite taints NoSchedule, and despite those that it tolerates without a limit", () => {
  assert.equal(stayMs(tolerant(), [{ key: "a", effect: "NoSchedule" }]), undefined);
  assert.equal(stayMs(tolerant({ operator: "Exists" }), [executed("a"), executed("b")]), undefined);
});

test("a pod stays for the shortest of its limits", () => {
  const limited = (key: string, tolerationSeconds: number): Toleration => ({
    key,
    operator: "Exists",
    tolerationSeconds,
  });
  const pod = tolerant(limited("a", 300), limited("b", 30), limited("c", -5));
  assert.equal(stayMs(pod, [executed("a"), executed("b")]), 30_000);
  assert.equal(stayMs(pod, [executed("a"), executed("c")]), 0);
});

test("the first of several tolerations of one taint applies", () => {
  const forever: Toleration = { operator: "Exists" };
  const limited: Toleration = { key: "a", operator: "Exists", effect: "NoExecute", tolerationSeconds: 300 };
  assert.equal(stayMs(tolerant(forever, limited), [executed("a")]), undefined);
  assert.equal(stayMs(tolerant(limited, forever), [executed("a")]), 300_000);
});
