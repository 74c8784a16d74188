import assert from "node:assert/strict";
import { test } from "node:test";
import type { RolloutStatus } from "../../api/serin/index.ts";
import { decide, initialStatus } from "./decide.ts";
import type { DecideInput, Decision } from "./input.ts";
import { begun, input, orders, reasons } from "./testing/two-steps.ts";

const undo = { startedAt: "", elapsedMs: 0, waitedMs: 0, waitingFor: [], next: "RolledBack" } as const;
const goingBack: RolloutStatus = {
  ...initialStatus,
  phase: "RollingBack",
  cause: "a check failed",
  startedAt: "2026-01-01T00:00:00Z",
  run: 1,
  undo,
};
const refused = { detail: "update of RolloutJournal canary.shop.web: denied", waits: false };

function decided(status: RolloutStatus, more: Partial<DecideInput>): Decision {
  return decide(
    input({ status, steps: [], journal: { run: 2, setup: 0, completed: false }, elapsedMs: 5000, nowMs: 0, ...more }),
  );
}

test("an undo whose passes fail is Stuck after its limit and names the failure, whatever an earlier pass has undone", () => {
  let status = goingBack;
  for (let ms = 0; ms <= 125_000; ms += 5000)
    ({ status } = decided(status, { undo: { undone: 3, waitingFor: [] }, failedWrite: refused }));
  assert.deepEqual([status.phase, status.pauseReason], ["Stuck", "undo"]);
  assert.match(status.message, /the undo waits for update of RolloutJournal .*: denied; resolve it/);
  const ended = decided(status, {
    undo: { undone: 2, waitingFor: [] },
    journal: { run: 0, setup: 0, completed: false },
  });
  assert.equal(ended.status.phase, "RolledBack");
});

test("an undo whose passes fail is tried from time to time, not in each round", () => {
  assert.deepEqual(decided(goingBack, { failedWrite: { ...refused, waits: true } }).actions, []);
  assert.deepEqual(
    decided(goingBack, { failedWrite: refused }).actions.map(({ type }) => type),
    ["undo"],
  );
});

test("a journal of an ended run that the server refuses to clear is named, and is tried from time to time", () => {
  const begins: RolloutStatus = { ...initialStatus, run: 2, candidate: "v1", message: "run 2" };
  const failedWrite = { ...refused, clearsJournal: true } as const;
  const waits = decided(begins, { failedWrite: { ...failedWrite, waits: true } });
  assert.deepEqual(waits.actions, []);
  assert.match(waits.status.message, /cannot clear the rollout's journal, .*: denied; correct what it names/);
  assert.deepEqual([waits.status.phase, waits.status.pauseReason], ["Stuck", "error"], "others wait for it");
  const cleared = decide(input({ status: waits.status }));
  assert.deepEqual([cleared.status.phase, reasons(cleared)], ["Progressing", ["Resumed", "Started", "StepStarted"]]);
  const again = decided(begins, { failedWrite });
  assert.deepEqual(
    again.actions.map(({ type }) => type),
    ["forget"],
  );
  const other = decided(begins, { failedWrite: { ...refused, waits: true } });
  assert.deepEqual(
    other.actions.map(({ type }) => type),
    ["forget"],
    "the failure of another write does not hold it up",
  );
  assert.doesNotMatch(other.status.message, /cannot clear/);
});

test("a rollout whose changes stay when it is deleted is Stuck while the server refuses to clear its journal", () => {
  const leaves = { ...orders, deletion: "Leave" as const };
  const journal = { run: 2, setup: 0, completed: false };
  const failedWrite = { ...refused, clearsJournal: true, waits: true } as const;
  const { status, actions } = decide(input({ status: begun, journal, orders: leaves, failedWrite }));
  assert.deepEqual([status.phase, status.pauseReason, actions], ["Stuck", "error", []]);
  assert.match(status.message, /cannot clear the rollout's journal, .*: denied; correct what it names/);
  const again = decide(input({ status, journal, orders: leaves }));
  assert.deepEqual(reasons(again), ["Deleted", "forget"]);
  const gone = decide(input({ status, orders: leaves }));
  assert.deepEqual(reasons(gone), ["Deleted", "release"]);
});

test("an undo that waits for many pods to restart is Stuck only when none has been replaced for its limit", () => {
  let status = goingBack;
  const waitFor = (podsLeft: number, ms: number): void => {
    for (let passed = 0; passed < ms; passed += 5000)
      ({ status } = decided(status, { undo: { undone: 0, podsLeft, waitingFor: [`${podsLeft} pods are missing`] } }));
  };
  for (let podsLeft = 9; podsLeft > 1; podsLeft -= 1) waitFor(podsLeft, 100_000);
  assert.equal(status.phase, "RollingBack");
  waitFor(3, 60_000);
  waitFor(2, 70_000);
  assert.deepEqual([status.phase, status.pauseReason], ["Stuck", "undo"], "a pod that comes and goes is no progress");
  assert.match(status.message, /^the undo waits for 2 pods are missing; resolve it/);
  const ended = decided(status, {
    undo: { undone: 1, waitingFor: [] },
    journal: { run: 0, setup: 0, completed: false },
  });
  assert.equal(ended.status.phase, "RolledBack");
  assert.equal(ended.status.undo?.podsLeft, undefined);
});
