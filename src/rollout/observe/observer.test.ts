import assert from "node:assert/strict";
import { test } from "node:test";
import type { JournalEntry } from "../../api/serin/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import type { ObjectAccess } from "../act/object-access.ts";
import type { UntypedObject } from "../../api/index.ts";
import type { Step } from "../decide/index.ts";
import { reference } from "../plan/index.ts";
import { fakePod, fakeView, standingClock } from "./checks/testing/fake-mesh.ts";
import { Observer } from "./observer.ts";
import { counting, origin, route, step } from "./testing/counting-observer.ts";

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
  // Now that the pods are ready, the observer requests the state of proxies at once, and reads the write again, which
  // somebody has changed meanwhile.
  isReady = true;
  value = "a";
  const settled = await look({ ...moving, settle: step.settle }, 1200);
  assert.deepEqual(settled.writes, [{ state: "pending", prior: "a", isFirst: true }]);
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
    // A version that had no requests gets some only when the proxies know its pods.
    const known = await stateOf(true, 0, journal);
    assert.equal(known?.state === "later" ? known.detail : "", "no control plane is ready");
  }
  assert.equal((await stateOf(false, 50))?.state, "later");
  assert.equal((await stateOf(true, 50))?.state, "pending");
});
