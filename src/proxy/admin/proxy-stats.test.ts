import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectSocket, createServer, type AddressInfo } from "node:net";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import { FakeCertificateAuthority } from "../../dataplane/index.ts";
import { until } from "../../base/testing/index.ts";
import { freePort } from "../../net/testing/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { edsCluster, plainEndpoints } from "../testing/ads-server.ts";
import { outboundTcp } from "../testing/mesh-config.ts";
import { fetchOnce, Harness } from "../testing/harness.ts";
import { MetricsRegistry } from "../../telemetry/index.ts";
import { everyStatistic, TestProxy } from "../testing/test-proxy.ts";
import { IncludedStats } from "./included-stats.ts";
import { ProxyStats } from "./proxy-stats.ts";

test("listeners that clients reach are counted apart from internal ones", async () => {
  await using proxy = await TestProxy.start({
    name: "front",
    role: "router",
    authority: new FakeCertificateAuthority(),
  });
  const { address = null, ...tcp } = outboundTcp("127.0.0.1", await freePort(), "a") as JsonObject;
  const listeners = {
    main: { address, ...tcp, name: "main", bindToPort: true },
    inner: { ...tcp, name: "inner", internalListener: {} },
  };
  proxy.ads.push(typeUrls.cluster, { a: edsCluster("a") });
  proxy.ads.push(typeUrls.endpoint, { a: plainEndpoints("a", [await freePort()]) });
  proxy.ads.push(typeUrls.listener, listeners);
  await proxy.ready();
  const value = async (name: string): Promise<number | undefined> => (await proxy.samples(name))[0]?.value;
  assert.equal(await value("serin_proxy_listeners"), 1);
  assert.equal(await value("envoy_listener_manager_total_listeners_active"), 2);
});

test("a changed cluster keeps its counters, and the series of a removed one vanish", async () => {
  await using proxy = await TestProxy.start({
    name: "front",
    role: "router",
    authority: new FakeCertificateAuthority(),
    proxyConfig: everyStatistic,
  });
  await using upstream = createServer((socket) => socket.resume().end()).listen(0, "127.0.0.1");
  await once(upstream, "listening");
  const { port: upstreamPort } = upstream.address() as AddressInfo;
  const port = await freePort();
  const cluster = { ...(edsCluster("a") as JsonObject), altStatName: "a;" };
  proxy.ads.push(typeUrls.cluster, { a: cluster, b: edsCluster("b") });
  proxy.ads.push(typeUrls.endpoint, { a: plainEndpoints("a", [upstreamPort]), b: plainEndpoints("b", []) });
  const listener = outboundTcp("127.0.0.1", port, "a") as JsonObject;
  proxy.ads.push(typeUrls.listener, { main: { ...listener, name: "main", bindToPort: true } });
  await proxy.ready();
  const value = async (name: string, wanted: string): Promise<number | undefined> =>
    (await proxy.samples(name)).find(({ labels }) => labels["cluster_name"] === wanted)?.value;
  const connect = async (): Promise<void> => {
    const socket = connectSocket(port, "127.0.0.1");
    socket.on("error", () => undefined).end("x");
    socket.resume();
    await once(socket, "close");
  };
  await connect();
  await connect();
  await until(async () => (await value("envoy_cluster_upstream_cx_total", "a")) === 2);
  assert.equal(await value("envoy_cluster_membership_total", "b"), 0);
  const changed = { ...cluster, circuitBreakers: { thresholds: [{ maxRetries: 7 }] } };
  proxy.ads.push(typeUrls.cluster, { a: changed }, ["b"]);
  const clusters = async (): Promise<string> => (await fetchOnce(proxy.ports.admin, "/clusters")).body;
  await until(async () => (await clusters()).includes("a::default_priority::max_retries::7"));
  await connect();
  await until(async () => (await value("envoy_cluster_upstream_cx_total", "a")) === 3);
  await until(async () => (await value("envoy_cluster_membership_total", "b")) === undefined);
  assert.match(await clusters(), /^a::high_priority::max_retries::3$/m);
  assert.match(await clusters(), /^a::observability_name::a;$/m);
});

test("statistics of clusters do not take the place of other metrics, however many clusters there are", async () => {
  await using harness = await Harness.start();
  const registry = new MetricsRegistry({ maxSeries: 20, maxSeriesPerMetric: 10 });
  for (let index = 0; index < 30; index += 1) harness.cluster(`c${index}`, []);
  const clusters = [...harness.clusters.values()];
  const stats = new ProxyStats({
    config: { allClusters: () => clusters, updatesOf: () => ({ accepted: 1, rejected: 0 }) },
    listeners: { listeners: () => [], connections: 0, drainingConnections: 0 },
    filters: new Map(),
    expiry: { days: () => undefined },
    included: new IncludedStats({ prefixes: ["cluster."], suffixes: [], regexps: [], regexpsFrom: "" }),
  } as unknown as ConstructorParameters<typeof ProxyStats>[0]);
  stats.expose(registry);
  const sizeOf = (name: string): number | undefined => registry.families().find((family) => family.name === name)?.size;
  for (const name of ["upstream_rq_total", "upstream_cx_connect_timeout", "membership_total"])
    assert.equal(sizeOf(`envoy_cluster_${name}`), 30, name);
  const requests = registry.counter("requests", "", ["path"]);
  requests.labels("/a").increment();
  assert.equal(requests.size, 1);
  assert.equal(sizeOf("serin_metrics_dropped_series_total"), 0);
  clusters.length = 5;
  assert.equal(sizeOf("envoy_cluster_upstream_rq_total"), 5);
});

test("the state is the same on each page and in each statistic, also if nobody asks whether the proxy is ready", async () => {
  await using proxy = await TestProxy.start({
    name: "front",
    role: "router",
    authority: new FakeCertificateAuthority(),
  });
  const page = async (path: string, method?: string): Promise<string> =>
    (await fetchOnce(proxy.ports.admin, path, method === undefined ? {} : { method })).body;
  const ofStats = async (): Promise<string> => /^server\.state: (.*)$/m.exec(await page("/stats"))?.[1] ?? "";
  const states = async (): Promise<readonly unknown[]> => [
    await ofStats(),
    /^envoy_server_state(?:\{\})? (.*)$/m.exec(await page("/stats/prometheus"))?.[1],
    (JSON.parse(await page("/server_info")) as { state: string }).state,
    (await page("/ready")).trim(),
  ];
  assert.deepEqual(await states(), ["3", "3", "INITIALIZING", "INITIALIZING"]);
  proxy.ads.push(typeUrls.cluster, {});
  proxy.ads.push(typeUrls.listener, {});
  await until(async () => (await ofStats()) === "0");
  assert.deepEqual(await states(), ["0", "0", "LIVE", "LIVE"]);
  await page("/healthcheck/fail", "POST");
  assert.deepEqual(await states(), ["1", "1", "DRAINING", "DRAINING"]);
});

test("statistics tell the age, the state and the first expiry of the proxy, and its stream to the control plane", async () => {
  await using proxy = await TestProxy.start({
    name: "front",
    role: "router",
    authority: new FakeCertificateAuthority(),
    proxyConfig: everyStatistic,
  });
  const listener = outboundTcp("127.0.0.1", await freePort(), "a") as JsonObject;
  proxy.ads.push(typeUrls.cluster, {});
  proxy.ads.push(typeUrls.listener, { main: { ...listener, name: "main" } });
  await proxy.ready();
  const { body } = await fetchOnce(proxy.ports.admin, "/stats");
  const statistics = new Map(body.split("\n").map((line) => line.split(": ") as [string, string]));
  for (const [name, expected] of [
    ["server.state", /^0$/],
    ["server.uptime", /^\d+$/],
    ["server.memory_allocated", /^[1-9]\d+$/],
    ["server.days_until_first_cert_expiring", /^\d+$/],
    ["control_plane.connected_state", /^1$/],
    ["cluster.xds-grpc.upstream_cx_active", /^1$/],
    ["listener_manager.lds.update_success", /^1$/],
  ] as const)
    assert.match(statistics.get(name) ?? "absent", expected, name);
  const streams = await proxy.samples("envoy_cluster_upstream_cx_active");
  assert.deepEqual(
    streams.map(({ labels, value }) => [labels["cluster_name"], value]),
    [["xds-grpc", 1]],
  );
});
