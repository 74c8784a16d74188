import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { test } from "node:test";
import { seededRandom } from "../../base/index.ts";
import { HandClock, until } from "../../base/testing/index.ts";
import { connectTcp } from "../../net/index.ts";
import { endpointAt, forwardTo, Harness, plainCluster, retryPolicy, route, tableOf } from "../testing/harness.ts";
import { Cluster } from "../upstream/cluster.ts";
import type { EndpointConfig, UpstreamStream } from "../upstream/endpoint.ts";

test("connect-failure retries an idempotent request at another host if a new connection closes without an answer", async () => {
  for (const [method, on, expected] of [
    ["GET", { connectFailure: true }, [200, 200]],
    ["PUT", { connectFailure: true }, [200, 200]],
    ["POST", { connectFailure: true }, [200, 503]],
    ["GET", { refusedStream: true }, [200, 503]],
  ] as const) {
    for (const leave of ["destroy", "resetAndDestroy"] as const) {
      await using harness = await Harness.start();
      let lost = 0;
      const gone = await harness.rawBackend((socket) => {
        lost += 1;
        socket.on("data", () => socket[leave]());
      });
      const here = await harness.backend((_request, response) => response.end("served"));
      const cluster = harness.cluster("a", [here.port, gone]);
      harness.table = tableOf(route(forwardTo("a", { retry: retryPolicy({ on }) })));
      const body = method === "GET" ? {} : { body: "a body" };
      const statuses = [
        (await harness.get("/", { method, ...body })).status,
        (await harness.get("/", { method, ...body })).status,
      ];
      const label = `${method} ${JSON.stringify(on)} ${leave}`;
      assert.deepEqual(
        statuses.toSorted((left, right) => left - right),
        expected,
        label,
      );
      assert.ok(lost > 0, label);
      assert.equal(cluster.counters.retries, expected[1] === 200 ? lost : 0, label);
    }
  }
});

/** A harness with hand-moved time, whose backend holds the first request until the test ends its connection. */
async function holding(): Promise<{
  readonly harness: Harness;
  readonly clock: HandClock;
  readonly port: number;
  readonly held: Socket[];
}> {
  const clock = new HandClock();
  const harness = await Harness.start({}, 1, { clock });
  const held: Socket[] = [];
  const port = await harness.rawBackend((socket) => {
    socket.on("data", (bytes: Buffer) => {
      if (bytes.toString().includes("/answer")) socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      // A request that is wrongly sent again ends at once.
      else if (held.push(socket) > 1) socket.destroy();
    });
  });
  return { harness, clock, port, held };
}

test("a request that the application has held for a second is sent once, over a new or a kept-alive connection", async () => {
  for (const kept of [false, true]) {
    const { harness, clock, port, held } = await holding();
    await using _harness = harness;
    harness.cluster("a", [port]);
    harness.table = tableOf(route(forwardTo("a", { retry: retryPolicy({ on: { connectFailure: true } }) })));
    if (kept) assert.equal((await harness.get("/answer")).status, 200);
    const answer = harness.get("/", { method: "DELETE" });
    await until(() => held.length === 1);
    clock.pass(1000);
    held[0]?.destroy();
    assert.deepEqual([(await answer).status, held.length], [503, 1], String(kept));
    assert.equal(harness.records.at(-1)?.flag, "UC");
  }
});

test("connect-failure does not retry a request on a connection that was in no backlog: after a TLS handshake, or HTTP/2", async () => {
  const tls = { kind: "tls", tls: { key: "k" } } as unknown as EndpointConfig["transport"];
  for (const [label, transport, upstreamProtocol] of [
    ["TLS", tls, "http1"],
    ["HTTP/2", { kind: "plain" }, "http2"],
  ] as const) {
    const { harness, port, held } = await holding();
    await using _harness = harness;
    const cluster = harness.cluster("a", undefined, { upstreamProtocol });
    cluster.setEndpoints([endpointAt(port, { transport })]);
    harness.table = tableOf(route(forwardTo("a", { retry: retryPolicy({ on: { connectFailure: true } }) })));
    const answer = harness.get("/");
    await until(() => held.length === 1);
    held[0]?.destroy();
    assert.deepEqual([(await answer).status, held.length, cluster.counters.retries], [503, 1, 0], label);
  }
});

test("a POST goes over a new connection if the peer has closed or reset the idle one, and the event loop has not read that", async () => {
  for (const leave of ["destroy", "resetAndDestroy"] as const) {
    const sockets: Socket[] = [];
    let leaves = false;
    const filter = {
      name: "test",
      onRequest: () => {
        // The proxy's kernel learns of the end before this call returns. The proxy's event loop learns of it after the
        // request was written.
        if (leaves) sockets.at(-1)?.[leave]();
        leaves = false;
        return undefined;
      },
    };
    await using harness = await Harness.start({ filters: [filter], filtersIdle: false });
    const bodies: string[] = [];
    const port = await harness.rawBackend((socket) => {
      sockets.push(socket);
      socket.on("data", (bytes: Buffer) => {
        bodies.push(bytes.toString().split("\r\n\r\n")[1] ?? "");
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      });
    });
    const clock = new HandClock();
    const cluster = harness.cluster("a", [port], {}, clock);
    harness.table = tableOf(route(forwardTo("a")));
    assert.equal((await harness.get("/", { method: "POST", body: "first" })).status, 200);
    await until(() => sockets.length === 1);
    clock.pass(10);
    leaves = true;
    assert.equal((await harness.get("/", { method: "POST", body: "second" })).status, 200, leave);
    assert.deepEqual([bodies, sockets.length, cluster.counters.retries], [["first", "second"], 2, 0], leave);
  }
});

/** A cluster whose endpoint at port 1 never answers a connection attempt. */
function clusterWithVanished(
  harness: Harness,
  clock: HandClock,
): { readonly cluster: Cluster; readonly dials: () => number } {
  let dials = 0;
  const connect = ({ address, port }: EndpointConfig): Promise<UpstreamStream> => {
    if (port !== 1) return connectTcp({ address, port, timeoutMs: 5000 });
    dials += 1;
    return new Promise(() => undefined);
  };
  const limits = {
    connectTimeoutMs: 10_000,
    maxConnections: Infinity,
    maxPendingRequests: Infinity,
    maxRequestsPerConnection: 0,
    idleTimeoutMs: 3_600_000,
  };
  const cluster = new Cluster(
    { name: "a", limits, ...plainCluster },
    { connector: { connect }, clock, random: seededRandom(7) },
  );
  cluster.setEndpoints([endpointAt(1)]);
  harness.clusters.set("a", cluster);
  return { cluster, dials: () => dials };
}

test("a request that waits for an endpoint that is removed goes elsewhere after a second", async () => {
  await using harness = await Harness.start();
  const here = await harness.backend((_request, response) => response.end("served"));
  const clock = new HandClock();
  const { cluster, dials } = clusterWithVanished(harness, clock);
  harness.table = tableOf(route(forwardTo("a", { retry: retryPolicy({ on: { connectFailure: true } }) })));
  const waiting = [harness.get("/"), harness.get("/", { method: "POST", body: "once" })];
  await until(() => dials() === 2);
  const [vanished] = cluster.endpoints();
  assert.ok(vanished !== undefined);
  cluster.discoverEndpoints([endpointAt(here.port)]);
  clock.pass(999);
  assert.equal(vanished.pool.pendingRequests, 2);
  clock.pass(1);
  assert.equal(vanished.pool.pendingRequests, 0);
  assert.deepEqual(
    (await Promise.all(waiting)).map(({ body }) => body),
    ["served", "served"],
  );
  assert.deepEqual([cluster.counters.retries, cluster.breaker.pending.exhausted], [2, false]);
  assert.equal(vanished.counters.connectFailures, 0, "no connection has failed yet");
});

test("a request goes on waiting for an endpoint that DNS no longer names, or whose address is still there", async () => {
  const changes: readonly ((cluster: Cluster) => void)[] = [
    (cluster) => cluster.setEndpoints([endpointAt(2)]),
    (cluster) => cluster.discoverEndpoints([endpointAt(1, { transport: { kind: "internal", listener: "l" } })]),
  ];
  for (const change of changes) {
    await using harness = await Harness.start();
    const clock = new HandClock();
    const { cluster, dials } = clusterWithVanished(harness, clock);
    harness.table = tableOf(route(forwardTo("a")));
    harness.client().send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await until(() => dials() === 1);
    const [before] = cluster.endpoints();
    change(cluster);
    assert.ok(![...cluster.endpoints()].some((endpoint) => endpoint === before));
    clock.pass(5000);
    assert.equal(before?.pool.pendingRequests, 1);
  }
});

test("a request that waits for an endpoint of a replaced cluster goes on waiting", async () => {
  await using harness = await Harness.start();
  const clock = new HandClock();
  const { cluster, dials } = clusterWithVanished(harness, clock);
  harness.table = tableOf(route(forwardTo("a")));
  const client = harness.client();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await until(() => dials() === 1);
  cluster.drain();
  clock.pass(5000);
  assert.deepEqual(
    [...cluster.endpoints()].map(({ pool }) => pool.pendingRequests),
    [1],
  );
});
