import assert from "node:assert/strict";
import { test } from "node:test";
import { standingClock } from "./checks/testing/fake-mesh.ts";
import { RecentValues } from "./recent-values.ts";

test("a value is returned until it is too old, and counts anew when it is set again", () => {
  const clock = standingClock();
  const values = new RecentValues<number>(clock, { maxAgeMs: 300, maxValues: 8 });
  values.set("a", 1);
  clock.nowAtMs += 299;
  assert.equal(values.get("a"), 1);
  values.set("a", 2);
  clock.nowAtMs += 299;
  assert.equal(values.get("a"), 2);
  clock.nowAtMs += 1;
  assert.equal(values.get("a"), undefined);
});

test("a value that is too old takes no memory once another is set, whatever the bound", () => {
  const clock = standingClock();
  const values = new RecentValues<number>(clock, { maxAgeMs: 300, maxValues: 512 });
  for (let round = 0; round < 400; round += 1) {
    values.set(`pod ${round}`, round);
    values.set("always", round);
    clock.nowAtMs += 100;
  }
  assert.ok(values.size <= 4, `${values.size} values are kept`);
});

test("setting more values than the bound drops the oldest one, and setting a known key again drops none", () => {
  const values = new RecentValues<number>(standingClock(), { maxAgeMs: 300, maxValues: 3 });
  for (const key of ["a", "b", "c", "a"]) values.set(key, 0);
  assert.equal(values.size, 3);
  values.set("d", 0);
  assert.deepEqual(
    ["a", "b", "c", "d"].filter((key) => values.get(key) !== undefined),
    ["a", "c", "d"],
  );
});
