import assert from "node:assert/strict";
import { test } from "node:test";
import type { RolloutRow } from "../../../api/dashboard/index.ts";
import {
  announcesMessage,
  changeSince,
  hasEnded,
  progressShare,
  rolloutName,
  rolloutRank,
  stateOf,
  weightWords,
} from "./rollout-order.ts";

const row = (phase: RolloutRow["phase"], waitsForPerson = false): RolloutRow => ({
  kind: "Canary",
  namespace: "shop",
  name: "a",
  phase,
  progress: "",
  message: "",
  cause: "",
  target: "",
  step: "",
  waitsForPerson,
});

test("rollouts that wait for a person come first, and ended ones last", () => {
  const rows = [row("Completed"), row("Judging"), row("RollingBack"), row("Stuck"), row("Paused", true)];
  assert.deepEqual(
    rows.sort((a, b) => rolloutRank(a) - rolloutRank(b)).map(({ phase }) => phase),
    ["Paused", "Stuck", "RollingBack", "Judging", "Completed"],
  );
});

test("a watching rollout counts as ended, and a stuck one does not", () => {
  assert.deepEqual(
    (["Watching", "RolledBack", "Stuck", "Waiting", ""] as const).map((phase) => hasEnded(row(phase))),
    [true, true, false, false, false],
  );
});

test("a screen reader reads a new message of a rollout that waits or has ended, and no figures of one that moves", () => {
  const rows = [
    row("Paused", true),
    row("Stuck"),
    row("Completed"),
    row("RolledBack"),
    row("Judging"),
    row("Settling"),
  ];
  assert.deepEqual(rows.map(announcesMessage), [true, true, true, true, false, false]);
});

test("the words for a step's weight say when the canary has it", () => {
  assert.deepEqual(
    [weightWords("done", 5), weightWords("current", 20), weightWords("to come", 50)],
    [
      "The canary had 5 % of the traffic",
      "The canary has 20 % of the traffic",
      "The canary will have 50 % of the traffic",
    ],
  );
});

test("progress is a share, or undefined", () => {
  assert.deepEqual(["3/6", "7/6", "0/0", "", "x"].map(progressShare), [0.5, 1, undefined, undefined, undefined]);
});

test("a MeshUpgrade is named without a namespace", () => {
  assert.deepEqual(
    [rolloutName({ namespace: "shop", name: "a" }), rolloutName({ namespace: "", name: "up" })],
    ["shop/a", "up"],
  );
});

test("an order is not given after another step or run has begun, nor a full promotion after a pause or its end", () => {
  const currentStep = { id: "step-2", title: "20 %", startedAt: "", checks: [] };
  const seen = stateOf({ row: row("Paused"), currentStep, run: 1, paused: false, uid: "a" });
  assert.equal(changeSince(seen, seen, "promote"), undefined);
  assert.equal(changeSince({ ...seen, run: 0 }, seen, "promote"), undefined, "the first run has got its number");
  assert.equal(changeSince(seen, { ...seen, run: 2 }, "approve"), "Another run has begun");
  assert.equal(changeSince(seen, { ...seen, step: "step-3" }, "approve"), "The rollout has continued from “20 %”");
  const paused = { ...seen, paused: true };
  assert.equal(changeSince(seen, paused, "promote"), "Somebody else has paused the rollout");
  assert.equal(changeSince(paused, seen, "promote"), "Somebody else has resumed the rollout");
  assert.equal(changeSince(seen, paused, "rollback"), undefined);
  const stuck = { ...seen, stuck: true };
  assert.equal(changeSince(seen, stuck, "approve"), "The rollout has become Stuck");
  assert.equal(changeSince(stuck, seen, "approve"), undefined);
  assert.equal(changeSince(seen, stuck, "rollback"), undefined);
  assert.match(changeSince(seen, { ...seen, uid: "b" }, "pause") ?? "", /another one of its name was created/);
});
