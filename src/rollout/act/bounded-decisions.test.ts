import assert from "node:assert/strict";
import { test } from "node:test";
import { maxDecisions } from "../../api/serin/index.ts";
import { boundedDecisions } from "./bounded-decisions.ts";
import { records } from "./testing/decision-records.ts";

test("the oldest decisions of ended runs are removed first, and those of the present run last", () => {
  const kept = boundedDecisions([...records(10, 1), ...records(maxDecisions, 2)]);
  assert.equal(kept.length, maxDecisions);
  assert.ok(kept.every(({ run }) => run === 2));
  const some = boundedDecisions([...records(maxDecisions, 1), ...records(5, 2)]);
  assert.deepEqual([some.length, some.filter(({ run }) => run === 2).length, some[0]?.at], [maxDecisions, 5, "5"]);
});

test("decisions are limited in bytes, so that an API server can store the journal", () => {
  const kept = boundedDecisions(records(1000, 1, "x".repeat(1000)));
  assert.ok(JSON.stringify(kept).length < 600_000);
  assert.equal(kept.at(-1)?.at, "999");
});
