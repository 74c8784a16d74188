import assert from "node:assert/strict";
import { test } from "node:test";
import { droppedSeriesMetric, MetricsRegistry, overflowLabel } from "./metrics-registry.ts";
import { parsePrometheus } from "./parse-prometheus.ts";
import { renderPrometheus } from "./render-prometheus.ts";

test("rendered metrics parse back to the same samples, whatever the label values contain", () => {
  const registry = new MetricsRegistry();
  const nasty = 'a "quoted" \\ back\nslash, {brace}=';
  registry.counter("requests_total", "Requests.", ["path", "code"]).labels(nasty, "200").add(3);
  registry.gauge("temperature", "With\nnewline.").labels().set(-1.5);
  const histogram = registry.histogram("duration", "Durations.", ["kind"], [1, 5, 10]).labels("get");
  for (const value of [0.5, 1, 7, 100]) histogram.observe(value);
  const { samples, types } = parsePrometheus(renderPrometheus(registry));
  const find = (name: string, le?: string) =>
    samples.find((one) => one.name === name && one.labels["le"] === le)?.value;
  assert.deepEqual(samples.find((one) => one.name === "requests_total")?.labels, { path: nasty, code: "200" });
  assert.equal(find("temperature"), -1.5);
  assert.deepEqual(
    ["1", "5", "10", "+Inf"].map((le) => find("duration_bucket", le)),
    [2, 2, 3, 4],
  );
  assert.deepEqual([find("duration_sum"), find("duration_count")], [108.5, 4]);
  assert.equal(types.get("duration"), "histogram");
});

/** Returns the samples of a metric as a registry renders them: the values of the labels, and the number. */
function shown(registry: MetricsRegistry, name: string): (readonly [labels: string, value: number])[] {
  return parsePrometheus(renderPrometheus(registry))
    .samples.filter((one) => one.name === name)
    .map((one) => [Object.values(one.labels).join(), one.value] as const);
}

test("label sets above a metric's bound are merged into one, which is shown with the number of requested ones", () => {
  const registry = new MetricsRegistry({ maxSeriesPerMetric: 2 });
  const family = registry.counter("hits_total", "Hits.", ["path"]);
  for (const path of ["a", "b", "c", "d", "a"]) family.labels(path).increment();
  assert.deepEqual(shown(registry, "hits_total"), [
    ["a", 2],
    ["b", 1],
    [overflowLabel, 2],
  ]);
  assert.deepEqual(shown(registry, droppedSeriesMetric), [["hits_total", 2]]);
  assert.deepEqual(shown(registry, "serin_metrics_series_limit"), [
    ["metric", 2],
    ["process", 20_000],
  ]);
});

test("all metrics share a process's bound of label sets; gauges and metrics without labels are exempt", () => {
  const registry = new MetricsRegistry({ maxSeries: 3 });
  const hits = registry.counter("hits_total", "Hits.", ["path"]);
  const times = registry.histogram("time", "Time.", ["path"], [1]);
  for (const path of ["a", "b"]) {
    hits.labels(path).increment();
    times.labels(path).observe(1);
  }
  registry.gauge("here", "Here.", ["path"]).labels("a").set(1);
  registry.counter("all_total", "All.").labels().increment();
  assert.deepEqual(shown(registry, "time_count"), [
    ["a", 1],
    [overflowLabel, 1],
  ]);
  assert.deepEqual([shown(registry, "here"), shown(registry, "all_total")], [[["a", 1]], [["", 1]]]);
});

test("idle series make room once their metric is half full, and holders of handles are notified", () => {
  let nowMs = 0;
  const registry = new MetricsRegistry({ maxSeriesPerMetric: 4, staleAfterMs: 1000, clock: { steadyMs: () => nowMs } });
  const family = registry.counter("hits_total", "Hits.", ["path"]).rotate();
  const kept = registry.counter("kept_total", "Kept.", ["path"]);
  for (const path of ["a", "b", "c"]) {
    family.labels(path).increment();
    kept.labels(path).increment();
  }
  renderPrometheus(registry);
  const before = registry.generation;
  nowMs = 1500;
  family.labels("a").increment();
  assert.deepEqual(shown(registry, "hits_total"), [["a", 2]]);
  assert.equal(shown(registry, "kept_total").length, 3);
  assert.notEqual(registry.generation, before);
  assert.deepEqual(shown(registry, "serin_metrics_forgotten_series_total"), [["hits_total", 2]]);
});

test("a wrong number of label values is refused with the values", () => {
  const family = new MetricsRegistry().counter("hits_total", "Hits.", ["path", "code"]);
  assert.throws(() => family.labels("/"), /hits_total has the labels path, code; got 1 value\(s\)/);
});

test("an invalid line of a scrape is reported by number", () => {
  assert.throws(() => parsePrometheus("ok 1\nbroken{a=1} 2\n"), /metrics line 2: expected labels/);
  assert.throws(() => parsePrometheus("ok one"), /metrics line 1: expected a number/);
  assert.deepEqual(parsePrometheus('up{job="x",} 1 1700000000000').samples, [
    { name: "up", labels: { job: "x" }, value: 1, timestamp: 1_700_000_000_000 },
  ]);
});

test("a histogram counts a number in the first bucket whose bound it does not exceed", () => {
  const lists = [
    [1],
    [0.1, 0.2, 0.9, 1, 1.5, 2, 2.1, 2.2, 2.3, 4, 8, 1024, 4e9, 1e12],
    [5, 6, 7],
    Array.from({ length: 200 }, (_, at) => 1000 + at / 3),
  ];
  for (const [at, bounds] of lists.entries()) {
    const values = [
      ...bounds.flatMap((bound) => [bound - 1e-9, bound, bound + 1e-9, bound * 2]),
      -1,
      0,
      0.5,
      3,
      1023,
      2 ** 31 - 1,
      2 ** 31,
      2 ** 32,
      2 ** 32 + 1,
      1e300,
      Infinity,
    ];
    const histogram = new MetricsRegistry().histogram(`sizes_${at}`, "Sizes.", [], bounds).labels();
    for (const value of values) histogram.observe(value);
    assert.deepEqual(
      [...histogram.cumulative()],
      [...bounds, Infinity].map((bound) => values.filter((value) => value <= bound).length),
    );
  }
});

test("a metric with a limit of its own neither counts against the limit of all nor against that of each metric", () => {
  const registry = new MetricsRegistry({ maxSeries: 2, maxSeriesPerMetric: 2 });
  const apart = registry.counter("apart", "", ["a"], { ownMaxSeries: 3 });
  for (const value of ["1", "2", "3", "4"]) apart.labels(value).increment();
  assert.deepEqual(
    [...apart.series()].map(({ values }) => values[0]),
    ["1", "2", "3", overflowLabel],
  );
  const other = registry.counter("other", "", ["a"]);
  for (const value of ["1", "2", "3"]) other.labels(value).increment();
  assert.equal(other.size, 2);
  apart.remove("1");
  other.labels("4").increment();
  assert.equal(other.size, 2, "a removed label set of the other metric gives nothing back");
});

test("an owner that uses up a limit makes room for others, up to as many series as they have, and loses its oldest", () => {
  for (const limits of [{ maxSeriesPerMetric: 6 }, { maxSeries: 6 }]) {
    const registry = new MetricsRegistry(limits);
    const ownerOf = (): ((values: readonly string[]) => string) => (values) => values[0] ?? "";
    const family = registry.counter("hits_total", "Hits.", ["owner", "path"]).rotate(ownerOf);
    const hit = (owner: string, ...paths: string[]): void => {
      for (const path of paths) family.labels(owner, path).increment();
    };
    hit("greedy", "1", "2", "3", "4", "5", "6", "7");
    const before = registry.generation;
    hit("other", "a", "b", "c", "d");
    assert.equal(registry.generation, before + 3, "holders of handles must ask again");
    assert.deepEqual(
      shown(registry, "hits_total").map(([labels, value]) => `${labels} ${value}`),
      ["greedy,4 1", "greedy,5 1", "greedy,6 1", "other,a 1", "other,b 1", "other,c 1", "overflow,overflow 2"],
    );
    hit("third", "x", "y", "z");
    assert.deepEqual(
      shown(registry, "hits_total").flatMap(([labels]) => (labels.startsWith("third") ? [labels] : [])),
      ["third,x", "third,y"],
    );
  }
});

test("an owner that uses up the limit of all metrics makes room for others also in metrics that it does not use", () => {
  const registry = new MetricsRegistry({ maxSeries: 4 });
  const ownerOf = (): ((values: readonly string[]) => string) => (values) => values[0] ?? "";
  const [hits, bytes] = ["hits_total", "bytes_total"].map((name) =>
    registry.counter(name, "Counted.", ["owner", "path"]).rotate(ownerOf),
  );
  for (const path of ["1", "2", "3", "4"]) hits?.labels("greedy", path).increment();
  for (const path of ["a", "b", "c"]) bytes?.labels("other", path).increment();
  const labelsOf = (name: string): string[] => shown(registry, name).map(([labels]) => labels);
  assert.deepEqual(labelsOf("hits_total"), ["greedy,3", "greedy,4"]);
  assert.deepEqual(labelsOf("bytes_total"), ["other,a", "other,b", "overflow,overflow"]);
});

test("a request beyond a limit looks at as many owners where there are many as where there are few", (context) => {
  const original = Object.getOwnPropertyDescriptor(Set.prototype, "size");
  let looks = 0;
  context.mock.getter(Set.prototype, "size", function (this: ReadonlySet<unknown>): unknown {
    looks += 1;
    return original?.get?.call(this) as unknown;
  });
  for (const limitsOf of [
    (most: number) => ({ maxSeriesPerMetric: most }),
    (most: number) => ({ maxSeries: most, maxSeriesPerMetric: 2 * most }),
  ]) {
    const looksWith = (owners: number): number => {
      const registry = new MetricsRegistry(limitsOf(2 * owners));
      const family = registry.counter("hits_total", "Hits.", ["owner", "path"]).rotate(
        () =>
          ([owner = ""]) =>
            owner,
      );
      const hitAll = (path: string): void => {
        for (let owner = 0; owner < owners; owner += 1) family.labels(String(owner), path).increment();
      };
      for (const path of ["1", "2", "3"]) hitAll(path);
      const before = looks;
      for (let path = 4; path < 8; path += 1) family.labels("0", String(path)).increment();
      return looks - before;
    };
    assert.equal(looksWith(100), looksWith(10));
  }
});
