import assert from "node:assert/strict";
import { test } from "node:test";
import type { RolloutStatus } from "../../api/serin/index.ts";
import { initialStatus } from "../decide/index.ts";
import { putBack, roundsOf, underWay } from "./testing/one-canary.ts";

test("a rollout whose rounds all fail for a minute is Stuck, says why and what helps, and goes on by itself", async () => {
  for (const unread of ["journal", "target"] as const) {
    const canary = roundsOf({ unread });
    await canary.run(55);
    assert.deepEqual([canary.status().phase, canary.version()], ["Progressing", 1], unread);
    await canary.run(60);
    const { phase, pauseReason, message, observedGeneration } = canary.status();
    assert.deepEqual([phase, pauseReason, observedGeneration], ["Stuck", "error", 2], unread);
    assert.match(
      message,
      /conversion webhook failed; correct what it names, .* undo it: serin canary abort web -n shop$/,
    );
    assert.equal(canary.version(), 2, "it says the same only once");
    assert.deepEqual(canary.events(), ["Stuck"]);
    canary.recover();
    await canary.run(1);
    assert.equal(canary.status().phase, "Completed", unread);
  }
});

test("a rollout at rest keeps its phase while its rounds fail, and a paused one says that it is paused", async () => {
  const rolledBack = roundsOf({
    spec: { group: "g" },
    status: { ...underWay, phase: "RolledBack", cause: "a fault", message: "a fault" },
  });
  await rolledBack.run(70);
  const watching = roundsOf({ status: { ...initialStatus, phase: "Watching", message: "waits for a change" } });
  await watching.run(70);
  for (const [canary, phase] of [
    [rolledBack, "RolledBack"],
    [watching, "Watching"],
  ] as const) {
    assert.equal(canary.status().phase, phase);
    assert.match(
      canary.status().message,
      /cannot go on, .*; correct what it names, and the rollout continues by itself$/,
    );
    assert.deepEqual(canary.events(), []);
  }
  const paused = roundsOf({
    spec: { paused: true },
    status: { ...underWay, phase: "Paused", pauseReason: "order", message: "paused by me" },
  });
  await paused.run(70);
  assert.equal(paused.status().message, "paused by me");
});

test("a rollout that waits for a person keeps the cause and the command while its rounds fail", async () => {
  const cause = "weight 10: success-rate: 80 %";
  const message = `${cause}; approve it: serin canary promote web -n shop`;
  const stuck = roundsOf({ status: { ...underWay, phase: "Stuck", pauseReason: "check", cause, message } });
  await stuck.run(200);
  const { pauseReason, cause: kept, message: told } = stuck.status();
  assert.deepEqual([pauseReason, kept], ["check", cause]);
  assert.equal(
    told,
    `${message}; the engine cannot go on, and tries again: get of HTTPRoute shop/web: conversion webhook failed; correct what it names`,
  );
  assert.deepEqual(stuck.events(), []);
});

test("rounds that fail for one object and then for another are told once, and written once a minute", async () => {
  let reads = 0;
  const canary = roundsOf({ named: () => `route-${Math.floor((reads += 1) / 7) % 2}` });
  await canary.run(600);
  assert.deepEqual(canary.events(), ["Stuck"]);
  assert.ok(canary.version() <= 11, `${canary.version() - 1} writes in ten minutes`);
});

test("a server that does not answer with the rollout leaves its status alone", async () => {
  const canary = roundsOf({});
  canary.loseReads(70);
  await canary.run(71);
  assert.deepEqual([canary.status().phase, canary.version()], ["Progressing", 1]);
});

test("what the rounds of a deleted rollout have shown does not count for another one that gets its name", async () => {
  const canary = roundsOf({});
  await canary.run(50);
  canary.remake();
  await canary.run(50);
  assert.deepEqual([canary.status().phase, canary.version()], ["Progressing", 1]);
  await canary.run(20);
  assert.equal(canary.status().phase, "Stuck");
});

test("a completed rollout that a person or its group wants to undo is Stuck while its rounds fail, and is undone then", async () => {
  const completed: RolloutStatus = {
    ...underWay,
    phase: "Completed",
    endedAt: "2026-01-01T00:01:00Z",
    message: "done",
  };
  for (const spec of [{ abort: true }, { group: "g" }]) {
    const candidate = roundsOf({ spec }).candidate();
    assert.ok(candidate !== undefined);
    const status = { ...completed, candidate, groupRun: "r" };
    const { board, ...canary } = roundsOf({ unread: "journal", spec, status });
    board.table.set({ ...putBack, key: "Canary shop/cart" });
    await canary.run(62);
    assert.deepEqual([canary.status().phase, canary.status().pauseReason], ["Stuck", "error"]);
    assert.match(
      canary.status().message,
      /cannot go on, .*; correct what it names, and the rollout continues by itself$/,
    );
    canary.recover();
    await canary.run(1);
    assert.equal(canary.status().phase, "RollingBack");
  }
});
