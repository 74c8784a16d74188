import assert from "node:assert/strict";
import { test } from "node:test";
import { checkDefaults, type RolloutStatus } from "../../api/serin/index.ts";
import { decide, initialStatus } from "./decide.ts";
import type { DecideInput } from "./input.ts";
import type { Observation, UndoReport } from "./observation.ts";
import type { Step } from "./step.ts";
import { begun, first, input, last, met, object, orders, reasons, waiting } from "./testing/two-steps.ts";

test("a rollback keeps the kind of its cause until its end, whatever started it", () => {
  const hasty = { ...orders, settleTimeoutMs: 50 };
  const write = { type: "field", object, pointer: "/data/a", value: "b" } as const;
  const cannot: Observation = { writes: [], settle: [{ state: "failed", detail: "refused" }], checks: [] };
  const unwritten: Observation = { writes: [{ state: "pending", prior: undefined }], settle: [], checks: [] };
  const watched = { candidate: "v2", watched: true };
  const journal = { run: 1, setup: 0, completed: false };
  const cases: readonly (readonly [string, DecideInput])[] = [
    ["settle-timeout", input({ status: begun, observation: waiting, orders: hasty })],
    [
      "preflight",
      input({ status: begun, steps: [{ ...first, phase: "Preflight" }, last], observation: waiting, orders: hasty }),
    ],
    ["settle-failed", input({ status: begun, observation: cannot })],
    [
      "write",
      input({ status: begun, steps: [{ ...first, writes: [write] }, last], observation: unwritten, orders: hasty }),
    ],
    ["order", input({ status: begun, orders: { ...orders, abort: true } })],
    ["superseded", input({ status: begun, change: watched })],
    ["reverted", input({ status: begun, change: { ...watched, idle: true } })],
    ["leftover", input({ journal })],
    ["deletion", input({ status: begun, journal, orders: { ...orders, deletion: "Rollback" } })],
  ];
  for (const [because, given] of cases) {
    const begunBack = decide(given).status;
    assert.deepEqual([begunBack.phase, begunBack.undo?.because], ["RollingBack", because]);
    const ended = decide(
      input({ status: begunBack, orders: given.orders, undo: { undone: 1, waitingFor: [] } }),
    ).status;
    assert.deepEqual([ended.phase, ended.undo?.because], ["RolledBack", because]);
  }
});

test("what an earlier object of the name has left is undone with its preparation before a watched target is prepared", () => {
  const watched = { candidate: "", watched: true };
  const journal = { run: 2, setup: 1, completed: false, isLeftover: true };
  const given = input({ steps: [], change: watched, journal });
  const { status, actions } = decide(given);
  assert.deepEqual([status.phase, status.undo?.because, status.undo?.next], ["RollingBack", "leftover", "NewRun"]);
  assert.deepEqual(actions.at(-1), { type: "undo", scope: "all", passOver: false });
  const half = decide({ ...given, status, journal: { run: 0, setup: 1, completed: false, isLeftover: true } });
  assert.deepEqual(half.actions.at(-1), { type: "undo", scope: "all", passOver: false });
  const none = { run: 0, setup: 0, completed: false };
  const undone = decide({ ...given, status: half.status, journal: none, undo: { undone: 3, waitingFor: [] } }).status;
  assert.equal(undone.phase, "RolledBack");
  const setup: Step = { ...first, id: "hold", setup: true };
  const idle = { candidate: "v1", watched: true, idle: true };
  const again = decide(input({ status: undone, steps: [setup], change: idle, journal: none })).status;
  assert.deepEqual([again.phase, again.undo, again.run], ["Planned", undefined, undefined]);
  assert.equal(decide(input({ status: again, steps: [setup], change: idle, journal: none })).status.step?.id, "hold");
});

test("what a completed earlier object has left stays, and only its preparation is undone", () => {
  const journal = { run: 2, setup: 1, completed: true, isLeftover: true };
  assert.deepEqual(reasons(decide(input({ journal }))), ["forget"]);
  const kept = decide(input({ journal: { ...journal, run: 0 } }));
  assert.deepEqual(kept.actions.at(-1), { type: "undo", scope: "all", passOver: false });
  const leave = { ...orders, deletion: "Leave" } as const;
  const unprepared = { ...journal, setup: 0, completed: false };
  assert.deepEqual(reasons(decide(input({ journal: unprepared, orders: leave }))), ["forget"]);
  const aborted = decide(input({ journal: { ...journal, completed: false }, orders: { ...orders, abort: true } }));
  assert.deepEqual(
    [aborted.status.undo?.next, aborted.actions.at(-1)],
    ["RolledBack", { type: "undo", scope: "all", passOver: false }],
  );
});

test("a failed check's type is stored beside the cause, without its name", () => {
  const backends = {
    type: "backends",
    canary: { service: "next", namespace: "n" },
    stable: { service: "shop", namespace: "n" },
    expectedShare: 50,
    atLeast: false,
  } as const;
  const judged: Step = {
    ...first,
    checks: [{ spec: { ...checkDefaults, type: "request-success-rate", name: "of our own" }, subject: backends }],
  };
  const counted = (canaryTotal: number, canaryErrors: number): Observation => ({
    ...met,
    checks: [
      {
        type: "counters",
        sources: { "n/gateway": { canaryTotal, canaryErrors, stableTotal: canaryTotal, stableErrors: 0 } },
      },
    ],
  });
  const looked = decide(input({ status: begun, steps: [judged, last], observation: counted(0, 0) })).status;
  const { cause, undo } = decide(
    input({ status: looked, steps: [judged, last], observation: counted(500, 400), elapsedMs: 1000 }),
  ).status;
  assert.deepEqual(
    [undo?.because, undo?.check, cause?.startsWith("one: of our own: canary 400 of 500 failed")],
    ["check", "request-success-rate", true],
  );
});

test("deleting a running object rolls it back first; with Leave, or after completion, the run's changes stay", () => {
  const journal = { run: 2, setup: 1, completed: false };
  const back = decide(input({ status: begun, journal, orders: { ...orders, deletion: "Rollback" } }));
  assert.deepEqual(
    [back.status.phase, back.status.undo?.next, reasons(back)],
    ["RollingBack", "Deleted", ["RollingBack", "undo"]],
  );
  const unprepared = { ...journal, setup: 0 };
  const left = decide(input({ status: begun, journal: unprepared, orders: { ...orders, deletion: "Leave" } }));
  assert.deepEqual(reasons(left), ["Deleted", "forget"]);
  const completed = decide(
    input({ status: { ...begun, phase: "Completed" }, journal, orders: { ...orders, deletion: "Rollback" } }),
  );
  assert.deepEqual(reasons(completed), ["Deleted", "forget"]);
  const setup = decide(
    input({ status: begun, journal: { run: 0, setup: 1, completed: false }, orders: { ...orders, deletion: "Leave" } }),
  );
  assert.deepEqual(setup.actions.at(-1), { type: "undo", scope: "all", passOver: false });
  assert.deepEqual(reasons(decide(input({ status: begun, orders: { ...orders, deletion: "Leave" } }))), [
    "Deleted",
    "release",
  ]);
});

test("with Leave, a run that builds on the preparation of its target is undone with it", () => {
  const leaves = { ...orders, deletion: "Leave" as const };
  const journal = { run: 2, setup: 1, completed: false };
  const back = decide(input({ status: begun, journal, orders: leaves }));
  assert.deepEqual(
    [back.status.undo?.next, reasons(back), back.actions.at(-1)],
    ["Deleted", ["RollingBack", "undo"], { type: "undo", scope: "all", passOver: false }],
  );
  const leftover = decide(input({ status: begun, journal: { ...journal, isLeftover: true }, orders: leaves }));
  assert.deepEqual(reasons(leftover), ["RollingBack", "undo"]);
});

test("an unfinished predecessor of the same name is undone first, and a completed one's changes stay", () => {
  assert.equal(decide(input({ journal: { run: 1, setup: 0, completed: false } })).status.undo?.next, "NewRun");
  assert.deepEqual(reasons(decide(input({ journal: { run: 1, setup: 0, completed: true } }))), ["forget"]);
});

test("an abort of a run that has not begun leaves the changes of the run before, which the journal still has", () => {
  const again = { ...initialStatus, run: 2, candidate: "v1" };
  const aborted = { ...orders, abort: true };
  const journal = { run: 3, setup: 1, completed: true };
  assert.deepEqual(reasons(decide(input({ status: again, orders: aborted, journal }))), ["forget"]);
  const forgotten = { run: 0, setup: 1, completed: false };
  const back = decide(input({ status: again, orders: aborted, journal: forgotten }));
  assert.deepEqual(reasons(back), ["RollingBack", "undo"]);
});

test("a run that is aborted before it began says that it has undone nothing, also if its journal is lost", () => {
  const aborted = { ...orders, abort: true, orderedBy: "ann" };
  const empty = { run: 0, setup: 0, completed: false };
  const lost = { ...empty, missing: true, objects: [] } as const;
  const endOf = (status: RolloutStatus, journal: DecideInput["journal"]) => {
    const back = decide(input({ status, orders: aborted, journal })).status;
    return decide(input({ status: back, orders: aborted, journal })).status;
  };
  const completed: RolloutStatus = { ...begun, phase: "Completed", journaled: { objects: ["HTTPRoute n/web"] } };
  const again = decide(input({ status: completed, change: { candidate: "v2", watched: false }, journal: lost })).status;
  const waits = decide(
    input({
      status: again,
      change: { candidate: "v2", watched: false },
      journal: lost,
      blockers: [{ reason: "freeze", text: "freeze holidays" }],
    }),
  ).status;
  for (const status of [again, waits, { ...again, phase: "Paused" as const, pauseReason: "order" as const }])
    for (const journal of [empty, lost]) {
      const { phase, cause, message } = endOf(status, journal);
      assert.equal(phase, "RolledBack");
      assert.equal(cause, "aborted by ann before this run began; the changes of completed runs stay");
      assert.equal(message, cause);
    }
  assert.equal(endOf({ ...initialStatus, run: 1, candidate: "v1" }, empty).cause, "aborted by ann before it began");
  assert.equal(endOf(begun, empty).cause, "aborted by ann");
});

test("undo reports a dead dependency after a while and continues without it, and a conflict stops it until resolved", () => {
  const back = decide(
    input({ status: begun, journal: { run: 2, setup: 0, completed: false }, orders: { ...orders, abort: true } }),
  ).status;
  const journal = { run: 2, setup: 0, completed: false };
  const undo = { undone: 0, waitingFor: ["Deployment istio-system/istiod-old: 0 of 1 ready"] };
  const held = decide(input({ status: back, journal, undo, elapsedMs: 61_000 }));
  assert.deepEqual(held.actions.at(-1), { type: "undo", scope: "run", passOver: true });
  assert.deepEqual([held.status.undo?.waitingFor, reasons(held)[0]], [undo.waitingFor, "Waiting"]);
  const stuck = decide(
    input({ status: back, journal, undo: { undone: 0, waitingFor: [], conflict: "changed by kubectl" } }),
  );
  assert.deepEqual([stuck.status.phase, stuck.status.message], ["Stuck", "changed by kubectl"]);
  assert.equal(
    decide(input({ status: stuck.status, journal, undo: { undone: 1, waitingFor: [] } })).status.phase,
    "RollingBack",
  );
});

test("undo is Stuck after two minutes in which nothing could be undone, unless only ending pods hold it up", () => {
  const journal = { run: 1, setup: 0, completed: false };
  const abort = { ...orders, abort: true };
  const back = decide(input({ status: begun, journal, orders: abort })).status;
  const waits = {
    undone: 0,
    waitingFor: ["Deployment istio-system/istiod-new: front-1.shop serves its last connections"],
  };
  const after = (undo: UndoReport | undefined, status: RolloutStatus, elapsedMs = 121_000) =>
    decide(input({ status, journal, ...(undo === undefined ? {} : { undo }), elapsedMs })).status;
  assert.equal(after(waits, back).phase, "Stuck");
  const ending = after({ ...waits, isEnding: true }, back);
  assert.deepEqual([ending.phase, ending.undo?.waitingFor], ["RollingBack", waits.waitingFor]);
  assert.match(ending.message, /still to undo: Deployment istio-system\/istiod-new: front-1.shop serves its last/);
  assert.equal(after(undefined, ending, 0).phase, "RollingBack", "a restarted engine has not looked yet");
  assert.equal(after(waits, ending, 0).phase, "Stuck", "they should have ended");
});

test("a failed check under manual rollback waits for a person, and a newer approval continues", () => {
  const failed = { type: "request-success-rate", verdict: "fail", evidence: "5 of 100" } as const;
  const check = { spec: { ...checkDefaults, type: "request-success-rate" }, subject: { type: "mesh" } } as const;
  const steps = [{ ...first, settle: [], checks: [check] }, last];
  const since = {
    type: "Stuck",
    status: "True",
    lastTransitionTime: "2026-01-01T00:00:00Z",
    reason: "",
    message: "",
  } as const;
  const status: RolloutStatus = {
    ...begun,
    phase: "Stuck",
    message: "5 of 100",
    conditions: [since],
    step: { id: "one", title: "one", startedAt: "", settledAt: "2026-01-01T00:00:00Z", checks: [failed] },
  };
  const observation: Observation = {
    writes: [],
    settle: [],
    checks: [{ type: "verdict", verdict: "pass", evidence: "fine now" }],
  };
  const manual = { ...orders, automaticRollback: false };
  assert.equal(decide(input({ status, steps, observation, orders: manual })).status.phase, "Stuck");
  const approvals = [{ step: "one", by: "cy", why: "known", at: "2026-01-01T00:00:01Z" }];
  const passed = decide(input({ status, steps, observation, orders: { ...manual, approvals } })).status;
  assert.deepEqual(passed.completedSteps[0]?.evidence, [
    "request-success-rate: 5 of 100",
    "approved by cy despite this: known",
  ]);
});
