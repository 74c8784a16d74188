import assert from "node:assert/strict";
import { test } from "node:test";
import type {
  DaemonSet,
  IPAddressPool,
  Node,
  Pod,
  ReplicaSet,
  Service,
  StatefulSet,
} from "../../api/kubernetes/index.ts";
import { formatAddress, parseAddress, parseRange } from "./services/address-pool.ts";
import { nextRun, parseCron } from "./jobs/cron-schedule.ts";
import { planDaemonSet } from "./workloads/daemon-set-plan.ts";
import { planRollingUpdate, planScaling } from "./workloads/deployment-plan.ts";
import { planSlices } from "./services/endpoints-plan.ts";
import { decideCollection, OwnerGraph, type GraphNode } from "./lifecycle/garbage-collector-graph.ts";
import { allocate, isAdvertised, useOf } from "./services/load-balancer-plan.ts";
import { planReplicaSet } from "./workloads/replica-set-plan.ts";
import { planStatefulSet } from "./workloads/stateful-set-plan.ts";

const set = (name: string, replicas: number, available: number, created = "2026-01-01T00:00:00Z"): ReplicaSet => ({
  metadata: { name, creationTimestamp: created },
  spec: { replicas, selector: {} },
  status: { replicas, availableReplicas: available },
});
const pod = (
  name: string,
  more: {
    ready?: boolean;
    hash?: string;
    node?: string;
    phase?: "Pending" | "Running" | "Failed";
    labels?: Record<string, string>;
    ip?: string;
    deleted?: boolean;
  } = {},
): Pod => ({
  metadata: {
    name,
    namespace: "default",
    uid: name,
    labels: { ...more.labels, ...(more.hash === undefined ? {} : { "controller-revision-hash": more.hash }) },
    ...(more.deleted === true ? { deletionTimestamp: "2026-01-01T00:00:00Z" } : {}),
  },
  spec: {
    containers: [{ name: "app", ports: [{ name: "web", containerPort: 8080 }] }],
    ...(more.node === undefined ? {} : { nodeName: more.node }),
  },
  status: {
    phase: more.phase ?? "Running",
    ...(more.ip === undefined ? {} : { podIP: more.ip }),
    conditions: [
      { type: "Ready", status: more.ready === false ? "False" : "True", lastTransitionTime: "2026-01-01T00:00:00Z" },
    ],
  },
});

test("a rolling update never goes below desired - maxUnavailable nor above desired + maxSurge, and ends", () => {
  for (const bounds of [
    { desired: 4, maxSurge: 1, maxUnavailable: 1 },
    { desired: 4, maxSurge: 1, maxUnavailable: 0 },
    { desired: 3, maxSurge: 0, maxUnavailable: 1 },
  ]) {
    const sizes = new Map([
      ["old", bounds.desired],
      ["new", 0],
    ]);
    let ready = 0;
    for (let step = 0; step < 40; step += 1) {
      const old = sizes.get("old") ?? 0;
      const plan = planRollingUpdate(bounds, set("new", sizes.get("new") ?? 0, ready), [set("old", old, old)]);
      for (const [name, size] of plan) sizes.set(name, size);
      const total = (sizes.get("old") ?? 0) + (sizes.get("new") ?? 0);
      assert.ok(total <= bounds.desired + bounds.maxSurge);
      assert.ok((sizes.get("old") ?? 0) + ready >= bounds.desired - bounds.maxUnavailable);
      // One new pod becomes ready each turn.
      ready = Math.min(sizes.get("new") ?? 0, ready + 1);
    }
    assert.deepEqual(Object.fromEntries(sizes), { old: 0, new: bounds.desired });
  }
});

test("unready old pods are removed before the bounds apply, and scaling is proportional", () => {
  const plan = planRollingUpdate({ desired: 4, maxSurge: 1, maxUnavailable: 1 }, set("new", 2, 0), [set("old", 3, 1)]);
  assert.deepEqual(Object.fromEntries(plan), {});
  const broken = planRollingUpdate({ desired: 3, maxSurge: 1, maxUnavailable: 1 }, set("new", 1, 0), [
    set("old", 3, 2),
  ]);
  assert.deepEqual(Object.fromEntries(broken), { old: 2 });
  assert.deepEqual(
    Object.fromEntries(
      planScaling({ desired: 20, maxSurge: 0, maxUnavailable: 1 }, set("new", 2, 2), [set("old", 8, 8)], true),
    ),
    { new: 4, old: 16 },
  );
  assert.deepEqual(
    Object.fromEntries(
      planScaling({ desired: 5, maxSurge: 1, maxUnavailable: 1 }, set("new", 3, 3), [set("old", 0, 0)], true),
    ),
    { new: 5 },
  );
});

test("a ReplicaSet first removes the least useful pods", () => {
  const replicaSet: ReplicaSet = { metadata: { name: "web", generation: 2 }, spec: { replicas: 1, selector: {} } };
  const pods = [
    pod("ready", { node: "a" }),
    pod("pending", { phase: "Pending", ready: false }),
    pod("unready", { node: "b", ready: false }),
    pod("failed", { phase: "Failed" }),
  ];
  const plan = planReplicaSet(replicaSet, pods, Date.now());
  assert.deepEqual(
    [plan.create, plan.remove.map(({ metadata }) => metadata.name), plan.status.readyReplicas],
    [0, ["pending", "unready"], 1],
  );
  assert.equal(
    planReplicaSet({ ...replicaSet, spec: { replicas: 3, selector: {} } }, pods.slice(0, 1), Date.now()).create,
    2,
  );
});

const nodes: Node[] = [
  {
    metadata: { name: "cp" },
    spec: { taints: [{ key: "node-role.kubernetes.io/control-plane", effect: "NoSchedule" }] },
  },
  { metadata: { name: "a", labels: { "istio.io/rev": "x" } } },
  { metadata: { name: "b" } },
];
const daemonSet = (more: Partial<NonNullable<DaemonSet["spec"]>> = {}): DaemonSet => ({
  metadata: { name: "ds" },
  spec: { selector: {}, template: { spec: { containers: [] } }, ...more },
});

test("a DaemonSet has a pod on each node that its selector and taints allow, and updates one node at a time", () => {
  assert.deepEqual(planDaemonSet(daemonSet(), "h", nodes, [], 0).create, ["a", "b"]);
  assert.deepEqual(
    planDaemonSet(
      daemonSet({ template: { spec: { containers: [], nodeSelector: { "istio.io/rev": "x" } } } }),
      "h",
      nodes,
      [],
      0,
    ).create,
    ["a"],
  );
  const old = [pod("a1", { node: "a", hash: "old" }), pod("b1", { node: "b", hash: "old" })];
  const now = Date.now();
  assert.deepEqual(planDaemonSet(daemonSet(), "new", nodes, old, now).remove.length, 1);
  assert.deepEqual(
    planDaemonSet(daemonSet(), "new", nodes, [pod("a2", { node: "a", hash: "new", ready: false }), old[1] as Pod], now)
      .remove,
    [],
  );
  const surge = daemonSet({
    updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
  });
  const first = planDaemonSet(surge, "new", nodes, old, now);
  assert.deepEqual([first.create, first.remove.length], [["a"], 0]);
  const second = planDaemonSet(surge, "new", nodes, [...old, pod("a2", { node: "a", hash: "new" })], now);
  assert.deepEqual([second.create, second.remove.map(({ metadata }) => metadata.name)], [[], ["a1"]]);
  // As upstream counts, a node is updated once its old pod has gone, not when the new one has started.
  assert.equal(second.status.updatedNumberScheduled, 0);
  const third = planDaemonSet(surge, "new", nodes, [old[1] as Pod, pod("a2", { node: "a", hash: "new" })], now);
  assert.equal(third.status.updatedNumberScheduled, 1);
  assert.deepEqual(
    planDaemonSet(daemonSet({ updateStrategy: { type: "OnDelete" } }), "new", nodes, old, now).remove,
    [],
  );
  assert.equal(planDaemonSet(daemonSet(), "old", nodes, old, now).status.numberAvailable, 2);
});

test("a StatefulSet grows in order, and shrinks and updates from the highest ordinal down to the partition", () => {
  const statefulSet = (replicas: number, partition = 0): StatefulSet => ({
    metadata: { name: "db" },
    spec: {
      replicas,
      selector: {},
      template: {},
      updateStrategy: { type: "RollingUpdate", rollingUpdate: { partition } },
    },
  });
  const now = Date.now();
  const pods = [pod("db-0", { hash: "h" }), pod("db-1", { hash: "h" })];
  assert.deepEqual(planStatefulSet(statefulSet(3), "h", "h", [pods[0] as Pod], now).create, [
    { ordinal: 1, hash: "h" },
  ]);
  assert.deepEqual(
    planStatefulSet(statefulSet(3), "h", "h", [pod("db-0", { hash: "h", ready: false })], now).create,
    [],
  );
  assert.deepEqual(planStatefulSet(statefulSet(1), "h", "h", pods, now).remove, [pods[1]]);
  assert.deepEqual(planStatefulSet(statefulSet(2), "h", "new", pods, now).remove, [pods[1]]);
  assert.deepEqual(planStatefulSet(statefulSet(2, 2), "h", "new", pods, now).remove, []);
});

test("endpoints carry ready, serving and terminating, and named ports group pods into slices", () => {
  const service: Service = {
    metadata: { name: "web", namespace: "default" },
    spec: { selector: { app: "web" }, ports: [{ name: "http", port: 80, targetPort: "web" }] },
  };
  const other = pod("c", { ip: "10.0.0.3" });
  const otherPort: Pod = {
    ...other,
    spec: { containers: [{ name: "app", ports: [{ name: "web", containerPort: 9090 }] }] },
  };
  const plans = planSlices(service, [
    pod("a", { ip: "10.0.0.1" }),
    pod("b", { ip: "10.0.0.2", deleted: true }),
    otherPort,
    pod("pending", { ready: false }),
  ]);
  assert.deepEqual(
    plans.map(({ ports, endpoints }) => [
      ports[0]?.port,
      endpoints.map(({ addresses, conditions }) => [
        addresses[0],
        conditions?.ready,
        conditions?.serving,
        conditions?.terminating,
      ]),
    ]),
    [
      [
        8080,
        [
          ["10.0.0.1", true, true, false],
          ["10.0.0.2", false, true, true],
        ],
      ],
      [9090, [["10.0.0.3", true, true, false]]],
    ],
  );
});

test("LoadBalancer addresses are the lowest free, the requested or a shared one; if there is none, the status says why", () => {
  const pool = (name: string, addresses: string[], autoAssign = true): IPAddressPool => ({
    metadata: { name },
    spec: { addresses, autoAssign },
  });
  const service = (name: string, annotations: Record<string, string> = {}, port = 80): Service => ({
    metadata: { name, namespace: "default", annotations },
    spec: { type: "LoadBalancer", ports: [{ port }] },
  });
  const pools = [pool("main", ["172.18.255.200-172.18.255.250"]), pool("reserved", ["172.18.254.0/24"], false)];
  const used = new Map([["172.18.255.200", [useOf(service("first", { "metallb.io/allow-shared-ip": "k" }))]]]);
  assert.deepEqual(allocate(service("a"), pools, used), { addresses: ["172.18.255.201"], pool: "main" });
  assert.deepEqual(allocate(service("a", { "metallb.universe.tf/loadBalancerIPs": "172.18.254.7" }), pools, used), {
    addresses: ["172.18.254.7"],
    pool: "reserved",
  });
  assert.deepEqual(allocate(service("a", { "metallb.io/allow-shared-ip": "k" }, 81), pools, used), {
    addresses: ["172.18.255.200"],
    pool: "main",
  });
  assert.equal(
    allocate(service("a", { "metallb.io/loadBalancerIPs": "172.18.255.200" }), pools, used).addresses,
    undefined,
  );
  assert.equal(allocate(service("a", { "metallb.io/loadBalancerIPs": "1.2.3.4" }), pools, used).addresses, undefined);
  assert.equal(allocate(service("a"), [], used).addresses, undefined);
  assert.equal(
    isAdvertised(pools[0] as IPAddressPool, [{ metadata: { name: "l2" }, spec: { ipAddressPools: ["other"] } }]),
    false,
  );
  assert.equal(isAdvertised(pools[0] as IPAddressPool, [{ metadata: { name: "l2" } }]), true);
  assert.equal(parseRange("172.18.0.9-172.18.0.1"), undefined);
  assert.equal(formatAddress("IPv6", parseAddress("fd00::1:0:0:5")?.value ?? 0n), "fd00::1:0:0:5");
});

test("the collector deletes objects without owners, removes dead owner references, and waits in foreground deletion", () => {
  const kind = { group: "", versions: ["v1"], kind: "Pod", plural: "pods", namespaced: true } as const;
  const make = (uid: string, owners: string[], more: Partial<GraphNode> = {}): GraphNode => ({
    kind,
    uid,
    name: uid,
    namespace: "default",
    owners: owners.map((owner) => ({
      apiVersion: "v1",
      kind: "Pod",
      name: owner,
      uid: owner,
      blockOwnerDeletion: true,
    })),
    finalizers: [],
    terminating: false,
    ...more,
  });
  const graph = new OwnerGraph();
  const foreground = make("fg", [], { terminating: true, finalizers: ["foregroundDeletion"] });
  for (const node of [
    make("a", []),
    make("b", ["a", "gone"]),
    make("c", ["gone"]),
    foreground,
    make("d", ["fg"]),
    make("o", [], { terminating: true, finalizers: ["orphan"] }),
    make("e", ["o"]),
  ])
    graph.set(node);
  const decide = (uid: string): unknown =>
    decideCollection(graph.get(uid) as GraphNode, graph, (reference) => graph.get(reference.uid));
  assert.deepEqual(decide("c"), { type: "delete", policy: "Background" });
  assert.deepEqual(
    (decide("b") as { keep: { uid: string }[] }).keep.map(({ uid }) => uid),
    ["a"],
  );
  assert.deepEqual(decide("fg"), { type: "none" });
  assert.deepEqual(decide("d"), { type: "delete", policy: "Background" });
  graph.remove("d");
  assert.deepEqual(decide("fg"), { type: "finalize", finalizers: [] });
  assert.deepEqual(decide("e"), { type: "release", keep: [] });
});

test("cron schedules", () => {
  const next = (text: string): string | undefined => {
    const schedule = parseCron(text);
    const at = schedule === undefined ? undefined : nextRun(schedule, Date.parse("2026-02-27T23:58:30Z"));
    return at === undefined ? undefined : new Date(at).toISOString();
  };
  assert.equal(next("*/5 * * * *"), "2026-02-28T00:00:00.000Z");
  assert.equal(next("30 6 1 * *"), "2026-03-01T06:30:00.000Z");
  assert.equal(next("0 0 * * mon"), "2026-03-02T00:00:00.000Z");
  assert.equal(next("0 0 13 * 5"), "2026-03-06T00:00:00.000Z");
  assert.equal(next("61 * * * *"), undefined);
});
