import assert from "node:assert/strict";
import { test } from "node:test";
import type { RolloutStatus } from "../../api/serin/index.ts";
import type { RolloutOrders } from "../decide/index.ts";
import { isAtRest, lateReadRoundMs, nextRoundMs, restAfterMs } from "./next-round.ts";
import type { Rollout } from "./rollout-object.ts";

test("an idle rollout is read again while the watch reports another version, so that no order is lost", () => {
  assert.notEqual(lateReadRoundMs("7", "8"), undefined);
  assert.equal(lateReadRoundMs("8", "8"), undefined);
  assert.equal(lateReadRoundMs("8", undefined), undefined);
});

test("a step that is judged is looked at less often than one that settles, because its measurements come more slowly", () => {
  const lookAfterMs = (phase: RolloutStatus["phase"]): number =>
    nextRoundMs(
      { kind: "Canary", metadata: { name: "web" }, spec: {} } as unknown as Rollout,
      {
        phase,
      } as unknown as RolloutStatus,
    ) ?? Infinity;
  assert.ok(lookAfterMs("Judging") >= 2 * lookAfterMs("Settling"));
  assert.ok(lookAfterMs("Judging") <= 500, "the interval of a probe's reports");
});

test("a completed rollout that is deleted is looked at until it is gone, also while a refused write of its journal waits", () => {
  const lookAfterMs = (deletionTimestamp?: string): number | undefined =>
    nextRoundMs(
      { kind: "Canary", metadata: { name: "web", deletionTimestamp }, spec: {} } as unknown as Rollout,
      { phase: "Completed" } as unknown as RolloutStatus,
    );
  assert.equal(lookAfterMs(), undefined);
  assert.notEqual(lookAfterMs("2026-01-01T00:00:00Z"), undefined);
});

test("a slow look delays the next one by as much, within a bound", () => {
  assert.equal(restAfterMs(150, 20), 150);
  assert.equal(restAfterMs(150, 900), 900);
  assert.equal(restAfterMs(150, 60_000), 2000);
  assert.equal(restAfterMs(undefined, 900), undefined);
});

test("a rollout that was rolled back rests, unless its message names a fault of a spec that is correct again", () => {
  const rollout = {
    kind: "Canary",
    metadata: { name: "web" },
    spec: { target: { httpRoute: {} } },
  } as unknown as Rollout;
  const rests = (message: string): boolean => {
    const status = {
      phase: "RolledBack",
      message,
      cause: "aborted by ann",
      candidate: "v1",
    } as unknown as RolloutStatus;
    return isAtRest(rollout, rollout, status, {} as RolloutOrders, "v1");
  };
  assert.equal(rests("aborted by ann"), true);
  assert.equal(rests("spec.steps: must rise; correct the spec"), false);
});
