// Debian's Prometheus and Serin's metrics store get the same history and the same queries, and scrape the same targets.
import assert from "node:assert/strict";
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTcpServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { silentLogger, systemClock } from "../../src/base/index.ts";
import { parseScrapeConfig, PrometheusApi, SampleStore, Scraper } from "../../src/metrics-store/index.ts";
import { labelsOf, metricName } from "../../src/promql/index.ts";
import { root } from "../support/lab-cluster.ts";
import { difference } from "./prometheus/answers.ts";
import { lineOf, meshHistory } from "./prometheus/history.ts";
import { edgeFigures, queryOfCheck, ScrapedMesh } from "./prometheus/scraped-mesh.ts";
import { queries } from "./prometheus/queries.ts";

const prometheus = "/usr/bin/prometheus";
const skip =
  existsSync(prometheus) && existsSync("/usr/bin/promtool") ? false : "Debian's package prometheus is not installed";
const timeoutMs = 240_000;
const directory = mkdtempSync(join(tmpdir(), "serin-prometheus-"));
const children: ChildProcess[] = [];
after(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(directory, { recursive: true, force: true });
});

type Answer = Parameters<typeof difference>[0];

async function freePort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Starts a program. Resolves to its address when it answers. */
async function started(program: string, args: readonly string[], port: number): Promise<string> {
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] });
  children.push(child);
  let errors = "";
  child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
  const url = `http://127.0.0.1:${port}`;
  for (let attempt = 0; attempt < 300; attempt += 1) {
    if (child.exitCode !== null) throw new Error(`${program} ended: ${errors.slice(-2000)}`);
    if ((await fetch(`${url}/-/ready`).catch(() => undefined))?.ok === true) return url;
    await systemClock.sleep(100);
  }
  throw new Error(`${program} does not answer: ${errors.slice(-2000)}`);
}

async function queryPrometheus(url: string, path: string, params: Readonly<Record<string, string>>): Promise<Answer> {
  return (await (await fetch(`${url}/api/v1/${path}?${new URLSearchParams(params).toString()}`)).json()) as Answer;
}

test(
  "for two hours of a mesh's metrics, our store answers the queries of Kiali, Flagger, Argo and Grafana like Prometheus",
  { skip, timeout: timeoutMs },
  async () => {
    const endMs = Math.floor(Date.now() / 60_000) * 60_000 - 600_000;
    // No sample is on a full minute, where the steps of a subquery are. The comment on `atSeconds` says why.
    const history = meshHistory(endMs + 4000, 120);
    const store = new SampleStore({ retentionMs: 2 * 3_600_000 + 3_600_000 });
    for (const { name, labels, timeMs, value } of history)
      assert.ok(store.append(labelsOf([[metricName, name], ...Object.entries(labels)]), timeMs, value));
    const file = join(directory, "history.om");
    writeFileSync(file, `${history.map((sample) => lineOf(sample, "s")).join("\n")}\n# EOF\n`);
    const data = join(directory, "history");
    const loaded = spawnSync("promtool", ["tsdb", "create-blocks-from", "openmetrics", file, data], {
      encoding: "utf8",
    });
    assert.equal(loaded.status, 0, loaded.stderr);
    const config = join(directory, "none.yml");
    writeFileSync(config, "scrape_configs: []\n");
    const port = await freePort();
    const url = await started(
      prometheus,
      [
        `--config.file=${config}`,
        `--storage.tsdb.path=${data}`,
        "--storage.tsdb.retention.time=10y",
        `--web.listen-address=127.0.0.1:${port}`,
      ],
      port,
    );
    const scraper = new Scraper(parseScrapeConfig("scrape_configs: []\n", "none.yml"), {
      store,
      fetch: () => Promise.reject(new Error("nothing is scraped")),
      clock: systemClock,
      log: silentLogger,
      namespace: "",
    });
    const api = new PrometheusApi({
      store,
      scraper,
      clock: systemClock,
      build: { version: "2.42.0", revision: "" },
      flags: {},
      configText: () => "",
      reload: undefined,
    });
    const own = async (path: string, params: Readonly<Record<string, string>>): Promise<Answer> =>
      JSON.parse(
        (
          await api.handle({
            method: "GET",
            path: `/api/v1/${path}`,
            params: new URLSearchParams(params),
            clientAddress: "",
            nextTurn: async () => await Promise.resolve(),
          })
        )?.body ?? "{}",
      ) as Answer;
    const differences: string[] = [];
    let compared = 0;
    let answered = 0;
    const compare = async (path: string, params: Readonly<Record<string, string>>, who: string): Promise<void> => {
      const [ours, theirs] = [await own(path, params), await queryPrometheus(url, path, params)];
      const found = difference(ours, theirs);
      compared += 1;
      if (Array.isArray(theirs.data?.result) && theirs.data.result.length > 0) answered += 1;
      if (found !== undefined)
        differences.push(`${who}: ${params["query"]} at ${params["time"] ?? `${params["start"]}…`}: ${found}`);
    };
    // These times lie between samples. If a range begins exactly at a sample, Prometheus 2 includes the sample, but
    // Prometheus 3 and this store do not.
    const atSeconds = [0, 7.3, 1003.7, 3605.1, 5404.9].map((back) => endMs / 1000 - back + 1.9);
    for (const [who, list] of Object.entries(queries)) {
      for (const query of list) {
        for (const time of atSeconds) await compare("query", { query, time: String(time) }, who);
        await compare(
          "query_range",
          { query, start: String(endMs / 1000 - 3598.1), end: String(endMs / 1000), step: "60" },
          who,
        );
      }
    }
    assert.deepEqual(differences.slice(0, 5), [], `${differences.length} of ${compared}`);
    assert.ok(answered > compared / 2, `${answered} of ${compared} have series`);
    const size = store.stats;
    assert.ok(size.sampleBytes < 32 << 20, `${size.series} series take ${size.sampleBytes} bytes`);
  },
);

/** A target that stamps its samples with the present second, so that both scrapers see the same values. */
const exporter = createServer((request, response) => {
  const timeMs = Math.floor(Date.now() / 1000) * 1000;
  const value = (timeMs / 1000) % 100_000;
  if (request.url === "/garbage") response.end(`good_total{of="garbage"} 1\nthis is {no metric\n`);
  else if (request.url === "/broken") response.write("good_total 1\n", () => response.destroy());
  else
    response.end(
      `# TYPE good_total counter\ngood_total{code="200"} ${value * 3} ${timeMs}\ngood_total{code="503"} ${Math.floor(value / 7)} ${timeMs}\n`,
    );
});

test(
  "both scrape targets with the same result, and a target that sends garbage or disconnects is down with a reason, without affecting the others",
  { skip, timeout: timeoutMs },
  async () => {
    await new Promise<void>((resolve) => exporter.listen(0, "127.0.0.1", resolve));
    after(() => {
      exporter.closeAllConnections();
      exporter.close();
    });
    const target = `127.0.0.1:${(exporter.address() as AddressInfo).port}`;
    const config = join(directory, "scrape.yml");
    const job = (name: string, path: string): string =>
      `- job_name: ${name}\n  metrics_path: ${path}\n  static_configs: [{targets: ["${target}"]}]\n`;
    writeFileSync(
      config,
      `global: {scrape_interval: 500ms, scrape_timeout: 400ms}\nscrape_configs:\n${job("good", "/metrics")}${job("garbage", "/garbage")}${job("broken", "/broken")}`,
    );
    const [realPort, ownPort] = [await freePort(), await freePort()];
    const [real, own] = await Promise.all([
      started(
        prometheus,
        [
          `--config.file=${config}`,
          `--storage.tsdb.path=${join(directory, "scraped")}`,
          `--web.listen-address=127.0.0.1:${realPort}`,
        ],
        realPort,
      ),
      started(
        process.execPath,
        [
          join(root, "src/cmd/main.ts"),
          "prometheus",
          `--config.file=${config}`,
          `--web.listen-address=127.0.0.1:${ownPort}`,
        ],
        ownPort,
      ),
    ]);
    const beganSeconds = Math.ceil(Date.now() / 1000) + 1;
    await systemClock.sleep(20_000);
    const healthOf = async (url: string): Promise<Record<string, string>> => {
      const { data } = (await (await fetch(`${url}/api/v1/targets`)).json()) as {
        data: { activeTargets: { labels: { job: string }; health: string; lastError: string }[] };
      };
      return Object.fromEntries(
        data.activeTargets.map(({ labels, health, lastError }) => [
          labels.job,
          `${health}${lastError === "" ? "" : " with a reason"}`,
        ]),
      );
    };
    const expected = { good: "up", garbage: "down with a reason", broken: "down with a reason" };
    assert.deepEqual([await healthOf(own), await healthOf(real)], [expected, expected]);
    const differences: string[] = [];
    for (const query of [
      "sum by (code) (rate(good_total[10s]))",
      "good_total",
      'sum(rate(good_total{code="503"}[10s])) / sum(rate(good_total[10s]))',
      "increase(good_total[8s])",
      "count(good_total)",
    ]) {
      for (let second = beganSeconds + 13; second < beganSeconds + 17; second += 1) {
        const params = { query, time: String(second + 0.4) };
        const found = difference(
          await queryPrometheus(own, "query", params),
          await queryPrometheus(real, "query", params),
        );
        if (found !== undefined) differences.push(`${query}: ${found}`);
      }
    }
    assert.deepEqual(differences, []);
  },
);

const windowSeconds = 60;
/**
 * How far rates may differ, as a share. A rate covers the time between scrapes, and is extrapolated to both ends of the
 * window.
 */
const mostApart = 0.05;

test(
  "a Prometheus that scraped the proxies gives the same results through its URL: the dashboard's edges, and the answer of a check's query",
  { skip, timeout: timeoutMs },
  async () => {
    await using mesh = await ScrapedMesh.start();
    const config = join(directory, "mesh.yml");
    // JSON is YAML.
    writeFileSync(
      config,
      JSON.stringify({
        global: { scrape_interval: "1s", scrape_timeout: "1s" },
        scrape_configs: [{ job_name: "kubernetes-pods", honor_labels: true, static_configs: mesh.targets }],
      }),
    );
    const port = await freePort();
    const url = await started(
      prometheus,
      [
        `--config.file=${config}`,
        `--storage.tsdb.path=${join(directory, "mesh")}`,
        `--web.listen-address=127.0.0.1:${port}`,
      ],
      port,
    );
    const [own, byUrl] = [mesh.reader(), mesh.reader(url)];
    // Wait until both have scraped for the whole window.
    await systemClock.sleep((windowSeconds + 15) * 1000);
    const [ours, theirs] = await Promise.all(
      [own, byUrl].map(async (reader) => edgeFigures(await reader.traffic(windowSeconds))),
    );
    assert.deepEqual(Object.keys(ours ?? {}), ["shop/client > shop/web http"]);
    assert.deepEqual(Object.keys(theirs ?? {}), Object.keys(ours ?? {}));
    const apart: string[] = [];
    for (const [edge, figures] of Object.entries(ours ?? {})) {
      for (const [name, value] of Object.entries(figures)) {
        const other = theirs?.[edge]?.[name] ?? 0;
        assert.ok(value > 0, `${edge}: ${name} is ${value}`);
        if (Math.abs(value - other) > mostApart * value)
          apart.push(`${edge}: ${name}: ${value} of proxies, ${other} of Prometheus`);
      }
    }
    assert.deepEqual(apart, []);
    // The counters keep rising, so the proxies' count lies between two answers of Prometheus, one before and one after
    // it.
    const expression = 'sum(istio_requests_total{reporter="source",destination_service_name="web"})';
    const earlier = await queryOfCheck(url, expression);
    const counted = await mesh.counted();
    await systemClock.sleep(3000);
    const later = await queryOfCheck(url, expression);
    assert.ok(
      earlier > 1000 && earlier <= counted && counted <= later,
      `${earlier} and then ${later} of Prometheus, ${counted} of proxies in between`,
    );
    const perSecond = await queryOfCheck(url, 'sum(rate(istio_requests_total{reporter="source"}[60s]))');
    const rate = Object.values(ours ?? {})[0]?.["requestRate"] ?? 0;
    assert.ok(
      Math.abs(perSecond - rate) <= mostApart * rate,
      `${perSecond} a second by the check, ${rate} on the graph`,
    );
  },
);
