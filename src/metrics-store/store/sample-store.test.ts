import assert from "node:assert/strict";
import { test } from "node:test";
import { array, assert as assertProperty, constant, double, integer, nat, oneof, property, record } from "fast-check";
import { createMatcher, labelsOf, metricName, type Labels } from "../../promql/index.ts";
import { SampleStore } from "./sample-store.ts";
import type { SeriesOwner } from "./store-usage.ts";

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

const of = (namespace: string, target = "pod"): SeriesOwner => ({ namespace, target });

test("a full store drops series of the namespace with the most for those of another", () => {
  const store = new SampleStore({ maxSeries: 10 });
  for (let index = 0; index < 10; index += 1) store.append(series(`many_${index}`), 1, 1, of("greedy"));
  for (let index = 0; index < 8; index += 1) store.append(series(`few_${index}`), 2, 1, of("modest"));
  assert.equal(store.stats.series, 10);
  assert.equal(store.labelValues(metricName).filter((name) => name.startsWith("few_")).length, 5);
  assert.equal(store.append(series("more"), 3, 1, of("greedy")), false);
  assert.deepEqual(store.stats.refused, { "series-limit": 4 });
});

test("in one namespace, the target with the most series gives way to those with fewer", () => {
  const store = new SampleStore({ maxSeries: 10 });
  for (let index = 0; index < 10; index += 1) store.append(series(`many_${index}`), 1, 1, of("shop", "a"));
  for (let index = 0; index < 8; index += 1) store.append(series(`few_${index}`), 2, 1, of("shop", "b"));
  assert.equal(store.labelValues(metricName).filter((name) => name.startsWith("few_")).length, 5);
});

test("a target that exposes other series each time drops its own ended ones", () => {
  const store = new SampleStore({ maxSeries: 10 });
  for (let index = 0; index < 5; index += 1) store.append(series(`kept_${index}`), 1, 1, of("modest"));
  for (let scrape = 0; scrape < 20; scrape += 1) {
    for (let index = 0; index < 2; index += 1) store.append(series(`s${scrape}_${index}`), scrape, 1, of("changing"));
    for (let index = 0; index < 2; index += 1) store.end(series(`s${scrape}_${index}`), scrape);
  }
  const names = store.labelValues(metricName);
  assert.equal(names.filter((name) => name.startsWith("kept_")).length, 5);
  assert.ok(names.includes("s19_1"));
});

test("many tiny series take no room of fewer series with long labels", () => {
  const store = new SampleStore({ maxSeries: 100 });
  for (let index = 0; index < 40; index += 1)
    store.append(series(`long_${index}`, { path: "x".repeat(10_000) }), 1, 1, of("modest"));
  for (let index = 0; index < 200; index += 1) store.append(series(`t${index}`), 1, 1, of("greedy"));
  assert.equal(store.labelValues(metricName).filter((name) => name.startsWith("long_")).length, 40);
});

test("labels have a limit of their own", () => {
  const maxLabelBytes = 1 << 20;
  const store = new SampleStore({ maxLabelBytes });
  for (let index = 0; index < 300; index += 1)
    store.append(series("a", { path: `${index}${"x".repeat(10_000)}` }), 1, 1, of("greedy"));
  assert.ok(store.stats.labelBytes <= maxLabelBytes);
  assert.ok(store.append(series("b", { path: "y".repeat(10_000) }), 1, 1, of("modest")));
  assert.ok(store.stats.labelBytes <= maxLabelBytes);
  store.prune(Infinity);
  assert.deepEqual([store.stats.labelBytes, store.stats.sampleBytes, store.stats.series], [0, 0, 0]);
});

test("the limit of labels counts long names, values that series share, and values that outlive their first series", () => {
  const maxLabelBytes = 1 << 20;
  const [long, count] = ["x".repeat(10_000), 300];
  for (const labelsAt of [
    (index: number) => ({ [`n${index}${long}`]: "1" }),
    (index: number) => ({ i: `${index}`, path: long }),
  ]) {
    const store = new SampleStore({ maxLabelBytes });
    for (let index = 0; index < count; index += 1) store.append(series("a", labelsAt(index)), 1, 1, of("greedy"));
    assert.ok(store.stats.series < 55, `${store.stats.series} series`);
    assert.ok(store.stats.labelBytes <= maxLabelBytes);
  }
  const store = new SampleStore({ retentionMs: 10 });
  store.append(series("a", { path: long }), 1, 1);
  store.append(series("b", { path: long }), 100, 1);
  store.prune(100);
  const alone = new SampleStore();
  alone.append(series("b", { path: long }), 100, 1);
  assert.equal(store.stats.labelBytes, alone.stats.labelBytes);
});

test("the labels of 100,000 series of Istio's standard metrics fit", () => {
  const [count, labelCount] = [1_000, 36];
  const store = new SampleStore({ maxLabelBytes: ((384 << 20) * count) / 100_000 });
  const others = Object.fromEntries(Array.from({ length: labelCount }, (_, index) => [`l${index}`, "v".repeat(30)]));
  for (let index = 0; index < count; index += 1) store.append(series(`m${index}`, others), 1, 1, of("shop"));
  assert.equal(store.stats.series, count);
});

test("the namespace with the most samples loses its oldest ones, and the others keep theirs", () => {
  const store = new SampleStore({ maxSampleBytes: 100_000 });
  for (let step = 0; step < 1000; step += 1) {
    store.append(series("rare"), step * 15_000, Math.sin(step), of("modest"));
    for (let index = 0; index < 5; index += 1)
      store.append(series(`busy_${index}`), step * 15_000, Math.sin(step), of("greedy"));
  }
  const [slice] = store.select(named("rare"), -Infinity, Infinity);
  assert.equal(slice?.timesMs.length, 1000);
});

test("one sample of a far time does not cost other namespaces their history", () => {
  for (const farMs of [0, 4e12]) {
    const store = new SampleStore({ maxSampleBytes: 100_000 });
    const fromMs = 1.7e12;
    store.append(series("far"), farMs, 1, of("hostile"));
    for (let step = 0; step < 900; step += 1) store.append(series("near"), fromMs + step * 15_000, step, of("modest"));
    for (let step = 0; step < 9000; step += 1)
      store.append(series("flood"), fromMs + step * 15_000, Math.sin(step), of("hostile"));
    const [slice] = store.select(named("near"), -Infinity, Infinity);
    assert.equal(slice?.timesMs.length, 900, `with a sample at ${farMs}`);
  }
});

test("more live series than fit lose the largest namespace's, so that the limit of samples holds", () => {
  const maxSampleBytes = 100_000;
  const store = new SampleStore({ maxSampleBytes });
  for (let step = 0; step < 70; step += 1) {
    for (let index = 0; index < 200; index += 1)
      store.append(series(`live_${index}`), step * 1_000 + index, step, of("greedy"));
    store.append(series("rare"), step, step, of("modest"));
  }
  assert.ok(store.stats.sampleBytes <= maxSampleBytes, `${store.stats.sampleBytes} bytes`);
  assert.equal(store.select(named("rare"), -Infinity, Infinity)[0]?.timesMs.length, 70);
  assert.ok(store.stats.dropped > 0);
});

test("live series that fit stay when their older samples make room, whenever in a round their target is scraped", () => {
  const maxSampleBytes = 100_000;
  const store = new SampleStore({ maxSampleBytes });
  for (let step = 0; step < 150; step += 1)
    for (let index = 0; index < 60; index += 1) {
      store.append(series(`live_${index}`), step * 15_000 + index * 200, Math.sin(step), of("shop", `pod-${index}`));
      if (step > 0) assert.equal(store.stats.series, 60, `in step ${step}`);
    }
  assert.ok(store.stats.sampleBytes <= maxSampleBytes, `${store.stats.sampleBytes} bytes`);
  assert.equal(store.stats.dropped, 0);
});

test("ended series that make room for samples are counted as dropped", () => {
  const store = new SampleStore({ maxSampleBytes: 10_000 });
  store.append(series("gone"), 1, 1, of("shop"));
  store.end(series("gone"), 2);
  for (let step = 0; step < 1_000; step += 1) store.append(series("live"), step * 15_000, Math.sin(step), of("shop"));
  assert.deepEqual(store.labelValues(metricName), ["live"]);
  assert.equal(store.stats.dropped, 1);
});
