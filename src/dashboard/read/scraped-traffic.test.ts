import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger, systemClock } from "../../base/index.ts";
import { pod } from "../views/testing/small-mesh.ts";
import type { AskPod } from "./pod-http.ts";
import { ScrapedTraffic } from "./scraped-traffic.ts";

const proxied = {
  containers: ["app", "istio-proxy"],
  annotations: { "prometheus.io/scrape": "true", "prometheus.io/port": "15020" },
};
const oneLine =
  'istio_requests_total{reporter="destination",source_workload="a",destination_workload="b",destination_workload_namespace="shop",request_protocol="http",response_code="200"} 5\n';

test("a chart is computed point by point without carried state, yields between points, and stops when its reader leaves", async () => {
  const ended = new AbortController();
  const ask: AskPod = async (_address, _path, _signal, read) => {
    read?.(Buffer.from(oneLine));
    return await Promise.resolve({ status: 200, text: "" });
  };
  let counts: () => void = () => undefined;
  const rounds = new Promise<void>((resolve) => (counts = resolve));
  const traffic = new ScrapedTraffic({
    ask,
    clock: systemClock,
    log: silentLogger,
    pods: () => [pod("shop", "b", proxied)],
    reporters: () => ({ injectors: [], namespaces: [], services: [] }),
    onCounted: () => traffic.version > 1 && counts(),
  });
  const running = traffic.run(ended.signal);
  try {
    await rounds;
    const nowMs = Date.now();
    const steps = { firstMs: nowMs, stepMs: 1, points: 5, windowMs: 60_000, of: "requests" } as const;
    const turns: string[] = [];
    setImmediate(() => turns.push("another"));
    assert.deepEqual(await traffic.steps(steps, () => turns.push("point")), [1, 3, 4, 5, 6]);
    const left = new AbortController();
    await assert.rejects(
      traffic.steps(steps, () => left.abort(new Error("the reader left")), left.signal),
      /the reader left/,
    );
  } finally {
    ended.abort();
    await running;
  }
});
