import assert from "node:assert/strict";
import { Agent, createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import type { JsonValue } from "@bufbuild/protobuf";
import { programFile } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { FakeCertificateAuthority } from "../../dataplane/index.ts";
import { freePort } from "../../net/testing/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { edsCluster, httpListener, plainEndpoints, weightedRoute } from "../testing/ads-server.ts";
import { fetchOnce, type Answer } from "../testing/harness.ts";
import { router } from "../testing/mesh-config.ts";
import { everyStatistic, TestProxy } from "../testing/test-proxy.ts";
import { WorkerSet } from "./index.ts";

class Backends implements Disposable {
  readonly #servers: Server[] = [];

  async add(listener: RequestListener): Promise<number> {
    const server = createServer(listener);
    this.#servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return (server.address() as AddressInfo).port;
  }

  [Symbol.dispose](): void {
    for (const server of this.#servers) {
      server.closeAllConnections();
      server.close();
    }
  }
}

const type = "type.googleapis.com/envoy";

function localRateLimit(maxTokens: number): JsonValue {
  const all = { defaultValue: { numerator: 100 } };
  return {
    name: "envoy.filters.http.local_ratelimit",
    typedConfig: {
      "@type": `${type}.extensions.filters.http.local_ratelimit.v3.LocalRateLimit`,
      statPrefix: "limiter",
      filterEnabled: all,
      filterEnforced: all,
      tokenBucket: { maxTokens, tokensPerFill: 1, fillInterval: "3600s" },
    },
  };
}

function cluster(name: string, more: Readonly<Record<string, JsonValue>> = {}): JsonValue {
  return { ...(edsCluster(name, name) as object), lbPolicy: "ROUND_ROBIN", ...more };
}

async function get(port: number, count: number): Promise<Answer[]> {
  return await Promise.all(Array.from({ length: count }, async () => await fetchOnce(port, "/")));
}

test("circuit breakers, rate limits and ejections apply to both workers together", async () => {
  using backends = new Backends();
  const gate = Promise.withResolvers<void>();
  let [held, failures] = [0, 0];
  const slow = await backends.add((_request, response) => {
    held += 1;
    void gate.promise.then(() => response.end("slow"));
  });
  const good = await backends.add((_request, response) => response.end("good"));
  const bad = await backends.add((_request, response) => {
    failures += 1;
    response.writeHead(500).end("bad");
  });
  await using proxy = await TestProxy.start({
    name: "gateway",
    role: "router",
    authority: new FakeCertificateAuthority(),
    proxyConfig: everyStatistic,
    workers: 2,
  });
  const { ads } = proxy;
  const [slowPort, mixedPort, limitedPort] = [await freePort(), await freePort(), await freePort()];
  ads.push(typeUrls.cluster, {
    slow: cluster("slow", { circuitBreakers: { thresholds: [{ maxRequests: 4 }] } }),
    mixed: cluster("mixed", {
      outlierDetection: { consecutive5xx: 3, interval: "10s", baseEjectionTime: "300s", maxEjectionPercent: 100 },
    }),
    good: cluster("good"),
  });
  ads.push(typeUrls.endpoint, {
    slow: plainEndpoints("slow", [slow]),
    mixed: plainEndpoints("mixed", [good, bad]),
    good: plainEndpoints("good", [good]),
  });
  ads.push(typeUrls.listener, {
    [`listener_${slowPort}`]: httpListener(slowPort, "slow"),
    [`listener_${mixedPort}`]: httpListener(mixedPort, "mixed"),
    [`listener_${limitedPort}`]: httpListener(limitedPort, "good", { httpFilters: [localRateLimit(10), router] }),
  });
  ads.push(
    typeUrls.route,
    Object.fromEntries(["slow", "mixed", "good"].map((name) => [name, weightedRoute(name, { [name]: 1 })])),
  );
  await proxy.ready();

  let refused = 0;
  const answers = Array.from({ length: 24 }, async () => {
    const { status } = await fetchOnce(slowPort, "/");
    if (status === 503) refused += 1;
    return status;
  });
  await until(() => held + refused === 24);
  assert.ok(held === 4 || held === 5, `${held} requests of 4 that are allowed, and of one that both let in at once`);
  gate.resolve();
  assert.equal((await Promise.all(answers)).filter((status) => status === 200).length, held);

  const limited = await get(limitedPort, 24);
  assert.equal(limited.filter(({ status }) => status === 200).length, 10);
  assert.equal(limited.filter(({ status }) => status === 429).length, 14);

  // All requests use one connection, so that one worker sees the failures.
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  await until(async () => {
    await fetchOnce(mixedPort, "/", { agent });
    return failures >= 3;
  });
  await new Promise((resolve) => setTimeout(resolve, 300));
  agent.destroy();
  const later = await get(mixedPort, 40);
  assert.ok(later.filter(({ status }) => status === 500).length <= 2, "the other worker has been told");
  const stats = (await fetchOnce(proxy.ports.admin, "/stats?filter=mixed.outlier_detection")).body;
  assert.match(stats, /ejections_enforced_total: 1$/m);
});

test("a worker in an endless loop is replaced, and its replacement serves", async () => {
  using backends = new Backends();
  const good = await backends.add((_request, response) => response.end("good"));
  const file = programFile("src/proxy/workers/data-path.worker.ts").href;
  const stuck = new Int32Array(new SharedArrayBuffer(8));
  const code = `import ${JSON.stringify(file)};
    import { workerData } from "node:worker_threads";
    setInterval(() => { if (Atomics.exchange(workerData.stuck, workerData.worker, 0) === 1) for (;;); }, 10);`;
  let started = 0;
  await using proxy = await TestProxy.start({
    name: "gateway",
    role: "router",
    authority: new FakeCertificateAuthority(),
    serve: (data) =>
      new WorkerSet({
        count: 2,
        data,
        spawn: (start) => {
          started += 1;
          return new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), {
            workerData: { ...start, stuck },
            execArgv: ["--disable-warning=ExperimentalWarning"],
          });
        },
        watch: { everyMs: 200, maxMissed: 20 },
      }),
  });
  const port = await freePort();
  proxy.ads.push(typeUrls.cluster, { good: cluster("good") });
  proxy.ads.push(typeUrls.endpoint, { good: plainEndpoints("good", [good]) });
  proxy.ads.push(typeUrls.listener, { [`listener_${port}`]: httpListener(port, "good") });
  proxy.ads.push(typeUrls.route, { good: weightedRoute("good", { good: 1 }) });
  await proxy.ready();
  assert.equal(started, 2);
  Atomics.store(stuck, 1, 1);
  await until(() => started === 3);
  await until(async () => (await proxy.samples("serin_proxy_worker_connections")).length === 2);
  await until(async () => (await fetchOnce(proxy.ports.readiness, "/healthz/ready")).status === 200);
  const answers = await get(port, 30);
  assert.deepEqual(new Set(answers.map(({ body }) => body)), new Set(["good"]));
  assert.match(proxy.log.join(""), /a worker has ended.*worker=1 error="it has not answered for 4000 ms"/);
});
