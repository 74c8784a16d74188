import assert from "node:assert/strict";
import { test } from "node:test";
import type { Canary } from "../canary.ts";
import type { MeshUpgrade } from "../mesh-upgrade.ts";
import type { JournalEntry } from "../rollout-journal.ts";
import type { PauseReason, RolloutStatus } from "../rollout-status.ts";
import { changeAgainst, remadeProblem } from "./change-against.ts";
import { approvalPatch, orderPatch, retriedRollout } from "./order-patches.ts";
import { approvalProblem, refusalOf, type RolloutRights } from "./order-refusal.ts";
import { rolloutOffers } from "./rollout-offers.ts";
import { nextApprovalOf, waitingStepOf } from "./waiting-step.ts";

const all: RolloutRights = { patch: true, replace: true };
const status = (given: Partial<RolloutStatus> = {}): RolloutStatus => ({
  observedGeneration: 1,
  phase: "Paused",
  progress: "2/3",
  message: "",
  completedSteps: [{ id: "a", title: "5 %", startedAt: "", endedAt: "", evidence: [] }],
  plannedSteps: [
    { id: "a", title: "5 %" },
    { id: "b", title: "20 %", untilApproved: true },
    { id: "c", title: "50 %" },
    { id: "d", title: "100 %" },
  ],
  step: { id: "b", title: "20 %", startedAt: "2026-01-01T10:00:00Z", checks: [] },
  conditions: [],
  ...given,
});
const canary = (given: Partial<RolloutStatus> = {}, spec: object = {}): Canary =>
  ({
    apiVersion: "rollout.serin.dev/v1alpha1",
    kind: "Canary",
    metadata: { name: "shop", namespace: "prod", resourceVersion: "7" },
    spec: { target: { httpRoute: {} }, paused: false, abort: false, approvals: [], ...spec },
    status: status(given),
  }) as unknown as Canary;

test("orders are offered with their effect and their command line", () => {
  const offers = new Map(rolloutOffers("Canary", canary(), all).map((offer) => [offer.action, offer]));
  assert.deepEqual(
    [...offers].filter(([, { refusedBecause }]) => refusedBecause === undefined).map(([action]) => action),
    ["approve", "pause", "promote", "rollback"],
  );
  assert.deepEqual(offers.get("approve")?.changes, [
    "Step 20 % continues when its checks have passed.",
    "The next step is 50 %.",
  ]);
  assert.deepEqual(
    offers.get("promote")?.changes[0],
    "The remaining steps are skipped, with their pauses and checks: 50 %.",
  );
  assert.deepEqual(offers.get("rollback")?.changes, [
    "The changes of these steps are undone, the last first: 20 %, 5 %.",
  ]);
  assert.deepEqual(
    [...offers.values()].map(({ command }) => command),
    [
      "serin canary promote shop -n prod --step b",
      "serin canary pause shop -n prod",
      "serin canary resume shop -n prod",
      "serin canary promote shop --full -n prod",
      "serin canary abort shop -n prod",
      "serin canary retry shop -n prod",
    ],
  );
});

test("with the journal a rollback lists each object with the values that stay, the last change first", () => {
  const object = {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "HTTPRoute",
    plural: "httproutes",
    name: "shop",
    namespace: "prod",
  };
  const journal: JournalEntry[] = [
    { type: "created", step: "a", object: { ...object, kind: "Service", name: "shop-canary" } },
    { type: "field", step: "b", object, pointer: "/spec/rules/0/backendRefs/0/weight", prior: 100, written: 80 },
    { type: "field", step: "b", object, pointer: "/spec/rules/1", prior: { name: "a".repeat(100) }, written: {} },
    { type: "field", step: "c", object, pointer: "/spec/rules/0/backendRefs/0/weight", prior: 80, written: 50 },
    {
      type: "field",
      step: "c",
      object: { ...object, kind: "Service", name: "shop-canary" },
      pointer: "/spec/selector",
      prior: {},
      written: { app: "shop" },
    },
  ];
  const offer = rolloutOffers("Canary", canary(), all, journal).find(({ action }) => action === "rollback");
  assert.deepEqual(offer?.changes, [
    "HTTPRoute prod/shop: /spec/rules/1 is set back to its earlier value.",
    "HTTPRoute prod/shop: /spec/rules/0/backendRefs/0/weight is set back to 100.",
    "Service prod/shop-canary is deleted.",
  ]);
});

test("an order that cannot be given now states the reason", () => {
  const cases: [Canary, Parameters<typeof refusalOf>[2], RegExp][] = [
    [canary(), "resume", /nobody has paused it/],
    [canary({}, { paused: true }), "pause", /already paused/],
    [canary({ phase: "Completed" }), "approve", /ended as Completed/],
    [canary({ phase: "RolledBack" }), "rollback", /already rolled back/],
    [canary({}, { abort: true }), "promote", /being rolled back/],
    [canary(), "retry", /has not ended: it is Paused/],
    [
      { ...canary({ phase: "RolledBack" }), spec: { ...canary().spec, target: { deployment: {} } } } as Canary,
      "retry",
      /^a change of its Deployment begins the next run$/,
    ],
    [canary(), "complete", /does not support this command/],
    [
      canary({}, { approvals: [{ step: "b", by: "ana", why: "", at: "2026-01-01T10:05:00Z" }] }),
      "approve",
      /approved by ana/,
    ],
  ];
  for (const [rollout, action, expected] of cases)
    assert.match(refusalOf("Canary", rollout, action, all) ?? "", expected, action);
  assert.equal(refusalOf("Canary", canary({ phase: "Completed" }), "rollback", all), undefined);
  assert.match(
    refusalOf("Canary", canary(), "pause", { patch: false, replace: false }) ?? "",
    /may not patch canaries in namespace prod/,
  );
});

test("a step that failed after its approval may be approved again", () => {
  const approvals = [{ step: "b", by: "ana", why: "", at: "2026-01-01T10:05:00Z" }];
  const conditions = [
    { type: "Stuck", status: "True" as const, reason: "", message: "", lastTransitionTime: "2026-01-01T10:10:00Z" },
  ];
  assert.equal(refusalOf("Canary", canary({ phase: "Stuck", conditions }, { approvals }), "approve", all), undefined);
});

test("an approval of a step that something else than its failure holds up is refused with the reason", () => {
  const plannedSteps = [{ id: "b", title: "20 %" }] as const;
  const stuck = (pauseReason: PauseReason): string | undefined =>
    refusalOf(
      "Canary",
      canary({ phase: "Stuck", message: "no requests; send it requests", pauseReason, plannedSteps }),
      "approve",
      all,
    );
  assert.equal(stuck("samples"), 'an approval does not help step "b", which is stuck: no requests; send it requests');
  assert.match(stuck("conflict") ?? "", /does not help/);
  assert.equal(stuck("check"), undefined);
  assert.equal(stuck("step"), undefined);
});

test("orders of an earlier run, and approvals from before a failure, refuse no new order, whatever their times", () => {
  const approval = { step: "b", by: "ana", why: "", at: "2030-01-01T00:00:00Z" };
  const fullPromotion = { by: "ana", why: "", at: "2030-01-01T00:00:00Z" };
  const spec = { approvals: [approval], fullPromotion };
  const refusal = (action: "approve" | "promote", given: Partial<RolloutStatus>): string | undefined =>
    refusalOf("Canary", canary(given, spec), action, all);
  assert.match(refusal("approve", { run: 2, ordersBefore: {} }) ?? "", /approved by ana/);
  assert.match(refusal("promote", { run: 2, ordersBefore: {} }) ?? "", /already promoted/);
  assert.match(refusal("promote", { run: 1 }) ?? "", /already promoted/);
  const ordersBefore = { approval, fullPromotion };
  assert.equal(refusal("approve", { run: 2, ordersBefore }), undefined);
  assert.equal(refusal("promote", { run: 2, ordersBefore }), undefined);
  assert.equal(refusal("promote", { run: 2, startedAt: "2031-01-01T00:00:00Z" }), undefined, "of an earlier release");
  const conditions = [
    { type: "Stuck", status: "True" as const, reason: "", message: "", lastTransitionTime: "2026-01-01T10:10:00Z" },
  ];
  const step = { id: "b", title: "20 %", startedAt: "2026-01-01T10:00:00Z", checks: [] };
  const failed = { phase: "Stuck", conditions } as const;
  assert.equal(refusal("approve", { ...failed, step: { ...step, ordersBefore: { approval } } }), undefined);
  assert.match(refusal("approve", { ...failed, step: { ...step, ordersBefore: {} } }) ?? "", /approved by ana/);
});

test("a person can complete only the soak among an upgrade's steps", () => {
  const upgrade = (id: string): MeshUpgrade =>
    ({
      ...canary({ step: { id, title: id, startedAt: "2026-01-01T10:00:00Z", checks: [] } }),
      metadata: { name: "to-1-31" },
    }) as unknown as MeshUpgrade;
  assert.equal(refusalOf("MeshUpgrade", upgrade("soak"), "complete", all), undefined);
  assert.match(refusalOf("MeshUpgrade", upgrade("waves-0"), "complete", all) ?? "", /not in its soak/);
  assert.equal(
    rolloutOffers("MeshUpgrade", upgrade("soak"), all).find(({ action }) => action === "complete")?.command,
    "serin upgrade complete to-1-31",
  );
});

test("an approval is bound to this version of the object, and a retry has no orders", () => {
  const ordered = { by: "ana", why: "fine", at: "2026-01-01T11:00:00Z" };
  assert.deepEqual(approvalPatch(canary(), ["b"], ordered), {
    metadata: { resourceVersion: "7" },
    spec: { approvals: [{ step: "b", ...ordered }] },
  });
  const given = canary(
    {},
    { paused: true, orderedBy: { by: "other", at: "" }, approvals: [{ step: "b", ...ordered }], steps: [] },
  );
  given.metadata.annotations = { "rollout.serin.dev/author": "{}" };
  const again = retriedRollout(given);
  assert.deepEqual(again, {
    apiVersion: "rollout.serin.dev/v1alpha1",
    kind: "Canary",
    metadata: { name: "shop", namespace: "prod" },
    spec: { target: { httpRoute: {} }, steps: [] },
  });
});

test("an order for one run is not meant for the next one, or for another object of the name", () => {
  const inRun = (run?: number, uid = "a"): Canary => {
    const found = canary(run === undefined ? {} : { run });
    return { ...found, metadata: { ...found.metadata, uid } };
  };
  for (const order of ["approve", "complete", "promote"] as const) {
    assert.equal(changeAgainst(order, inRun(), inRun(1)), undefined, "the first run has no number until it begins");
    assert.equal(changeAgainst(order, inRun(2), inRun(2)), undefined);
    assert.equal(changeAgainst(order, inRun(1), inRun(2)), "another run has begun meanwhile");
    assert.equal(changeAgainst(order, inRun(1), inRun(1, "b")), remadeProblem);
  }
});

test("an order for a step that waits does not overrule its failure, which the person has not seen", () => {
  const stuck = canary({ phase: "Stuck", message: "20 %: 5 errors" });
  for (const order of ["approve", "complete", "promote"] as const) {
    assert.equal(changeAgainst(order, canary(), stuck), "it has become Stuck meanwhile: 20 %: 5 errors");
    assert.equal(changeAgainst(order, stuck, stuck), undefined);
    assert.equal(changeAgainst(order, stuck, canary()), undefined);
  }
});

test("a step waits for an approval without its name only while it pauses for one, or has failed", () => {
  const waits = (given: Partial<RolloutStatus>): string | undefined => waitingStepOf(canary(given));
  assert.equal(waits({ phase: "Paused", pauseReason: "approval" }), "b");
  assert.equal(waits({ phase: "Stuck", pauseReason: "check" }), "b");
  assert.equal(waits({ phase: "Paused" }), "b", "of an earlier release");
  for (const phase of ["Progressing", "Settling", "Judging", "Soaking", "Waiting", "Completed"] as const)
    assert.equal(waits({ phase }), undefined, phase);
  assert.equal(waits({ phase: "Paused", pauseReason: "order" }), undefined);
  const soak = { id: "soak", title: "soak", startedAt: "", checks: [] };
  assert.equal(waits({ phase: "Soaking", step: soak }), undefined, "only an order to complete ends it");
  assert.equal(nextApprovalOf(canary()), "b");
  const last = { id: "c", title: "50 %", startedAt: "", checks: [] };
  assert.equal(nextApprovalOf(canary({ step: last })), undefined);
});

test("no approval is offered or accepted for a finished step, nor offered in advance for the end of a soak", () => {
  const done = (...ids: readonly string[]): Partial<RolloutStatus> => ({
    completedSteps: ids.map((id) => ({ id, title: id, startedAt: "", endedAt: "", evidence: [] })),
    plannedSteps: ["b", "d", "dependents"].map((id) => ({ id, title: id, untilApproved: true })),
  });
  const between = (...ids: readonly string[]): Canary => {
    const { step: _step, ...rest } = status({ phase: "Waiting", pauseReason: "freeze", ...done(...ids) });
    return { ...canary(), status: rest };
  };
  assert.equal(nextApprovalOf(between("b")), "d");
  assert.equal(nextApprovalOf(between("b", "d")), undefined);
  assert.equal(approvalProblem(between("b"), "b"), 'step "b" has already finished; steps that wait: d, dependents');
  assert.equal(approvalProblem(between("b"), "d"), undefined);
  assert.equal(approvalProblem(between(), "b"), undefined);
});

test("a pause, its end and a rollback are bound to this object, so that the server refuses them for another one", () => {
  const found = canary();
  const given = { ...found, metadata: { ...found.metadata, uid: "a" } };
  const by = { by: "ann", why: "", at: "2026-01-01T10:00:00Z" };
  for (const order of ["pause", "resume", "rollback"] as const)
    assert.deepEqual((orderPatch(given, order, by) as { metadata?: unknown }).metadata, { uid: "a" });
});

test("a full promotion does not overrule an order of somebody else that came in between, and an approval may follow it", () => {
  const [running, paused, aborted] = [canary(), canary({}, { paused: true }), canary({}, { abort: true })];
  assert.equal(changeAgainst("promote", running, paused), "somebody else has paused it meanwhile");
  assert.equal(changeAgainst("promote", paused, running), "somebody else has resumed it meanwhile");
  assert.equal(changeAgainst("promote", running, aborted), "somebody else has ordered its rollback meanwhile");
  assert.equal(changeAgainst("promote", aborted, running), "somebody else has taken its rollback back meanwhile");
  assert.equal(changeAgainst("promote", paused, paused), undefined);
  assert.equal(changeAgainst("approve", running, paused), undefined);
});

test("after a completed abort, resume lets the next change of a watched Deployment begin a run", () => {
  const watched = canary({ phase: "RolledBack" }, { target: { deployment: {} }, abort: true });
  const by = { by: "ann", why: "", at: "2026-01-01T10:00:00Z" };
  assert.equal(refusalOf("Canary", watched, "resume", all), undefined);
  assert.deepEqual(orderPatch(watched, "resume", by), { spec: { paused: false, abort: false, orderedBy: by } });
  const once = canary({ phase: "RolledBack" }, { abort: true });
  assert.equal(refusalOf("Canary", once, "resume", all), "it has ended as RolledBack");
  const underWay = canary({ phase: "RollingBack" }, { target: { deployment: {} }, abort: true });
  assert.deepEqual(orderPatch(underWay, "resume", by), { spec: { paused: false, orderedBy: by } });
});

test("resuming a copy of another object takes it over, and its earlier promotion does not count", () => {
  const copy = canary(
    { pauseReason: "restored", ordersBefore: { fullPromotion: { by: "bob", why: "" } } },
    { fullPromotion: { by: "bob", why: "" } },
  );
  const by = { by: "ann", why: "", at: "2026-01-01T10:00:00Z" };
  assert.equal(refusalOf("Canary", copy, "resume", all), undefined);
  assert.deepEqual(orderPatch(copy, "resume", by), {
    metadata: { annotations: { "rollout.serin.dev/author": "" } },
    spec: { paused: false, orderedBy: by },
  });
  assert.deepEqual(rolloutOffers("Canary", copy, all).find(({ action }) => action === "resume")?.changes, [
    "It begins with its first step, with your rights. Orders from before do not apply to it.",
  ]);
  assert.equal(refusalOf("Canary", copy, "promote", all), undefined);
  const annotations = { "rollout.serin.dev/uid": "u1", note: "x" };
  assert.deepEqual(retriedRollout({ ...copy, metadata: { name: "shop", annotations } }).metadata.annotations, {
    note: "x",
  });
});
