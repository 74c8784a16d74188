import assert from "node:assert/strict";
import { test } from "node:test";
import type { GraphEdge } from "../../../api/dashboard/index.ts";
import { edgeLabel, edgeLabels } from "./edge-label.ts";

const edge: GraphEdge = {
  from: "a",
  to: "b",
  protocol: "http",
  requestRate: 12.34,
  errorShare: 0.004,
  clientErrorShare: 0,
  responses: {},
  p50Ms: 3.21,
  p95Ms: 48.6,
  p99Ms: 1234,
  byteRate: 20_480,
  openedRate: 0,
  health: "healthy",
  service: "b",
  route: "",
};

test("an edge shows the chosen label", () => {
  assert.deepEqual(
    edgeLabels.map((label) =>
      edgeLabel({ ...edge, configuredWeight: 10, measuredShare: 0.0963, mutualTlsShare: 1 }, label),
    ),
    ["", "12.3/s", "0.40 %", "3.21 ms", "48.6 ms", "1.23 s", "10 % → 9.63 %", "20.5 kB/s", "mTLS"],
  );
});

test("unmeasured values are not shown", () => {
  const bare: GraphEdge = {
    from: "a",
    to: "b",
    protocol: "http",
    requestRate: 0,
    errorShare: 0,
    clientErrorShare: 0,
    responses: {},
    byteRate: 0,
    openedRate: 0,
    health: "idle",
    service: "",
    route: "",
  };
  assert.deepEqual(
    edgeLabels.map((label) => edgeLabel(bare, label)),
    edgeLabels.map(() => ""),
  );
  assert.equal(edgeLabel({ ...bare, configuredWeight: 0 }, "weight"), "0 %");
});

test("TCP shows its connection rate, or bytes while none opens, and ignores errors", () => {
  assert.equal(edgeLabel({ ...edge, protocol: "tcp", openedRate: 2.5 }, "rate"), "2.50 conn/s");
  assert.equal(edgeLabel({ ...edge, protocol: "tcp" }, "rate"), "20.5 kB/s");
  assert.equal(edgeLabel({ ...edge, protocol: "tcp" }, "errors"), "");
});
