import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger, systemClock } from "../base/index.ts";
import { MetricsRegistry, parsePrometheus, renderPrometheus } from "../telemetry/index.ts";
import { QueueMetrics } from "./queue-metrics.ts";
import { Reconciler } from "./reconciler.ts";

const settle = async (): Promise<void> => await new Promise((resolve) => setImmediate(resolve));

test("a reconciler reports queue and work times of keys under client-go's names, even of one re-added while in work", async () => {
  const registry = new MetricsRegistry();
  const queues = new QueueMetrics(registry);
  const metrics = (): Readonly<Record<string, number>> =>
    Object.fromEntries(
      parsePrometheus(renderPrometheus(registry)).samples.flatMap(({ name, labels, value }) => {
        const short = /^workqueue_(.*?)(?:_bucket)?$/.exec(name)?.[1];
        return labels["name"] === "example" && labels["le"] === undefined && short !== undefined
          ? [[short, value]]
          : [];
      }),
    );
  let nowMs = 0;
  const clock = { ...systemClock, steadyMs: () => nowMs, after: () => ({ [Symbol.dispose]: () => undefined }) };
  const gates: PromiseWithResolvers<void>[] = [];
  const options = { name: "example", queues, maxAttempts: 3, concurrency: 1, log: silentLogger, clock };
  const reconciler = new Reconciler({
    ...options,
    reconcile: async () => {
      const gate = Promise.withResolvers<void>();
      gates.push(gate);
      await gate.promise;
    },
  });
  const stop = new AbortController();
  for (const key of ["a", "b", "b"]) reconciler.add(key);
  nowMs = 2000;
  const running = reconciler.run(stop.signal);
  await settle();
  reconciler.add("a");
  reconciler.add("a");
  nowMs = 5000;

  assert.deepEqual(metrics(), {
    adds_total: 3,
    depth: 2,
    retries_total: 0,
    queue_duration_seconds_count: 1,
    queue_duration_seconds_sum: 2,
    work_duration_seconds_count: 0,
    work_duration_seconds_sum: 0,
    unfinished_work_seconds: 3,
    longest_running_processor_seconds: 3,
  });
  gates.shift()?.resolve();
  await settle();
  nowMs = 6000;
  const other = new Reconciler({ ...options, reconcile: async () => await Promise.reject(new Error("no")) });
  const otherRuns = other.run(stop.signal);
  other.add("c");
  await settle();
  assert.deepEqual(metrics(), {
    adds_total: 4,
    depth: 1,
    retries_total: 1,
    queue_duration_seconds_count: 3,
    queue_duration_seconds_sum: 7,
    work_duration_seconds_count: 2,
    work_duration_seconds_sum: 3,
    unfinished_work_seconds: 1,
    longest_running_processor_seconds: 1,
  });
  stop.abort();
  gates.shift()?.reject(new Error("ended"));
  await Promise.all([running, otherRuns]);
  const { depth, unfinished_work_seconds: unfinished, work_duration_seconds_count: done } = metrics();
  assert.deepEqual([depth, unfinished, done], [0, 0, 3], "who has ended holds no gauge up");
});
