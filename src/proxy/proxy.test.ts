import assert from "node:assert/strict";
import { randomFillSync } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer, Agent } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { test } from "node:test";
import { createLogger, seededRandom, ShutdownController, silentLogger, systemClock } from "../base/index.ts";
import { until } from "../base/testing/index.ts";
import {
  CertificateManager,
  FakeCertificateAuthority,
  relay,
  serveHbone,
  type HboneServerConnection,
} from "../dataplane/index.ts";
import { connectTcp, listenTcp, secureServer } from "../net/index.ts";
import { parsePrometheus } from "../telemetry/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { readSettings, type ProxySettings } from "./proxy-settings.ts";
import { Proxy } from "./proxy.ts";
import {
  AdsServer,
  edsCluster,
  httpListener,
  plainEndpoints,
  tunnelEndpoint,
  weightedRoute,
} from "./testing/ads-server.ts";
import { randomUuids } from "./terms/random-id.ts";
import { fetchOnce } from "./testing/harness.ts";
import { everyStatistic, servingOf, workersOfRun } from "./testing/test-proxy.ts";
import { freePort } from "../net/testing/index.ts";

class Mesh implements AsyncDisposable {
  readonly authority = new FakeCertificateAuthority();
  readonly shutdown = new ShutdownController();
  readonly ads: AdsServer;
  readonly adminPort: number;
  readonly statsPort: number;
  readonly readinessPort: number;
  readonly ownStatsPort: number;
  readonly log: string[] = [];
  readonly ended: Promise<void>;
  readonly #servers: { close(): unknown; closeAllConnections?(): void }[] = [];

  private constructor(ads: AdsServer, ports: readonly number[], more: Partial<ProxySettings>) {
    this.ads = ads;
    [this.adminPort = 0, this.statsPort = 0, this.readinessPort = 0, this.ownStatsPort = 0] = ports;
    const env = {
      PROXY_CONFIG: `discoveryAddress: ${ads.url}\n${everyStatistic}`,
      POD_NAME: "gateway-1",
      POD_NAMESPACE: "test",
      SERVICE_ACCOUNT: "gateway",
      ISTIO_META_WORKLOAD_NAME: "gateway",
      ADMIN_PORT: String(this.adminPort),
      STATS_PORT: String(this.statsPort),
      READINESS_PORT: String(this.readinessPort),
      ENVOY_STATS_PORT: String(this.ownStatsPort),
    };
    const settings = readSettings({
      env,
      args: ["proxy", "router", "--domain", "$(POD_NAMESPACE).svc.cluster.local"],
      version: "1.2.3",
      labelsFile: 'app="gateway"\n',
    });
    const proxy = new Proxy({
      settings: { ...settings, ...more },
      authority: this.authority,
      listen: listenTcp,
      resolve: () => Promise.resolve({ addresses: ["127.0.0.1"] }),
      readFile: async (path) => await readFile(path, "utf8"),
      newRequestId: randomUuids((bytes) => randomFillSync(bytes)),
      log: createLogger({ scope: "proxy", write: (line) => void this.log.push(line) }),
      clock: systemClock,
      random: seededRandom(3),
      quit: () => this.shutdown.request("quit"),
      ...servingOf(),
    });
    this.ended = proxy.run(this.shutdown);
  }

  static async start(
    prepare: (ads: AdsServer) => void = () => undefined,
    more: Partial<ProxySettings> = {},
  ): Promise<Mesh> {
    const ads = await AdsServer.start();
    prepare(ads);
    return new Mesh(ads, await Promise.all(Array.from({ length: 4 }, freePort)), more);
  }

  async backend(name: string): Promise<number> {
    const server = createServer((_request, response) => response.end(name));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    this.#servers.push(server);
    return (server.address() as AddressInfo).port;
  }

  async isReady(): Promise<boolean> {
    return await fetchOnce(this.readinessPort, "/healthz/ready").then(
      (answer) => answer.status === 200,
      () => false,
    );
  }

  async ready(): Promise<void> {
    await until(async () => await this.isReady());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.shutdown.request("test over");
    this.shutdown.request("now");
    await this.ended;
    for (const server of this.#servers) {
      server.closeAllConnections?.();
      server.close();
    }
    await this.ads[Symbol.asyncDispose]();
  }
}

test("a gateway becomes ready when its routes arrive, serves by weight, and changes without a failure", async () => {
  await using mesh = await Mesh.start();
  const { ads } = mesh;
  const port = await freePort();
  ads.push(typeUrls.cluster, { a: edsCluster("a", "a"), b: edsCluster("b", "b") });
  ads.push(typeUrls.endpoint, {
    a: plainEndpoints("a", [await mesh.backend("a")]),
    b: plainEndpoints("b", [await mesh.backend("b")]),
  });
  ads.push(typeUrls.listener, { [`listener_${port}`]: httpListener(port, "http.80") });
  await ads.acknowledged(typeUrls.listener, 0);
  assert.equal(await mesh.isReady(), false, "routes are missing");
  ads.push(typeUrls.route, { "http.80": weightedRoute("http.80", { a: 90, b: 10 }) });
  await mesh.ready();
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  const counts = { a: 0, b: 0 };
  for (let index = 0; index < 100; index += 1) {
    const bodies = await Promise.all(
      Array.from({ length: 4 }, async () => (await fetchOnce(port, "/", { agent })).body),
    );
    for (const body of bodies) counts[body as "a" | "b"] += 1;
    if (index === 49) {
      assert.ok(counts.b > 3 && counts.b < 40, `b got ${counts.b} of 200`);
      counts.a = 0;
      const from = ads.acknowledgements.length;
      ads.push(typeUrls.route, { "http.80": weightedRoute("http.80", { a: 0, b: 100 }) });
      assert.deepEqual(await ads.acknowledged(typeUrls.route, from), { typeUrl: typeUrls.route, error: undefined });
    }
  }
  assert.equal(counts.a, 0, "after the acknowledgement the new weights hold");
  agent.destroy();
  const { samples } = parsePrometheus((await fetchOnce(mesh.statsPort, "/stats/prometheus")).body);
  const requests = samples.filter((sample) => sample.name === "istio_requests_total");
  assert.equal(
    requests.reduce((sum, sample) => sum + sample.value, 0),
    400,
  );
  const first = requests.find((sample) => sample.labels["destination_service_name"] === "b");
  assert.deepEqual(
    [
      "reporter",
      "source_workload",
      "source_app",
      "destination_workload",
      "destination_version",
      "destination_service",
      "response_code",
      "response_flags",
      "request_protocol",
    ].map((name) => first?.labels[name]),
    ["source", "gateway", "gateway", "a-v1", "v1", "b.test.svc.cluster.local", "200", "-", "http"],
  );
});

test("the status port lacks the proxy's own metrics if the environment says so, and Envoy's port has them", async () => {
  const { mergesOwnMetrics } = readSettings({
    env: { PILOT_AGENT_MERGE_ENVOY_STATS: "false" },
    args: ["proxy", "router"],
    version: "1",
    labelsFile: undefined,
  });
  const families = async (more: Partial<ProxySettings>): Promise<readonly string[]> => {
    await using mesh = await Mesh.start(undefined, more);
    const has = async (port: number): Promise<string> =>
      (await fetchOnce(port, "/stats/prometheus")).body.includes("process_cpu_seconds_total") ? "own" : "none";
    await until(async () => (await has(mesh.ownStatsPort).catch(() => "")) === "own");
    return [await has(mesh.statsPort), await has(mesh.ownStatsPort)];
  };
  assert.deepEqual(await families({}), ["own", "own"]);
  assert.deepEqual(await families({ mergesOwnMetrics }), ["none", "own"]);
});

test("on-demand virtual hosts form a table, and disappear when they are removed", async () => {
  await using mesh = await Mesh.start();
  const { ads } = mesh;
  const port = await freePort();
  const host = (name: string, domain: string, cluster: string): Record<string, object> => ({
    [`http.80/${name}`]: {
      name: `http.80/${name}`,
      domains: [domain],
      routes: [{ match: { prefix: "/" }, route: { cluster } }],
    },
  });
  ads.push(typeUrls.cluster, { a: edsCluster("a", "a"), b: edsCluster("b", "b") });
  ads.push(typeUrls.endpoint, {
    a: plainEndpoints("a", [await mesh.backend("a")]),
    b: plainEndpoints("b", [await mesh.backend("b")]),
  });
  ads.push(typeUrls.listener, { [`listener_${port}`]: httpListener(port, "http.80") });
  ads.push(typeUrls.route, { "http.80": { name: "http.80", vhds: { configSource: { ads: {} } } } });
  await ads.acknowledged(typeUrls.route, 0);
  assert.equal(await mesh.isReady(), false, "its hosts are missing");
  ads.push(typeUrls.virtualHost, { ...host("one", "one.test", "a"), ...host("two", "two.test", "a") } as never);
  await mesh.ready();
  const bodyFor = async (name: string): Promise<string> =>
    (await fetchOnce(port, "/", { headers: { host: name } })).body;
  assert.deepEqual([await bodyFor("one.test"), await bodyFor("two.test")], ["a", "a"]);
  let from = ads.acknowledgements.length;
  ads.push(typeUrls.virtualHost, host("two", "two.test", "b") as never);
  assert.equal((await ads.acknowledged(typeUrls.virtualHost, from)).error, undefined);
  assert.deepEqual([await bodyFor("one.test"), await bodyFor("two.test")], ["a", "b"]);
  from = ads.acknowledgements.length;
  ads.push(typeUrls.virtualHost, {}, ["http.80/one"]);
  await ads.acknowledged(typeUrls.virtualHost, from);
  assert.deepEqual(
    [(await fetchOnce(port, "/", { headers: { host: "one.test" } })).status, await bodyFor("two.test")],
    [404, "b"],
  );
  from = ads.acknowledgements.length;
  ads.push(typeUrls.virtualHost, {}, ["http.80/two"]);
  await ads.acknowledged(typeUrls.virtualHost, from);
  assert.equal((await fetchOnce(port, "/", { headers: { host: "two.test" } })).status, 404, "the last one too");
});

test("routes to a new cluster wait for its endpoints, and the previous routes serve meanwhile", async () => {
  await using mesh = await Mesh.start();
  const { ads } = mesh;
  const port = await freePort();
  ads.push(typeUrls.cluster, { a: edsCluster("a") });
  ads.push(typeUrls.endpoint, { a: plainEndpoints("a", [await mesh.backend("a")]) });
  ads.push(typeUrls.listener, { [`listener_${port}`]: httpListener(port, "http.80") });
  ads.push(typeUrls.route, { "http.80": weightedRoute("http.80", { a: 1 }) });
  await mesh.ready();
  let from = ads.acknowledgements.length;
  ads.push(typeUrls.cluster, { b: edsCluster("b") });
  ads.push(typeUrls.route, { "http.80": weightedRoute("http.80", { b: 1 }) });
  await ads.acknowledged(typeUrls.route, from);
  for (let index = 0; index < 5; index += 1) assert.equal((await fetchOnce(port, "/")).body, "a");
  from = ads.acknowledgements.length;
  ads.push(typeUrls.endpoint, { b: plainEndpoints("b", [await mesh.backend("b")]) });
  await ads.acknowledged(typeUrls.endpoint, from);
  assert.equal((await fetchOnce(port, "/")).body, "b");
});

test("an invalid configuration is refused with its name, and the previous one stays", async () => {
  await using mesh = await Mesh.start();
  const { ads } = mesh;
  const port = await freePort();
  ads.push(typeUrls.cluster, { a: edsCluster("a") });
  ads.push(typeUrls.endpoint, { a: plainEndpoints("a", [await mesh.backend("a")]) });
  ads.push(typeUrls.listener, { [`listener_${port}`]: httpListener(port, "http.80") });
  ads.push(typeUrls.route, { "http.80": weightedRoute("http.80", { a: 1 }) });
  await mesh.ready();
  let from = ads.acknowledgements.length;
  ads.push(typeUrls.route, {
    "http.80": {
      name: "http.80",
      virtualHosts: [
        {
          name: "v",
          domains: ["*"],
          routes: [
            { name: "x", match: { prefix: "/" }, route: { cluster: "a", hedgePolicy: { hedgeOnPerTryTimeout: true } } },
          ],
        },
      ],
    },
  });
  assert.match(
    (await ads.acknowledged(typeUrls.route, from)).error ?? "",
    /route configuration http.80, virtual host v, route x: the field hedgePolicy is not supported/,
  );
  assert.equal((await fetchOnce(port, "/")).body, "a");
  from = ads.acknowledgements.length;
  const unknown = {
    name: "envoy.filters.http.tap",
    typedConfig: { "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig" },
  };
  ads.push(typeUrls.listener, { [`listener_${port}`]: httpListener(port, "http.80", { httpFilters: [unknown] }) });
  assert.match(
    (await ads.acknowledged(typeUrls.listener, from)).error ?? "",
    /the HTTP filter envoy.filters.http.tap is not supported/,
  );
  const scripted = (inlineString: string) => ({
    name: "envoy.filters.http.lua",
    typedConfig: {
      "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
      defaultSourceCode: { inlineString },
    },
  });
  from = ads.acknowledgements.length;
  ads.push(typeUrls.listener, {
    [`listener_${port}`]: httpListener(port, "http.80", { httpFilters: [scripted("x = = 1")] }),
  });
  assert.match(
    (await ads.acknowledged(typeUrls.listener, from)).error ?? "",
    /the HTTP filter envoy.filters.http.lua: defaultSourceCode: script load error: script:1: unexpected symbol near '='/,
  );
  assert.equal((await fetchOnce(port, "/")).body, "a");
});

test("a listener moves to another port, and its open connections continue", async () => {
  await using mesh = await Mesh.start();
  const { ads } = mesh;
  const [port, other] = [await freePort(), await freePort()];
  ads.push(typeUrls.cluster, { a: edsCluster("a") });
  ads.push(typeUrls.endpoint, { a: plainEndpoints("a", [await mesh.backend("a")]) });
  ads.push(typeUrls.listener, { one: { ...(httpListener(port, "http.80") as object), name: "one" } });
  ads.push(typeUrls.route, { "http.80": weightedRoute("http.80", { a: 1 }) });
  await mesh.ready();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  assert.equal((await fetchOnce(port, "/", { agent })).body, "a");
  const from = ads.acknowledgements.length;
  ads.push(typeUrls.listener, { one: { ...(httpListener(other, "http.80") as object), name: "one" } });
  await ads.acknowledged(typeUrls.listener, from);
  assert.equal((await fetchOnce(other, "/")).body, "a");
  assert.equal((await fetchOnce(port, "/", { agent })).body, "a", "the connection that was open");
  await assert.rejects(fetchOnce(port, "/"), /ECONNREFUSED/);
  agent.destroy();
});

test("an endpoint behind a tunnel is reached by HBONE with the gateway's identity", async () => {
  await using mesh = await Mesh.start();
  const { ads, authority } = mesh;
  const peers: string[] = [];
  const servers: HboneServerConnection[] = [];
  const certificates = new CertificateManager({ authority, log: silentLogger });
  const identity = "spiffe://cluster.local/ns/test/sa/a";
  const { context } = await certificates.fetch(identity);
  const backend = await mesh.backend("through the tunnel");
  const listener = await listenTcp({ address: "127.0.0.1", port: 0 }, (stream) => {
    void secureServer(stream, () => context, { alpn: ["h2"], timeoutMs: 5000, clientCertificate: "require" }).then(
      (secure) =>
        servers.push(
          serveHbone(secure, {
            onConnect: (request) => {
              peers.push(`${request.peerIdentity} ${request.authority}`);
              void connectTcp({ address: "127.0.0.1", port: backend, timeoutMs: 1000 }).then((upstream) =>
                relay(request.accept(), upstream),
              );
            },
          }),
        ),
    );
  });
  const port = await freePort();
  ads.push(typeUrls.cluster, { a: edsCluster("a") });
  ads.push(typeUrls.endpoint, { a: tunnelEndpoint("a", "10.9.9.9:9080", `127.0.0.1:${listener.address.port}`) });
  ads.push(typeUrls.listener, { [`listener_${port}`]: httpListener(port, "http.80") });
  ads.push(typeUrls.route, { "http.80": weightedRoute("http.80", { a: 1 }) });
  await mesh.ready();
  // All requests use one connection, because each worker has tunnels of its own.
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const get = async (): Promise<string> => (await fetchOnce(port, "/", { agent })).body;
  for (let index = 0; index < 3; index += 1) assert.equal(await get(), "through the tunnel");
  assert.deepEqual(peers, ["spiffe://cluster.local/ns/test/sa/gateway 10.9.9.9:9080"], "one tunnel, kept");
  // A draining peer gets no further request on kept tunnels, and its connection ends although we kept one tunnel idle.
  const draining = servers[0];
  draining?.drain();
  await draining?.closed;
  assert.equal(await get(), "through the tunnel");
  assert.equal(servers.length, 2);
  agent.destroy();
  listener.close();
  certificates.close();
});

test("a shutdown under load loses no request: readiness fails first, answers say close, then it ends", async () => {
  await using mesh = await Mesh.start();
  const { ads } = mesh;
  const port = await freePort();
  ads.push(typeUrls.cluster, { a: edsCluster("a") });
  ads.push(typeUrls.endpoint, { a: plainEndpoints("a", [await mesh.backend("a")]) });
  ads.push(typeUrls.listener, { [`listener_${port}`]: httpListener(port, "http.80") });
  ads.push(typeUrls.route, { "http.80": weightedRoute("http.80", { a: 1 }) });
  await mesh.ready();
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  const leaving = new AbortController();
  let failed = 0;
  let served = 0;
  const client = async (kept: boolean): Promise<void> => {
    // Clients of the Service use other endpoints once they learn that this proxy leaves. This client only pauses
    // instead.
    while (!leaving.signal.aborted) {
      await fetchOnce(port, "/", kept ? { agent } : {}).then(
        (answer) => (answer.body === "a" ? (served += 1) : (failed += 1)),
        () => (failed += 1),
      );
    }
  };
  const clients = Promise.all([client(true), client(true), client(false), client(false)]);
  await until(() => served > 50);
  const live = async (state: string): Promise<number> =>
    Number(
      new RegExp(`^serin_proxy_connections\\{state="${state}"\\} (\\d+)$`, "m").exec(
        (await fetchOnce(mesh.statsPort, "/stats/prometheus")).body,
      )?.[1],
    );
  assert.deepEqual([(await live("active")) > 0, await live("draining")], [true, 0]);
  mesh.shutdown.request("SIGTERM");
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(await mesh.isReady(), false);
  const before = served;
  await until(() => served > before + 50);
  assert.equal(await live("active"), 0);
  assert.equal((await fetchOnce(port, "/", { agent: new Agent({ keepAlive: true }) })).headers.connection, "close");
  leaving.abort();
  await clients;
  assert.equal(failed, 0);
  const idle = connect(port, "127.0.0.1");
  await new Promise((resolve) => idle.once("connect", resolve));
  await mesh.ended;
  assert.equal(failed, 0);
  agent.destroy();
  idle.destroy();
});

test("admin answers have the forms that tools read", async () => {
  await using mesh = await Mesh.start();
  const { ads } = mesh;
  const port = await freePort();
  const backend = await mesh.backend("a");
  ads.push(typeUrls.cluster, { a: edsCluster("a") });
  ads.push(typeUrls.endpoint, { a: plainEndpoints("a", [backend]) });
  ads.push(typeUrls.listener, { [`listener_${port}`]: httpListener(port, "http.80") });
  ads.push(typeUrls.route, { "http.80": weightedRoute("http.80", { a: 1 }) });
  await mesh.ready();
  await fetchOnce(port, "/");
  const dump = JSON.parse((await fetchOnce(mesh.adminPort, "/config_dump?include_eds")).body) as {
    configs: Record<string, unknown>[];
  };
  assert.deepEqual(
    dump.configs.map((config) => String(config["@type"]).split(".").at(-1)),
    [
      "BootstrapConfigDump",
      "ClustersConfigDump",
      "EcdsConfigDump",
      "EndpointsConfigDump",
      "ListenersConfigDump",
      "ScopedRoutesConfigDump",
      "RoutesConfigDump",
      "SecretsConfigDump",
    ],
  );
  assert.match(JSON.stringify(dump), /"route_config_name":"http.80"/);
  const secrets = dump.configs.at(-1)?.["dynamic_active_secrets"] as { name: string; last_updated: string }[];
  for (const { name, last_updated } of secrets)
    assert.ok(Math.abs(Date.parse(last_updated) - Date.now()) < 60_000, `${name} was updated ${last_updated}`);
  assert.equal(secrets[0]?.name, "default");
  assert.match(
    (await fetchOnce(mesh.adminPort, "/clusters")).body,
    new RegExp(`^a::127.0.0.1:${backend}::rq_total::1$`, "m"),
  );
  assert.match((await fetchOnce(mesh.adminPort, "/server_info")).body, /"state": "LIVE"/);
  assert.match((await fetchOnce(mesh.adminPort, "/stats")).body, /^cluster.a.upstream_rq_total: 1$/m);
  assert.equal((await fetchOnce(mesh.adminPort, "/ready")).body, "LIVE\n");
  assert.equal((await fetchOnce(mesh.adminPort, "/quitquitquit")).status, 405);
  const statuses = JSON.parse((await fetchOnce(mesh.adminPort, "/clusters?format=json")).body) as {
    cluster_statuses: { name: string; host_statuses: { hostname?: string }[] }[];
  };
  assert.deepEqual(
    statuses.cluster_statuses.find(({ name }) => name === "xds-grpc")?.host_statuses[0]?.hostname,
    "127.0.0.1",
  );
  const routes = JSON.parse((await fetchOnce(mesh.adminPort, "/config_dump?resource=dynamic_route_configs")).body) as {
    configs: { route_config: { name: string } }[];
  };
  assert.deepEqual(
    routes.configs.map(({ route_config: { name } }) => name),
    ["http.80"],
  );
  const certificates = JSON.parse((await fetchOnce(mesh.adminPort, "/certs")).body) as {
    certificates: { cert_chain: { subject_alt_names: unknown }[] }[];
  };
  assert.deepEqual(certificates.certificates[0]?.cert_chain[0]?.subject_alt_names, [
    { uri: "spiffe://cluster.local/ns/test/sa/gateway" },
  ]);
  assert.doesNotMatch((await fetchOnce(mesh.adminPort, "/config_dump")).body, /PRIVATE KEY|LS0tLS1CRUdJTiBQUklWQVRF/);
  assert.match(
    (await fetchOnce(mesh.adminPort, "/stats?usedonly&filter=^cluster.a.upstream_rq_t")).body,
    /^cluster\.a\.upstream_rq_total: 1\n$/,
  );
  await fetchOnce(mesh.adminPort, "/healthcheck/fail", { method: "POST" });
  assert.equal(await mesh.isReady(), false);
  await fetchOnce(mesh.adminPort, "/healthcheck/ok", { method: "POST" });
  assert.equal(await mesh.isReady(), true);
});

test("a client that opens more connections than the proxy may hold leaves room for a client of another address", async () => {
  const maxConnectionsPerThread = 8;
  const maxConnections = workersOfRun * maxConnectionsPerThread;
  await using mesh = await Mesh.start(undefined, { maxConnectionsPerThread });
  const { ads } = mesh;
  const port = await freePort();
  ads.push(typeUrls.cluster, { a: edsCluster("a", "a") });
  ads.push(typeUrls.endpoint, { a: plainEndpoints("a", [await mesh.backend("a")]) });
  ads.push(typeUrls.listener, { [`listener_${port}`]: httpListener(port, "http.80") });
  ads.push(typeUrls.route, { "http.80": weightedRoute("http.80", { a: 100 }) });
  await mesh.ready();
  let openCount = 0;
  const sockets = Array.from({ length: 3 * maxConnections }, () => {
    openCount += 1;
    return connect(port, "127.0.0.1")
      .on("error", () => undefined)
      .on("close", () => (openCount -= 1));
  });
  await until(() => openCount <= maxConnections);
  const honest = connect({ port, host: "127.0.0.1", localAddress: "127.0.0.2" });
  honest.write("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
  let answer = "";
  for await (const chunk of honest) answer += String(chunk);
  assert.match(answer, /^HTTP\/1\.1 200 /);
  for (const socket of sockets) socket.destroy();
});
