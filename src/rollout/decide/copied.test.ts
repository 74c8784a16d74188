import assert from "node:assert/strict";
import { test } from "node:test";
import { decide, initialStatus } from "./decide.ts";
import { journalCounts, type DecideInput, type RolloutOrders } from "./input.ts";
import type { Step } from "./step.ts";
import { input, orders } from "./testing/two-steps.ts";

const step: Step = { id: "one", title: "one", namespaces: ["n"], writes: [], settle: [], checks: [] };
const approval = { step: "one", by: "ann", why: "", at: "2026-01-01T00:00:00Z" };
const copyOrders: RolloutOrders = { ...orders, isCopy: true, approvals: [approval], last: { approval } };

function copyInput(options: Partial<DecideInput> = {}): DecideInput {
  return input({ orders: copyOrders, steps: [step], change: { candidate: "", watched: true }, ...options });
}

test("a copy without its status waits for a person, remembers the orders that it came with, and writes nothing", () => {
  const { status, actions } = decide(copyInput());
  assert.deepEqual([status.phase, status.pauseReason, status.ordersBefore], ["Paused", "restored", { approval }]);
  assert.match(status.message, /it would begin at its first step.*: serin canary resume c -n n\. Orders from before/);
  assert.deepEqual(
    actions.map((action) => (action.type === "event" ? action.reason : action.type)),
    ["Paused"],
  );
  const again = decide(copyInput({ status }));
  assert.deepEqual([again.status, again.actions], [status, []]);
});

test("a copy that a person lets begin begins at its first step, with the change that it finds then", () => {
  const { status } = decide(copyInput());
  const { isCopy: _taken, ...own } = copyOrders;
  const begun = decide(copyInput({ status, orders: own, change: { candidate: "v2", watched: false } })).status;
  assert.deepEqual(
    [begun.phase, begun.pauseReason, begun.step?.id, begun.candidate, begun.ordersBefore],
    ["Progressing", undefined, "one", "v2", { approval }],
  );
  // A watched Deployment begins no run before its template changes.
  const watching = decide(
    copyInput({ status, orders: own, steps: [], change: { candidate: "v2", watched: true } }),
  ).status;
  assert.deepEqual([watching.phase, watching.run, watching.pauseReason], ["Watching", undefined, undefined]);
});

test("a copy with a status goes on, one that was aborted stays so, and one that is deleted goes", () => {
  const under = { ...initialStatus, phase: "Progressing", run: 1, startedAt: "2026-01-01T00:00:00Z" } as const;
  assert.equal(decide(copyInput({ status: { ...under, candidate: "" } })).status.pauseReason, undefined);
  assert.equal(decide(copyInput({ orders: { ...copyOrders, abort: true } })).status.phase, "RollingBack");
  const { actions } = decide(copyInput({ orders: { ...copyOrders, deletion: "Rollback" } }));
  assert.equal(actions.at(-1)?.type, "release");
});

test("what another object of its name has left behind is undone before a copy waits", () => {
  const { status } = decide(copyInput({ journal: { run: 1, setup: 0, completed: false, isLeftover: true } }));
  assert.deepEqual([status.phase, status.undo?.because], ["RollingBack", "leftover"]);
  const undone = decide(copyInput({ status })).status;
  const initial = decide(copyInput({ status: undone })).status;
  assert.equal(decide(copyInput({ status: initial })).status.pauseReason, "restored");
});

test("a copy with a status owns the journal of its original, and any other journal of its name is a leftover", () => {
  const journal = { entries: [{ type: "created", step: "one", object: {} as never }], uid: "u1" } as const;
  assert.equal(journalCounts(journal, "u2", "u1").isLeftover, undefined);
  assert.equal(journalCounts({ ...journal, uid: "u2" }, "u2", "u1").isLeftover, undefined);
  assert.equal(journalCounts(journal, "u2").isLeftover, true);
  assert.equal(journalCounts(journal, "u2", "u0").isLeftover, true);
});
