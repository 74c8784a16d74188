import assert from "node:assert/strict";
import { test } from "node:test";
import type { RolloutStatus } from "../../src/api/serin/index.ts";
import { PrintedSteps } from "./printed-steps.ts";

const steps = (...ids: string[]): RolloutStatus["completedSteps"] =>
  ids.map((id) => ({ id, title: id, startedAt: "", endedAt: "", evidence: [] }));
const idsOf = (completed: RolloutStatus["completedSteps"]): string[] => completed.map(({ id }) => id);

test("each step of a rollout is printed once, however often and in however many acts it is followed", () => {
  const printed = new PrintedSteps();
  assert.deepEqual(idsOf(printed.takeNew("a", steps("pin"))), ["pin"]);
  assert.deepEqual(idsOf(printed.takeNew("a", steps("pin"))), []);
  assert.deepEqual(idsOf(printed.takeNew("a", steps("pin", "install", "probe"))), ["install", "probe"]);
  // The demo then follows another rollout, and after that the first one again.
  assert.deepEqual(idsOf(printed.takeNew("b", steps("pin"))), ["pin"]);
  assert.deepEqual(idsOf(printed.takeNew("a", steps("pin", "install", "probe", "drain"))), ["drain"]);
});

test("an answer that is older than the last one reports nothing again", () => {
  const printed = new PrintedSteps();
  printed.takeNew("a", steps("pin", "install"));
  assert.deepEqual(idsOf(printed.takeNew("a", steps("pin"))), []);
  assert.deepEqual(idsOf(printed.takeNew("a", steps("pin", "install"))), []);
});
