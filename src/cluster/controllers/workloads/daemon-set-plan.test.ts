import assert from "node:assert/strict";
import { test } from "node:test";
import type { DaemonSet, Node, Pod, Taint } from "../../../api/kubernetes/index.ts";
import { makePod, namesOf, type PodOptions } from "../testing/make-pod.ts";
import { daemonPodSpec, nodeOf, planDaemonSet, type DaemonSetPlan } from "./daemon-set-plan.ts";

type DaemonSetSpec = NonNullable<DaemonSet["spec"]>;

const nowMs = Date.parse("2026-01-01T12:00:00Z");
const node = (name: string, taints: Taint[] = [], labels: Record<string, string> = {}): Node => ({
  metadata: { name, labels },
  spec: { taints },
});
const two = [node("a"), node("b")];
const set = (spec: Partial<DaemonSetSpec> = {}): DaemonSet => ({
  metadata: { name: "agent", generation: 2 },
  spec: { selector: {}, template: { spec: { containers: [] } }, ...spec },
});
const withPodSpec = (spec: Partial<NonNullable<DaemonSetSpec["template"]["spec"]>>): DaemonSet =>
  set({ template: { spec: { containers: [], ...spec } } });
const rolling = (rollingUpdate: { maxSurge?: number | string; maxUnavailable?: number | string }): DaemonSet =>
  set({ updateStrategy: { type: "RollingUpdate", rollingUpdate } });
const plan = (wanted: DaemonSet, nodes: readonly Node[], pods: readonly Pod[]): DaemonSetPlan =>
  planDaemonSet(wanted, "new", nodes, pods, nowMs);
const pod = (on: string, hash: "old" | "new", options: PodOptions = {}): Pod =>
  makePod(`${on}-${hash}`, { node: on, hash, ...options });

test("each node has a pod, unless the template's selector excludes it", () => {
  assert.deepEqual(plan(set(), two, []).create, ["a", "b"]);
  assert.deepEqual(plan(set(), two, [pod("a", "new")]).create, ["b"]);
  const labelled = [node("a", [], { gpu: "yes" }), node("b")];
  assert.deepEqual(plan(withPodSpec({ nodeSelector: { gpu: "yes" } }), labelled, []).create, ["a"]);
});

test("a tainted node has a pod only if the template tolerates the taint", () => {
  const controlPlane = node("cp", [{ key: "node-role.kubernetes.io/control-plane", effect: "NoSchedule" }]);
  assert.deepEqual(plan(set(), [controlPlane], []).create, []);
  assert.deepEqual(plan(withPodSpec({ tolerations: [{ operator: "Exists" }] }), [controlPlane], []).create, ["cp"]);
});

test("daemon pods tolerate nodes that are cordoned, not ready or unreachable", () => {
  for (const taint of [
    { key: "node.kubernetes.io/unschedulable", effect: "NoSchedule" },
    { key: "node.kubernetes.io/not-ready", effect: "NoExecute" },
    { key: "node.kubernetes.io/unreachable", effect: "NoExecute" },
    { key: "node.kubernetes.io/disk-pressure", effect: "NoSchedule" },
  ] as const)
    assert.deepEqual(plan(set(), [node("a", [taint])], []).create, ["a"], taint.key);
});

test("only pods of the host network tolerate a node without network", () => {
  const offline = [node("a", [{ key: "node.kubernetes.io/network-unavailable", effect: "NoSchedule" }])];
  assert.deepEqual(plan(set(), offline, []).create, []);
  assert.deepEqual(plan(withPodSpec({ hostNetwork: true }), offline, []).create, ["a"]);
});

test("a running pod stays despite a new taint NoSchedule, and NoExecute removes it", () => {
  const tainted = (effect: Taint["effect"]): DaemonSetPlan =>
    plan(set(), [node("a", [{ key: "example.com/x", effect }])], [pod("a", "new")]);
  assert.deepEqual(namesOf(tainted("NoSchedule").remove), []);
  assert.equal(tainted("NoSchedule").status.numberMisscheduled, 1);
  assert.deepEqual(namesOf(tainted("NoExecute").remove), ["a-new"]);
});

test("a pod on a node that the selector no longer allows is removed", () => {
  assert.deepEqual(namesOf(plan(withPodSpec({ nodeSelector: { gpu: "yes" } }), two, [pod("a", "new")]).remove), [
    "a-new",
  ]);
});

test("an ended pod is removed first, and its node gets a new one when the old one is gone", () => {
  const ended = plan(set(), [node("a")], [pod("a", "new", { phase: "Failed", ready: false })]);
  assert.deepEqual([namesOf(ended.remove), ended.create], [["a-new"], []]);
});

test("if two pods of one template are on a node, the older ready one stays", () => {
  const pods = [
    makePod("younger", { node: "a", hash: "new", created: "2026-01-01T01:00:00Z" }),
    makePod("older", { node: "a", hash: "new" }),
  ];
  assert.deepEqual(namesOf(plan(set(), [node("a")], pods).remove), ["younger"]);
});

test("a rolling update replaces one node's pod at a time by default", () => {
  const old = [pod("a", "old"), pod("b", "old")];
  assert.equal(plan(set(), two, old).remove.length, 1);
  assert.deepEqual(namesOf(plan(set(), two, [pod("a", "new", { ready: false }), pod("b", "old")]).remove), []);
  assert.deepEqual(namesOf(plan(set(), two, [pod("a", "new"), pod("b", "old")]).remove), ["b-old"]);
});

test("maxUnavailable is a number or a percentage of the nodes, rounded up", () => {
  const nodes = ["a", "b", "c", "d"].map((name) => node(name));
  const old = ["a", "b", "c", "d"].map((name) => pod(name, "old"));
  assert.equal(plan(rolling({ maxUnavailable: 3 }), nodes, old).remove.length, 3);
  assert.equal(plan(rolling({ maxUnavailable: "30%" }), nodes, old).remove.length, 2);
});

test("an unavailable old pod is replaced at once", () => {
  const old = [pod("a", "old", { ready: false }), pod("b", "old")];
  assert.deepEqual(namesOf(plan(set(), two, old).remove), ["a-old"]);
});

test("an update with maxSurge creates the new pod beside the old one, which is removed when the new one is available", () => {
  const surge = rolling({ maxSurge: 1, maxUnavailable: 0 });
  const old = [pod("a", "old"), pod("b", "old")];
  const first = plan(surge, two, old);
  assert.deepEqual([first.create, namesOf(first.remove)], [["a"], []]);
  const waiting = plan(surge, two, [...old, pod("a", "new", { ready: false })]);
  assert.deepEqual([waiting.create, namesOf(waiting.remove)], [[], []]);
  const ready = plan(surge, two, [...old, pod("a", "new", { since: "2026-01-01T01:00:00Z" })]);
  assert.deepEqual([ready.create, namesOf(ready.remove)], [[], ["a-old"]]);
  // As in Kubernetes, a node counts as updated as soon as its old pod is gone. It does not wait for the new pod to
  // start.
  assert.equal(ready.status.updatedNumberScheduled, 0);
  assert.equal(plan(surge, two, [pod("b", "old"), pod("a", "new")]).status.updatedNumberScheduled, 1);
});

test("the strategy OnDelete replaces no pod by itself", () => {
  const manual = set({ updateStrategy: { type: "OnDelete" } });
  assert.deepEqual(plan(manual, two, [pod("a", "old"), pod("b", "old")]).remove, []);
});

test("a set that is being deleted creates and removes no pods", () => {
  const going = { ...set(), metadata: { name: "agent", deletionTimestamp: "2026-01-01T00:00:00Z" } };
  assert.deepEqual(plan(going, two, [pod("a", "old")]).create, []);
  assert.deepEqual(plan(going, two, [pod("a", "old")]).remove, []);
});

test("the status counts nodes, and a pod is available after minReadySeconds", () => {
  const fresh = pod("b", "new", { since: "2026-01-01T11:59:50Z" });
  const { status, lookAgainMs } = plan(set({ minReadySeconds: 30 }), [...two, node("c")], [pod("a", "new"), fresh]);
  assert.deepEqual(status, {
    observedGeneration: 2,
    currentNumberScheduled: 2,
    desiredNumberScheduled: 3,
    numberMisscheduled: 0,
    numberReady: 2,
    updatedNumberScheduled: 2,
    numberAvailable: 1,
    numberUnavailable: 2,
  });
  assert.equal(lookAgainMs, 20_000);
});

test("a daemon pod's affinity names its node before it is scheduled, and identifies the node", () => {
  const spec = daemonPodSpec({ containers: [] }, "a");
  assert.equal(spec.nodeName, undefined);
  assert.equal(nodeOf({ metadata: { name: "x" }, spec }), "a");
});

test("a pod that waits for a node that no longer exists is removed, and a pod that ran there is not", () => {
  const waiting = makePod("waiting", { hash: "new", phase: "Pending", ready: false });
  waiting.spec = daemonPodSpec({ containers: [] }, "gone");
  const ran = makePod("ran", { hash: "new", node: "gone" });
  const adopted = makePod("adopted", { hash: "new", phase: "Pending" });
  assert.deepEqual(namesOf(plan(set(), [node("a")], [waiting, ran, adopted, pod("a", "new")]).remove), ["waiting"]);
});

test("the node of a daemon pod replaces the required node affinity of the template, and preferences stay", () => {
  const preferred = [
    { weight: 1, preference: { matchExpressions: [{ key: "disk", operator: "In" as const, values: ["ssd"] }] } },
  ];
  const { affinity } = daemonPodSpec(
    {
      containers: [],
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [
              { matchExpressions: [{ key: "zone", operator: "Exists" }] },
              { matchExpressions: [{ key: "gpu", operator: "Exists" }] },
            ],
          },
          preferredDuringSchedulingIgnoredDuringExecution: preferred,
        },
      },
    },
    "a",
  );
  assert.deepEqual(affinity?.nodeAffinity, {
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: [{ matchFields: [{ key: "metadata.name", operator: "In", values: ["a"] }] }],
    },
    preferredDuringSchedulingIgnoredDuringExecution: preferred,
  });
});
