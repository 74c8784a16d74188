import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConnectedProxy, MeshUpgrade } from "../../api/serin/index.ts";
import { ladderView } from "./ladder.ts";
import { config, deployment, input, namespace, pod } from "./testing/small-mesh.ts";
import { noPilots } from "./view-input.ts";

const sidecar = (revision: string): { labels: Record<string, string>; containers: string[] } => ({
  labels: { app: "web", "istio.io/rev": revision },
  containers: ["app", "istio-proxy"],
});
const upgrade = {
  apiVersion: "rollout.serin.dev/v1alpha1",
  kind: "MeshUpgrade",
  metadata: { name: "next" },
  spec: {
    from: { revision: "old" },
    to: { revision: "new", install: [] },
    scope: { namespaces: true, gateways: true, waypoints: true },
  },
  status: {
    phase: "Progressing",
    step: {
      id: "wave-1/shop",
      title: "restart shop",
      startedAt: "2026-06-01T11:59:00Z",
      checks: [],
      waitingFor: ["Deployment shop/web: 1 of 2 pods are ready"],
    },
    completedSteps: [],
    conditions: [],
  },
} as unknown as MeshUpgrade;
const objects = {
  namespaces: [namespace("shop", { "istio.io/rev": "prod" }), namespace("plain"), namespace("istio-system")],
  deployments: [deployment("shop", "web", { app: "web" }, 2)],
  pods: [
    pod("istio-system", "istiod-old", { labels: { app: "istiod", "istio.io/rev": "old" }, containers: ["discovery"] }),
    pod("istio-system", "istiod-new", { labels: { app: "istiod", "istio.io/rev": "new" }, containers: ["discovery"] }),
    pod("shop", "web", sidecar("old")),
    {
      ...pod("shop", "web", { ...sidecar("new"), ready: false }),
      metadata: { ...pod("shop", "web", sidecar("new")).metadata, name: "web-2-y", uid: "2" },
    },
  ],
  injectors: [{ metadata: { name: "tag", labels: { "istio.io/tag": "prod", "istio.io/rev": "old" } } }],
  upgrades: [upgrade],
};
const proxy = (id: string, types: ConnectedProxy["types"]): ConnectedProxy => ({
  id,
  type: "sidecar",
  namespace: "shop",
  node: "worker",
  version: "1.31.0",
  revision: "old",
  connectedAt: "2026-06-01T11:00:00Z",
  types,
});
const cds = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
const pilots = {
  ...noPilots,
  answered: 1,
  proxies: [
    proxy("web-1-x.shop", { [cds]: { sent: "a", acked: "a", nacked: "", reason: null } }),
    proxy("cart-1-x.shop", { [cds]: { sent: "b", acked: "a", nacked: "", reason: null } }),
    proxy("pay-1-x.shop", { [cds]: { sent: "c", acked: "a", nacked: "c", reason: "unknown cluster type" } }),
  ],
  roots: new Map([["old", "0123456789abcdef"]]),
};

test("a revision has its tags, version, root and proxies", () => {
  const { revisions } = ladderView(input(objects, [], { pilots }), "*").tables;
  assert.deepEqual(revisions["old"], {
    name: "old",
    version: "1.31.0",
    tags: ["prod"],
    podsReady: 1,
    pods: 1,
    root: "0123456789ab",
    proxies: 3,
  });
});

test("a revision whose image has a digest behind its tag shows the tag", () => {
  const [istiod] = objects.pods;
  assert.ok(istiod);
  const image = `registry:5000/pilot:1.31.0@sha256:${"0a".repeat(32)}`;
  const pinned = { ...istiod, spec: { ...istiod.spec, containers: [{ name: "discovery", image }] } };
  const { revisions } = ladderView(input({ ...objects, pods: [pinned] }), "*").tables;
  assert.equal(revisions["old"]?.version, "1.31.0");
});

test("a moving namespace is at both revisions, and shows its target and blockers", () => {
  const rung = ladderView(input(objects, [], { pilots }), "*").tables.rungs["namespace shop/shop"];
  assert.deepEqual([rung?.at, rung?.wanted, rung?.goingTo], [{ old: 0.5, new: 0.5 }, "old", "new"]);
  assert.deepEqual(rung?.blockedBy, ["pod web-2-y is not ready", "Deployment shop/web: 1 of 2 pods are ready"]);
});

test("a revision that is called like a function of JavaScript has its pods counted", () => {
  const pods = [pod("shop", "web", sidecar("constructor"))];
  const rung = ladderView(input({ ...objects, pods }, [], { pilots }), "*").tables.rungs["namespace shop/shop"];
  assert.deepEqual([rung?.pods, rung?.at], [{ constructor: 1 }, { constructor: 1 }]);
});

test("a paused upgrade waits for a person, and blocks nothing that still moves", () => {
  const pausedFor = (more: object): MeshUpgrade =>
    ({ ...upgrade, status: { ...upgrade.status, phase: "Paused", ...more } }) as unknown as MeshUpgrade;
  const paused = pausedFor({ pauseReason: "approval", message: "a text" });
  const { rungs } = ladderView(input({ ...objects, upgrades: [paused] }, [], { pilots }), "*").tables;
  const rung = rungs["namespace shop/shop"];
  assert.deepEqual(rung?.waitsFor, [`waits until a person approves "${upgrade.status?.step?.title ?? ""}"`]);
  assert.ok(!rung.blockedBy.some((text) => text.includes("person")));
  // Without a known reason of the pause, the page shows the message as it is.
  for (const more of [{ pauseReason: "order", message: "paused by a person" }, { message: "approve it" }]) {
    const shown = ladderView(input({ ...objects, upgrades: [pausedFor(more)] }, [], { pilots }), "*").tables.rungs;
    assert.deepEqual(shown["namespace shop/shop"]?.waitsFor, [more.message]);
  }
  assert.deepEqual(
    Object.values(rungs).filter(({ goingTo, waitsFor }) => goingTo === "" && waitsFor.length > 0),
    [],
  );
});

test("a step's blockers appear only at its own rung, even if another's name contains it", () => {
  const blockedBy = (id: string, title: string): unknown => {
    const step = { ...upgrade.status?.step, id, title, waitingFor: ["Deployment other/vault"] };
    const moving = { ...upgrade, status: { ...upgrade.status, step } } as unknown as MeshUpgrade;
    return ladderView(input({ ...objects, upgrades: [moving] }, [], { pilots }), new Set(["shop"])).tables.rungs[
      "namespace shop/shop"
    ]?.blockedBy;
  };
  const own = ["pod web-2-y is not ready"];
  assert.deepEqual(blockedBy("wave-1/shop-internal", "namespace shop-internal: sidecars of 1 workload to new"), own);
  assert.deepEqual(blockedBy("waypoint/bank/shop/50", "waypoint bank/shop: 50 % of new connections at new"), own);
  assert.deepEqual(blockedBy("wave-1/ztunnel-1", "ztunnel of 2 pods of bank, shop to new"), [
    ...own,
    "Deployment other/vault",
  ]);
});

test("a namespace outside the mesh is no rung", () => {
  assert.ok(!("namespace plain/plain" in ladderView(input(objects), "*").tables.rungs));
});

test("a proxy is synced, stale with the missing types, or rejected with the reason", () => {
  const { proxies } = ladderView(input(objects, [], { pilots }), "*").tables;
  assert.deepEqual(
    Object.values(proxies).map(({ pod: name, state, reason }) => [name, state, reason]),
    [
      ["web-1-x", "synced", ""],
      ["cart-1-x", "stale", "CDS: the control plane sent b, and the proxy acknowledged a"],
      ["pay-1-x", "rejected", "CDS: unknown cluster type"],
    ],
  );
});

test("a moving waypoint is at the revisions of its traffic", () => {
  const waypoint = (name: string, revision: string): ReturnType<typeof pod> =>
    pod("shop", name, {
      labels: {
        "gateway.networking.k8s.io/gateway-name": "waypoint",
        "gateway.istio.io/managed": "istio.io-mesh-controller",
        "istio.io/rev": revision,
      },
      containers: ["istio-proxy"],
    });
  const gateway = config("gateway.networking.k8s.io/v1", "Gateway", "shop", "waypoint", {
    gatewayClassName: "istio-waypoint",
  });
  const moving = {
    ...gateway,
    metadata: {
      ...gateway.metadata,
      labels: { "istio.io/rev": "old" },
      annotations: { "rollout.serin.dev/canary-revision": "new", "rollout.serin.dev/canary-weight": "10" },
    },
  };
  const { rungs } = ladderView(
    input({ ...objects, pods: [waypoint("waypoint", "old"), waypoint("waypoint-new", "new")], configs: [moving] }),
    "*",
  ).tables;
  assert.deepEqual(
    [rungs["waypoint shop/waypoint"]?.at, rungs["waypoint shop/waypoint"]?.pods],
    [
      { old: 0.9, new: 0.1 },
      { old: 1, new: 1 },
    ],
  );
});

test("a reader of one namespace sees only its rungs and proxies", () => {
  const { rungs, proxies } = ladderView(input(objects, [], { pilots }), new Set(["plain"])).tables;
  assert.deepEqual([Object.keys(rungs), Object.keys(proxies)], [[], []]);
});

test("a CNI agent, which serves all revisions, appears beside the control plane of its release", () => {
  const agent = (name: string, tag: string) => ({
    ...pod("istio-system", name, { labels: { "k8s-app": "istio-cni-node" } }),
    spec: { containers: [{ name: "install-cni", image: `registry/install-cni:${tag}` }], nodeName: "worker" },
  });
  const [istiod] = objects.pods;
  assert.ok(istiod);
  const rungs = (tag: string) =>
    ladderView(input({ ...objects, pods: [istiod, agent("istio-cni-node", tag)] }), "*").tables.rungs[
      "cni istio-system/istio-cni-node"
    ];
  assert.deepEqual(rungs("1.31.0")?.at, { old: 1 });
  assert.deepEqual(rungs("1.29.0")?.at, {}, "of a release that no control plane runs");
});
