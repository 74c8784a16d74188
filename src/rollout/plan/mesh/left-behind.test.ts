import assert from "node:assert/strict";
import { test } from "node:test";
import { parseMeshUpgrade, type MeshUpgrade } from "../../../api/serin/index.ts";
import { reference } from "../references.ts";
import { howToMove, leftBehind, type Dependent, type RestartObstacle } from "./left-behind.ts";
import type { MeshWorld } from "./mesh-world.ts";

const web = reference("apps/v1", "Deployment", "web", "shop");
const front = reference("apps/v1", "Deployment", "front", "edge");
const sidecar: Dependent = { type: "sidecar", name: "web-1", namespace: "shop", workload: web, text: "pod shop/web-1" };
const bare: Dependent = { type: "sidecar", name: "cron", namespace: "shop", text: "pod shop/cron" };
const gateway: Dependent = { type: "installedGateway", name: "front-1", namespace: "edge", workload: front, text: "g" };
const tag: Dependent = { type: "tag", name: "prod", text: "tag prod" };

const world: MeshWorld = {
  installs: [],
  namespaces: [
    {
      name: "shop",
      labels: {},
      injection: { label: "istio-injection", value: "enabled" },
      labelled: false,
      workloads: [{ object: web, labels: {}, byPodLabel: false, state: "waiting" }],
      leftToEnd: [],
      ambient: false,
      enrolledPods: [],
    },
  ],
  gateways: [],
  classicGateways: [
    {
      namespace: "edge",
      deployment: { name: "front", replicas: 1, autoscaled: false },
      body: { metadata: {} },
      parts: [],
    },
  ],
  tags: [],
  retirable: [],
  injectors: [],
  ztunnelNodes: [],
  probeImage: "",
  dataPlanes: [],
};

function upgrade(more: object = {}): MeshUpgrade {
  const parsed = parseMeshUpgrade({
    metadata: { name: "u" },
    spec: { from: { revision: "default" }, to: { revision: "new" }, ...more },
  });
  return parsed.value ?? assert.fail(JSON.stringify(parsed.errors));
}

test("objects that a wave or a gateway's steps move are not left behind, but a bare pod, an operator's gateway and an unlisted tag are left behind", () => {
  const ofOperator: Dependent = {
    type: "ownedGateway",
    name: "front-1",
    namespace: "edge",
    workload: front,
    text: "g",
  };
  assert.deepEqual(leftBehind(upgrade(), world, [sidecar, bare, gateway, ofOperator, tag]), [bare, ofOperator, tag]);
});

test("a namespace that no wave selects, and a gateway outside the scope, are left behind", () => {
  const elsewhere = upgrade({ waves: [{ name: "other", namespaces: ["else"] }] });
  assert.deepEqual(leftBehind(elsewhere, { ...world, classicGateways: [] }, [sidecar, gateway]), [sidecar, gateway]);
});

test("the remedy of a pod that no restart replaces is to delete it", () => {
  const owned = (kind: string, restartObstacle?: RestartObstacle): Dependent => ({
    ...sidecar,
    workload: reference("apps/v1", kind, "db", "shop"),
    ...(restartObstacle === undefined ? {} : { restartObstacle }),
  });
  for (const one of [
    owned("StatefulSet", "OnDelete"),
    owned("DaemonSet", "OnDelete"),
    owned("StatefulSet", "partition"),
    owned("ReplicaSet"),
  ]) {
    const remedy = howToMove(one, "new");
    assert.match(remedy, /^delete it, .* kubectl label .* namespace shop .* && kubectl -n shop delete pod web-1$/);
    assert.doesNotMatch(remedy, /rollout restart/);
  }
  assert.match(howToMove(owned("StatefulSet"), "new"), /rollout restart statefulset\/db$/);
});

test("a wave is a remedy only for a namespace whose labels lead to the old revision", () => {
  assert.match(howToMove(sidecar, "new"), /^let a wave of spec\.waves select namespace shop, or: kubectl label /);
  const ledElsewhere =
    "namespace shop has the label istio.io/rev=stable, which no MutatingWebhookConfiguration selects";
  assert.equal(
    howToMove({ ...sidecar, ledElsewhere }, "new"),
    `no wave moves it, because ${ledElsewhere}: kubectl label --overwrite namespace shop istio.io/rev=new istio-injection- && kubectl -n shop rollout restart deployment/web`,
  );
});

test("a namespace that leads to the new revision already, by a tag that has moved, keeps its labels", () => {
  const remedy = (more: Partial<Dependent> = {}): string => howToMove({ ...sidecar, isLed: true, ...more }, "new");
  assert.equal(remedy(), "restart it: kubectl -n shop rollout restart deployment/web");
  assert.match(
    remedy({ restartObstacle: "held" }),
    /^its Canary holds it, .*: kubectl -n shop patch deployment web -p /,
  );
  assert.equal(
    howToMove({ ...bare, isLed: true }, "new"),
    "create it again: kubectl -n shop delete pod cron",
    "its namespace need not name the revision",
  );
  const workloads = ["ReplicaSet", "Rollout"].map((kind) => reference("apps/v1", kind, "web", "shop"));
  for (const one of [{}, ...workloads.map((workload) => ({ workload }))])
    for (const restartObstacle of ["held", "paused", "OnDelete", "partition"] as const)
      assert.doesNotMatch(remedy({ ...one, restartObstacle }), /kubectl label/);
});

test("a namespace whose tag the upgrade moves keeps its labels, and its pods are replaced after that", () => {
  const byDefault = { ...world, tags: [{ tag: "default", objects: [], fields: [] }] };
  const elsewhere = { waves: [{ name: "other", namespaces: ["else"] }] };
  const remedies = (more: object): readonly string[] =>
    leftBehind(upgrade({ ...elsewhere, ...more }), byDefault, [sidecar, bare]).map((one) => howToMove(one, "new"));
  assert.deepEqual(remedies({}), [
    "once the upgrade has moved the tag default, restart it: kubectl -n shop rollout restart deployment/web",
    "once the upgrade has moved the tag default, create it again: kubectl -n shop delete pod cron",
  ]);
  assert.match(remedies({ scope: { tags: false } })[0] ?? "", /kubectl label --overwrite namespace shop/);
});

test("a pod whose namespace has left the mesh is not led back by its remedy", () => {
  const remedy = (more: Partial<Dependent>): string => howToMove({ ...sidecar, isOutside: true, ...more }, "new");
  assert.equal(
    remedy({}),
    "namespace shop has left the mesh, and a new pod has no sidecar: kubectl -n shop rollout restart deployment/web",
  );
  assert.match(remedy({ restartObstacle: "held" }), /no sidecar: kubectl -n shop patch deployment web -p /);
  assert.match(remedy({ restartObstacle: "paused" }), /no sidecar: kubectl -n shop delete pod web-1$/);
  for (const obstacle of [undefined, "held", "paused", "OnDelete"] as const)
    assert.doesNotMatch(remedy(obstacle === undefined ? {} : { restartObstacle: obstacle }), /kubectl label/);
});

test("each left-behind object has a remedy for a person", () => {
  const type = (one: Dependent["type"]): Dependent => ({ type: one, name: "x", namespace: "n", text: "x" });
  assert.match(howToMove(sidecar, "new"), /kubectl -n shop rollout restart deployment\/web$/);
  assert.match(howToMove(bare, "new"), /kubectl -n shop delete pod cron$/);
  const resumed = { ...sidecar, restartObstacle: "paused" } as const;
  assert.match(howToMove(resumed, "new"), /rollout resume deployment\/web && kubectl -n shop rollout restart /);
  const held = howToMove({ ...sidecar, restartObstacle: "held" }, "new");
  assert.match(held, /^its Canary holds it, .* && kubectl -n shop patch deployment web -p '\{"spec":/);
  assert.doesNotMatch(held, /rollout re/);
  assert.equal(howToMove(tag, "new"), "serin tag set prod --revision new --overwrite");
  assert.equal(howToMove(type("namespace"), "new"), "kubectl label --overwrite namespace x istio.io/rev=new");
  assert.match(howToMove(type("ztunnel"), "new"), /kubectl label --overwrite namespace n /);
  const owned = (kind: string): Dependent => ({
    ...type("ownedGateway"),
    owner: reference("example.com/v1", kind, "front", "n"),
  });
  assert.equal(
    howToMove(owned("MeshGateway"), "istio-1.7.istio-system"),
    `kubectl -n n patch meshgateways.istio.banzaicloud.io front --type=merge -p '{"spec":{"istioControlPlane":{"name":"istio-1.7","namespace":"istio-system"}}}'`,
  );
  assert.match(howToMove(owned("IstioOperator"), "new"), /^make it a gateway of new in IstioOperator n\/front,/);
  assert.match(howToMove(type("gatewayLabel"), "new"), /^kubectl -n n label --overwrite gateways/);
});
