import assert from "node:assert/strict";
import { test } from "node:test";
import type { RolloutStatus } from "../../api/serin/index.ts";
import { decide } from "./decide.ts";
import type { Observation } from "./observation.ts";
import { orderedSteps } from "./planned-steps.ts";
import type { Step } from "./step.ts";
import { begun, first, input, last, orders, plain, reasons } from "./testing/two-steps.ts";

test("a run whose next steps somebody removes ends with the last weight of the steps that are left", () => {
  const at = (index: number, weight: number): Step => ({ ...plain, id: `step-${index}`, title: `${weight}`, weight });
  const paused = { ...at(3, 50), pause: { approved: false } };
  const planned = [at(1, 10), at(2, 30), paused, at(4, 100)];
  const done: Observation = { writes: [], settle: [], checks: [] };
  let { status } = decide(input({ steps: planned }));
  const rounds = (steps: readonly Step[], count: number): void => {
    for (let round = 0; round < count; round += 1)
      ({ status } = decide(input({ status, steps, ...(status.step === undefined ? {} : { observation: done }) })));
  };
  rounds(planned, 5);
  assert.deepEqual([status.phase, status.weight, status.completedSteps.length], ["Paused", 50, 2]);
  for (const [weight, before] of [
    [100, status],
    [30, status],
    [50, status],
  ] as const) {
    const left = [at(1, 10), at(2, weight)];
    status = before;
    rounds(left, 1);
    assert.deepEqual([status.phase, status.step?.title], ["Progressing", `${weight}`]);
    rounds(left, 2);
    assert.deepEqual([status.phase, status.weight, status.progress], ["Completed", weight, "2/2"]);
  }
});

test("a full promotion is recorded once, also in the last step and between two steps", () => {
  const fullPromotion = { by: "ann", why: "" };
  const pausing: Step = { ...last, pause: { approved: false } };
  const done: Observation = { writes: [], settle: [], checks: [] };
  const rounds = (from: RolloutStatus, steps: readonly Step[]): readonly string[] => {
    let status = from;
    return Array.from({ length: 4 }, () => {
      const ordered = { ...orders, fullPromotion };
      const decision = decide(
        input({ status, steps: orderedSteps(steps, ordered, status), orders: ordered, observation: done }),
      );
      ({ status } = decision);
      return reasons(decision);
    }).flat();
  };
  const atLast = decide(input({ steps: [pausing] })).status;
  const waits = decide(input({ status: atLast, steps: [pausing], observation: done })).status;
  assert.deepEqual(
    [waits.phase, rounds(waits, [pausing])],
    ["Paused", ["Approved", "StepDone", "Completed", "release"]],
  );
  const { step: _step, ...between } = begun;
  assert.deepEqual(
    rounds({ ...between, phase: "Waiting" }, [first, pausing]).filter((reason) => reason === "Approved"),
    ["Approved"],
  );
});
