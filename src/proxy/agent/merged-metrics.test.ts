import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { createLogger } from "../../base/index.ts";
import { metricsRoute } from "../../dataplane/index.ts";
import { MetricsRegistry, parsePrometheus, renderPrometheus } from "../../telemetry/index.ts";
import { agentFamiliesAsked, mergedMetricsRoute, parseAppMetrics } from "./merged-metrics.ts";

const registry = new MetricsRegistry();
registry.counter("ours_total", "Ours.").labels().increment();
registry.gauge("process_resident_memory_bytes", "Of the proxy.").labels().set(1);
const lines: string[] = [];

/** Scrapes an application once that sends this response. Returns the value of each metric without labels. */
async function scraped(handler: RequestListener, query = "", ofAgent = false): Promise<ReadonlyMap<string, number>> {
  const app = createServer(handler);
  await new Promise<void>((resolve) => app.listen(0, "127.0.0.1", resolve));
  const log = createLogger({ scope: "test", level: "info", write: (line) => lines.push(line) });
  const route = mergedMetricsRoute({
    own: metricsRoute((names) => renderPrometheus(registry, ofAgent ? agentFamiliesAsked(names) : names)),
    apps: [{ port: (app.address() as AddressInfo).port, path: "/metrics" }],
    address: "127.0.0.1",
    registry,
    log,
  });
  const { body } = await route({} as never, new URL(`http://localhost/stats/prometheus${query}`));
  app.closeAllConnections();
  app.close();
  // A scraper must be able to parse the whole response, whatever the application answers.
  return new Map(parsePrometheus(String(body)).samples.map(({ name, value }) => [name, value]));
}

test("the application's metrics follow ours, and process metrics are the application's", async () => {
  const found = await scraped((_request, response) =>
    response.end("# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes 7\napp_total 3\n# EOF"),
  );
  assert.deepEqual(
    [
      found.get("ours_total"),
      found.get("app_total"),
      found.get("process_resident_memory_bytes"),
      found.get("istio_agent_scrapes_total"),
    ],
    [1, 3, 7, 1],
  );
  assert.deepEqual(lines, []);
});

test("a scraper that names metric families gets only those, from the proxy and from the application", async () => {
  const found = await scraped(
    (_request, response) =>
      response.end("# TYPE app_seconds histogram\napp_seconds_bucket 3\napp_seconds_count 3\napp_total 3\n"),
    "?name[]=ours_total&name[]=app_seconds",
  );
  assert.deepEqual([...found.keys()], ["ours_total", "app_seconds_bucket", "app_seconds_count"]);
});

test("without the proxy's own metrics, those of the agent and of the application remain", async () => {
  const app: RequestListener = (_request, response) => response.end("app_total 3\n");
  const found = await scraped(app, "", true);
  assert.deepEqual(
    [found.has("ours_total"), found.has("istio_agent_scrapes_total"), found.get("app_total")],
    [false, true, 3],
  );
  assert.deepEqual([...(await scraped(app, "?name[]=app_total&name[]=ours_total", true)).keys()], ["app_total"]);
});

test("an application whose metrics are garbage, refused or cut off loses only its own metrics, and the failure is counted and logged once", async () => {
  const faults: readonly RequestListener[] = [
    (_request, response) => response.end("<html>\n<p>not here</p>\n"),
    (_request, response) => response.writeHead(500).end("broken"),
    (_request, response) => response.write("app_total 3\n", () => response.destroy()),
  ];
  for (const [index, fault] of faults.entries()) {
    const found = await scraped(fault);
    assert.deepEqual(
      [found.get("ours_total"), found.has("app_total"), found.get("istio_agent_scrape_failures_total")],
      [1, false, index + 1],
    );
  }
  assert.equal(lines.length, faults.length, "each of them is an application of its own here");
  assert.match(lines[0] ?? "", /the other metrics are served without them.*metrics line 1/);
});

test("an application's metrics are converted to our format, and only unreadable lines are left out", async () => {
  const cases: readonly (readonly [name: string, contentType: string, text: string, expected: string])[] = [
    [
      "a timestamp in milliseconds",
      "text/plain",
      'http_requests_total{method="post",code="200"} 1027 1395066363000\n',
      'http_requests_total{method="post",code="200"} 1027 1395066363000\n',
    ],
    [
      "escapes, odd spaces and a comma at the end",
      "text/plain",
      'a{path="C:\\\\DIR\\\\",error="no\\n\\"file\\"",}   1.458e9 \n',
      'a{path="C:\\\\DIR\\\\",error="no\\n\\"file\\"",} 1.458e9\n',
    ],
    ["infinities", "text/plain", 'a{x="}"} +Inf -3982045\nb NaN\n', 'a{x="}"} +Inf -3982045\nb NaN\n'],
    [
      "names in UTF-8",
      "text/plain; version=1.0.0",
      '# TYPE "my.metric" counter\n{"my.metric","region.name"="é",zone="a"} 3\n{"other.one"} 4\n',
      '# TYPE "my.metric" counter\n{"my.metric","region.name"="é",zone="a"} 3\n{"other.one"} 4\n',
    ],
    [
      "OpenMetrics: exemplars, seconds, types and units of its own",
      "application/openmetrics-text; version=1.0.0",
      '# TYPE foo histogram\n# UNIT foo seconds\nfoo_bucket{le="0.01"} 0\nfoo_bucket{le="1"} 8 1520879607.789 # {trace_id="KOO5S4vxi0o"} 0.67\nfoo_bucket{le="+Inf"} 17 # {} 9.8 1520879607.789\n# TYPE build info\nbuild_info{v="1"} 1\n# EOF\n',
      '# TYPE foo histogram\n# UNIT foo seconds\nfoo_bucket{le="0.01"} 0\nfoo_bucket{le="1"} 8 1520879607789\nfoo_bucket{le="+Inf"} 17\nbuild_info{v="1"} 1\n',
    ],
    [
      "a native histogram as comment and as a value of a later format",
      "text/plain",
      "# TYPE n histogram\n# a comment of nothing\nn_count 3\nn {count:3,sum:2,schema:3}\n",
      "# TYPE n histogram\n# a comment of nothing\nn_count 3\n",
    ],
    [
      "a line of a log between them",
      "text/plain",
      "app_total 3\nthis is {no metric\nlast 4\r\n",
      "app_total 3\nlast 4\n",
    ],
    ["nothing yet", "text/plain", "", ""],
  ];
  for (const [name, contentType, text, expected] of cases) {
    const app = createServer((_request, response) =>
      response.writeHead(200, { "content-type": contentType }).end(text),
    );
    await new Promise<void>((resolve) => app.listen(0, "127.0.0.1", resolve));
    const own = new MetricsRegistry();
    const route = mergedMetricsRoute({
      own: () => Promise.resolve({ status: 200, body: "ours 1\n" }),
      apps: [{ port: (app.address() as AddressInfo).port, path: "/" }],
      address: "127.0.0.1",
      registry: own,
      log: createLogger({ scope: "test", level: "info", write: () => undefined }),
    });
    const { body } = await route({} as never, new URL("http://localhost/"));
    app.closeAllConnections();
    app.close();
    assert.equal(String(body), `ours 1\n${expected}`, name);
  }
});

test("metrics of several addresses are served together, without one that fails", async () => {
  const first = createServer((_request, response) => response.end("first_total 1\n# EOF\n"));
  const second = createServer((request, response) => response.end(`second_total{path="${request.url ?? ""}"} 42`));
  for (const app of [first, second]) await new Promise<void>((resolve) => app.listen(0, "127.0.0.1", resolve));
  const portOf = (app: typeof first): string => String((app.address() as AddressInfo).port);
  const own = new MetricsRegistry();
  const route = mergedMetricsRoute({
    own: () => Promise.resolve({ status: 200, body: "ours 1\n" }),
    apps: parseAppMetrics(
      JSON.stringify({
        scrape: "",
        targets: [{ port: portOf(first) }, { port: portOf(second), path: "/m" }, { port: "1", path: "/" }],
      }),
    ),
    address: "127.0.0.1",
    registry: own,
    log: createLogger({ scope: "test", level: "info", write: () => undefined }),
  });
  const { body } = await route({} as never, new URL("http://localhost/"));
  for (const app of [first, second]) {
    app.closeAllConnections();
    app.close();
  }
  assert.equal(String(body), 'ours 1\nfirst_total 1\nsecond_total{path="/m"} 42\n');
  assert.match(renderPrometheus(own), /^istio_agent_scrape_failures_total\{type="application"\} 1$/m);
});

test("an application is scraped unless its pod says false", () => {
  assert.deepEqual(parseAppMetrics('{"scrape":"","port":"9102"}'), [{ port: 9102, path: "/metrics" }]);
  assert.deepEqual(parseAppMetrics('{"scrape":"false","port":"9102"}'), []);
  assert.throws(() => parseAppMetrics('{"targets":[{"port":"x"}]}'), /port must be from 1 to 65535, got "x"/);
});
