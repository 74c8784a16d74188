import assert from "node:assert/strict";
import { test } from "node:test";
import { MetricsRegistry } from "../metrics-registry.ts";
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
