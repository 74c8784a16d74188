import assert from "node:assert/strict";
import { test } from "node:test";
import { elsewhere, expectedCallsByRow, ofLabsAlone } from "./expected-calls.ts";
import { portsTable } from "./ports-table.ts";

test("each row of the table of ports has expected calls or a reason why it has none, and no other row is expected", () => {
  const calls = expectedCallsByRow({ gateway: "a", workload: "b" });
  const known = [...new Set([...elsewhere, ...ofLabsAlone, ...calls.keys()])].sort();
  assert.deepEqual(known, [...new Set(portsTable().map(({ name }) => name))].sort());
});
