import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { systemClock } from "../../base/index.ts";
import { maxConcurrentQueries, PrometheusTraffic } from "./prometheus-traffic.ts";

test("a chart is one query a metric over its range for traffic and processes, with limited concurrency", async () => {
  const asked: { readonly path: string; readonly query: string }[] = [];
  let [running, most] = [0, 0];
  // Answers are held until as many queries are open as may run at the same time.
  const held: (() => void)[] = [];
  const lastOfAll = 1 + 5 + 5 + 1;
  const server = createServer((request, response) => {
    most = Math.max(most, (running += 1));
    let body = "";
    request.on("data", (part: Buffer) => (body += part.toString()));
    request.on("end", () => {
      const fields = new URLSearchParams(body);
      asked.push({ path: request.url ?? "", query: fields.get("query") ?? "" });
      const metric = {
        reporter: "source",
        source_workload: "a",
        destination_workload: "b",
        request_protocol: "http",
        response_code: "200",
        le: "5",
      };
      const start = Number(fields.get("start"));
      // The second point is missing, and the third is NaN.
      const values = [
        [start, "2"],
        [start + 2 * Number(fields.get("step")), "NaN"],
        [start + 3 * Number(fields.get("step")), "5"],
      ];
      held.push(() => {
        running -= 1;
        response.end(
          JSON.stringify({
            status: "success",
            data: {
              result: [
                request.url?.endsWith("query_range") === true ? { metric, values } : { metric, value: [0, "1"] },
              ],
            },
          }),
        );
      });
      if (held.length === maxConcurrentQueries || asked.length === 1 || asked.length >= lastOfAll)
        for (const answer of held.splice(0)) answer();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const traffic = new PrometheusTraffic({
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    clock: systemClock,
    onCounted: () => undefined,
  });
  try {
    const steps = {
      firstMs: 1_800_000_000_123,
      stepMs: 15_000.4,
      points: 4,
      windowMs: 15_000,
      of: "requests",
    } as const;
    const rates = await traffic.steps(steps, (counted) => counted.map(({ requestRate }) => requestRate));
    assert.deepEqual(rates, [[2], [], [], [5]]);
    assert.deepEqual(
      [asked.length, asked[0]?.path, asked[0]?.query.includes("istio_requests_total[60s]")],
      [1, "/api/v1/query_range", true],
    );
    await Promise.all([
      traffic.measure(60, 0),
      traffic.measure(60, 1_800_000_000_000),
      traffic.steps({ ...steps, of: "durations" }, () => undefined),
    ]);
    assert.equal(asked.length, lastOfAll);
    const processes = {
      ...steps,
      of: "cpuSeconds",
      subjects: [
        { workload: "shop/web", namespace: "shop", pods: ["web-1", "web.2", 'x"}'] },
        { workload: "bank/pay", namespace: "bank", pods: ["pay-1"] },
      ],
    } as const;
    assert.deepEqual(await traffic.processes(processes), [2, null, null, 5]);
    assert.equal(
      asked.at(-1)?.query,
      'sum(max by (namespace,pod) (rate(process_cpu_seconds_total{namespace="shop",pod=~"web-1|web[.]2"}[60s]) or rate(process_cpu_seconds_total{namespace="bank",pod=~"pay-1"}[60s])))',
    );
    assert.deepEqual(await traffic.processes({ ...processes, of: "memoryBytes", subjects: [] }), [
      null,
      null,
      null,
      null,
    ]);
    assert.equal(most, maxConcurrentQueries);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});
