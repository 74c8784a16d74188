import assert from "node:assert/strict";
import { test } from "node:test";
import { formatOrder, heldOrder, matches, orderKeys, parseOrder, rowsInSight } from "./row-order.ts";

test("rows are sorted by value; those without one come last in either direction, and equal ones by name", () => {
  const values: Record<string, number | undefined> = { a: 2, b: undefined, c: 10, d: 2 };
  const valueOf = (key: string): number | undefined => values[key];
  assert.deepEqual(orderKeys(["d", "c", "b", "a"], valueOf, false), ["a", "d", "c", "b"]);
  assert.deepEqual(orderKeys(["d", "c", "b", "a"], valueOf, true), ["c", "a", "d", "b"]);
});

test("names with numbers are sorted by the numbers", () => {
  assert.deepEqual(
    orderKeys(["pod-10", "pod-9"], (key) => key, false),
    ["pod-9", "pod-10"],
  );
});

test("a frozen order keeps its rows in place, and new ones come last", () => {
  assert.deepEqual(heldOrder(["c", "a", "b"], ["a", "b", "d"]), ["a", "b", "d"]);
  assert.deepEqual(heldOrder(["c", "a", "b"], ["x", "b", "a", "c"]), ["c", "a", "b", "x"]);
});

test("an order survives a round trip through its link", () => {
  for (const order of [
    { column: "rate", descending: true },
    { column: "name", descending: false },
  ])
    assert.deepEqual(parseOrder(formatOrder(order), { column: "x", descending: false }), order);
  assert.deepEqual(parseOrder("", { column: "x", descending: true }), { column: "x", descending: true });
});

test("a filter's words may be anywhere", () => {
  assert.ok(matches("shop/payment-v2 Deployment", "V2 shop"));
  assert.ok(!matches("shop/payment-v2", "v2 bank"));
  assert.ok(matches("anything", ""));
});

test("only visible rows of 5,000 are rendered, even if the table is above or below the window", () => {
  const table = { count: 5_000, rowHeight: 34, height: 680, spare: 5 };
  assert.deepEqual(rowsInSight({ ...table, top: 3_400 }), { from: 95, to: 125 });
  assert.deepEqual(rowsInSight({ ...table, top: -2_000 }), { from: 0, to: 0 });
  assert.deepEqual(rowsInSight({ ...table, top: 1e6 }), { from: 5_000, to: 5_000 });
});
