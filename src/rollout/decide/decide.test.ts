import assert from "node:assert/strict";
import { test } from "node:test";
import { checkDefaults, type MeantRule, type RolloutStatus, type UndoCause } from "../../api/serin/index.ts";
import type { Blocker } from "./blockers.ts";
import { decide, initialStatus } from "./decide.ts";
import type { DecideInput } from "./input.ts";
import type { Observation } from "./observation.ts";
import { orderedSteps } from "./planned-steps.ts";
import type { Step } from "./step.ts";
import { begun, first, input, last, met, nowMs, object, orders, plain, reasons, waiting } from "./testing/two-steps.ts";

test("a run begins with its plan, the namespaces of all its steps, and a name for its candidate", () => {
  const { plannedSteps, namespaces, run, candidate, phase } = begun;
  assert.deepEqual(
    { plannedSteps, namespaces, run, candidate, phase },
    {
      plannedSteps: [
        { id: "one", title: "one" },
        { id: "two", title: "two" },
      ],
      namespaces: ["m", "n"],
      run: 1,
      candidate: "v1",
      phase: "Progressing",
    },
  );
});

test("the first event of a run warns of what its spec asks for without an effect", () => {
  const startOf = (remarks: readonly string[]) => {
    const { actions } = decide(input({ change: { candidate: "v1", watched: false, remarks } }));
    const [start] = actions.flatMap((action) =>
      action.type === "event" && action.reason === "Started" ? [action] : [],
    );
    return [start?.message, start?.warning];
  };
  assert.deepEqual(startOf([]), ["2 steps, the first: one", false]);
  assert.deepEqual(startOf(["spec.checks[0]: has no effect"]), [
    "2 steps, the first: one; spec.checks[0]: has no effect",
    true,
  ]);
});

test("a finished step stays in the plan and its progress, at its place, when the cluster no longer asks for it", () => {
  const middle: Step = { ...plain, id: "middle", title: "middle" };
  const { step: _step, ...planned } = decide(input({ steps: [first, middle, last] })).status;
  const done = (id: string) => ({ id, title: id, startedAt: "", endedAt: "", evidence: [] });
  const status = { ...planned, completedSteps: [done("one"), done("middle")] };
  const after = decide(input({ steps: [first, last], status })).status;
  assert.deepEqual([after.plannedSteps?.map(({ id }) => id), after.progress], [["one", "middle", "two"], "2/3"]);
  const never = decide(input({ steps: [first, last], status: planned })).status;
  assert.deepEqual([never.plannedSteps?.map(({ id }) => id), never.progress], [["one", "two"], "0/2"]);
});

test("a finished step keeps its title when the plan has other numbers, and a step gets the title of what it writes", () => {
  const recounted: Step[] = [first, last].map((step) => ({
    ...step,
    title: `${step.title} of 9 pods`,
    writes: [{ type: "field", object, pointer: "/data/a", value: "9" }],
  }));
  const { step: _step, ...others } = begun;
  const completedSteps = [{ id: "one", title: "one of 3 pods", startedAt: "", endedAt: "", evidence: [] }];
  const after = decide(input({ steps: recounted, status: { ...others, completedSteps } })).status;
  assert.deepEqual(
    after.plannedSteps?.map(({ title }) => title),
    ["one of 3 pods", "two of 9 pods"],
  );
  const look = (state: Observation["writes"][number]): string | undefined =>
    decide(input({ steps: recounted, status: begun, observation: { ...waiting, writes: [state] } })).status.step?.title;
  assert.equal(look({ state: "done" }), "one");
  assert.equal(look({ state: "pending", isReplanned: true }), "one of 9 pods");
});

test("a run remembers what it moves, whatever the spec says later", () => {
  const { status } = decide(input({ orders: { ...orders, moves: "a" } }));
  assert.equal(status.moves, "a");
  const { step: _step, ...between } = status;
  assert.equal(decide(input({ status: between, orders: { ...orders, moves: "b" } })).status.moves, "a");
});

test("the rule that a position means is recorded at once, later runs keep it, and it stays while another rollout comes first", () => {
  const meantRule: MeantRule = { route: "r", rule: 0, target: "t", index: 0, from: 0, known: ["a"], length: 1 };
  const later = { ...meantRule, index: 1 };
  const change = { candidate: "v1", watched: false, meantRule };
  const { status } = decide(input({ change }));
  assert.deepEqual(status.meantRule, meantRule);
  const freeze: Blocker = { reason: "freeze", by: "holidays", text: "freeze" };
  const rival: Blocker = { reason: "rollout", by: "Canary a/b", text: "Canary a/b moves the same target" };
  assert.deepEqual(decide(input({ change, blockers: [freeze] })).status.meantRule, meantRule);
  assert.deepEqual(decide(input({ change, blockers: [freeze, rival] })).status.meantRule, meantRule);
  const { step: _step, ...before } = status;
  const blocked = decide(input({ status: before, change: { ...change, meantRule: later }, blockers: [rival] }));
  assert.deepEqual(blocked.status.meantRule, meantRule);
  const another = { ...later, rule: 1 };
  const edited = decide(input({ status: before, change: { ...change, meantRule: another }, blockers: [rival] }));
  assert.deepEqual(edited.status.meantRule, another, "the target names another position now");
  const ended: RolloutStatus = { ...before, phase: "Completed", endedAt: new Date(nowMs).toISOString() };
  const next = decide(input({ status: ended, change: { candidate: "v2", watched: false } }));
  assert.deepEqual([next.status.phase, next.status.meantRule], ["Planned", meantRule]);
});

test("a blocker is named, reported once, and reported again only when it changes", () => {
  const freeze: Blocker = { reason: "freeze", by: "holidays", text: "freeze holidays until then" };
  const rival: Blocker = { reason: "rollout", by: "Canary a/b", text: "Canary a/b has reserved namespace n" };
  const held = decide(input({ blockers: [freeze] }));
  assert.deepEqual(
    [held.status.phase, held.status.message, reasons(held)],
    ["Waiting", "waits: freeze holidays until then", ["Waiting"]],
  );
  const later = { ...freeze, text: "freeze holidays until later" };
  assert.deepEqual(reasons(decide(input({ status: held.status, blockers: [later] }))), []);
  assert.deepEqual(reasons(decide(input({ status: held.status, blockers: [rival] }))), ["Waiting"]);
});

test("a watched change that is held begins no run, and the status says why until it may", () => {
  const held = "a change waits, because Deployment n/web has 0 replicas";
  const change = { candidate: "v2", watched: true } as const;
  const { step: _, ...rest } = begun;
  for (const phase of ["Watching", "Completed", "RolledBack"] as const) {
    const status = { ...rest, phase, run: phase === "Watching" ? 0 : 1, candidate: "v1", message: "done" };
    const waits = decide(input({ status, steps: [], change: { ...change, idle: true, held } }));
    assert.deepEqual([waits.status.phase, waits.status.message, waits.actions], [phase, held, []]);
    assert.equal(decide(input({ status: waits.status, change })).status.phase, "Planned");
  }
});

test("a run that was planned just before its Deployment was scaled to 0 does not complete, and begins when it may", () => {
  const held = "a change waits, because Deployment n/web has 0 replicas";
  const change = { candidate: "v2", watched: true } as const;
  const { step: _step, startedAt: _startedAt, ...rest } = begun;
  const planned: RolloutStatus = { ...rest, phase: "Planned", run: 1, candidate: "v2", completedSteps: [] };
  const waits = decide(input({ status: planned, steps: [], change: { ...change, idle: true, held } }));
  assert.deepEqual([waits.status.phase, waits.status.message, waits.actions], ["Planned", held, []]);
  const begins = decide(input({ status: waits.status, change }));
  assert.deepEqual([begins.status.phase, begins.status.run], ["Progressing", 1]);
});

test("an upgrade of many steps keeps the evidence of the latest, so that its status fits in an object", () => {
  const done = (index: number) => ({ id: `s${index}`, title: "t", startedAt: "", endedAt: "", evidence: ["x"] });
  const completedSteps = Array.from({ length: 400 }, (_one, index) => done(index));
  const { status } = decide(
    input({ status: { ...begun, completedSteps }, steps: [{ ...first, settle: [] }, last], observation: plain }),
  );
  assert.equal(status.completedSteps.length, 401);
  assert.equal(status.completedSteps.filter(({ evidence }) => evidence.length > 0).length, 199);
});

test("a conflicting field stops the rollout until it is restored, and then it continues by itself", () => {
  const conflict: Observation = {
    writes: [{ state: "conflict", detail: "ConfigMap n/c: /data/a was changed by kubectl" }],
    settle: [],
    checks: [],
  };
  const stuck = decide(input({ status: begun, observation: conflict }));
  assert.deepEqual([stuck.status.phase, reasons(stuck)], ["Stuck", ["Stuck"]]);
  assert.match(
    stuck.status.message,
    /changed by kubectl; restore it, and the rollout continues; or undo it: serin canary abort c -n n$/,
  );
  const again = decide(input({ status: stuck.status, observation: met }));
  assert.deepEqual([again.status.cause, reasons(again)], [undefined, ["Resumed", "StepDone"]]);
});

test("a full promotion skips optional steps, checks and pauses, and records who ordered it", () => {
  const promotedOrders = { ...orders, fullPromotion: { by: "ann", why: "security fix" } };
  const pausing = {
    ...last,
    pause: { approved: false },
    holdMs: 9,
    checks: [{ spec: { ...checkDefaults, type: "request-success-rate" }, subject: { type: "mesh" } }],
  } as const;
  const steps = orderedSteps([first, pausing], promotedOrders, begun);
  assert.deepEqual(steps, [{ ...plain, id: "two", title: "two", namespaces: ["m"], essential: true }]);
  const decision = decide(input({ status: begun, steps, orders: promotedOrders }));
  const approval = decision.actions.find((action) => action.type === "event" && action.reason === "Approved");
  assert.deepEqual(approval, {
    type: "event",
    reason: "Approved",
    message: "full promotion: no checks and no pauses from here on (security fix)",
    warning: false,
    by: "ann",
  });
});

test("an approval is recorded with its author and reason", () => {
  const step = { ...first, settle: [], pause: { approved: true } };
  const decision = decide(
    input({
      status: begun,
      steps: [step, last],
      observation: { writes: [], settle: [], checks: [] },
      orders: { ...orders, approvals: [{ step: "one", by: "bob", why: "looks good", at: "2026-01-01T00:00:00Z" }] },
    }),
  );
  assert.deepEqual(decision.actions[0], {
    type: "event",
    reason: "Approved",
    message: "one: looks good",
    warning: false,
    step: "one",
    by: "bob",
  });
});

export const prepared: Step = { ...plain, id: "setup", title: "setup", setup: true };
const watching: RolloutStatus = {
  ...initialStatus,
  phase: "Watching",
  candidate: "v1",
  completedSteps: [{ id: "setup", title: "", startedAt: "", endedAt: "", evidence: [] }],
};

test("a watched target waits for a change, rolls it out, and rolls it back before it begins an early next change", () => {
  const watched = { steps: [prepared, first], change: { candidate: "v1", watched: true } };
  assert.equal(decide(input({ ...watched, status: watching })).status.phase, "Watching");
  const changed = { ...watched, change: { candidate: "v2", watched: true } };
  const fresh = decide(input({ ...changed, status: watching })).status;
  assert.deepEqual([fresh.phase, fresh.run, fresh.candidate, fresh.completedSteps.length], ["Planned", 1, "v2", 1]);
  const started = decide(input({ ...changed, status: fresh })).status;
  const early = decide(
    input({
      ...changed,
      status: started,
      change: { candidate: "v3", watched: true },
      journal: { run: 1, setup: 1, completed: false },
    }),
  ).status;
  assert.deepEqual([early.phase, early.undo?.next], ["RollingBack", "NewRun"]);
  const back = decide(
    input({
      ...changed,
      status: early,
      change: { candidate: "v2", watched: true },
      journal: { run: 0, setup: 1, completed: false },
    }),
  ).status;
  const next = decide(input({ ...changed, status: back, change: { candidate: "v3", watched: true } })).status;
  assert.deepEqual([back.phase, next.run, next.candidate], ["RolledBack", 2, "v3"]);
});

test("a rolled back pod template that is in its Deployment again begins a run only if a person had ended the last one, and else says that it waits", () => {
  const setup = { run: 0, setup: 1, completed: false };
  const againAfter = (because: UndoCause, given: Partial<DecideInput> = {}): RolloutStatus => {
    const undo = { startedAt: "", elapsedMs: 1, waitedMs: 0, waitingFor: [], next: "RolledBack", because } as const;
    const status: RolloutStatus = { ...watching, phase: "RolledBack", run: 1, candidate: "v2", cause: "bad", undo };
    const change = { candidate: "v2", watched: true };
    return decide(input({ steps: [prepared, first], status, change, journal: setup, ...given })).status;
  };
  for (const because of ["reverted", "order"] as const)
    assert.deepEqual([againAfter(because).phase, againAfter(because).run], ["Planned", 2], because);
  const failed = againAfter("check");
  assert.deepEqual(
    [failed.phase, failed.run, failed.message],
    [
      "RolledBack",
      1,
      "bad; its Deployment has this pod template again, which waits because it was rolled back: change it, and a run begins",
    ],
  );
  const aborted = againAfter("order", { orders: { ...orders, abort: true } });
  assert.equal(
    aborted.message,
    "a change of the Deployment waits, because spec.abort is still set; let it begin: serin canary resume c -n n",
  );
  const edited = againAfter("order", {
    change: { candidate: "v3", watched: false },
    orders: { ...orders, abort: true },
  });
  assert.equal(
    edited.message,
    "a change of the spec waits, because spec.abort is still set; let it begin: serin canary retry c -n n",
  );
  const idle = { candidate: "v1", watched: true, idle: true };
  assert.equal(againAfter("check", { change: idle }).message, "bad", "the Deployment has its former template");
  const route = { candidate: "v2", watched: false };
  assert.equal(againAfter("order", { change: route }).phase, "RolledBack", "a route has no template to write again");
});

test("a new run remembers the orders that came before it", () => {
  const approval = { step: "one", by: "bo", why: "", at: "2026-01-02T00:00:00Z" };
  const fullPromotion = { by: "bo", why: "" };
  const ended: RolloutStatus = { ...begun, phase: "Completed", candidate: "v0" };
  const { status } = decide(input({ status: ended, orders: { ...orders, last: { approval, fullPromotion } } }));
  assert.deepEqual([status.run, status.ordersBefore], [2, { approval, fullPromotion }]);
});
