import assert from "node:assert/strict";
import { test } from "node:test";
import { MetricsRegistry, renderPrometheus } from "../telemetry/index.ts";
import { CniMetrics } from "./cni-metrics.ts";

test("requests of the plugin are counted by their result, and a failure goes on to the runtime", async () => {
  const registry = new MetricsRegistry();
  const metrics = new CniMetrics(registry, () => 0);
  await metrics.pluginRequest(Promise.resolve());
  await metrics.pluginRequest(Promise.resolve());
  await assert.rejects(metrics.pluginRequest(Promise.reject(new Error("no ztunnel"))), /no ztunnel/);
  const text = renderPrometheus(registry);
  assert.match(text, /^istio_cni_plugin_requests_total\{response_code="200"\} 2$/m);
  assert.match(text, /^istio_cni_plugin_requests_total\{response_code="500"\} 1$/m);
});
