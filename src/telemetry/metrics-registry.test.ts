import assert from "node:assert/strict";
import { test } from "node:test";
import { droppedSeriesMetric, MetricsRegistry } from "./metrics-registry.ts";
import { parsePrometheus } from "./parse-prometheus.ts";
import { renderPrometheus } from "./render-prometheus.ts";

test("what is rendered parses back to the same samples, whatever the label values hold", () => {
  const registry = new MetricsRegistry();
  const nasty = 'a "quoted" \\ back\nslash, {brace}=';
  registry.counter("requests_total", "Requests.", ["path", "code"]).labels(nasty, "200").add(3);
  registry.gauge("temperature", "With\nnewline.").labels().set(-1.5);
  const histogram = registry.histogram("duration", "Durations.", ["kind"], [1, 5, 10]).labels("get");
  for (const value of [0.5, 1, 7, 100]) histogram.observe(value);
  const { samples, types } = parsePrometheus(renderPrometheus(registry));
  const find = (name: string, le?: string) => samples.find((one) => one.name === name && one.labels["le"] === le)?.value;
  assert.deepEqual(samples.find((one) => one.name === "requests_total")?.labels, { path: nasty, code: "200" });
  assert.equal(find("temperature"), -1.5);
  assert.deepEqual(
    ["1", "5", "10", "+Inf"].map((le) => find("duration_bucket", le)),
    [2, 2, 3, 4],
  );
  assert.deepEqual([find("duration_sum"), find("duration_count")], [108.5, 4]);
  assert.equal(types.get("duration"), "histogram");
});

test("label sets beyond the bound are not kept, and a visible metric counts them", () => {
  const registry = new MetricsRegistry({ maxSeriesPerMetric: 2 });
  const family = registry.counter("hits_total", "Hits.", ["path"]);
  for (const path of ["a", "b", "c", "d", "a"]) family.labels(path).increment();
  const { samples } = parsePrometheus(renderPrometheus(registry));
  assert.deepEqual(
    samples.map((one) => [one.name, ...Object.values(one.labels), one.value]),
    [
      ["hits_total", "a", 2],
      ["hits_total", "b", 1],
      [droppedSeriesMetric, "hits_total", 2],
    ],
  );
});

test("a bad line of a scrape is named by its number", () => {
  assert.throws(() => parsePrometheus("ok 1\nbroken{a=1} 2\n"), /metrics line 2: expected labels/);
  assert.throws(() => parsePrometheus("ok one"), /metrics line 1: expected a number/);
  assert.deepEqual(parsePrometheus('up{job="x",} 1 1700000000000').samples, [
    { name: "up", labels: { job: "x" }, value: 1, timestampMs: 1_700_000_000_000 },
  ]);
});
