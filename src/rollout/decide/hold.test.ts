import assert from "node:assert/strict";
import { test } from "node:test";
import { checkDefaults, type RolloutStatus } from "../../api/serin/index.ts";
import { noticed } from "./conditions.ts";
import { isUnderWay } from "./contender.ts";
import { decide, initialStatus } from "./decide.ts";
import { refusedStatus } from "./hold.ts";
import type { Decision } from "./input.ts";
import type { Observation } from "./observation.ts";
import { orderedSteps } from "./planned-steps.ts";
import type { Step } from "./step.ts";
import { begun, first, input, last, met, nowMs, object, orders, reasons, waiting } from "./testing/two-steps.ts";

test("the clock of the person who approves does not matter: what counts is that the approval came after the failure", () => {
  const manual = { ...orders, automaticRollback: false };
  const spec = { ...checkDefaults, type: "pod-health" } as const;
  const steps = [{ ...first, checks: [{ spec, subject: { type: "mesh" } as const }] }, last];
  const bad: Observation = { ...met, checks: [{ type: "verdict", verdict: "fail", evidence: "it crashes" }] };
  // An approval that was given before the failure, by a clock that is a day ahead.
  const early = { step: "one", by: "bo", why: "", at: "2026-01-02T00:00:00Z" };
  const before = { ...manual, approvals: [early], last: { approval: early } };
  const stuck = decide(input({ status: begun, steps, observation: bad, orders: before })).status;
  assert.deepEqual([stuck.phase, stuck.pauseReason], ["Stuck", "check"]);
  assert.equal(decide(input({ status: stuck, steps, observation: bad, orders: before })).status.phase, "Stuck");
  // An approval that was given after the failure, by a clock that is a year behind.
  const late = { step: "one", by: "cy", why: "known", at: "2025-01-01T00:00:00Z" };
  const after = { ...manual, approvals: [early, late], last: { approval: late } };
  const { completedSteps } = decide(input({ status: stuck, steps, observation: bad, orders: after })).status;
  assert.deepEqual(completedSteps[0]?.evidence, ["pod-health: it crashes", "approved by cy despite this: known"]);
});

test("a person may also approve a step that did not settle", () => {
  const manual = { ...orders, automaticRollback: false, settleTimeoutMs: 0 };
  const stuck = decide(input({ status: begun, observation: waiting, orders: manual })).status;
  assert.deepEqual([stuck.phase, stuck.pauseReason], ["Stuck", "step"]);
  assert.match(
    stuck.message,
    /one did not settle in 0 s: 0 of 1 ready; .*approve the step: serin canary promote c -n n/,
  );
  const approval = { step: "one", by: "cy", why: "", at: "2025-01-01T00:00:00Z" };
  const ordered = { ...manual, approvals: [approval], last: { approval } };
  const { completedSteps } = decide(input({ status: stuck, observation: waiting, orders: ordered })).status;
  assert.deepEqual(completedSteps[0]?.evidence, [
    "it has not settled: one did not settle in 0 s: 0 of 1 ready",
    "approved by cy despite this",
  ]);
});

test("a person may also approve a step that failed after it had settled", () => {
  const manual = { ...orders, automaticRollback: false };
  const steps = [{ ...first, pause: { approved: false } }, last];
  const settled = decide(input({ status: begun, steps, observation: met, orders: manual })).status;
  const rejected: Observation = { ...met, settle: [{ state: "failed", detail: "a gateway rejected it" }] };
  const stuck = decide(input({ status: settled, steps, observation: rejected, orders: manual })).status;
  assert.deepEqual([stuck.phase, stuck.pauseReason], ["Stuck", "step"]);
  const approval = { step: "one", by: "cy", why: "", at: "2025-01-01T00:00:00Z" };
  const ordered = { ...manual, approvals: [approval], last: { approval } };
  const { completedSteps } = decide(input({ status: stuck, steps, observation: rejected, orders: ordered })).status;
  assert.deepEqual(completedSteps[0]?.evidence, [
    "it failed: one: a gateway rejected it",
    "approved by cy despite this",
  ]);
});

test("a full promotion ends the wait for a person at a failed check of the last step", () => {
  const manual = { ...orders, automaticRollback: false };
  const spec = { ...checkDefaults, type: "pod-health" } as const;
  const steps: Step[] = [{ ...last, checks: [{ spec, subject: { type: "mesh" } }] }];
  const atLast = decide(input({ steps })).status;
  const bad: Observation = { ...met, checks: [{ type: "verdict", verdict: "fail", evidence: "it crashes" }] };
  const stuck = decide(input({ status: atLast, steps, observation: bad, orders: manual })).status;
  assert.deepEqual([stuck.phase, stuck.pauseReason], ["Stuck", "check"]);
  const ordered = { ...manual, fullPromotion: { by: "cy", why: "" } };
  const promoted = decide(
    input({ status: stuck, steps: orderedSteps(steps, ordered, stuck), observation: met, orders: ordered }),
  );
  assert.deepEqual(reasons(promoted), ["Approved", "Resumed", "StepDone"]);
  assert.deepEqual(
    promoted.status.completedSteps.map(({ id }) => id),
    ["two"],
  );
});

test("a rollout that waits for a person reports it once, although the message tells how long it has lasted", () => {
  const manual = { ...orders, automaticRollback: false };
  const late = (seconds: number): Observation => ({
    ...met,
    settle: [{ state: "failed", detail: `web is not at b ${seconds} s after its restart` }],
  });
  const told = decide(input({ status: begun, observation: late(60), orders: manual }));
  assert.deepEqual([told.status.phase, reasons(told)], ["Stuck", ["Stuck"]]);
  const again = decide(input({ status: told.status, observation: late(61), orders: manual }));
  assert.deepEqual(reasons(again), []);
  assert.deepEqual(again.status, told.status);
  const other: Observation = {
    ...met,
    settle: [{ state: "failed", detail: "api is not at b 61 s after its restart" }],
  };
  assert.deepEqual(reasons(decide(input({ status: told.status, observation: other, orders: manual }))), ["Stuck"]);
  // The message of a step that had made progress before it stalled states the step's whole time.
  const slow = {
    ...begun.step,
    id: "one",
    title: "one",
    startedAt: "",
    checks: [],
    settlingMs: 400_000,
    stalledMs: 300_000,
  };
  const stalled = decide(input({ status: { ...begun, step: slow }, observation: waiting, orders: manual }));
  assert.match(stalled.status.message, /did not settle in 400 s, the last 300 s of them without progress/);
  const later = decide(input({ status: stalled.status, observation: waiting, orders: manual, elapsedMs: 2000 }));
  assert.deepEqual([reasons(later), later.status.message], [[], stalled.status.message]);
});

test("an undo that waits for a person reports it once, although the message tells how long it has lasted", () => {
  const undo = { startedAt: "", elapsedMs: 0, waitedMs: 121_000, waitingFor: [], next: "RolledBack" } as const;
  const status: RolloutStatus = { ...begun, phase: "RollingBack", undo };
  const round = (before: RolloutStatus, seconds: number): Decision =>
    decide(
      input({
        status: before,
        journal: { run: 1, setup: 0, completed: false },
        undo: { undone: 0, waitingFor: [`web has not answered for ${seconds} s`] },
      }),
    );
  const told = round(status, 5);
  assert.deepEqual(reasons(told), ["Stuck", "undo"]);
  const again = round(told.status, 6);
  assert.deepEqual([reasons(again), again.status.message], [["undo"], told.status.message]);
});

test("a write that fails for long is tried again while a person decides", () => {
  const manual = { ...orders, automaticRollback: false, settleTimeoutMs: 0 };
  const steps: Step[] = [{ ...first, writes: [{ type: "field", object, pointer: "/data/a", value: "1" }] }, last];
  const pending: Observation = { writes: [{ state: "pending" }], settle: [], checks: [] };
  const look = (status: RolloutStatus, waits: boolean): Decision =>
    decide(
      input({ status, steps, observation: pending, orders: manual, failedWrite: { detail: "quota exceeded", waits } }),
    );
  const stuck = look(begun, false);
  assert.deepEqual([stuck.status.phase, stuck.status.pauseReason], ["Stuck", "step"]);
  assert.match(stuck.status.message, /refused: ConfigMap n\/c \/data\/a: quota exceeded; .*make the write possible/);
  assert.deepEqual(reasons(stuck), ["Stuck", "journal", "write"]);
  assert.deepEqual(reasons(look(stuck.status, true)), []);
  assert.deepEqual(reasons(look(stuck.status, false)), ["journal", "write"]);
});

const noSteps = { reason: "spec", problem: "spec.steps: none", remedy: "correct it" } as const;
const seen = { beginsRun: false, generation: 4, nowMs };

function completed(): RolloutStatus {
  const endedAt = new Date(nowMs).toISOString();
  const { step: _step, ...rest } = begun;
  return {
    ...rest,
    phase: "Completed",
    message: "done",
    completedSteps: [first, last].map(({ id, title }) => ({ id, title, startedAt: endedAt, endedAt, evidence: [] })),
    endedAt,
    run: 1,
  };
}

test("a completed rollout whose spec is refused stays completed, says why, and is done again once the spec is corrected", () => {
  const refused = refusedStatus(completed(), noSteps, seen);
  assert.deepEqual([refused.phase, refused.pauseReason, isUnderWay(refused)], ["Completed", undefined, false]);
  assert.match(refused.message, /^spec\.steps: none; correct it, or delete the object/);
  const { status, actions } = decide(input({ status: refused }));
  assert.deepEqual([status.phase, status.message, actions], ["Completed", "done", []]);
});

test("a refused spec that was changed to begin another run is Stuck, holds no place among the rollouts, and is completed again once it is changed back", () => {
  const refused = refusedStatus(completed(), noSteps, { ...seen, beginsRun: true });
  assert.deepEqual([refused.phase, refused.pauseReason, isUnderWay(refused)], ["Stuck", "spec", false]);
  const { status, actions } = decide(input({ status: refused }));
  assert.deepEqual([status.phase, status.pauseReason, status.cause, actions], ["Completed", undefined, undefined, []]);
  const otherFault = refusedStatus(refused, noSteps, seen);
  assert.deepEqual([otherFault.phase, otherFault.cause], ["Completed", undefined], "changed back, with another fault");
});

test("a rollout at rest takes notice of a change of its spec that asks for nothing, once", () => {
  const seenChange = noticed(completed(), 9, nowMs);
  assert.deepEqual([seenChange?.observedGeneration, seenChange?.conditions[0]?.observedGeneration], [9, 9]);
  assert.ok(seenChange);
  assert.equal(noticed(seenChange, 9, nowMs), undefined);
});

test("the conditions of a refused rollout say that it is stuck, and since when", () => {
  const { conditions, phaseSince, observedGeneration } = refusedStatus(begun, noSteps, {
    ...seen,
    nowMs: nowMs + 60_000,
  });
  const on = conditions.filter(({ status }) => status === "True");
  assert.deepEqual(
    on.map(({ type, message, lastTransitionTime }) => [type, message, lastTransitionTime]),
    [
      [
        "Stalled",
        "spec.steps: none; correct it, or delete the object, which undoes its changes",
        "2026-01-01T00:01:00.000Z",
      ],
      [
        "Stuck",
        "spec.steps: none; correct it, or delete the object, which undoes its changes",
        "2026-01-01T00:01:00.000Z",
      ],
    ],
  );
  assert.deepEqual([phaseSince, observedGeneration], ["2026-01-01T00:01:00.000Z", 4]);
});

test("the status names a failed check that waits for a person again when nothing else holds the rollout up", () => {
  const manual = { ...orders, automaticRollback: false };
  const spec = { ...checkDefaults, type: "pod-health" } as const;
  const steps = [{ ...first, checks: [{ spec, subject: { type: "mesh" } as const }] }, last];
  const bad: Observation = { ...met, checks: [{ type: "verdict", verdict: "fail", evidence: "it crashes" }] };
  const good: Observation = { ...met, checks: [{ type: "verdict", verdict: "pass", evidence: "fine" }] };
  const failed = decide(input({ status: begun, steps, observation: bad, orders: manual })).status;
  const refused = refusedStatus(failed, noSteps, seen);
  const conflict: Observation = { ...met, writes: [{ state: "conflict", detail: "changed by ann" }] };
  const meddled = decide(input({ status: failed, steps, observation: conflict, orders: manual })).status;
  assert.deepEqual([refused.pauseReason, meddled.pauseReason], ["spec", "conflict"]);
  for (const status of [refused, meddled]) {
    const again = decide(input({ status, steps, observation: good, orders: manual }));
    assert.deepEqual([again.status.pauseReason, again.status.message], ["check", failed.message]);
    assert.deepEqual(reasons(again), ["Stuck"]);
    const more = decide(input({ status: again.status, steps, observation: good, orders: manual }));
    assert.deepEqual([more.status.message, more.actions], [failed.message, []]);
  }
});

test("a pause does not let a rollout forget a failed check that waits for a person, and an approval in the pause counts", () => {
  const manual = { ...orders, automaticRollback: false };
  const spec = { ...checkDefaults, type: "pod-health" } as const;
  const steps = [{ ...first, checks: [{ spec, subject: { type: "mesh" } as const }] }, last];
  const bad: Observation = { ...met, checks: [{ type: "verdict", verdict: "fail", evidence: "it crashes" }] };
  const good: Observation = { ...met, checks: [{ type: "verdict", verdict: "pass", evidence: "fine" }] };
  const failed = decide(input({ status: begun, steps, observation: bad, orders: manual })).status;
  const { status } = decide(input({ status: failed, steps, orders: { ...manual, paused: true } }));
  assert.deepEqual([status.phase, status.pauseReason], ["Paused", "order"]);
  const resumed = decide(input({ status, steps, observation: good, orders: manual }));
  assert.deepEqual([resumed.status.pauseReason, resumed.status.message], ["check", failed.message]);
  assert.deepEqual(reasons(resumed), ["Resumed", "Stuck"]);
  const approval = { step: "one", by: "cy", why: "", at: "2026-01-01T00:00:00Z" };
  const ordered = { ...manual, approvals: [approval], last: { approval } };
  const approved = decide(input({ status, steps, observation: good, orders: ordered }));
  assert.deepEqual(approved.status.completedSteps[0]?.evidence, [
    "pod-health: it crashes",
    "approved by cy despite this",
  ]);
});

test("an approval that comes in a pause ends a step that has not settled, as it does without the pause", () => {
  const manual = { ...orders, automaticRollback: false, settleTimeoutMs: 0 };
  const stuck = decide(input({ status: begun, observation: waiting, orders: manual })).status;
  const { status } = decide(input({ status: stuck, orders: { ...manual, paused: true } }));
  assert.deepEqual([status.phase, status.pauseReason], ["Paused", "order"]);
  const again = decide(input({ status, observation: waiting, orders: manual }));
  assert.deepEqual([again.status.phase, again.status.pauseReason], ["Stuck", "step"]);
  assert.deepEqual(reasons(again), ["Resumed", "Stuck"]);
  const approval = { step: "one", by: "cy", why: "", at: "2026-01-01T00:00:00Z" };
  const ordered = { ...manual, approvals: [approval], last: { approval } };
  const { completedSteps } = decide(input({ status, observation: waiting, orders: ordered })).status;
  assert.match(completedSteps[0]?.evidence.join() ?? "", /^it has not settled: .*,approved by cy despite this$/);
  // A step that has settled meanwhile no longer needs a person.
  const settled = decide(input({ status, observation: met, orders: manual })).status;
  assert.deepEqual([settled.phase, settled.cause], ["Progressing", undefined]);
});

test("an abort of a new object leaves the changes of the completed run of an earlier object with its name", () => {
  const leftover = { run: 2, setup: 0, completed: true };
  const aborted = { ...orders, abort: true };
  const refused = refusedStatus(initialStatus, noSteps, seen);
  for (const status of [initialStatus, refused])
    assert.deepEqual(reasons(decide(input({ status, orders: aborted, journal: leftover }))), ["forget"]);
  const none = { ...leftover, run: 0 };
  assert.ok(!reasons(decide(input({ status: refused, orders: aborted, journal: none }))).includes("forget"));
});
