import assert from "node:assert/strict";
import { test } from "node:test";
import { maxPoints, ProcessHistory } from "./process-history.ts";

const hourMs = 3_600_000;

test("a workload's pods are added up, and a restarted one counts from its second point", () => {
  const history = new ProcessHistory();
  for (const [atMs, a, b] of [
    [0, 10, 50],
    [60_000, 40, 1],
  ] as const) {
    history.add("shop/web", "a", atMs, { cpuSeconds: a, memoryBytes: 100 });
    history.add("shop/web", "b", atMs, { cpuSeconds: b, memoryBytes: 11 });
  }
  assert.equal(history.value("shop/web", "memoryBytes", 0, 60_000), 111);
  assert.equal(history.value("shop/web", "cpuSeconds", 0, 60_000), 0.5);
  assert.equal(history.value("shop/other", "cpuSeconds", 0, 60_000), null);
});

test("pods without data for two hours are forgotten when a new one appears", () => {
  const history = new ProcessHistory();
  const use = { cpuSeconds: 1, memoryBytes: 1 };
  for (let pod = 0; pod < 100; pod += 1) history.add("shop/web", `gone-${pod}`, 0, use);
  history.add("shop/web", "stays", hourMs, use);
  history.add("shop/web", "comes", 2.5 * hourMs, use);
  assert.equal(history.size, 2);
});

test("two hours of points are kept with their times, and newer ones replace the oldest", () => {
  const history = new ProcessHistory();
  const pointMs = 15_000;
  for (let point = 0; point < 1_000; point += 1)
    history.add("shop/web", "a", point * pointMs, { cpuSeconds: point * point, memoryBytes: point });
  const bytesAt = (point: number): number | null => history.value("shop/web", "memoryBytes", 0, point * pointMs);
  assert.deepEqual(
    [bytesAt(999), bytesAt(700), bytesAt(1_000 - maxPoints), bytesAt(999 - maxPoints)],
    [999, 700, 1_000 - maxPoints, null],
  );
  assert.equal(history.value("shop/web", "cpuSeconds", 699 * pointMs, 700 * pointMs), (700 ** 2 - 699 ** 2) / 15);
});
