import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import type { Worker } from "node:worker_threads";
import { until } from "../../base/testing/index.ts";
import { FakeCertificateAuthority } from "../../dataplane/index.ts";
import { freePort } from "../../net/testing/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { edsCluster, httpListener, plainEndpoints, weightedRoute } from "../testing/ads-server.ts";
import { fetchOnce } from "../testing/harness.ts";
import { everyStatistic, TestProxy } from "../testing/test-proxy.ts";
import { spawnWorker, WorkerSet } from "./index.ts";

const pluginFile = join(import.meta.dirname, "../../../test/wasm/test-module.wasm");

/** A gateway with two workers that sends all requests to one of two backends. */
class Gateway implements AsyncDisposable {
  readonly threads: Worker[] = [];
  readonly port: number;
  readonly proxy: TestProxy;
  readonly #servers: Server[];
  readonly #sockets: Socket[] = [];

  private constructor(proxy: TestProxy, port: number, servers: Server[], threads: Worker[]) {
    this.proxy = proxy;
    this.port = port;
    this.#servers = servers;
    this.threads = threads;
  }

  static async start(): Promise<Gateway> {
    const threads: Worker[] = [];
    const servers = await Promise.all(["a", "b"].map(async (name) => await backend(name)));
    const [a = 0, b = 0] = servers.map((server) => (server.address() as AddressInfo).port);
    const proxy = await TestProxy.start({
      name: "gateway",
      role: "router",
      authority: new FakeCertificateAuthority(),
      proxyConfig: everyStatistic,
      serve: (data) =>
        new WorkerSet({
          count: 2,
          data,
          spawn: (start) => {
            const thread = spawnWorker(start);
            threads.push(thread);
            return thread;
          },
        }),
    });
    const port = await freePort();
    const { ads } = proxy;
    ads.push(typeUrls.cluster, { a: edsCluster("a", "a"), b: edsCluster("b", "b") });
    ads.push(typeUrls.endpoint, { a: plainEndpoints("a", [a]), b: plainEndpoints("b", [b]) });
    ads.push(typeUrls.listener, { [`listener_${port}`]: httpListener(port, "http.80") });
    ads.push(typeUrls.route, { "http.80": weightedRoute("http.80", { a: 100, b: 0 }) });
    await proxy.ready();
    return new Gateway(proxy, port, servers, threads);
  }

  async bodies(count: number): Promise<string[]> {
    return await Promise.all(Array.from({ length: count }, async () => (await fetchOnce(this.port, "/")).body));
  }

  async client(): Promise<Socket> {
    const socket = connect({ port: this.port, host: "127.0.0.1" });
    this.#sockets.push(socket);
    socket.on("error", () => undefined);
    await new Promise<void>((resolve) => socket.once("connect", () => resolve()));
    return socket;
  }

  async sum(name: string): Promise<number> {
    return (await this.proxy.samples(name)).reduce((sum, { value }) => sum + value, 0);
  }

  async shares(): Promise<number[]> {
    const samples = await this.proxy.samples("serin_proxy_worker_connections");
    return samples
      .toSorted((left, right) => Number(left.labels["worker"]) - Number(right.labels["worker"]))
      .map(({ value }) => value);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await this.proxy[Symbol.asyncDispose]();
    for (const server of this.#servers) {
      server.closeAllConnections();
      server.close();
    }
  }
}

async function backend(name: string): Promise<Server> {
  const server = createServer((_request, response) => response.end(name));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

test("two workers share the connections of a listener, and their counts add up", async () => {
  await using gateway = await Gateway.start();
  assert.deepEqual(new Set(await gateway.bodies(40)), new Set(["a"]));
  assert.equal(await gateway.sum("istio_requests_total"), 40);
  const stats = (await fetchOnce(gateway.proxy.ports.admin, "/stats?filter=upstream_rq_total|membership_total")).body;
  assert.match(stats, /^cluster\.a\.upstream_rq_total: 40$/m);
  assert.match(stats, /^cluster\.a\.membership_total: 1$/m, "both know the one endpoint");
  const clusters = (await fetchOnce(gateway.proxy.ports.admin, "/clusters")).body;
  assert.match(clusters, /^a::127\.0\.0\.1:\d+::rq_total::40$/m);
  assert.match((await fetchOnce(gateway.proxy.ports.admin, "/server_info")).body, /"concurrency": 2/);
  // The kernel chooses the worker by the client's port. Of 400 connections, one worker gets fewer than 150 or more than
  // 250 less than once in a million runs.
  await Promise.all(Array.from({ length: 400 }, async () => await gateway.client()));
  await until(async () => (await gateway.shares()).reduce((sum, share) => sum + share, 0) === 400);
  const shares = await gateway.shares();
  assert.equal(shares.length, 2);
  assert.ok(Math.min(...shares) >= 150, `shares of 400 connections: ${shares.join(" and ")}`);
});

test("a change is acknowledged when both workers have it, and refused when one of them refuses it", async () => {
  await using gateway = await Gateway.start();
  const { ads } = gateway.proxy;
  for (const [weights, expected] of [
    [{ a: 0, b: 100 }, "b"],
    [{ a: 100, b: 0 }, "a"],
  ] as const) {
    const from = ads.acknowledgements.length;
    ads.push(typeUrls.route, { "http.80": weightedRoute("http.80", weights) });
    assert.equal((await ads.acknowledged(typeUrls.route, from)).error, undefined);
    assert.deepEqual(new Set(await gateway.bodies(30)), new Set([expected]));
  }
  const from = ads.acknowledgements.length;
  ads.push(typeUrls.listener, { another: { ...(httpListener(gateway.port, "http.80") as object), name: "another" } });
  const refused = await ads.acknowledged(typeUrls.listener, from);
  assert.match(refused.error ?? "", /listener another: .*EADDRINUSE, another listener of this proxy has 127\.0\.0\.1/);
  assert.equal(refused.error?.match(/listener another/g)?.length, 1, "what both say is said once");
});

test("when a plugin has started, the workers give up the routes of the listener before at once", async () => {
  await using gateway = await Gateway.start();
  const { ads } = gateway.proxy;
  const type = "type.googleapis.com";
  const plugin = {
    name: "plugin",
    typedConfig: {
      "@type": `${type}/udpa.type.v1.TypedStruct`,
      typeUrl: `${type}/envoy.extensions.filters.http.wasm.v3.Wasm`,
      value: {
        config: {
          name: "test",
          root_id: "test",
          vm_config: { runtime: "envoy.wasm.runtime.v8", code: { local: { filename: pluginFile } } },
        },
      },
    },
  };
  const router = {
    name: "envoy.filters.http.router",
    typedConfig: { "@type": `${type}/envoy.extensions.filters.http.router.v3.Router` },
  };
  ads.push(typeUrls.route, { "http.81": weightedRoute("http.81", { a: 0, b: 100 }) });
  ads.push(typeUrls.listener, {
    [`listener_${gateway.port}`]: httpListener(gateway.port, "http.81", { httpFilters: [plugin, router] as never }),
  });
  await until(() => ads.unsubscribed.includes("http.80"));
  assert.deepEqual(ads.unsubscribed, ["http.80"]);
  assert.deepEqual(new Set(await gateway.bodies(20)), new Set(["b!"]), "the plugin adds a mark to each body");
});

test("a worker that dies is replaced, the other continues, and no count is lost", async () => {
  await using gateway = await Gateway.start();
  const { proxy, threads } = gateway;
  await gateway.bodies(20);
  assert.equal(await gateway.sum("istio_requests_total"), 20);
  const kept = await gateway.client();
  await until(async () => (await gateway.shares()).reduce((sum, share) => sum + share, 0) === 1);
  const holder = (await gateway.shares()).indexOf(1);
  assert.equal((await fetchOnce(proxy.ports.admin, "/ready")).status, 200);
  await threads[1 - holder]?.terminate();
  // The proxy refuses the admin path now, because the dead worker may have opened this connection to the proxy's own
  // port.
  assert.equal((await fetchOnce(proxy.ports.admin, "/ready")).status, 403);
  // The remaining worker accepts the new connections from now on.
  assert.deepEqual(new Set(await gateway.bodies(20)), new Set(["a"]));
  await until(() => threads.length === 3);
  await until(async () => (await gateway.shares()).length === 2);
  await proxy.ready();
  const from = proxy.ads.acknowledgements.length;
  proxy.ads.push(typeUrls.route, { "http.80": weightedRoute("http.80", { a: 0, b: 100 }) });
  assert.equal((await proxy.ads.acknowledged(typeUrls.route, from)).error, undefined);
  await Promise.all(Array.from({ length: 200 }, async () => await gateway.client()));
  await until(async () => (await gateway.shares()).reduce((sum, share) => sum + share, 0) === 201);
  const shares = await gateway.shares();
  assert.ok(Math.min(...shares) >= 50, `the one in its place serves: shares ${shares.join(" and ")}`);
  assert.deepEqual(new Set(await gateway.bodies(40)), new Set(["b"]), "with the configuration of now");
  assert.equal(await gateway.sum("istio_requests_total"), 80);
  assert.equal(kept.destroyed, false, "the other worker kept its connections");
  assert.match(proxy.log.join(""), /a worker has ended; its connections are lost, and a new worker replaces it/);
});

test("a shutdown drains both workers: active requests are answered, then both threads end", async () => {
  await using gateway = await Gateway.start();
  const exits = gateway.threads.map(
    (thread) => new Promise<number>((resolve) => thread.once("exit", (code) => resolve(code))),
  );
  const clients = await Promise.all(Array.from({ length: 20 }, async () => await gateway.client()));
  await until(async () => (await gateway.shares()).every((share) => share > 0));
  const closed = clients.map((client) => new Promise<void>((resolve) => client.once("close", () => resolve())));
  const answers = clients.map(
    (client) => new Promise<string>((resolve) => client.once("data", (bytes) => resolve(bytes.toString("latin1")))),
  );
  gateway.proxy.shutdown.request("the pod ends");
  await until(() => gateway.proxy.log.some((line) => line.includes("draining: asking clients to close")));
  for (const client of clients) client.write("GET / HTTP/1.1\r\nhost: a.test\r\n\r\n");
  for (const answer of await Promise.all(answers)) assert.match(answer, /^HTTP\/1\.1 200 OK\r\n[^]*connection: close/);
  await Promise.all(closed);
  await gateway.proxy.ended;
  assert.equal((await Promise.all(exits)).length, 2);
});
