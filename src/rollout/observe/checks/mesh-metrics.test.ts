import assert from "node:assert/strict";
import { test } from "node:test";
import { createMatcher, metricName } from "../../../promql/index.ts";
import { MeshMetrics } from "./mesh-metrics.ts";
import { fakeScrape, fakeView, gatewayPod, standingClock } from "./testing/fake-mesh.ts";

test("a pod cannot write the series of another one", async () => {
  const metrics = new MeshMetrics(
    fakeView([gatewayPod("hostile"), gatewayPod("victim")]),
    fakeScrape({
      hostile: 'istio_requests_total{pod="victim",namespace="shop",instance="shop/victim",job="serin-rollout"} 666\n',
      victim: "istio_requests_total 7\n",
    }),
    standingClock(),
  );
  assert.equal(await metrics.refresh(), "");
  const found = metrics.store.select([createMatcher(metricName, "=", "istio_requests_total")], 0, Infinity);
  assert.deepEqual(Object.fromEntries(found.map(({ labels, values }) => [labels.get("instance"), values[0]])), {
    "shop/hostile": 666,
    "shop/victim": 7,
  });
});
