import assert from "node:assert/strict";
import { test } from "node:test";
import { MetricsRegistry } from "../metrics-registry.ts";
import { parsePrometheus } from "../parse-prometheus.ts";
import { renderSnapshot, snapshotOf } from "../render-prometheus.ts";
import { ThreadMetrics } from "./thread-metrics.ts";

test("threads are merged into one, and an ended thread leaves its counters but not its gauges", () => {
  const registries = [new MetricsRegistry(), new MetricsRegistry(), new MetricsRegistry()] as const;
  for (const [index, registry] of registries.entries()) {
    registry
      .counter("opened_total", "Opened.", ["by"])
      .labels("us")
      .add(10 ** index);
    registry
      .gauge("live", "Live.")
      .labels()
      .set(10 ** index);
  }
  const metrics = new ThreadMetrics();
  metrics.take(0, snapshotOf(registries[0]));
  metrics.take(1, snapshotOf(registries[1]));
  metrics.ended(0);
  metrics.ended(7);
  const text = renderSnapshot(metrics.merged(snapshotOf(registries[2])));
  assert.match(text, /^opened_total\{by="us"\} 111$/m);
  assert.match(text, /^live 110$/m);
});

/** The metrics of two threads, whose registries drop a series that has not changed for a second. */
class TwoThreads {
  nowMs = 0;
  readonly registries = [0, 1].map(
    () => new MetricsRegistry({ maxSeriesPerMetric: 2, staleAfterMs: 1000, clock: { steadyMs: () => this.nowMs } }),
  );
  readonly #metrics = new ThreadMetrics();

  hit(thread: number): void {
    this.registries[thread]?.counter("hits_total", "Hits.", ["path"]).rotate().labels("a").increment();
    this.registries[thread]?.histogram("time", "Time.", ["path"], [1]).rotate().labels("a").observe(2);
  }

  scrape(): readonly (number | undefined)[] {
    for (const [thread, registry] of this.registries.entries()) this.#metrics.take(thread, snapshotOf(registry));
    const { samples } = parsePrometheus(renderSnapshot(this.#metrics.merged([])));
    return ["hits_total", "time_count", "time_sum"].map((name) => samples.find((one) => one.name === name)?.value);
  }

  end(thread: number): void {
    this.#metrics.ended(thread);
    this.registries[thread] = new MetricsRegistry();
  }
}

test("a count does not go back when one thread drops a series that another still counts", () => {
  const threads = new TwoThreads();
  for (const thread of [0, 0, 0, 1]) threads.hit(thread);
  assert.deepEqual(threads.scrape(), [4, 4, 8]);
  threads.nowMs = 1500;
  threads.hit(1);
  assert.deepEqual(threads.scrape(), [5, 5, 10]);
  threads.hit(0);
  assert.deepEqual(threads.scrape(), [6, 6, 12]);
});

test("a series that all threads have dropped is gone, with what ended threads counted", () => {
  const threads = new TwoThreads();
  for (const thread of [0, 1]) threads.hit(thread);
  assert.deepEqual(threads.scrape(), [2, 2, 4]);
  threads.end(0);
  assert.deepEqual(threads.scrape(), [2, 2, 4]);
  threads.nowMs = 1500;
  assert.deepEqual(threads.scrape(), [undefined, undefined, undefined]);
});

test("the limit of label sets, and the number of them, are those of one thread", () => {
  const threads = [new MetricsRegistry(), new MetricsRegistry()];
  const metrics = new ThreadMetrics();
  for (const [thread, registry] of threads.entries()) {
    registry.counter("hits_total", "Hits.", ["path"]).labels("a").increment();
    metrics.take(thread, snapshotOf(registry));
  }
  const text = renderSnapshot(metrics.merged(snapshotOf(new MetricsRegistry())));
  assert.match(text, /^serin_metrics_series_limit\{scope="metric"\} 2000$/m);
  assert.match(text, /^serin_metrics_series 1$/m);
});
