import assert from "node:assert/strict";
import { test } from "node:test";
import { rolloutPhases, type RolloutStatus } from "../../api/serin/index.ts";
import { dated, noticed } from "./conditions.ts";
import { initialStatus } from "./decide.ts";

const nowMs = Date.parse("2026-01-01T00:00:00Z");

function trueOf(status: RolloutStatus): string {
  return dated(status, initialStatus, nowMs)
    .conditions.filter(({ type, status: value }) => /^(Ready|Reconciling|Stalled)$/.test(type) && value === "True")
    .map(({ type }) => type)
    .join();
}

test("in each phase exactly one of the conditions that Flux and Helm wait for is True", () => {
  const by = Object.groupBy(rolloutPhases, (phase) => trueOf({ ...initialStatus, phase }));
  assert.deepEqual(Object.keys(by).toSorted(), ["Ready", "Reconciling", "Stalled"]);
  assert.deepEqual(by["Ready"], ["Watching", "Completed"]);
  assert.deepEqual(by["Stalled"], ["RolledBack", "Stuck"]);
  assert.equal(trueOf({ ...initialStatus, phase: "Waiting", pauseReason: "group-failed" }), "Stalled");
});

test("the conditions of a stuck rollout have its message, which says who must do what", () => {
  const messages = ({ cause }: { readonly cause?: string }): readonly string[] =>
    dated(
      {
        ...initialStatus,
        phase: "Stuck",
        message: "shop/web is missing; create it",
        ...(cause === undefined ? {} : { cause }),
      },
      initialStatus,
      nowMs,
    )
      .conditions.filter(({ status }) => status === "True")
      .map(({ type, message }) => `${type}: ${message}`);
  const expected = ["Stalled: shop/web is missing; create it", "Stuck: shop/web is missing; create it"];
  assert.deepEqual(messages({}), expected);
  assert.deepEqual(messages({ cause: "weight 10: request-success-rate: 5 % errors" }), expected);
});

test("a rollout at rest gets the conditions that its earlier status lacks once, and is not written afterwards", () => {
  const older: RolloutStatus = { ...initialStatus, phase: "Completed", observedGeneration: 2 };
  const current = noticed(older, 2, nowMs);
  assert.equal(current?.conditions.find(({ type }) => type === "Ready")?.status, "True");
  assert.equal(noticed(current ?? older, 2, nowMs + 1000), undefined);
  assert.equal(noticed(current ?? older, 3, nowMs)?.observedGeneration, 3);
});
