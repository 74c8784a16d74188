import assert from "node:assert/strict";
import { test } from "node:test";
import { hasRoomBeside, lanesOf } from "./lanes.ts";

const gibibyte = 2 ** 30;

test("labs run in one lane more than the machine has cores, and unit files in as many", () => {
  const machine = { cores: 2, memoryBytes: 24 * gibibyte };
  assert.deepEqual([lanesOf("e2e", machine), lanesOf("netns", machine), lanesOf("unit", machine)], [3, 2, 2]);
  const large = { cores: 16, memoryBytes: 64 * gibibyte };
  assert.deepEqual([lanesOf("e2e", large), lanesOf("netns", large), lanesOf("unit", large)], [3, 2, 4]);
});

test("a machine with one core runs one lab at a time", () => {
  assert.equal(lanesOf("e2e", { cores: 1, memoryBytes: 24 * gibibyte }), 1);
});

test("memory limits the lanes of labs, and not those of unit files", () => {
  const lanesWith = (memoryBytes: number): number => lanesOf("e2e", { cores: 2, memoryBytes });
  assert.deepEqual(
    [4, 9, 10, 14, 15].map((size) => lanesWith(size * gibibyte)),
    [1, 1, 2, 2, 3],
  );
  assert.equal(lanesOf("unit", { cores: 2, memoryBytes: 4 * gibibyte }), 2);
});

test("another lab has room beside the lanes if the memory suffices for one lane more", () => {
  assert.deepEqual(
    [19, 20].map((size) => hasRoomBeside(3, { cores: 2, memoryBytes: size * gibibyte })),
    [false, true],
  );
});
