import assert from "node:assert/strict";
import { test } from "node:test";
import { checkDefaults, type JournalEntry } from "../../api/serin/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import type { ObjectAccess } from "../act/object-access.ts";
import type { UntypedObject } from "../../api/index.ts";
import type { Step } from "../decide/index.ts";
import { reference } from "../plan/index.ts";
import { fakePod, fakeView, standingClock } from "./checks/testing/fake-mesh.ts";
import { Observer } from "./observer.ts";

const step: Step = {
  id: "step-1",
  title: "step 1",
  writes: [],
  settle: [
    { type: "podReady", object: { apiVersion: "v1", kind: "Pod", plural: "pods", namespace: "shop", name: "next-0" } },
  ],
  checks: [{ spec: { ...checkDefaults, type: "pod-health" }, subject: { type: "mesh" } }],
};

test("checks are observed from when the step has settled", async () => {
  const looks = async (isReady: boolean, hasSettled: boolean): Promise<number> => {
    const status = { conditions: [{ type: "Ready", status: isReady ? "True" : "False" }] };
    const view = fakeView([fakePod({ name: "next-0", status: status as never })]);
    const observer = new Observer({} as KubeClient, {} as ObjectAccess, view, standingClock());
    return (
      await observer.observe(
        step,
        [],
        { rollout: "Canary shop/shop" },
        { hasSettled, settlingMs: 0, doneSteps: new Set(), passed: new Set() },
      )
    ).checks.length;
  };
  assert.equal(await looks(false, false), 0);
  assert.equal(await looks(true, false), 1);
  assert.equal(await looks(false, true), 1);
});

test("a step that has not settled takes no look from before, such as that of a deleted rollout of its name", async () => {
  const clock = standingClock();
  const status = { conditions: [{ type: "Ready", status: "True" }] };
  const view = fakeView([fakePod({ name: "next-0", status: status as never })]);
  const observer = new Observer({} as KubeClient, {} as ObjectAccess, view, clock);
  const rare: Step = {
    ...step,
    checks: step.checks.map(({ spec, subject }) => ({ spec: { ...spec, intervalSeconds: 60 }, subject })),
  };
  const lookAfterMs = async (afterMs: number, hasSettled: boolean): Promise<number | undefined> => {
    clock.nowAtMs = afterMs;
    const progress = { hasSettled, settlingMs: 0, doneSteps: new Set<string>(), passed: new Set<string>() };
    const { checks } = await observer.observe(rare, [], { rollout: "Canary shop/shop 1" }, progress);
    return checks[0]?.look;
  };
  assert.equal(await lookAfterMs(1000, false), 1000);
  assert.equal(await lookAfterMs(2000, true), 1000, "within its interval");
  assert.equal(await lookAfterMs(3000, false), 3000, "it settles again, or another rollout has its name");
  assert.equal(await lookAfterMs(4000, true), 3000);
});

const route = { apiVersion: "v1", kind: "Service", plural: "services", namespace: "shop", name: "shop" };
const origin = { rollout: "Canary shop/shop" };

/** An observer of a cluster in which `stored` is every object, and how often it has read one. */
function counting(stored: () => UntypedObject, isReady: () => boolean): { look: typeof look; reads: () => number } {
  let reads = 0;
  let nowMs = 0;
  const status = { conditions: [{ type: "Ready", status: "False" }] };
  const pod = fakePod({ name: "next-0", status: status as never });
  const objects = { get: async () => ((reads += 1), stored()) } as unknown as ObjectAccess;
  const clock = { ...standingClock(), steadyMs: () => nowMs };
  const observer = new Observer({} as KubeClient, objects, fakeView([pod]), clock);
  const look = async (moving: Step, atMs: number, hasSettled = false) => {
    nowMs = atMs;
    (status.conditions[0] as { status: string }).status = isReady() ? "True" : "False";
    return await observer.observe(moving, [], origin, {
      hasSettled,
      settlingMs: 0,
      doneSteps: new Set(),
      passed: new Set(),
    });
  };
  return { look, reads: () => reads };
}

test("while pods start, proxies and writes are checked rarely, and all of them again before the step settles", async () => {
  let isReady = false;
  let value = "b";
  const stored = (): UntypedObject => ({ metadata: { name: "shop" }, spec: { selector: value } });
  const { look, reads } = counting(stored, () => isReady);
  const moving: Step = {
    ...step,
    writes: [{ type: "field", object: route, pointer: "/spec/selector", value: "b" }],
    settle: [...step.settle, { type: "acknowledged", object: route }],
    checks: [],
  };
  const first = await look(moving, 0);
  assert.deepEqual(
    first.settle.map(({ state }) => state),
    ["waiting", "waiting"],
  );
  assert.equal(reads(), 2);
  const second = await look(moving, 400);
  assert.deepEqual([second.settle.map(({ state }) => state), reads()], [["waiting"], 2]);
  const left = (observed: typeof first): number =>
    observed.settle.reduce((sum, one) => sum + (one.state === "waiting" ? (one.left ?? 1) : 0), 0);
  assert.ok(left(second) >= left(first), "what was not asked does not count as progress");
  await look(moving, 1100);
  assert.equal(reads(), 4);
  // The pods are ready. The observer asks proxies at once. It also reads the write again, which somebody has undone
  // meanwhile.
  isReady = true;
  value = "a";
  const settled = await look({ ...moving, settle: step.settle }, 1200);
  assert.deepEqual(settled.writes, [{ state: "pending", prior: "a", isFirst: true }]);
});

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

test("a step moves no requests to a version without a ready pod, unless nothing in the cluster makes its pods", async () => {
  const needs = [
    { type: "versionServes", namespace: "shop", service: "next", labels: { app: "next" } },
  ] as const satisfies Step["needs"];
  const stateOf = async (isReady: boolean | undefined, replicas: number, journal: readonly JournalEntry[] = []) => {
    const status = { conditions: [{ type: "Ready", status: isReady === true ? "True" : "False" }] };
    const pods =
      isReady === undefined ? [] : [fakePod({ name: "next-0", labels: { app: "next" }, status: status as never })];
    const deployment = {
      metadata: { name: "next", namespace: "shop" },
      spec: { replicas, template: { metadata: { labels: { app: "next" } } } },
    };
    const view = fakeView(pods, replicas < 0 ? [] : [deployment as never]);
    const objects = { get: async () => await Promise.resolve({ metadata: { name: "shop" }, spec: { weight: 0 } }) };
    const observer = new Observer({} as KubeClient, objects as unknown as ObjectAccess, view, standingClock());
    const moving: Step = {
      ...step,
      needs,
      writes: [{ type: "field", object: route, pointer: "/spec/weight", value: 9 }],
    };
    const progress = { hasSettled: false, settlingMs: 0, doneSteps: new Set<string>(), passed: new Set<string>() };
    return (await observer.observe(moving, journal, origin, progress)).writes[0];
  };
  const detail =
    "Service shop/next has no ready pod, so the canary gets no requests yet: kubectl -n shop get pods -l app=next";
  assert.deepEqual(await stateOf(false, 1), { state: "later", detail });
  assert.deepEqual(await stateOf(undefined, 0), { state: "later", detail });
  assert.equal((await stateOf(true, 1))?.state, "pending");
  assert.equal((await stateOf(undefined, -1))?.state, "pending", "machines or another cluster may serve");
  const entry: JournalEntry = {
    type: "field",
    step: step.id,
    object: route,
    pointer: "/spec/weight",
    prior: 0,
    written: 9,
  };
  assert.equal((await stateOf(false, 1, [entry]))?.state, "pending", "a write that somebody has undone is repeated");
});

test("a step that gives requests back to a version that was scaled to 0 waits for its pods, also after an edit", async () => {
  const object = reference("gateway.networking.k8s.io/v1", "HTTPRoute", "web", "shop");
  const divided = (stable: number) => [
    { backendRefs: [stable, 100 - stable].map((weight, index) => ({ name: `v${index + 1}`, port: 80, weight })) },
  ];
  const stateOf = async (isReady: boolean, before: number, journal: readonly JournalEntry[] = []) => {
    const status = (ready: boolean) => ({ conditions: [{ type: "Ready", status: ready ? "True" : "False" }] }) as never;
    const pods = ["v1", "v2"].map((app) =>
      fakePod({ name: app, labels: { app }, status: status(app === "v2" || isReady) }),
    );
    const client = {
      get: async (_kind: unknown, name: string) => await Promise.resolve({ spec: { selector: { app: name } } }),
      list: async (_kind: unknown, { labelSelector = "" }: { readonly labelSelector?: string }) => {
        const [, name] = labelSelector.split("=");
        return await Promise.resolve({
          items: [{ metadata: { name }, endpoints: [{ targetRef: { kind: "Pod", name } }] }],
        });
      },
    } as unknown as KubeClient;
    const managedFields = [{ manager: "serin-rollout", fieldsV1: { "f:spec": { "f:rules": {} } } }];
    const found = { metadata: { name: "web", managedFields }, spec: { rules: divided(before) } };
    const objects = { get: async () => await Promise.resolve(found) } as unknown as ObjectAccess;
    const keeps = { base: divided(before), isMade: false, awaitsPods: true } as const;
    const moving: Step = {
      ...step,
      writes: [{ type: "field", object, pointer: "/spec/rules", value: divided(70), keeps }],
    };
    const progress = { hasSettled: false, settlingMs: 0, doneSteps: new Set<string>(), passed: new Set<string>() };
    const observer = new Observer(client, objects, fakeView(pods), standingClock());
    return (await observer.observe(moving, journal, origin, progress)).writes[0];
  };
  const own = { type: "field", step: step.id, object, pointer: "/spec/rules", prior: divided(0), written: divided(0) };
  for (const journal of [[], [own as JournalEntry]]) {
    const waiting = await stateOf(false, 0, journal);
    assert.match(waiting?.state === "later" ? waiting.detail : "", /^Service shop\/v1 has no ready pod/);
    // The proxies must know the pods of a version that had no requests.
    const known = await stateOf(true, 0, journal);
    assert.equal(known?.state === "later" ? known.detail : "", "no control plane is ready");
  }
  assert.equal((await stateOf(false, 50))?.state, "later");
  assert.equal((await stateOf(true, 50))?.state, "pending");
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
  // A later step finds the pod of a StatefulSet that was deleted meanwhile.
  assert.deepEqual(await stateOf({ name: "web-0", uid: "2", labels: {} }, "wave/ztunnel-2", [entry]), {
    state: "pending",
    uid: "2",
    isFirst: true,
  });
  // The same pod has lost its label, and another one has another label: a person did that.
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
    const deleting = { ...step, writes: [{ type: "delete", object: route, own: true, ...write }] } as Step;
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
  // A backup that an earlier engine made may lack the annotation, and still name the writers of fields.
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
  // A person had paused it. In the next round it has our mark, and the journal knows of the mark alone.
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
