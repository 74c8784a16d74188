import assert from "node:assert/strict";
import { test } from "node:test";
import { array, assert as assertProperty, constant, double, integer, nat, oneof, property, record } from "fast-check";
import { createMatcher, labelsOf, metricName, type Labels } from "../../promql/index.ts";
import { SampleStore } from "./sample-store.ts";

const series = (name: string, others: Readonly<Record<string, string>> = {}): Labels =>
  labelsOf([[metricName, name], ...Object.entries(others)]);
const named = (name: string) => [createMatcher(metricName, "=", name)];

test("appended samples are found again between any two times", () => {
  assertProperty(
    property(
      array(record({ gap: integer({ min: 1, max: 100_000 }), value: oneof(constant(7), double({ noNaN: true })) }), {
        maxLength: 600,
      }),
      nat(100_000),
      nat(100_000),
      (steps, from, to) => {
        const store = new SampleStore();
        const labels = series("x");
        let timeMs = 0;
        const all: [number, number][] = [];
        for (const { gap, value } of steps) {
          timeMs += gap;
          all.push([timeMs, value]);
          assert.ok(store.append(labels, timeMs, value));
        }
        const [fromMs, toMs] = [Math.min(from, to) * 100, Math.max(from, to) * 100];
        const [slice] = store.select(named("x"), fromMs, toMs);
        const found =
          slice === undefined
            ? []
            : Array.from(slice.timesMs, (time, index): [number, number] => [time, slice.values[index] ?? NaN]);
        assert.deepEqual(
          found,
          all.filter(([time]) => time > fromMs && time <= toMs),
        );
      },
    ),
    { numRuns: 60 },
  );
});

test("series are found by any of their labels, and names and values are listed", () => {
  const store = new SampleStore();
  store.append(series("a", { x: "1" }), 1, 1);
  store.append(series("a", { x: "2", y: "z" }), 1, 1);
  store.append(series("b", { x: "2" }), 1, 1);
  const found = (...matchers: readonly [string, "=" | "!=" | "=~" | "!~", string][]): number =>
    store.select(
      matchers.map(([name, operator, value]) => createMatcher(name, operator, value)),
      0,
      10,
    ).length;
  assert.equal(found(["x", "=", "2"]), 2);
  assert.equal(found(["x", "=", "2"], [metricName, "=", "a"]), 1);
  assert.equal(found(["y", "=", ""]), 2);
  assert.equal(found(["y", "!=", ""]), 1);
  assert.equal(found(["x", "=~", "1|2"]), 3);
  assert.equal(found(["x", "=", "3"]), 0);
  assert.deepEqual(store.labelNames(), [metricName, "x", "y"]);
  assert.deepEqual(store.labelValues("x"), ["1", "2"]);
  assert.deepEqual(store.series(named("a"), 5, 10), []);
});

test("samples that are not newer than the last are refused and counted", () => {
  const store = new SampleStore();
  store.append(series("a"), 5, 1);
  assert.equal(store.append(series("a"), 5, 2), false);
  assert.equal(store.append(series("a"), 4, 2), false);
  assert.deepEqual(store.stats.refused, { "out-of-order": 2 });
});

test("series above the bound are refused, and expired ones make room", () => {
  const store = new SampleStore({ maxSeries: 2, retentionMs: 1000 });
  assert.ok(store.append(series("a"), 0, 1));
  assert.ok(store.append(series("b"), 900, 1));
  assert.equal(store.append(series("c"), 900, 1), false);
  assert.equal(store.stats.refused["series-limit"], 1);
  store.prune(1500);
  assert.ok(store.append(series("c"), 1500, 1));
  assert.deepEqual(store.labelValues(metricName), ["b", "c"]);
});

test("above the bound of bytes the oldest samples are dropped, never the newest", () => {
  const maxSampleBytes = 60_000;
  const store = new SampleStore({ maxSampleBytes });
  for (let step = 0; step < 4000; step += 1) {
    for (const name of ["a", "b", "c"]) store.append(series(name), step * 15_000, Math.sin(step));
    assert.ok(store.stats.sampleBytes <= maxSampleBytes, `${store.stats.sampleBytes} bytes after ${step} steps`);
  }
  const [slice] = store.select(named("a"), -Infinity, Infinity);
  assert.equal(slice?.timesMs[slice.timesMs.length - 1], 3999 * 15_000);
  assert.ok((slice?.timesMs[0] ?? 0) > 0);
});

test("a constant series takes a fraction of the memory of a changing one", () => {
  const bytesOf = (valueAt: (step: number) => number): number => {
    const store = new SampleStore();
    for (let step = 0; step < 10_000; step += 1) store.append(series("a"), step * 15_000, valueAt(step));
    return store.stats.sampleBytes;
  };
  assert.ok(bytesOf(() => 5) < bytesOf((step) => step) * 0.6);
});
