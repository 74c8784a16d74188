import assert from "node:assert/strict";
import { test } from "node:test";
import { parseMeshUpgrade, type MeshUpgrade } from "../../../api/serin/index.ts";
import type { Step } from "../../decide/index.ts";
import { planMeshUpgrade, type MeshWorld } from "./mesh-upgrade-plan.ts";

const world: MeshWorld = {
  installs: [[{ apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "istiod-new", namespace: "istio-system" } }]],
  ambientNamespaces: ["shop"],
  enrolledPods: [
    { name: "a", namespace: "shop" },
    { name: "b", namespace: "shop" },
    { name: "c", namespace: "shop" },
  ],
  gateways: [
    { name: "front", namespace: "istio-system", labelled: false, replicas: 2 },
    { name: "back", namespace: "istio-system", labelled: true, replicas: 1 },
  ],
  defaultTag: { name: "istio-revision-tag-default", webhooks: 2 },
  retirable: [{ apiVersion: "apps/v1", kind: "Deployment", plural: "deployments", name: "istiod-old", namespace: "istio-system" }],
  probeImage: "docker.io/istio/serin:2.0.0",
};

function upgrade(more: object = {}): MeshUpgrade {
  const parsed = parseMeshUpgrade({ metadata: { name: "u" }, spec: { from: { revision: "old" }, to: { revision: "new", install: [{ revision: "new" }] }, ...more } });
  assert.deepEqual(parsed.errors, []);
  assert.ok(parsed.value);
  return parsed.value;
}

const ids = (steps: readonly Step[]): string[] => steps.map(({ id }) => id);

test("an upgrade pins, installs, probes, moves pods in batches, then gateways, then the tag, and retires last", () => {
  const steps = planMeshUpgrade(upgrade({ ztunnel: { maxConcurrent: 2 }, soakSeconds: 5 }), world);
  assert.deepEqual(ids(steps), [
    "pin",
    "install-1",
    "probe",
    "move-shop/a+shop/b",
    "move-shop/c",
    "adopt",
    ...["back", "front"].toReversed().flatMap((name) => ["canary", "shift", "promote", "finish"].map((part) => `gateway-istio-system/${name}-${part}`)),
    "tags",
    "soak",
    "dependents",
    "retire",
    "drain",
  ]);
});

test("nothing moves before the probe matrix has passed, and every move is judged", () => {
  const steps = planMeshUpgrade(upgrade(), world);
  const probe = steps.find(({ id }) => id === "probe");
  assert.deepEqual(probe?.checks.map(({ spec }) => spec.type), ["mtls-probe-matrix", "xds-nacks"]);
  for (const step of steps.filter(({ id }) => id.startsWith("move-"))) assert.ok(step.checks.length > 0, step.id);
});

test("the tag moves with every webhook of it, and only a gateway that named no revision loses the label again", () => {
  const tags = planMeshUpgrade(upgrade(), world).find(({ id }) => id === "tags");
  const pointers = tags?.writes.map((write) => (write.type === "field" ? `${write.object.name} ${write.pointer} ${String(write.value)}` : ""));
  assert.deepEqual(pointers, [
    "istio-revision-tag-default /webhooks/0/clientConfig/service/name istiod-new",
    "istio-revision-tag-default /webhooks/1/clientConfig/service/name istiod-new",
    "istio-revision-tag-default /metadata/labels/istio.io~1rev new",
    "front /metadata/labels/istio.io~1rev undefined",
  ]);
});

test("retiring by hand waits for approval before anything is deleted", () => {
  const dependents = planMeshUpgrade(upgrade({ retire: "Manual" }), world).find(({ id }) => id === "dependents");
  assert.deepEqual(dependents?.pause, { approved: false });
  assert.deepEqual(planMeshUpgrade(upgrade({ retire: "Manual", approvals: [{ step: "dependents", by: "ann", why: "", at: "2026-01-31T12:00:00Z" }] }), world).find(({ id }) => id === "dependents")?.pause, { approved: true });
});

test("a scope without ztunnel and gateways leaves both alone", () => {
  const steps = ids(planMeshUpgrade(upgrade({ scope: { ztunnel: false, gateways: false } }), world));
  assert.deepEqual(steps, ["install-1", "tags", "dependents", "retire", "drain"]);
});
