import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock, transientError } from "../../../base/index.ts";
import { PodVolumeUpkeep } from "./pod-volume-upkeep.ts";

test("each check returns when a token is due, even if nothing has changed, and a later check renews it", async () => {
  let nowMs = 0;
  let prepared = 0;
  const volumes = {
    prepare: async () => void (prepared += 1),
    get renewAtMs(): number {
      return prepared * 1000;
    },
  };
  const upkeep = new PodVolumeUpkeep({
    volumes,
    clock: { ...systemClock, nowMs: () => nowMs },
    event: () => undefined,
  });
  const look = async () => await upkeep.look(() => ({}) as never);
  assert.deepEqual(await look(), { ready: true, againMs: 1000 });
  nowMs = 400;
  assert.deepEqual([await look(), prepared], [{ ready: true, againMs: 600 }, 1]);
  nowMs = 1000;
  assert.deepEqual([await look(), prepared], [{ ready: true, againMs: 1000 }, 2]);
});

test("a failing volume is retried while containers keep their files, and is reported once, from the second failure", async () => {
  let nowMs = 0;
  let fails = false;
  const messages: string[] = [];
  const volumes = {
    renewAtMs: undefined,
    prepare: async () => {
      if (fails) throw transientError("script-failed", 'configmap "web" not found');
    },
  };
  const upkeep = new PodVolumeUpkeep({
    volumes,
    clock: { ...systemClock, nowMs: () => nowMs },
    event: ({ message }) => void messages.push(message),
  });
  const look = async () => await upkeep.look(() => ({}) as never);
  await look();
  fails = true;
  upkeep.changed();
  for (let attempt = 0; attempt < 4; attempt += 1) {
    nowMs += 500;
    assert.deepEqual(await look(), { ready: true, againMs: 500 });
  }
  assert.deepEqual(messages, ['MountVolume.SetUp failed: configmap "web" not found']);
});
