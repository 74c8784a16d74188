import assert from "node:assert/strict";
import { test } from "node:test";
import type { Node, PersistentVolume, PersistentVolumeClaim, Pod, PodSpec } from "../../api/kubernetes/index.ts";
import { decide, type Decision } from "./decide.ts";
import { Placements } from "./node-state.ts";
import { volumeNeedsOf, type VolumeNeeds } from "./volume-needs.ts";

const node = (
  name: string,
  more: { labels?: Record<string, string>; spec?: Node["spec"]; ready?: boolean } = {},
): Node => ({
  metadata: { name, labels: { "kubernetes.io/hostname": name, ...more.labels } },
  ...(more.spec === undefined ? {} : { spec: more.spec }),
  status: {
    allocatable: { cpu: "2", memory: "4Gi", pods: "110" },
    conditions: [{ type: "Ready", status: more.ready === false ? "False" : "True" }],
  },
});
const pod = (name: string, spec: Partial<PodSpec> = {}, labels: Record<string, string> = {}, owner = "set"): Pod => ({
  metadata: {
    name,
    namespace: "default",
    uid: name,
    labels,
    ownerReferences: [{ apiVersion: "apps/v1", kind: "ReplicaSet", name: owner, uid: owner, controller: true }],
  },
  spec: { containers: [{ name: "app" }], ...spec },
});
const noVolumes: VolumeNeeds = { bound: [], waiting: [], existingOnly: [], volumes: [] };
const choose = (
  wanted: Pod,
  nodes: Node[],
  placed: [Pod, string][] = [],
  volumeNeeds: VolumeNeeds = noVolumes,
): Decision => {
  const placements = new Placements();
  for (const item of nodes) placements.setNode(item);
  for (const [other, where] of placed) placements.place(other, where);
  return decide({
    pod: wanted,
    nodes: placements.nodes(),
    repelling: placements.repelling(),
    namespaceLabels: () => ({}),
    volumeNeeds,
  });
};

const controlPlane = node("cp", {
  spec: { taints: [{ key: "node-role.kubernetes.io/control-plane", effect: "NoSchedule" }] },
});

test("a pod is placed where selectors, taints, readiness, resources and host ports allow; otherwise the message counts the reasons", () => {
  const nodes = [controlPlane, node("a", { labels: { disk: "ssd" } }), node("b", { ready: false })];
  assert.deepEqual(choose(pod("p"), nodes), { node: "a" });
  assert.deepEqual(choose(pod("p", { nodeSelector: { disk: "hdd" } }), nodes), {
    node: undefined,
    message:
      "0/3 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, 2 node(s) didn't match Pod's node affinity/selector.",
  });
  const big = { containers: [{ name: "app", resources: { requests: { cpu: "1500m" } } }] };
  assert.deepEqual(choose(pod("q", big), [node("a")], [[pod("p", big), "a"]]), {
    node: undefined,
    message: "0/1 nodes are available: 1 Insufficient cpu.",
  });
  const port = { containers: [{ name: "app", ports: [{ containerPort: 80, hostPort: 80 }] }] };
  assert.deepEqual(choose(pod("q", port), [node("a"), node("b")], [[pod("p", port), "a"]]), { node: "b" });
  assert.deepEqual(choose(pod("q"), []), { node: undefined, message: "no nodes available to schedule pods" });
});

test("a topology key that no node has as a label makes no domain, even if every object inherits a field of that name", () => {
  const required = [{ topologyKey: "constructor", labelSelector: { matchLabels: { app: "p" } } }];
  const beside = { affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: required } } };
  assert.deepEqual(choose(pod("p", beside, { app: "p" }), [node("a")]), {
    node: undefined,
    message: "0/1 nodes are available: 1 node(s) didn't match pod affinity rules.",
  });
  const term = { matchExpressions: [{ key: "constructor", operator: "Exists" as const }] };
  const labelled = {
    nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [term] } },
  };
  assert.equal(choose(pod("p", { affinity: labelled }), [node("a")]).node, undefined);
});

test("replicas spread over nodes, regardless of other pods there", () => {
  const others: [Pod, string][] = [1, 2, 3].map((index) => [pod(`o${index}`, {}, {}, "other"), "b"]);
  assert.deepEqual(choose(pod("q"), [node("a"), node("b")], [[pod("p"), "a"], ...others]), { node: "b" });
});

test("required anti-affinity applies in both directions, and required affinity does not block the first pod of a group", () => {
  const term = { topologyKey: "kubernetes.io/hostname", labelSelector: { matchLabels: { app: "x" } } };
  const repels = { affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } } };
  const attracts = { affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } } };
  const nodes = [node("a"), node("b")];
  assert.deepEqual(choose(pod("q", repels, { app: "x" }), nodes, [[pod("p", {}, { app: "x" }, "other"), "b"]]), {
    node: "a",
  });
  assert.deepEqual(choose(pod("q", {}, { app: "x" }, "other"), nodes, [[pod("p", repels, { app: "y" }), "a"]]), {
    node: "b",
  });
  assert.deepEqual(choose(pod("q", attracts, { app: "x" }), nodes), { node: "a" });
  assert.deepEqual(choose(pod("q", attracts, { app: "x" }), nodes, [[pod("p", {}, { app: "x" }), "b"]]), { node: "b" });
});

test("a topology spread constraint limits the skew", () => {
  const spec = {
    topologySpreadConstraints: [
      {
        maxSkew: 1,
        topologyKey: "zone",
        whenUnsatisfiable: "DoNotSchedule" as const,
        labelSelector: { matchLabels: { app: "x" } },
      },
    ],
  };
  const nodes = [node("a", { labels: { zone: "1" } }), node("b", { labels: { zone: "2" } })];
  const placed: [Pod, string][] = [[pod("p", {}, { app: "x" }), "a"]];
  assert.deepEqual(choose(pod("q", spec, { app: "x" }, "other"), nodes, placed), { node: "b" });
});

test("with matchLabelKeys, spreading and affinity relate only to the pods of the same revision", () => {
  const labelSelector = { matchLabels: { app: "x" } };
  const keys = { matchLabelKeys: ["hash"] };
  const old = pod("p", {}, { app: "x", hash: "1" });
  const next = { app: "x", hash: "2" };
  const nodes = [node("a", { labels: { zone: "1" } }), node("b", { labels: { zone: "2" } })];
  const term = { topologyKey: "zone", labelSelector };
  const repels = (more: object): Partial<PodSpec> => ({
    affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ ...term, ...more }] } },
  });
  const placed: [Pod, string][] = [
    [old, "a"],
    [pod("r", {}, { app: "x", hash: "1" }), "b"],
  ];
  assert.equal(choose(pod("q", repels({}), next, "other"), nodes, placed).node, undefined);
  assert.equal(choose(pod("q", repels(keys), next, "other"), nodes, placed).node, "a");
  const other = { app: "x", hash: "1" };
  assert.equal(choose(pod("q", repels({ mismatchLabelKeys: ["hash"] }), other, "other"), nodes, placed).node, "a");
  const skewed: [Pod, string][] = [...placed.slice(0, 1), [pod("s", {}, { app: "x", hash: "1" }), "a"]];
  const spread = (more: object): Partial<PodSpec> => ({
    nodeSelector: { zone: "1" },
    topologySpreadConstraints: [
      { maxSkew: 1, whenUnsatisfiable: "DoNotSchedule", nodeAffinityPolicy: "Ignore", ...term, ...more },
    ],
  });
  assert.equal(choose(pod("q", spread({}), next, "other"), nodes, skewed).node, undefined);
  assert.equal(choose(pod("q", spread(keys), next, "other"), nodes, skewed).node, "a");
});

test("a spread constraint counts the domains that its policies name, and missing ones as empty", () => {
  const constraint = { maxSkew: 1, topologyKey: "zone", labelSelector: { matchLabels: { app: "x" } } };
  const spread = (more: object): Partial<PodSpec> => ({
    topologySpreadConstraints: [{ ...constraint, whenUnsatisfiable: "DoNotSchedule", ...more }],
  });
  const tainted = node("b", { labels: { zone: "2" }, spec: { taints: [{ key: "t", effect: "NoSchedule" }] } });
  const nodes = [node("a", { labels: { zone: "1" } }), tainted];
  const placed: [Pod, string][] = [[pod("p", {}, { app: "x" }), "a"]];
  const decided = (more: object): string | undefined =>
    choose(pod("q", spread(more), { app: "x" }, "other"), nodes, placed).node;
  assert.equal(decided({}), undefined);
  assert.equal(decided({ nodeTaintsPolicy: "Honor" }), "a");
  assert.equal(decided({ nodeTaintsPolicy: "Honor", minDomains: 2 }), undefined);
});

test("a pod is placed where its volumes are, waits for its claims with kube-scheduler's message, and may choose the node of a claim that waits for its first consumer", () => {
  const wanted = pod("p", { volumes: [{ name: "v", persistentVolumeClaim: { claimName: "data" } }] });
  const nodes = [node("a"), node("b")];
  const on = (host: string, name: string): PersistentVolume => ({
    metadata: { name },
    spec: {
      accessModes: ["ReadWriteOnce"],
      capacity: { storage: "1Gi" },
      storageClassName: "fixed",
      nodeAffinity: {
        required: {
          nodeSelectorTerms: [
            { matchExpressions: [{ key: "kubernetes.io/hostname", operator: "In", values: [host] }] },
          ],
        },
      },
    },
  });
  const claimed = (className: string, more: Partial<PersistentVolumeClaim> = {}): PersistentVolumeClaim => ({
    metadata: { name: "data", namespace: "default" },
    spec: {
      accessModes: ["ReadWriteOnce"],
      resources: { requests: { storage: "1Gi" } },
      storageClassName: className,
      ...more.spec,
    },
    ...(more.status === undefined ? {} : { status: more.status }),
  });
  const decided = (claim: PersistentVolumeClaim | undefined, volumes: PersistentVolume[] = []): Decision => {
    const modes = { immediate: "Immediate", standard: "WaitForFirstConsumer", fixed: "WaitForFirstConsumer" } as const;
    const needs = volumeNeedsOf(wanted, {
      claim: () => claim,
      volume: (name) => volumes.find(({ metadata }) => metadata.name === name),
      volumes: () => volumes,
      storageClass: (name) => ({
        metadata: { name },
        provisioner: name === "fixed" ? "kubernetes.io/no-provisioner" : "x",
        volumeBindingMode: modes[name as keyof typeof modes],
      }),
    });
    return choose(wanted, nodes, [], needs);
  };
  const message = (text: string): Decision => ({ node: undefined, message: `0/2 nodes are available: ${text}.` });
  assert.deepEqual(decided(undefined), message('persistentvolumeclaim "data" not found'));
  assert.deepEqual(decided(claimed("immediate")), message("pod has unbound immediate PersistentVolumeClaims"));
  assert.deepEqual(decided(claimed("standard")), { node: "a" });
  const bound = claimed("standard", { spec: { volumeName: "one" }, status: { phase: "Bound" } });
  assert.deepEqual(decided(bound, [on("b", "one")]), { node: "b" });
  assert.deepEqual(
    decided(bound, [on("gone", "one")]),
    message("2 node(s) didn't match PersistentVolume's node affinity"),
  );
  assert.deepEqual(decided(claimed("fixed"), [on("b", "free")]), { node: "b" });
  assert.deepEqual(
    decided(claimed("fixed"), [
      { ...on("b", "small"), spec: { ...on("b", "small").spec, capacity: { storage: "1Mi" } } },
    ]),
    message("2 node(s) didn't find available persistent volumes to bind"),
  );
});
