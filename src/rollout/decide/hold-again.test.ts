import assert from "node:assert/strict";
import { test } from "node:test";
import type { RolloutStatus } from "../../api/serin/index.ts";
import { decide, initialStatus } from "./decide.ts";
import type { DecideInput, Decision } from "./input.ts";
import type { Step } from "./step.ts";
import { input, orders } from "./testing/two-steps.ts";

const object = { apiVersion: "apps/v1", kind: "Deployment", plural: "deployments", name: "web", namespace: "shop" };
const resumed = { type: "field", object, pointer: "/spec/paused", value: true } as const;
const step: Step = { id: "step-1", title: "weight 50", writes: [], settle: [], checks: [], holdMs: 60_000 };

function decided(status: RolloutStatus, more: Partial<DecideInput> = {}): Decision {
  return decide(
    input({
      status,
      steps: [step],
      change: { candidate: "v2", watched: true, resumed },
      observation: { writes: [], settle: [], checks: [] },
      journal: { run: 1, setup: 1, completed: false },
      ...more,
    }),
  );
}

const kinds = ({ actions }: Decision): string[] =>
  actions.map((action) => (action.type === "event" ? action.reason : action.type));
const running: RolloutStatus = {
  ...initialStatus,
  phase: "Soaking",
  run: 1,
  candidate: "v2",
  startedAt: "2026-01-01T00:00:00Z",
  step: { id: "step-1", title: "weight 50", startedAt: "2026-01-01T00:00:00Z", checks: [] },
};

test("a Deployment that somebody resumes is held again at once, in a run, in a pause and at rest", () => {
  const paused = { orders: { ...orders, paused: true } };
  for (const [status, more] of [
    [running, {}],
    [{ ...running, phase: "Paused", pauseReason: "order" }, paused],
    [{ ...initialStatus, phase: "Completed", run: 1, candidate: "v2" }, {}],
  ] as const) {
    const decision = decided(status, more);
    assert.deepEqual(kinds(decision).slice(-2), ["Held", "write"], status.phase);
    assert.equal(decision.status.phase, status.phase);
  }
});

test("an undo and a deletion leave a resumed Deployment alone", () => {
  assert.deepEqual(kinds(decided(running, { orders: { ...orders, abort: true } })), ["RollingBack", "undo"]);
  assert.deepEqual(kinds(decided(running, { orders: { ...orders, deletion: "Rollback" } })), ["RollingBack", "undo"]);
});

test("a Deployment that somebody resumes again and again is held again more and more rarely", () => {
  const decision = decided(running);
  assert.deepEqual(decision.repeats, {
    detail: "Deployment shop/web was resumed and is held again",
    holdsAgain: true,
  });
  const failedWrite = { ...decision.repeats, waits: true };
  assert.deepEqual(kinds(decided(running, { failedWrite })), []);
  assert.match(
    decided({ ...initialStatus, phase: "Watching", run: 0, candidate: "v2" }, { failedWrite }).status.message,
    /^Deployment shop\/web is resumed again and again, .* leave spec\.paused alone$/,
  );
});

test("a Deployment that the engine cannot hold is named in the status with the refusal, and in no further event", () => {
  const failedWrite = { detail: "denied by quota", waits: false };
  const journal = { run: 0, setup: 1, completed: false };
  for (const phase of ["Watching", "Completed", "RolledBack"] as const) {
    const decision = decided({ ...initialStatus, phase, run: 0, candidate: "v2" }, { failedWrite, journal });
    assert.match(decision.status.message, /Deployment shop\/web was resumed, and the engine cannot hold it: denied/);
    assert.deepEqual(kinds(decision), ["write"], phase);
  }
  const moving = decided(decided(running, { failedWrite }).status, { failedWrite });
  assert.equal(moving.status.message.split("cannot hold it").length, 2, moving.status.message);
});
