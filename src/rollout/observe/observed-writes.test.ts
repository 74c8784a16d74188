import assert from "node:assert/strict";
import { test } from "node:test";
import type { JournalEntry } from "../../api/serin/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import type { ObjectAccess } from "../act/object-access.ts";
import type { UntypedObject } from "../../api/index.ts";
import type { Step } from "../decide/index.ts";
import { fakeView, standingClock } from "./checks/testing/fake-mesh.ts";
import { Observer } from "./observer.ts";
import { counting, origin, route, step } from "./testing/counting-observer.ts";

test("a write that depends on another field waits for it and keeps the step from settling", async () => {
  let template = "old";
  const stored = (): UntypedObject => ({ metadata: { name: "shop" }, spec: { replicas: 0, template } });
  const { look } = counting(stored, () => true);
  const scaling: Step = {
    ...step,
    writes: [
      {
        type: "field",
        object: route,
        pointer: "/spec/replicas",
        value: 2,
        after: { pointer: "/spec/template", value: "new" },
      },
    ],
  };
  const observed = await look(scaling, 0);
  assert.deepEqual(observed, {
    writes: [{ state: "later", detail: "Service shop/shop: template of its pods is not new yet" }],
    settle: [],
    checks: [],
  });
  template = "new";
  assert.deepEqual((await look(scaling, 10)).writes, [{ state: "pending", prior: 0, isFirst: true }]);
});

test("an undone write names who undid it, and a recreated object is no conflict", async () => {
  const pod = { apiVersion: "v1", kind: "Pod", plural: "pods", namespace: "shop", name: "web-0" };
  const pointer = "/metadata/labels/serin.dev~1ztunnel-rev";
  const entry: JournalEntry = { type: "field", step: "wave/ztunnel-1", object: pod, pointer, uid: "1", written: "new" };
  const stateOf = async (metadata: UntypedObject["metadata"], id: string, journal: readonly JournalEntry[]) => {
    const moving: Step = { ...step, id, writes: [{ type: "field", object: pod, pointer, value: "new" }] };
    const objects = { get: async () => await Promise.resolve({ metadata }) } as unknown as ObjectAccess;
    const observer = new Observer({} as KubeClient, objects, fakeView([]), standingClock());
    return (
      await observer.observe(moving, journal, origin, {
        hasSettled: false,
        settlingMs: 0,
        doneSteps: new Set(),
        passed: new Set(),
      })
    ).writes[0];
  };
  assert.deepEqual(await stateOf({ name: "web-0", uid: "1" }, "wave/ztunnel-1", []), {
    state: "pending",
    madeParents: 1,
    uid: "1",
    isFirst: true,
  });
  assert.deepEqual(await stateOf({ name: "web-0", uid: "1", labels: {} }, "wave/ztunnel-1", [entry]), {
    state: "pending",
    uid: "1",
    by: "somebody",
  });
  // Somebody has deleted the pod of a StatefulSet, so another pod has its name now.
  assert.deepEqual(await stateOf({ name: "web-0", uid: "2", labels: {} }, "wave/ztunnel-2", [entry]), {
    state: "pending",
    uid: "2",
    isFirst: true,
  });
  // The same pod without its label, and another pod with another label: a person did that.
  assert.equal((await stateOf({ name: "web-0", uid: "1", labels: {} }, "wave/ztunnel-2", [entry]))?.state, "conflict");
  const labels = { "serin.dev/ztunnel-rev": "theirs" };
  assert.equal((await stateOf({ name: "web-0", uid: "2", labels }, "wave/ztunnel-2", [entry]))?.state, "conflict");
  const former: JournalEntry = { type: "field", step: "wave/ztunnel-1", object: pod, pointer, written: "new" };
  assert.equal((await stateOf({ name: "web-0", uid: "2" }, "wave/ztunnel-2", [former]))?.state, "conflict");
});

test("a value that is the engine's and not the step's was changed by the server, unless the plan was edited", async () => {
  const pointer = "/spec/weight";
  const managedFields = [
    {
      manager: "serin-rollout",
      operation: "Update",
      fieldsType: "FieldsV1",
      fieldsV1: { "f:spec": { "f:weight": {} } },
    },
  ];
  const stateOf = async (written: number): Promise<unknown> => {
    const entry: JournalEntry = { type: "field", step: step.id, object: route, pointer, prior: 0, written };
    const moving: Step = { ...step, writes: [{ type: "field", object: route, pointer, value: 50 }] };
    const found = { metadata: { name: "shop", managedFields }, spec: { weight: 49 } };
    const objects = { get: async () => await Promise.resolve(found) } as unknown as ObjectAccess;
    const observer = new Observer({} as KubeClient, objects, fakeView([]), standingClock());
    const progress = { hasSettled: false, settlingMs: 0, doneSteps: new Set<string>(), passed: new Set<string>() };
    return (await observer.observe(moving, [entry], origin, progress)).writes[0];
  };
  assert.deepEqual(await stateOf(50), { state: "pending", prior: 49, isRewritten: true });
  assert.deepEqual(await stateOf(49), { state: "pending", prior: 49, isReplanned: true });
});

test("a pod that is ending already is deleted only by a step that forces it", async () => {
  const ending = { metadata: { name: "probe", deletionTimestamp: "2026-01-01T00:00:00Z" } };
  const stateOf = async (write: object, stored: UntypedObject | undefined): Promise<string | undefined> => {
    const objects = { get: async () => stored } as unknown as ObjectAccess;
    const observer = new Observer({} as KubeClient, objects, fakeView([]), standingClock());
    const deleting = { ...step, writes: [{ type: "delete", object: route, forGood: true, ...write }] } as Step;
    const { writes } = await observer.observe(deleting, [], origin, {
      hasSettled: true,
      settlingMs: 0,
      doneSteps: new Set(),
      passed: new Set(),
    });
    return writes[0]?.state;
  };
  assert.equal(await stateOf({}, ending), "done");
  assert.equal(await stateOf({ force: true }, ending), "pending");
  assert.equal(await stateOf({ force: true }, undefined), "done");
});

test("a namespace that has lost all labels of the mesh gets none, even if the step is about to write one", async () => {
  const namespace = { apiVersion: "v1", kind: "Namespace", plural: "namespaces", name: "shop" };
  const pointer = "/metadata/labels/istio.io~1rev";
  const stateOf = async (labels: Readonly<Record<string, string>>): Promise<string | undefined> => {
    const metadata = { name: "shop", uid: "1", labels };
    const objects = { get: async () => await Promise.resolve({ metadata }) } as unknown as ObjectAccess;
    const observer = new Observer({} as KubeClient, objects, fakeView([]), standingClock());
    const moving: Step = { ...step, writes: [{ type: "field", object: namespace, pointer, value: "new" }] };
    const progress = { hasSettled: false, settlingMs: 0, doneSteps: new Set<string>(), passed: new Set<string>() };
    return (await observer.observe(moving, [], origin, progress)).writes[0]?.state;
  };
  assert.equal(await stateOf({ team: "a" }), "gone");
  assert.equal(await stateOf({ "istio.io/rev": "old" }), "pending");
  assert.equal(await stateOf({ "istio-injection": "enabled" }), "pending");
});

test("a field with the engine's mark whose journal is gone is journaled without a value from before, and a person's is not", async () => {
  const app = { apiVersion: "apps/v1", kind: "Deployment", plural: "deployments", namespace: "shop", name: "web" };
  const mark = "/metadata/annotations/rollout.serin.dev~1held-by";
  const holding: Step = {
    ...step,
    writes: [
      { type: "field", object: app, pointer: mark, value: "web", mark },
      { type: "field", object: app, pointer: "/spec/paused", value: true, mark },
    ],
  };
  const seen = async (stored: object, journal: readonly JournalEntry[] = []) => {
    const objects = { get: async () => stored } as unknown as ObjectAccess;
    const observer = new Observer({} as KubeClient, objects, fakeView([]), standingClock());
    const progress = { hasSettled: false, settlingMs: 0, doneSteps: new Set<string>(), passed: new Set<string>() };
    return (await observer.observe(holding, journal, origin, progress)).writes;
  };
  const metadata = { name: "web", uid: "d1" };
  const marked = {
    metadata: { ...metadata, annotations: { "rollout.serin.dev/held-by": "web" } },
    spec: { paused: true },
  };
  const unknown = { state: "pending", uid: "d1", isFirst: true };
  assert.deepEqual(await seen(marked), [unknown, unknown]);
  const journal = holding.writes.map((write): JournalEntry => ({
    type: "field",
    step: "hold",
    object: app,
    pointer: write.type === "field" ? write.pointer : "",
  }));
  assert.deepEqual(await seen(marked, journal), [{ state: "done" }, { state: "done" }]);
  // An object from a backup by an earlier engine: it may lack the annotation, and still name the writers of fields.
  const managedFields = [
    {
      manager: "serin-rollout",
      operation: "Update",
      time: "2026-01-01T00:00:00Z",
      fieldsType: "FieldsV1",
      fieldsV1: { "f:spec": { "f:paused": {} } },
    },
  ];
  const written = { metadata: { ...metadata, managedFields }, spec: { paused: true } };
  assert.deepEqual((await seen(written))[1], unknown);
  assert.deepEqual((await seen({ metadata, spec: { paused: true } }))[1], { state: "done" });
  // The journal has only the entry of the mark if a person had paused the Deployment before the engine did.
  assert.deepEqual(await seen(marked, journal.slice(0, 1)), [{ state: "done" }, { state: "done" }]);
});

test("a gateway's pods that its owner scales to 0 after the upgrade has written their number are noticed", async () => {
  const stable = { apiVersion: "apps/v1", kind: "Deployment", plural: "deployments", namespace: "edge", name: "front" };
  const pointer = "/spec/replicas";
  const managedFields = [
    {
      manager: "kubectl",
      subresource: "scale",
      time: "2026-01-01T00:00:00Z",
      fieldsV1: { "f:spec": { "f:replicas": {} } },
    },
  ];
  const stored: UntypedObject = { metadata: { name: "front", uid: "1", managedFields }, spec: { replicas: 0 } };
  const objects = { get: async () => await Promise.resolve(stored) } as unknown as ObjectAccess;
  const journal: JournalEntry[] = [
    { type: "field", step: "50", object: stable, pointer, uid: "1", prior: 2, written: 1 },
  ];
  const noticed = async (id: string, value?: number): Promise<string | undefined> => {
    const writes = value === undefined ? [] : [{ type: "field" as const, object: stable, pointer, value }];
    const observer = new Observer({} as KubeClient, objects, fakeView([]), standingClock());
    const progress = {
      hasSettled: true,
      settlingMs: 0,
      doneSteps: new Set(id === "50" ? [] : ["50"]),
      passed: new Set<string>(),
    };
    const seen = await observer.observe({ id, title: id, writes, settle: [], checks: [] }, journal, origin, progress);
    return seen.lost ?? seen.writes.flatMap((write) => (write.state === "conflict" ? [write.detail] : []))[0];
  };
  const told =
    "Deployment edge/front: /spec/replicas was changed by kubectl at 2026-01-01T00:00:00Z: expected 1, found 0";
  assert.equal(await noticed("50", 1), told, "the step that wrote it");
  assert.equal(await noticed("100/pods"), told, "a step that does not write it");
  assert.equal(await noticed("own", 2), told, "a step that writes another number");
  assert.equal(await noticed("100", 0), undefined, "a step that writes 0 itself agrees, and the one after it does not");
  const [entry] = journal;
  journal[0] = { ...entry, replaced: 0 } as JournalEntry;
  assert.equal(await noticed("50", 1), undefined, "the value that a changed plan was about to replace");
});
