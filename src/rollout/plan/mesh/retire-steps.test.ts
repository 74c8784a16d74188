import assert from "node:assert/strict";
import { test } from "node:test";
import type { Step } from "../../decide/index.ts";
import { reference } from "../references.ts";
import type { MeshWorld } from "./mesh-world.ts";
import { planMeshUpgrade } from "./mesh-upgrade-plan.ts";
import { fieldOf, ids, sidecars, stepOf, upgrade, world } from "./testing/upgrade-world.ts";

test("parts that an operator installed are retired in the operator's object, because the operator would restore them", () => {
  const operator = reference("install.istio.io/v1alpha1", "IstioOperator", "mesh", "istio-system");
  const banzai = reference("istio.banzaicloud.io/v1beta1", "Istio", "sample", "istio-system");
  const owners = [{ object: operator, components: ["pilot", "ztunnel"] as const }, { object: banzai }];
  const { writes } = stepOf(planMeshUpgrade(upgrade(), { ...world, owners, retirable: [] }), "retire");
  assert.deepEqual(
    writes.map((write) =>
      write.type === "field"
        ? `${write.object.kind} ${write.pointer} = ${JSON.stringify(write.value)}`
        : `${write.type} ${write.object.kind} ${write.object.name}`,
    ),
    [
      "delete Namespace serin-probes",
      "IstioOperator /spec/components/pilot/enabled = false",
      "IstioOperator /spec/components/ztunnel/enabled = false",
      "delete Istio sample",
    ],
  );
});

test("an old istiod that stays does not take back the upgrade: the step says whose operator or which pods to look at", () => {
  const toDo = (owners: MeshWorld["owners"] & object): string => {
    const [condition] = stepOf(planMeshUpgrade(upgrade(), { ...world, owners }), "retire").settle;
    return condition?.type === "podsGone" ? (condition.toDo ?? "") : "";
  };
  const operator = reference("install.istio.io/v1alpha1", "IstioOperator", "mesh", "istio-system");
  assert.match(
    toDo([{ object: operator, components: ["pilot"] }]),
    /operator of IstioOperator istio-system\/mesh runs/,
  );
  assert.match(toDo([]), /kubectl get pods -A -l app=istiod,istio\.io\/rev=old; on a node that is lost/);
});

test("the old control plane keeps its rights until its pods have ended, so that it can give up its leases", () => {
  const rights = [
    reference("v1", "ServiceAccount", "istiod-old", "istio-system"),
    reference("rbac.authorization.k8s.io/v1", "Role", "istiod-old", "istio-system"),
  ];
  const steps = planMeshUpgrade(upgrade(), { ...world, retirable: [...rights, ...world.retirable] });
  assert.deepEqual(ids(steps).slice(-3), ["retire", "rights", "drain"]);
  assert.deepEqual(stepOf(steps, "retire").writes.map(fieldOf).slice(-1), ["delete Deployment istiod-old"]);
  assert.deepEqual(
    stepOf(steps, "retire").settle.map(({ type }) => type),
    ["podsGone"],
  );
  assert.deepEqual(stepOf(steps, "rights").writes.map(fieldOf), [
    "delete ServiceAccount istiod-old",
    "delete Role istiod-old",
  ]);
});

test("a tag's Service that cannot lead to the new namespace is deleted with the old revision, and not before", () => {
  const left = [reference("v1", "Service", "istiod-revision-tag-default", "istio-system")];
  const steps = planMeshUpgrade(upgrade(), { ...world, tags: world.tags.map((tag) => ({ ...tag, left })) });
  const deleting = steps.filter(({ writes }) =>
    writes.some(({ type, object }) => type === "delete" && object.name === "istiod-revision-tag-default"),
  );
  assert.deepEqual(ids(deleting), ["retire"]);
});

test("a retirement waits for the pods of the old revision in whatever namespace they run", () => {
  const steps = planMeshUpgrade(upgrade(), { ...world, retiredFrom: ["mesh-control", "istio-system"] });
  const waitsFor = (id: string): unknown[] =>
    stepOf(steps, id).settle.map((condition) =>
      condition.type === "podsGone" ? [condition.namespace, condition.labels] : condition.type,
    );
  for (const [id, app] of [
    ["retire", "istiod"],
    ["drain", "ztunnel"],
  ] as const)
    assert.deepEqual(
      waitsFor(id),
      ["istio-system", "mesh-control"].map((namespace) => [namespace, { app, "istio.io/rev": "old" }]),
    );
});

test("tags move together, a write tests them, and objects that followed a tag follow it again", () => {
  const namespaces = [
    sidecars("shop", { injection: { label: "istio-injection", value: "enabled", tag: "default" } }),
    sidecars("mail", { injection: { label: "istio.io/rev", value: "prod", tag: "prod" } }),
  ];
  const step = stepOf(planMeshUpgrade(upgrade(), { ...world, namespaces }), "tags");
  assert.deepEqual(step.writes.map(fieldOf), [
    'MutatingWebhookConfiguration istio-revision-tag-default name="istiod-new"',
    'Namespace shop istio-injection="enabled"',
    "Namespace shop istio.io/rev absent",
    "Gateway front istio.io/rev absent",
  ]);
  assert.deepEqual(step.settle, [
    { type: "tagServes", tag: "default", revision: "new" },
    { type: "validatorServes", revision: "new" },
  ]);
});

test("manual retirement waits for approval before anything is deleted", () => {
  const dependents = (more: object): Step =>
    stepOf(planMeshUpgrade(upgrade({ retire: "Manual", ...more }), world), "dependents");
  const serves = dependents({}).settle.find(({ type }) => type === "revisionServes");
  assert.match(serves?.type === "revisionServes" ? (serves.toDo ?? "") : "", /^restore it, .*kubectl get deployments/);
  assert.deepEqual(dependents({}).pause, { approved: false });
  assert.deepEqual(
    dependents({ approvals: [{ step: "dependents", by: "ann", why: "", at: "2026-01-31T12:00:00Z" }] }).pause,
    { approved: true },
  );
});

test("the old revision may stay if the spec leaves a part of the mesh to it, or its end to a person", () => {
  const mayStay = (more: object): unknown => {
    const { settle } = stepOf(planMeshUpgrade(upgrade(more), { ...world, gateways: [], dataPlanes: [] }), "dependents");
    const condition = settle.find(({ type }) => type === "noDependents");
    return condition?.type === "noDependents" ? condition.mayStay : assert.fail("no such condition");
  };
  assert.equal(mayStay({}), undefined);
  assert.equal(mayStay({ retire: "Manual" }), true);
  assert.equal(mayStay({ scope: { tags: false } }), true);
  assert.equal(mayStay({ scope: { cni: false } }), undefined, "a CNI agent serves all revisions");
});
