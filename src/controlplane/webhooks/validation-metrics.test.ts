import assert from "node:assert/strict";
import { test } from "node:test";
import { MetricsRegistry, renderPrometheus } from "../../telemetry/index.ts";
import { createValidationMetrics } from "./validation-metrics.ts";

test("kinds that clients invent count as one, so that those of others are still counted", () => {
  const registry = new MetricsRegistry();
  const metrics = createValidationMetrics(registry);
  for (let index = 0; index < 3_000; index += 1) {
    const name = `invented-${index}`;
    for (const allowed of [true, false]) {
      metrics.judged({ request: { kind: { group: name, version: "v1", kind: "Gateway" } }, allowed });
      metrics.judged({ request: { kind: { group: "networking.istio.io", version: name, kind: "Gateway" } }, allowed });
    }
  }
  const kind = { group: "networking.istio.io", version: "v1", kind: "Gateway" };
  const { kind: _, ...resource } = { ...kind, resource: "gateways" };
  metrics.judged({ request: { kind, resource }, allowed: false });
  metrics.judged({ request: { kind, resource: { ...resource, resource: "invented" } }, allowed: false });
  metrics.judged({ request: {}, allowed: false });
  const lines = renderPrometheus(registry)
    .split("\n")
    .filter((line) => line.startsWith("galley_validation_failed"));
  assert.deepEqual(lines, [
    'galley_validation_failed{group="",version="",resource="unknown",reason="invalid_resource"} 6001',
    'galley_validation_failed{group="networking.istio.io",version="v1",resource="gateways",reason="invalid_resource"} 1',
    'galley_validation_failed{group="networking.istio.io",version="v1",resource="gateway",reason="invalid_resource"} 1',
  ]);
});
