import assert from "node:assert/strict";
import { test } from "node:test";
import type { Node, Pod, PodDisruptionBudget, PodSpec } from "../../api/kubernetes/index.ts";
import { Placements } from "./node-state.ts";
import { preempt } from "./preempt.ts";

const node = (name: string): Node => ({
  metadata: { name },
  status: { allocatable: { cpu: "2", memory: "4Gi", pods: "110" }, conditions: [{ type: "Ready", status: "True" }] },
});
const pod = (name: string, priority: number, cpu: string, more: Partial<PodSpec> = {}, startTime?: string): Pod => ({
  metadata: { name, namespace: "default", uid: name, labels: { app: name } },
  spec: { containers: [{ name: "app", resources: { requests: { cpu } } }], priority, ...more },
  ...(startTime === undefined ? {} : { status: { startTime } }),
});

/** The chosen node with its victims, in the form `a: p q`. */
function chosen(wanted: Pod, placed: readonly [Pod, string][], budgets: PodDisruptionBudget[] = []): string {
  const placements = new Placements();
  for (const name of ["a", "b"]) placements.setNode(node(name));
  for (const [other, where] of placed) placements.place(other, where);
  const found = preempt(
    {
      pod: wanted,
      nodes: placements.nodes(),
      repelling: placements.repelling(),
      namespaceLabels: () => ({}),
      volumeNeeds: { bound: [], waiting: [], existingOnly: [], volumes: [] },
    },
    budgets,
  );
  return found === undefined ? "" : `${found.node}: ${found.victims.map(({ metadata }) => metadata.name).join(" ")}`;
}

test("only as many pods of lower priority are evicted as necessary, the least important first", () => {
  const placed: [Pod, string][] = [
    [pod("low", 1, "1"), "a"],
    [pod("lower", 0, "1"), "a"],
    [pod("high", 9, "2"), "b"],
  ];
  assert.equal(chosen(pod("p", 5, "1"), placed), "a: lower");
  assert.equal(chosen(pod("p", 5, "2"), placed), "a: low lower");
});

test("no pod is evicted for a pod of equal priority, for one that never preempts, or where the freed room would not suffice", () => {
  const placed: [Pod, string][] = [
    [pod("x", 1, "2"), "a"],
    [pod("y", 1, "2"), "b"],
  ];
  assert.equal(chosen(pod("p", 1, "1"), placed), "");
  assert.equal(chosen(pod("p", 5, "1", { preemptionPolicy: "Never" }), placed), "");
  assert.equal(chosen(pod("p", 5, "3"), placed), "");
  assert.equal(chosen(pod("p", 5, "1", { nodeSelector: { disk: "ssd" } }), placed), "");
});

test("the node with the least important, the fewest, then the youngest victims is chosen", () => {
  const on = (a: readonly Pod[], b: readonly Pod[]): [Pod, string][] => [
    ...a.map((each): [Pod, string] => [each, "a"]),
    ...b.map((each): [Pod, string] => [each, "b"]),
  ];
  assert.equal(chosen(pod("p", 5, "2"), on([pod("x", 2, "2")], [pod("y", 1, "2")])), "b: y");
  const two = [pod("x", 0, "1"), pod("z", 0, "1")];
  assert.equal(chosen(pod("p", 5, "2"), on(two, [pod("y", 0, "2")])), "b: y");
  const old = pod("x", 1, "2", {}, "2026-01-01T00:00:00Z");
  assert.equal(chosen(pod("p", 5, "2"), on([old], [pod("y", 1, "2", {}, "2026-01-02T00:00:00Z")])), "b: y");
});

test("a pod that a budget protects is evicted only if no other pod is enough", () => {
  const budget: PodDisruptionBudget = {
    metadata: { name: "guard", namespace: "default" },
    spec: { selector: { matchLabels: { app: "guarded" } } },
    status: { disruptionsAllowed: 0, currentHealthy: 1, desiredHealthy: 1, expectedPods: 1 },
  };
  const guarded = pod("guarded", 0, "1");
  assert.equal(
    chosen(
      pod("p", 5, "1"),
      [
        [guarded, "a"],
        [pod("free", 1, "1"), "a"],
        [pod("b", 9, "2"), "b"],
      ],
      [budget],
    ),
    "a: free",
  );
  assert.equal(
    chosen(
      pod("p", 5, "2"),
      [
        [guarded, "a"],
        [pod("b", 1, "2"), "b"],
      ],
      [budget],
    ),
    "b: b",
  );
});

test("a pod whose anti-affinity excludes a pod of higher priority is evicted", () => {
  const term = { topologyKey: "kubernetes.io/hostname", labelSelector: { matchLabels: { app: "p" } } };
  const repels = { affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } } };
  const placements: [Pod, string][] = [
    [pod("full", 9, "2"), "b"],
    [pod("repelling", 0, "0", repels), "a"],
  ];
  const named = (name: string): Node => ({ ...node(name), metadata: { name, labels: { [term.topologyKey]: name } } });
  const state = new Placements();
  for (const name of ["a", "b"]) state.setNode(named(name));
  for (const [other, where] of placements) state.place(other, where);
  const found = preempt(
    {
      pod: pod("p", 5, "1"),
      nodes: state.nodes(),
      repelling: state.repelling(),
      namespaceLabels: () => ({}),
      volumeNeeds: { bound: [], waiting: [], existingOnly: [], volumes: [] },
    },
    [],
  );
  assert.deepEqual(
    found?.victims.map(({ metadata }) => metadata.name),
    ["repelling"],
  );
});
