import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { createLogger } from "../../base/index.ts";
import { metricsRoute } from "../../dataplane/index.ts";
import { MetricsRegistry, parsePrometheus } from "../../telemetry/index.ts";
import { mergedMetricsRoute } from "./merged-metrics.ts";

const registry = new MetricsRegistry();
registry.counter("ours_total", "Ours.").labels().increment();
registry.gauge("process_resident_memory_bytes", "Of the proxy.").labels().set(1);
const said: string[] = [];

/** The value of each metric without labels, after one scrape of an application that answers so. */
async function scraped(handler: RequestListener): Promise<ReadonlyMap<string, number>> {
  const app = createServer(handler);
  await new Promise<void>((resolve) => app.listen(0, "127.0.0.1", resolve));
  const log = createLogger({ scope: "test", level: "info", write: (line) => said.push(line) });
  const route = mergedMetricsRoute({ own: metricsRoute(registry), app: { port: (app.address() as AddressInfo).port, path: "/metrics" }, address: "127.0.0.1", registry, log });
  const { body } = await route({} as never, new URL("http://localhost/stats/prometheus"));
  app.closeAllConnections();
  app.close();
  // Whatever the application says, a scraper can read all of it.
  return new Map(parsePrometheus(String(body)).samples.map(({ name, value }) => [name, value]));
}

test("the application's metrics follow ours, and its own process is the one that is told of", async () => {
  const found = await scraped((_request, response) => response.end("# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes 7\napp_total 3\n# EOF"));
  assert.deepEqual([found.get("ours_total"), found.get("app_total"), found.get("process_resident_memory_bytes"), found.get("istio_agent_scrapes_total")], [1, 3, 7, 1]);
  assert.deepEqual(said, []);
});

test("an application that sends garbage, refuses or breaks off costs its own metrics alone: that is counted, and logged once", async () => {
  const faults: readonly RequestListener[] = [
    (_request, response) => response.end("app_total 3\nthis is {no metric\n"),
    (_request, response) => response.writeHead(500).end("broken"),
    (_request, response) => response.write("app_total 3\n", () => response.destroy()),
  ];
  for (const [index, fault] of faults.entries()) {
    const found = await scraped(fault);
    assert.deepEqual([found.get("ours_total"), found.has("app_total"), found.get("istio_agent_scrape_failures_total")], [1, false, index + 1]);
  }
  assert.equal(said.length, faults.length, "each of them is an application of its own here");
  assert.match(said[0] ?? "", /this proxy's own are served alone.*metrics line 2/);
});
