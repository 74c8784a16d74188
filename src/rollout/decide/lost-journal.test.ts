import assert from "node:assert/strict";
import { test } from "node:test";
import type { RolloutStatus } from "../../api/serin/index.ts";
import { decide } from "./decide.ts";
import { derivedStep, journalCounts, type DecideInput, type Decision } from "./input.ts";
import { begun, input, orders, plain, reasons } from "./testing/two-steps.ts";

const written = { run: 1, setup: 0, completed: false, objects: ["HTTPRoute n/web"] };
const gone = { run: 0, setup: 0, completed: false, missing: true, objects: [] } as const;
/** The engine has reported the loss, and has made a journal that contains only decisions. */
const empty = { run: 0, setup: 0, completed: false, objects: [] };
const undo = { startedAt: "", elapsedMs: 0, waitedMs: 0, waitingFor: [], next: "RolledBack" } as const;

const moved = decide(input({ status: begun, journal: written, observation: plain })).status;
const goingBack: RolloutStatus = { ...moved, phase: "RollingBack", cause: "a check failed", undo };

function decided(status: RolloutStatus, more: Partial<DecideInput> = {}): Decision {
  return decide(input({ status, steps: [], journal: gone, ...more }));
}

/** The status after a person has run the command at the end of the message. */
function withoutJournal(status: RolloutStatus, more: Partial<DecideInput["orders"]> = {}): RolloutStatus {
  const [, at = ""] = / rollout\.serin\.dev\/without-journal=(\S+)$/.exec(status.message) ?? [];
  assert.notEqual(at, "");
  const given = { ...orders, ...more, withoutJournal: at };
  const accepted = decided(status, { journal: empty, orders: given });
  return decided(accepted.status, { journal: empty, orders: given }).status;
}

test("the status names the objects that the journal has entries of, until they are undone", () => {
  assert.deepEqual(moved.journaled, { objects: ["HTTPRoute n/web"] });
  const many = Array.from({ length: 60 }, (_one, index) => `Namespace n${index}`);
  const { journaled } = decide(input({ status: begun, journal: { ...written, setup: 1, objects: many } })).status;
  assert.deepEqual([journaled?.objects.length, journaled?.more, journaled?.setup], [50, 10, true]);
  assert.equal(decided(goingBack, { journal: empty }).status.journaled, undefined);
});

test("an undo whose journal somebody has deleted is Stuck and names the objects, and does not say that it is done", () => {
  const { status, actions } = decided(goingBack);
  assert.deepEqual([status.phase, status.pauseReason, status.cause], ["Stuck", "undo", "a check failed"]);
  assert.match(
    status.message,
    /^its journal canary\.n\.c is gone, .* of HTTPRoute n\/web\. Restore this RolloutJournal/,
  );
  assert.deepEqual(
    actions.map(({ type }) => type),
    ["event"],
  );
  const again = decided(status, { journal: empty });
  assert.deepEqual([again.status.phase, again.status.message, again.actions], ["Stuck", status.message, []]);
});

test("a step goes no further without the journal, because it would take its own values for those from before", () => {
  const stuck = decided(moved);
  assert.deepEqual([stuck.status.phase, stuck.status.undo, reasons(stuck)], ["Stuck", undefined, ["Stuck"]]);
  const undone = decided(moved, { orders: { ...orders, abort: true } });
  assert.equal(undone.status.phase, "Stuck");
});

test("a rollout whose journal comes back from a backup continues where it was, and an undo undoes its entries", () => {
  const { status: stuck } = decided(goingBack);
  const partly = decided(stuck, { journal: { ...written, objects: ["Deployment n/web"] } });
  assert.equal(partly.status.phase, "Stuck");
  const back = decided(stuck, { journal: written });
  assert.deepEqual([reasons(back), back.status.lostJournal], [["Resumed"], undefined]);
  const next = decided(back.status, { journal: written });
  assert.deepEqual([next.status.phase, reasons(next)], ["Stuck", ["undo"]]);
  assert.equal(decided(next.status, { journal: empty }).status.phase, "RolledBack");
  const { status: forward } = decided(decided(moved).status, { journal: written });
  const again = decide(input({ status: forward, journal: written, observation: plain })).status;
  assert.deepEqual([again.phase, again.lostJournal, again.cause], [begun.phase, undefined, undefined]);
});

test("a completed rollout whose group is undone is Stuck without its journal, and does not say that it is undone", () => {
  const group = { failed: "group g: Canary n/other was rolled back", notDone: [], notFollowing: [], run: "1" };
  const completed: RolloutStatus = { ...moved, phase: "Completed" };
  assert.equal(decided(completed).status.phase, "Completed", "nothing needs the journal");
  const { status, actions } = decided(completed, { group });
  assert.deepEqual([status.phase, status.pauseReason, status.undo], ["Stuck", "undo", undefined]);
  assert.deepEqual(
    actions.map(({ type }) => type),
    ["event"],
  );
  const { status: back } = decided(status, { group, journal: written });
  const undone = decided(back, { group, journal: written });
  assert.deepEqual([undone.status.phase, undone.status.undo?.because], ["RollingBack", "group"]);
});

test("a rolled back Canary that still holds its Deployment is Stuck without its journal, and rolled back again with it", () => {
  const setup = { run: 0, setup: 1, completed: false, objects: ["Deployment n/web"] };
  const { status: held } = decided({ ...goingBack, run: 0 }, { journal: setup });
  assert.deepEqual([held.phase, held.journaled?.setup], ["RolledBack", true]);
  const { status: stuck } = decided(held);
  assert.deepEqual([stuck.phase, stuck.pauseReason], ["Stuck", "undo"]);
  const { status: back, ...again } = decided(stuck, { journal: setup });
  assert.deepEqual(
    [reasons({ ...again, status: back }), back.phase, back.pauseReason],
    [["Resumed"], "RolledBack", undefined],
  );
  assert.equal(back.message, held.message);
  assert.match(withoutJournal(stuck).cause ?? "", /has not put back Deployment n\/web$/);
});

test("a person ends the rollout without its journal, and the cause says what was not put back", () => {
  const ended = withoutJournal(decided(goingBack).status);
  assert.equal(ended.phase, "RolledBack");
  assert.equal(ended.cause, "a check failed; its journal was gone, so the engine has not put back HTTPRoute n/web");
  const stopped = withoutJournal(decided(moved).status);
  assert.deepEqual([stopped.phase, stopped.undo?.because], ["RolledBack", "order"]);
  assert.match(stopped.cause ?? "", /^its journal was gone, so the engine has not put back HTTPRoute n\/web$/);
  const deleted = withoutJournal(decided(moved, { orders: { ...orders, deletion: "Rollback" } }).status, {
    deletion: "Rollback",
  });
  assert.deepEqual([deleted.phase, deleted.undo?.next], ["RolledBack", "Deleted"]);
});

test("a consent to an earlier loss does not count for a later one", () => {
  const { status } = decided(goingBack, { orders: { ...orders, withoutJournal: "2025-01-01T00:00:00.000Z" } });
  assert.equal(status.phase, "Stuck");
});

test("a completed rollout without its journal stays completed, and its undo is Stuck", () => {
  const { step: _, ...done } = moved;
  const completed: RolloutStatus = { ...done, phase: "Completed", message: "done", endedAt: "2026-01-01T00:00:00Z" };
  const change = { candidate: completed.candidate ?? "", watched: false };
  assert.equal(decided(completed, { change }).status.phase, "Completed");
  const undone = decided(completed, { change, orders: { ...orders, abort: true } });
  assert.equal(undone.status.phase, "Stuck");
  assert.match(withoutJournal(undone.status, { abort: true }).cause ?? "", /has not put back HTTPRoute n\/web/);
  // The changes of an ended run stay, so the next run needs nothing from its journal.
  const next = decided(completed, { change: { candidate: "v2", watched: false } });
  assert.deepEqual([next.status.phase, next.status.journaled], ["Planned", undefined]);
});

test("a deletion that leaves the changes does not need the journal, but one that must give the target back does", () => {
  const leaves = { ...orders, deletion: "Leave" } as const;
  assert.deepEqual(reasons(decided(moved, { orders: leaves })), ["Deleted", "release"]);
  const prepared = { ...moved, journaled: { objects: ["Deployment n/web"], setup: true } };
  assert.equal(decided(prepared, { orders: leaves }).status.phase, "Stuck");
});

test("the status says what the objects themselves show, and a person's consent puts that back", () => {
  const { status: stuck } = decided(goingBack);
  const left = ["HTTPRoute n/web /spec/rules (kubectl edit httproute web -n n)"];
  const derived = { back: ["Namespace n /metadata/labels/istio.io~1rev"], left };
  const shown = decided(stuck, { journal: { ...empty, run: 1 }, derived });
  assert.match(
    shown.status.message,
    /Or the engine can put back what the objects themselves show: Namespace n \/metadata\/labels\/istio\.io~1rev; look at these, and put them back by hand: HTTPRoute n\/web \/spec\/rules \(kubectl edit httproute web -n n\)\. Then end the rollout/,
  );
  assert.deepEqual(reasons(shown), ["Stuck"], "nothing is put back before a person consents");
  const again = decided(shown.status, { journal: { ...empty, run: 1 } });
  assert.deepEqual([again.status.message, again.actions], [shown.status.message, []]);
  const [, at = ""] = / rollout\.serin\.dev\/without-journal=(\S+)$/.exec(shown.status.message) ?? [];
  const given = { journal: { ...empty, run: 1 }, orders: { ...orders, withoutJournal: at } };
  const accepted = decided(shown.status, given);
  const undoing = decided(accepted.status, given);
  assert.deepEqual([undoing.status.phase, reasons(undoing)], ["RollingBack", ["undo"]]);
  const ended = decided(undoing.status, { ...given, journal: empty });
  assert.equal(ended.status.phase, "RolledBack");
  assert.match(
    ended.status.cause ?? "",
    /has not put back HTTPRoute .*, but what the objects themselves showed: Namespace n/,
  );
});

test("a journal with nothing but derived entries is not taken for one from a backup", () => {
  const object = { apiVersion: "v1", kind: "HTTPRoute", plural: "httproutes", name: "web", namespace: "n" };
  const entry = { type: "created", step: derivedStep, object } as const;
  const { objects } = journalCounts({ entries: [entry] });
  assert.deepEqual(objects, []);
  assert.equal(
    decided(decided(goingBack).status, { journal: { ...empty, run: 1, objects: objects ?? [] } }).status.phase,
    "Stuck",
  );
});
