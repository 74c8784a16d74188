import assert from "node:assert/strict";
import { test } from "node:test";
import type { ManagedFieldsEntry } from "../../api/index.ts";
import type { JournalEntry, ObjectReference } from "../../api/serin/index.ts";
import { valueAt } from "./object-access.ts";
import type { Missing, UndoContext } from "./undo-context.ts";
import { UndoPlay } from "./undo-play.ts";
import { app, cluster, made, Objects, perform, reference, undo } from "./testing/undo-cluster.ts";

test("a recreated workload must run before undo continues; after a long wait independent entries are undone", async () => {
  const objects = cluster();
  const journal = await perform(objects);
  const dead = { notReady: async () => ({ detail: "0 of 1 ready" }) };
  const reportOf = async (missing: Missing): Promise<unknown> =>
    (await undo(objects, journal, { notReady: async () => await Promise.resolve(missing) })).report;
  const waitsFor = (text: string): object => ({ undone: 0, waitingFor: [`Deployment n/istiod-old${text}`] });
  assert.deepEqual(await reportOf({ detail: "0 of 1 ready" }), waitsFor(": 0 of 1 ready"));
  assert.deepEqual(await reportOf({ detail: " does not exist", followsName: true }), waitsFor(" does not exist"));
  // A webhook's message that begins with the object's name stays as it is.
  const ofWebhook = "Deployment istiod-old: refused";
  assert.deepEqual(await reportOf({ detail: ofWebhook }), waitsFor(`: ${ofWebhook}`));
  assert.ok(objects.all.has("Deployment istiod-old"), "it is recreated all the same");
  const passed = await undo(objects, journal, dead, true);
  assert.deepEqual(valueAt(objects.all.get("HTTPRoute r"), "/spec/rules"), [{ weight: 100 }], "routes do not need it");
  assert.equal(
    valueAt(objects.all.get("Deployment app"), "/metadata/labels/istio.io~1rev"),
    "new",
    "pods would come back without a control plane",
  );
  assert.ok(objects.all.has("Deployment canary"), "a workload that was made may serve pods that could not be put back");
  assert.equal(passed.report.undone, 3);
});

test("a former destination stays until every proxy has acknowledged the new one, even after a long wait", async () => {
  const objects = cluster();
  const journal = await perform(objects);
  const deaf = { notAcknowledged: async () => "no control plane is ready" };
  await undo(objects, journal, deaf, true);
  assert.deepEqual(valueAt(objects.all.get("HTTPRoute r"), "/spec/hostnames"), ["h"]);
  assert.ok(objects.all.has("Deployment canary"));
  await undo(objects, journal);
  assert.ok(!objects.all.has("Deployment canary"));
});

test("what the rollout's own route sends requests to stays until no proxy uses the deleted route, even after a long wait", async () => {
  const objects = new Objects();
  const [stable, own] = [reference("Service", "web-stable"), reference("HTTPRoute", "web-canary")];
  const journal = [stable, own].map((object): JournalEntry => ({ type: "created", step: "s", object }));
  for (const object of [stable, own]) await objects.create(object, { metadata: { name: object.name } });
  const asked: boolean[] = [];
  const used: Partial<UndoContext> = {
    notForgotten: async (object, isNow) => {
      assert.equal(object, own);
      asked.push(isNow);
      return await Promise.resolve("proxies may still use it");
    },
  };
  const first = await undo(objects, journal, used);
  assert.deepEqual([...objects.all.keys()], ["Service web-stable"]);
  assert.deepEqual(first.report.waitingFor, ["HTTPRoute n/web-canary: proxies may still use it"]);
  await undo(objects, journal, used, true);
  assert.deepEqual([...objects.all.keys()], ["Service web-stable"]);
  assert.deepEqual(asked, [true, false], "only the pass that deletes the route knows when that was");
  assert.equal((await undo(objects, journal)).report.undone, 2);
  assert.deepEqual([...objects.all.keys()], []);
});

test("an undo that restores the number of a held Deployment's pods waits for pods of any template", async () => {
  const objects = cluster();
  Object.assign(objects.all.get("Deployment app")?.["spec"] as object, { template: "v2" });
  const field = { type: "field", object: app } as const;
  const journal: JournalEntry[] = [
    { ...field, step: "copy", pointer: "/spec/template", prior: "v1", written: "v2", adopted: true },
    { ...field, step: "step-1-stable", pointer: "/spec/replicas", prior: 5, written: 3 },
    {
      ...field,
      step: "roll",
      pointer: "/spec/template",
      prior: "v1",
      written: "v2",
      adopted: true,
      restart: "template",
    },
  ];
  const asked: boolean[] = [];
  await undo(objects, journal, {
    notReached: async (_object, isScaled) => {
      asked.push(isScaled);
      return await Promise.resolve(undefined);
    },
  });
  assert.deepEqual(asked, [false, true], "first the pods of the former template, then the former number of pods");
});

test("a gateway keeps its canary and its revision while its Deployment waits for that canary, even after a long wait", async () => {
  const gateway = reference("Gateway", "door");
  const pods = reference("Deployment", "door-istio");
  const namespace = reference("Namespace", "probes");
  const objects = new Objects();
  const annotation = "/metadata/annotations/rollout.serin.dev~1canary-replicas";
  const label = "/metadata/labels/istio.io~1rev";
  objects.all.set("Gateway door", { metadata: { name: "door", labels: { "istio.io/rev": "new" } } });
  objects.all.set("Deployment door-istio", { metadata: { name: "door-istio" }, spec: { replicas: 1 } });
  objects.all.set("Namespace probes", { metadata: { name: "probes", deletionTimestamp: "2026-01-01T00:00:00Z" } });
  const field = { type: "field", step: "own" } as const;
  const journal: JournalEntry[] = [
    { ...field, object: gateway, pointer: annotation, written: "1", madeParents: 1 },
    { ...field, step: "100", object: pods, pointer: "/spec/replicas", prior: 1, written: 0 },
    { ...field, object: gateway, pointer: label, prior: "old", written: "new" },
    { ...field, object: pods, pointer: "/spec/replicas", prior: 0, written: 1 },
    { ...field, step: "leave", object: gateway, pointer: annotation, prior: "1" },
    { type: "deleted", step: "retire", object: namespace, body: { metadata: { name: "probes" } } },
  ];
  const missing: Partial<UndoContext> = {
    heldBack: async ({ pointer, prior }) => (pointer === "/spec/replicas" && prior === 0 ? "no canary yet" : undefined),
  };
  const { report } = await undo(objects, journal, missing, true);
  assert.deepEqual(report.waitingFor, [
    "Namespace n/probes: the old object is still being deleted",
    "Deployment n/door-istio: no canary yet",
  ]);
  const left = objects.all.get("Gateway door");
  assert.equal(valueAt(left, annotation), "1", "the canary is wanted again");
  assert.equal(valueAt(left, label), "new", "and whoever makes it has the gateway");
});

test("a workload that still serves proxies keeps the objects created with it, even after a long wait", async () => {
  const objects = new Objects();
  const ours: ManagedFieldsEntry[] = [
    { manager: "serin-rollout", operation: "Update", time: "2026-01-01T00:00:00Z", fieldsV1: { "f:metadata": {} } },
  ];
  const put = (kind: string, name: string): ObjectReference => {
    objects.all.set(`${kind} ${name}`, { metadata: { name, managedFields: ours } });
    return reference(kind, name);
  };
  const created = (step: string, object: ObjectReference): JournalEntry => ({ type: "created", step, object });
  const journal = [
    created("install", put("ClusterRole", "istiod-new")),
    created("install", put("Service", "istiod-new")),
    created("install", put("Deployment", "istiod-new")),
    created("probe", put("Service", "probe")),
  ];
  const serves = {
    stillServes: async ({ object }: JournalEntry) => (object.kind === "Deployment" ? { detail: "1 proxy" } : undefined),
  };
  await undo(objects, journal, serves, true);
  assert.deepEqual([...objects.all.keys()], ["ClusterRole istiod-new", "Service istiod-new", "Deployment istiod-new"]);
  await undo(objects, journal, {}, true);
  assert.deepEqual([...objects.all.keys()], []);
});

test("no workload restarts before the labels of its namespace are restored, however long the undo waits for these", () => {
  const reference = (kind: string, name: string, namespace?: string): ObjectReference => ({
    apiVersion: "v1",
    kind,
    plural: `${kind.toLowerCase()}s`,
    name,
    ...(namespace === undefined ? {} : { namespace }),
  });
  const field = { type: "field", step: "s", undoGroup: "g", pointer: "/x" } as const;
  const label: JournalEntry = { ...field, object: reference("Namespace", "shop"), prior: "old" };
  const restart = (namespace: string): JournalEntry => ({
    ...field,
    object: reference("Deployment", "web", namespace),
    restart: "template",
  });
  const play = new UndoPlay([label, restart("shop"), restart("far")], true);
  const played: string[] = [];
  for (let entry = play.next(); entry !== undefined; entry = play.next()) {
    played.push(`${entry.object.kind} ${entry.object.namespace ?? ""}`);
    play.tell(entry === label ? { state: "waiting", detail: "no injector" } : { state: "undone" });
  }
  assert.deepEqual(played, ["Namespace ", "Deployment far"]);
});

test("what relies on the old revision waits until its operator has installed it again, however long, and other entries do not", async () => {
  const operators = [
    { apiVersion: "install.istio.io/v1alpha1", kind: "IstioOperator", plural: "istiooperators", name: "mesh" },
    { apiVersion: "istio.banzaicloud.io/v1beta1", kind: "Istio", plural: "istios", name: "mesh" },
  ] as const;
  const [operator, istio] = operators.map((object) => ({ ...object, namespace: "istio-system" }));
  assert.ok(operator !== undefined && istio !== undefined);
  const disabled: JournalEntry = {
    type: "field",
    step: "retire",
    object: operator,
    pointer: "/spec/components/pilot/enabled",
    written: false,
  };
  const removed: JournalEntry = {
    type: "deleted",
    step: "retire",
    object: istio,
    body: { metadata: { name: "mesh" } },
  };
  const label: JournalEntry = {
    type: "field",
    step: "wave/shop",
    object: { apiVersion: "v1", kind: "Namespace", plural: "namespaces", name: "shop" },
    pointer: "/metadata/labels/istio.io~1rev",
    prior: "old",
    written: "new",
  };
  const other: JournalEntry = { ...label, pointer: "/metadata/labels/team", prior: "a", written: "b" };
  for (const retired of [disabled, removed]) {
    const objects = cluster();
    const labels = { "istio.io/rev": "new", team: "b" };
    objects.all.set("Namespace shop", { metadata: { name: "shop", labels } });
    objects.all.set("IstioOperator mesh", {
      metadata: { name: "mesh" },
      spec: { components: { pilot: { enabled: false } } },
    });
    const journal = [label, other, retired];
    const waiting = await undo(objects, journal, { notInstalled: async () => "istiod is not there yet" }, true);
    assert.deepEqual(
      [waiting.undone, waiting.report.waitingFor],
      [[other], [`${retired.object.kind} istio-system/mesh: istiod is not there yet`]],
    );
    const { undone } = await undo(objects, journal);
    assert.deepEqual(undone, [retired, other, label]);
  }
});

test("objects of a namespace that the rollout had deleted wait until it is recreated, however long", async () => {
  const home: ObjectReference = { apiVersion: "v1", kind: "Namespace", plural: "namespaces", name: "n" };
  const entries: JournalEntry[] = [
    { type: "deleted", step: "retire", object: made, body: { metadata: { name: "canary" } } },
    { type: "deleted", step: "retire", object: home, body: { metadata: { name: "n" } } },
  ];
  const play = new UndoPlay(entries, true);
  assert.equal(play.next()?.object.kind, "Namespace");
  play.tell({ state: "waiting", detail: "the old object is still being deleted" });
  assert.equal(play.next(), undefined);
});
