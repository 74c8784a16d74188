import assert from "node:assert/strict";
import { test } from "node:test";
import type { RolloutPhase, RolloutStatus, Verdict } from "../../api/serin/index.ts";
import { initialStatus, type Action, type RolloutEvent } from "../decide/index.ts";
import { RoundMemory } from "./round-memory.ts";

const key = "Canary shop/web";
const roundMs = 150;

function judging(samples: number, phase: RolloutPhase = "Judging", verdict: Verdict = "wait"): RolloutStatus {
  const evidence = `canary 0 of ${samples} failed`;
  return {
    ...initialStatus,
    phase,
    message: evidence,
    step: {
      id: "step-1",
      title: "weight 10",
      startedAt: "",
      settledForMs: samples,
      checks: [{ type: "request-success-rate", verdict, evidence }],
    },
  };
}

/** How often the status is stored in this number of rounds, if each round increases a counter. */
function writes(rounds: number, next: (round: number) => RolloutStatus): number {
  const memory = new RoundMemory();
  let stored: RolloutStatus | undefined;
  let count = 0;
  for (let round = 0; round < rounds; round += 1) {
    const status = next(round);
    memory.remember(key, status, round * roundMs);
    if (!memory.isDue(key, stored, { status, actions: [] })) continue;
    stored = status;
    memory.rememberStored(key);
    count += 1;
  }
  return count;
}

function event(reason: RolloutEvent["reason"]): RolloutEvent {
  return { type: "event", reason, message: "", warning: false };
}

test("a write that keeps failing is repeated twice at once, and then at growing intervals", () => {
  const memory = new RoundMemory();
  const writtenAtMs: number[] = [];
  for (let nowMs = 0; nowMs < 60_000; nowMs += 50) {
    memory.remember(key, initialStatus, nowMs);
    if (memory.failedWrite(key, nowMs)?.waits === true) continue;
    writtenAtMs.push(nowMs);
    memory.rememberFailedWrite(key, { detail: "the server refuses it" }, nowMs);
  }
  assert.deepEqual(writtenAtMs, [0, 50, 100, 1100, 3100, 7100, 15_100, 25_100, 35_100, 45_100, 55_100]);
  assert.equal(memory.failedWrite(key, 60_000)?.detail, "the server refuses it");
  memory.rememberDone(key, { status: initialStatus, actions: [event("Stuck")] }, 60_000);
  assert.equal(memory.failedWrite(key, 60_000)?.detail, "the server refuses it", "an event is no write");
  memory.rememberDone(key, { status: initialStatus, actions: [event("StepDone")] }, 60_000);
  assert.equal(memory.failedWrite(key, 60_000), undefined);
});

test("a write that somebody keeps undoing is repeated as rarely as one that fails, and names who does it", () => {
  const memory = new RoundMemory();
  const writtenAtMs: number[] = [];
  for (let nowMs = 0; nowMs < 20_000; nowMs += 50) {
    memory.remember(key, initialStatus, nowMs);
    if (memory.failedWrite(key, nowMs)?.waits === true) continue;
    writtenAtMs.push(nowMs);
    const repeats = { detail: "argocd puts back what was there before" };
    memory.rememberDone(key, { status: initialStatus, actions: [], repeats }, nowMs);
    // The written value stays for a short time, and the step pauses again.
    memory.rememberDone(key, { status: initialStatus, actions: [event("Paused")] }, nowMs);
  }
  assert.deepEqual(writtenAtMs, [0, 50, 100, 1100, 3100, 7100, 15_100]);
  assert.equal(memory.failedWrite(key, 20_000)?.detail, "argocd puts back what was there before");
});

test("in a minute of waiting the status is stored at the start and every ten seconds", () => {
  assert.equal(
    writes(400, (round) => judging(round)),
    6,
  );
});

test("a wait inside an undo is stored at once, and its changing figures from time to time", () => {
  const undoing = (round: number): RolloutStatus => ({
    ...initialStatus,
    phase: "RollingBack",
    undo: {
      startedAt: "",
      elapsedMs: round,
      waitedMs: round,
      waitingFor: round < 2 ? [] : [`Deployment web: ${round} of 400 ready`],
      next: "RolledBack",
    },
  });
  assert.equal(
    writes(4, (round) => undoing(round)),
    2,
  );
  assert.equal(
    writes(400, (round) => undoing(round)),
    7,
  );
});

test("while a person pauses the rollout nothing is stored, even if counters change", () => {
  assert.equal(
    writes(400, (round) => judging(round, "Paused")),
    1,
  );
});

test("while a person must act nothing is stored until the text changes", () => {
  const stuck = (round: number): RolloutStatus => ({ ...judging(round, "Stuck", "fail"), message: "abort it" });
  assert.equal(
    writes(400, (round) => stuck(round)),
    1,
  );
  assert.equal(
    writes(400, (round) => ({ ...stuck(round), message: round < 300 ? "abort it" : "put the field back" })),
    2,
  );
});

test("a new phase, a verdict and an event are stored at once", () => {
  assert.equal(
    writes(4, (round) => judging(round, round === 1 ? "Paused" : "Judging", round === 3 ? "pass" : "wait")),
    4,
  );
  const memory = new RoundMemory();
  memory.remember(key, judging(2), 0);
  const event: Action = { type: "event", reason: "Waiting", message: "", warning: false };
  assert.equal(memory.isDue(key, judging(1), { status: judging(2), actions: [] }), false);
  assert.equal(memory.isDue(key, judging(1), { status: judging(2), actions: [event] }), true);
});

test("progress since the last stored status is kept, unless somebody else stored another status", () => {
  const memory = new RoundMemory();
  memory.remember(key, judging(7), 0);
  assert.deepEqual(memory.withProgress(key, judging(3)), judging(7));
  assert.equal(memory.withProgress(key, judging(3, "Paused")).message, "canary 0 of 3 failed");
});

test("a text of a rollout at rest is stored at once, and only if it differs", () => {
  const texts = ["bad", "bad; it has this template again", "bad; it has this template again", "bad"];
  for (const phase of ["RolledBack", "Completed", "Watching"] as const)
    assert.equal(
      writes(texts.length, (round) => ({ ...initialStatus, phase, message: texts[round] ?? "" })),
      3,
      phase,
    );
});

test("a version that the engine has replaced is stale, until the server answers with it for half a minute", () => {
  const memory = new RoundMemory();
  memory.remember(key, judging(7), 0);
  memory.supersede(key, "1");
  memory.supersede(key, "2");
  assert.equal(memory.isSuperseded(key, "3", 0), false);
  assert.equal(memory.isSuperseded(key, "1", 0), true);
  assert.equal(memory.isSuperseded(key, "2", 20_000), true);
  // The server returned another version in between, so only a cache lags.
  assert.equal(memory.isSuperseded(key, "3", 40_000), false);
  assert.equal(memory.isSuperseded(key, "2", 45_000), true);
  assert.equal(memory.isSuperseded(key, "2", 74_999), true);
  assert.equal(memory.isSuperseded(key, "2", 75_000), false);
  // What this engine remembers is newer than the backup.
  assert.deepEqual(memory.withProgress(key, judging(3)), judging(3));
  assert.equal(memory.isSuperseded(key, "1", 75_000), false);
});

test("failing rounds are told after a minute, then each minute, and count anew after a good one", () => {
  const memory = new RoundMemory();
  const toldAtMs: number[] = [];
  for (let nowMs = 0; nowMs <= 190_000; nowMs += 1000) if (memory.rememberFailedRound(key, nowMs)) toldAtMs.push(nowMs);
  assert.deepEqual(toldAtMs, [60_000, 120_000, 180_000]);
  memory.forgetFailedRounds(key);
  assert.equal(memory.rememberFailedRound(key, 200_000), false);
});

test("a failed pass of an undo is forgotten when a later one ends, even if it only waits", () => {
  const memory = new RoundMemory();
  memory.remember(key, initialStatus, 0);
  for (let count = 0; count < 3; count += 1) memory.rememberFailedWrite(key, { detail: "denied" }, 0);
  memory.rememberUndo(key, undefined);
  assert.equal(memory.failedWrite(key, 0)?.detail, "denied");
  memory.rememberUndo(key, { undone: 0, waitingFor: ["a pod"] });
  assert.equal(memory.failedWrite(key, 0), undefined);
});

test("a failure that nothing has repeated for a minute is over, and the next one is a first one again", () => {
  const memory = new RoundMemory();
  memory.remember(key, initialStatus, 0);
  for (let count = 0; count < 3; count += 1) memory.rememberFailedWrite(key, { detail: "argocd restores it" }, 0);
  assert.deepEqual(memory.failedWrite(key, 500), { detail: "argocd restores it", waits: true });
  assert.deepEqual(memory.failedWrite(key, 61_000), { detail: "argocd restores it", waits: false });
  assert.equal(memory.failedWrite(key, 61_001), undefined);
  memory.rememberFailedWrite(key, { detail: "argocd restores it" }, 61_001);
  assert.equal(memory.failedWrite(key, 61_001), undefined);
});
