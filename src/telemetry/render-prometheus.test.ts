import assert from "node:assert/strict";
import { test } from "node:test";
import { MetricsRegistry } from "./metrics-registry.ts";
import { parsePrometheus } from "./parse-prometheus.ts";
import { mergeSnapshots, renderPrometheus, renderSnapshot, snapshotOf } from "./render-prometheus.ts";

function registry(requests: number, seconds: readonly number[], members: number): MetricsRegistry {
  const made = new MetricsRegistry();
  made.counter("requests_total", "Requests.", ["code"]).labels("200").add(requests);
  const durations = made.histogram("seconds", "Durations.", [], [1, 2]).labels();
  for (const value of seconds) durations.observe(value);
  made.gauge("members", "Endpoints.").labels().set(members);
  made.gauge("open", "Connections.").labels().set(requests);
  return made;
}

test("several registries are merged: numbers and buckets are added, and shared values appear once", () => {
  const parts = [registry(3, [0.5, 3], 2), registry(4, [1.5], 2)];
  parts[1]?.counter("requests_total", "Requests.", ["code"]).labels("503").increment();
  const text = renderSnapshot(
    mergeSnapshots(
      parts.map((part) => snapshotOf(part)),
      new Set(["members"]),
    ),
  );
  for (const line of [
    'requests_total{code="200"} 7',
    'requests_total{code="503"} 1',
    'seconds_bucket{le="1"} 1',
    'seconds_bucket{le="2"} 2',
    'seconds_bucket{le="+Inf"} 3',
    "seconds_sum 5",
    "seconds_count 3",
    "members 2",
    "open 7",
  ])
    assert.ok(text.split("\n").includes(line), `${line} in\n${text}`);
});

test("a single registry renders the same alone and merged with an empty one", () => {
  const one = registry(3, [0.5, 3], 2);
  assert.equal(renderSnapshot(mergeSnapshots([snapshotOf(one), []], new Set())), renderPrometheus(one));
});

test("a scraper that names families gets only these, and all parts of its histograms", () => {
  const one = registry(3, [0.5, 3], 2);
  const names = new Set(["seconds", "open", "absent"]);
  const named = renderPrometheus(one, names);
  assert.deepEqual(
    named.split("\n").filter((line) => line.startsWith("# TYPE")),
    ["# TYPE open gauge", "# TYPE seconds histogram"],
  );
  assert.deepEqual(renderSnapshot(snapshotOf(one), names), named);
  // A server that does not know the parameter sends everything, and the reader skips the other families.
  assert.deepEqual(parsePrometheus(renderPrometheus(one), names).samples, parsePrometheus(named).samples);
});

test("a family whose own name ends like a histogram's part is found by that name", () => {
  const text = "jobs_count 3\njobs_sum 4\n";
  const namesOf = (...names: readonly string[]): string[] =>
    parsePrometheus(text, new Set(names)).samples.map(({ name }) => name);
  assert.deepEqual(namesOf("jobs_count"), ["jobs_count"]);
  assert.deepEqual(namesOf("jobs"), ["jobs_count", "jobs_sum"]);
  assert.deepEqual(namesOf("job"), []);
});
