import assert from "node:assert/strict";
import { test } from "node:test";
import { MetricsRegistry, parsePrometheus, renderPrometheus } from "../../telemetry/index.ts";
import { EngineMetrics } from "./engine-metrics.ts";

const undo = { startedAt: "", elapsedMs: 1, waitedMs: 0, waitingFor: [], next: "RolledBack" } as const;

test("rollbacks are counted by cause, those of an older engine as unknown, and other decisions are not counted", () => {
  const registry = new MetricsRegistry();
  const metrics = new EngineMetrics(registry);
  metrics.decision("Canary", "RollingBack", { ...undo, because: "order" });
  metrics.decision("Canary", "RolledBack", { ...undo, because: "check", check: "request-success-rate" });
  metrics.decision("Canary", "RolledBack", { ...undo, because: "order" });
  metrics.decision("Canary", "RolledBack", undo);
  const counted = parsePrometheus(renderPrometheus(registry)).samples.filter(
    ({ name }) => name === "serin_rollout_rolled_back_total",
  );
  assert.deepEqual(
    counted.map(({ labels: { kind, cause, check }, value }) => [kind, cause, check, value]),
    [
      ["Canary", "check", "request-success-rate", 1],
      ["Canary", "order", "", 1],
      ["Canary", "unknown", "", 1],
    ],
  );
});
