import assert from "node:assert/strict";
import { test } from "node:test";
import { parseCheck } from "./check.ts";

function placesOf(spec: object): readonly string[] {
  const { errors, warnings } = parseCheck({ metadata: { name: "c" }, spec });
  assert.deepEqual(errors, []);
  return warnings.map(({ path }) => path);
}

test("a check warns of limits that its type does not read", () => {
  const limits = { minSamples: 5, maxErrorRate: 0.1, shareTolerance: 5 };
  assert.deepEqual(placesOf({ type: "request-success-rate", ...limits }), ["spec.shareTolerance"]);
  assert.deepEqual(placesOf({ type: "request-duration", ...limits }), ["spec.maxErrorRate", "spec.shareTolerance"]);
  assert.deepEqual(placesOf({ type: "request-share", ...limits }), ["spec.maxErrorRate"]);
  assert.deepEqual(placesOf({ type: "mtls-probe-matrix", ...limits }), ["spec.shareTolerance"]);
  assert.deepEqual(placesOf({ type: "pod-health", ...limits }), [
    "spec.minSamples",
    "spec.maxErrorRate",
    "spec.shareTolerance",
  ]);
});

test("a webhook by GET warns of its body, and a query of the mesh's metrics of its time limit", () => {
  const webhook = { url: "http://gate.shop", body: { team: "shop" } };
  assert.deepEqual(placesOf({ type: "webhook", webhook }), []);
  assert.deepEqual(placesOf({ type: "webhook", webhook: { ...webhook, method: "GET" } }), ["spec.webhook.body"]);
  const query = { provider: "mesh", expression: "up" };
  assert.deepEqual(placesOf({ type: "query", min: 1, query }), []);
  assert.deepEqual(placesOf({ type: "query", min: 1, query: { ...query, timeoutSeconds: 5 } }), [
    "spec.query.timeoutSeconds",
  ]);
});
