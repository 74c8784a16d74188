import assert from "node:assert/strict";
import { Agent } from "node:http";
import { test } from "node:test";
import { until } from "../../base/testing/index.ts";
import { exactly, headerMatches } from "../routing/matchers.ts";
import { forwardTo, Harness, retryPolicy, route, tableOf } from "../testing/harness.ts";

const echo =
  (name: string): Parameters<Harness["backend"]>[0] =>
  (request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks);
      response.setHeader("x-backend", name);
      response.end(
        JSON.stringify({
          name,
          method: request.method,
          url: request.url,
          headers: request.headers,
          length: body.length,
        }),
      );
    });
  };

test("a response that precedes the end of its request has no x-envoy-upstream-service-time, and ends the connection", async () => {
  await using harness = await Harness.start();
  const port = await harness.rawBackend((socket) =>
    socket.on("data", (chunk) => {
      if (chunk.includes("\r\n\r\n")) socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    }),
  );
  harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a")));
  const client = harness.client();
  client.send("GET /whole HTTP/1.1\r\nhost: a\r\n\r\n");
  const whole = await client.until(/ok$/);
  assert.match(whole, /x-envoy-upstream-service-time: \d+\r\n/);
  assert.doesNotMatch(whole, /connection: close/);
  client.received = "";
  client.send("POST /early HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nab");
  const early = await client.until(/ok$/);
  assert.doesNotMatch(early, /x-envoy-upstream-service-time/);
  assert.match(early, /\r\nconnection: close\r\n/);
});

test("a request reaches its backend with the headers that an edge adds, and the answer comes back", async () => {
  await using harness = await Harness.start();
  const { port } = await harness.backend(echo("a"));
  harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a", { includeAttemptCount: true })));
  const answer = await harness.get("/x/../y?q=1", {
    method: "POST",
    body: "hello",
    headers: { "x-forwarded-for": "1.2.3.4", "x-request-id": "old", "x-forwarded-client-cert": "forged", te: "gzip" },
  });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.server, "istio-envoy");
  assert.match(String(answer.headers["x-envoy-upstream-service-time"]), /^\d+$/);
  const request = JSON.parse(answer.body) as { url: string; headers: Record<string, string>; length: number };
  assert.equal(request.url, "/y?q=1");
  assert.equal(request.length, 5);
  assert.deepEqual(
    [
      "x-forwarded-for",
      "x-forwarded-proto",
      "x-forwarded-client-cert",
      "x-envoy-attempt-count",
      "te",
      "x-envoy-internal",
      "x-envoy-external-address",
    ].map((name) => request.headers[name]),
    ["1.2.3.4,127.0.0.1", "http", undefined, "1", undefined, undefined, "127.0.0.1"],
  );
  assert.match(request.headers["x-request-id"] ?? "", /^[0-9a-f-]{36}$/);
  assert.equal(harness.finished[0]?.requestId, request.headers["x-request-id"]);
  assert.deepEqual(harness.records, [
    {
      status: 200,
      flag: "-",
      details: "via_upstream",
      method: "POST",
      cluster: "a",
      receivedBytes: 5,
      sentBytes: answer.body.length,
    },
  ]);
});

test("traffic follows the weights, and a header match takes precedence, over kept-alive connections", async () => {
  await using harness = await Harness.start();
  for (const name of ["a", "b"]) harness.cluster(name, [(await harness.backend(echo(name))).port]);
  const plain = { hostRewrite: undefined, requestMutation: undefined, responseMutation: undefined };
  harness.table = tableOf(
    route(forwardTo("b"), {
      matches: headerMatches({ name: "traffic", value: exactly("test"), invert: false, treatMissingAsEmpty: false }),
    }),
    route(
      forwardTo("", {
        target: {
          kind: "weighted",
          totalWeight: 100,
          clusters: [
            { cluster: "a", weight: 90, ...plain },
            { cluster: "b", weight: 10, ...plain },
          ],
        },
      }),
    ),
  );
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  const names = await Promise.all(
    Array.from({ length: 1000 }, async () => (await harness.get("/", { agent })).headers["x-backend"]),
  );
  const share = names.filter((name) => name === "b").length;
  // The number may deviate by four standard deviations of a binomial distribution with p = 0.1.
  assert.ok(Math.abs(share - 100) < 38, `b got ${share} of 1000`);
  const canary = await Promise.all(
    Array.from(
      { length: 20 },
      async () => (await harness.get("/", { agent, headers: { Traffic: "test" } })).headers["x-backend"],
    ),
  );
  assert.deepEqual(new Set(canary), new Set(["b"]));
  assert.equal(harness.listener.accepted, 4);
  agent.destroy();
});

test("pipelined requests are answered in order", async () => {
  await using harness = await Harness.start();
  harness.cluster("a", [
    (
      await harness.backend((request, response) =>
        setTimeout(() => response.end(`<${request.url}>`), request.url === "/0" ? 20 : 0),
      )
    ).port,
  ]);
  harness.table = tableOf(route(forwardTo("a")));
  const client = harness.client();
  client.send(Array.from({ length: 5 }, (_, index) => `GET /${index} HTTP/1.1\r\nHost: a\r\n\r\n`).join(""));
  const all = await client.until(/<\/4>/);
  assert.deepEqual(all.match(/<\/\d>/g), ["</0>", "</1>", "</2>", "</3>", "</4>"]);
});

test("chunked bodies keep their trailers in both directions if the listener enables trailers, however they are split", async () => {
  await using harness = await Harness.start({ http1Trailers: true });
  let received = "";
  const port = await harness.rawBackend((socket) =>
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1");
      if (!received.endsWith("x: y\r\n\r\n")) return;
      for (const byte of "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nt: u\r\n\r\n")
        socket.write(byte);
    }),
  );
  harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a")));
  const client = harness.client();
  for (const byte of "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n5\r\nhello\r\n0\r\nx: y\r\n\r\n") {
    client.send(byte);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.match(await client.until(/u\r\n\r\n$/), /\r\n\r\n3\r\nabc\r\n0\r\nt: u\r\n\r\n$/);
  assert.match(received, /\r\n\r\n5\r\nhello\r\n0\r\nx: y\r\n\r\n$/);
});

/**
 * The chunked request at the upstream, and the chunked response at the client. Both are sent at once, or (`cut`) byte
 * by byte.
 */
async function chunksBothWays(
  request: string,
  answer: string,
  cut: boolean,
  http1Trailers: boolean,
): Promise<string[]> {
  await using harness = await Harness.start({ http1Trailers });
  let requestText = "";
  const port = await harness.rawBackend((socket) =>
    socket.on("data", (chunk) => {
      requestText += chunk.toString("latin1");
      if (!/\r\n0\r\n(.*\r\n)*\r\n$/.test(requestText)) return;
      for (const piece of cut ? answer : [answer]) socket.write(Buffer.from(piece, "latin1"));
    }),
  );
  harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a")));
  const client = harness.client();
  for (const piece of cut ? request : [request]) {
    client.send(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const received = await client.until(/\r\n0\r\n(.*\r\n)*\r\n$/);
  return [requestText, received].map((text) => text.slice(text.indexOf("\r\n\r\n") + 4));
}

const chunkedHead = "Transfer-Encoding: chunked\r\n\r\n";
const withExtensions = '5;a=b\r\nhello\r\n3;x;y="1;2"\r\nabc\r\n0;z\r\n';
const hostileTrailers = [
  "x-forwarded-client-cert: By=a",
  "Authorization: Bearer x",
  "host: b",
  "content-length: 5",
  "transfer-encoding: chunked",
  "x-envoy-retry-on: 5xx",
  "cookie: a=b",
];

for (const cut of [false, true])
  test(`chunk extensions and trailers end at this hop in both directions${cut ? ", byte by byte" : ""}`, async () => {
    const trailers = [...hostileTrailers, "x-sum: 1"].map((line) => `${line}\r\n`).join("");
    const body = `${chunkedHead}${withExtensions}${trailers}\r\n`;
    const bare = "5\r\nhello\r\n3\r\nabc\r\n0\r\n\r\n";
    const request = `POST / HTTP/1.1\r\nHost: a\r\n${body}`;
    assert.deepEqual(await chunksBothWays(request, `HTTP/1.1 200 OK\r\n${body}`, cut, false), [bare, bare]);
    const kept = bare.replace(/\r\n$/, "x-sum: 1\r\n\r\n");
    assert.deepEqual(await chunksBothWays(request, `HTTP/1.1 200 OK\r\n${body}`, cut, true), [kept, kept]);
  });

test("HTTP/1.0 gets plain bodies: a chunked answer ends with the connection, and one of known length may keep it", async () => {
  await using harness = await Harness.start();
  harness.cluster("a", [
    (
      await harness.backend((request, response) => {
        if (request.url === "/chunked") response.write("part ");
        response.end("end");
      })
    ).port,
  ]);
  harness.table = tableOf(route(forwardTo("a")));
  const chunked = harness.client();
  chunked.send("GET /chunked HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
  await chunked.closed;
  assert.match(chunked.received, /connection: close\r\n(?:.*\r\n)*\r\npart end$/i);
  assert.doesNotMatch(chunked.received, /transfer-encoding/i);
  const known = harness.client();
  known.send("GET /known HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
  assert.match(await known.until(/end$/), /connection: keep-alive/i);
  known.send("GET /known HTTP/1.0\r\nHost: a\r\n\r\n");
  await known.closed;
  assert.equal(known.received.match(/end/g)?.length, 2);
});

test("a body without length from the upstream is chunked for HTTP/1.1", async () => {
  await using harness = await Harness.start();
  const port = await harness.rawBackend((socket) =>
    socket.once("data", () => socket.end("HTTP/1.0 200 OK\r\n\r\nuntil the end")),
  );
  harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a")));
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (let round = 0; round < 2; round += 1) assert.equal((await harness.get("/", { agent })).body, "until the end");
  assert.equal(harness.listener.accepted, 1);
  agent.destroy();
});

test("a client gets the response of a server that refuses its request and then resets the connection", async () => {
  await using harness = await Harness.start();
  const port = await harness.rawBackend((socket) =>
    socket.once("data", () =>
      socket.write("HTTP/1.0 400 Bad Request\r\n\r\nsent HTTP to HTTPS", () =>
        setTimeout(() => socket.resetAndDestroy(), 50),
      ),
    ),
  );
  harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a")));
  const { status, body } = await harness.get("/");
  assert.deepEqual([status, body], [400, "sent HTTP to HTTPS"]);
});

test("HEAD, 204 and 304 have no body, whatever content-length they state", async () => {
  await using harness = await Harness.start();
  const port = await harness.rawBackend((socket) =>
    socket.on("data", (chunk) => {
      const path = /^\w+ (\S+)/.exec(chunk.toString())?.[1];
      socket.write(
        path === "/head"
          ? "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
          : `HTTP/1.1 ${path?.slice(1)} X\r\nETag: a\r\n\r\n`,
      );
    }),
  );
  harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a")));
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const head = await harness.get("/head", { agent, method: "HEAD" });
  assert.deepEqual([head.headers["content-length"], head.body], ["10", ""]);
  assert.equal((await harness.get("/204", { agent })).status, 204);
  assert.equal((await harness.get("/304", { agent })).status, 304);
  assert.equal(harness.listener.accepted, 1);
  agent.destroy();
});

test("the proxy forwards 100-continue, and sends the body only after it", async () => {
  await using harness = await Harness.start();
  const { port, server } = await harness.backend(echo("a"));
  let requestCount = 0;
  server.on("checkContinue", (request, response) => {
    requestCount += 1;
    response.writeContinue();
    echo("a")(request, response);
  });
  harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a")));
  const client = harness.client();
  client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  await client.until(/^HTTP\/1.1 100 Continue\r\n\r\n$/);
  client.send("body");
  assert.match(await client.until(/"length":4/), /HTTP\/1.1 200 OK/);
  assert.equal(requestCount, 1);
});

test("a WebSocket upgrade becomes a tunnel, and either side can end it", async () => {
  await using harness = await Harness.start();
  const { port, server } = await harness.backend(echo("a"));
  server.on("upgrade", (_request, socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi");
    socket.on("data", (chunk: Buffer) => socket.write(`[${chunk.toString()}]`));
    socket.on("end", () => socket.end());
  });
  harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a")));
  const client = harness.client();
  client.send("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly");
  assert.match(await client.until(/\[early\]/), /^HTTP\/1.1 101 Switching Protocols\r\n(?:.*\r\n)*\r\nhi\[early\]$/);
  client.send("more");
  await client.until(/\[more\]/);
  client.socket.end();
  await client.closed;
  assert.equal(harness.records.length, 1);
  const refused = harness.client();
  refused.send("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n");
  await refused.until(/^HTTP\/1.1 403 /);
});

test("large bodies flow through slow readers without being buffered", async () => {
  await using harness = await Harness.start();
  const size = 24 * 1024 * 1024;
  let sent = 0;
  const { port } = await harness.backend((request, response) => {
    let taken = 0;
    request.on("data", (chunk: Buffer) => (taken += chunk.length));
    request.on("end", () => {
      response.writeHead(200, { "content-length": size, "x-taken": taken });
      const block = Buffer.alloc(65_536, 97);
      const more = (): void => {
        while (sent < size) {
          sent += block.length;
          if (!response.write(block)) return void response.once("drain", more);
        }
        response.end();
      };
      more();
    });
  });
  harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a")));
  const client = harness.client();
  client.socket.pause();
  const head = `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`;
  client.send(Buffer.concat([Buffer.from(head), Buffer.alloc(size, 98)]));
  const before = process.memoryUsage().arrayBuffers;
  await until(() => sent > 0);
  let last = -1;
  while (sent !== last) {
    last = sent;
    await new Promise((resolve) => setTimeout(resolve, 60));
  }
  assert.ok(sent < size, "the backend was held back");
  assert.ok(process.memoryUsage().arrayBuffers - before < 16 * 1024 * 1024);
  let receivedBytes = 0;
  client.socket.removeAllListeners("data");
  client.socket.on("data", (chunk) => (receivedBytes += chunk.length));
  client.socket.resume();
  await until(() => receivedBytes >= size);
  assert.equal(harness.records[0]?.receivedBytes, size);
  assert.equal(harness.records[0]?.sentBytes, size);
});

test("malformed bytes get 400 and end the connection, without reaching a backend", async () => {
  await using harness = await Harness.start();
  let reached = 0;
  harness.cluster("a", [
    (
      await harness.backend((_, response) => {
        reached += 1;
        response.end();
      })
    ).port,
  ]);
  harness.table = tableOf(route(forwardTo("a")));
  for (const text of [
    "GET / HTTP/1.1\nHost: a\n\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "\x16\x03\x01\x02\x00",
  ]) {
    const client = harness.client();
    client.send(text);
    await client.closed;
    assert.match(client.received, /^HTTP\/1.1 400 Bad Request\r\n(?:.*\r\n)*connection: close\r\n/);
  }
  assert.equal(reached, 0);
  assert.deepEqual(
    harness.records.map((record) => record.flag),
    ["DPE", "DPE", "DPE"],
  );
});

test("bad chunks after a good head are refused, and the upstream connection is not used again", async () => {
  await using harness = await Harness.start();
  const reached = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  const port = await harness.rawBackend((socket) =>
    socket
      .on("data", () => reached.resolve())
      .on("close", () => closed.resolve())
      .on("end", () => socket.end()),
  );
  harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a")));
  const client = harness.client();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
  await reached.promise;
  client.send("zz\r\n");
  await client.closed;
  assert.match(client.received, /^HTTP\/1.1 400 /);
  await closed.promise;
});

test("requests that cannot be routed get Envoy's answers and flags", async () => {
  await using harness = await Harness.start();
  assert.deepEqual([(await harness.get("/")).status, harness.records[0]?.flag], [404, "NR"]);
  harness.table = tableOf(route(forwardTo("gone", { clusterNotFoundStatus: 500 })));
  assert.deepEqual([(await harness.get("/")).status, harness.records[1]?.flag], [500, "NC"]);
  harness.cluster("gone", []);
  const unhealthy = await harness.get("/");
  assert.deepEqual([unhealthy.status, unhealthy.body, harness.records[2]?.flag], [503, "no healthy upstream", "UH"]);
  const closing = await harness.rawBackend(() => undefined);
  harness.cluster("gone", [closing], { maxRequests: 0 });
  const overflow = await harness.get("/");
  assert.match(overflow.body, /reset reason: overflow/);
  assert.equal(harness.records[3]?.flag, "UO");
});

async function refusedPort(harness: Harness): Promise<number> {
  const { port, server } = await harness.backend(() => undefined);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test("a refused connection gives 503 UF without a retry policy, and tries another endpoint with connect-failure", async () => {
  await using harness = await Harness.start();
  const dead = await refusedPort(harness);
  const { port } = await harness.backend(echo("alive"));
  harness.cluster("a", [dead]);
  harness.table = tableOf(route(forwardTo("a")));
  const failed = await harness.get("/");
  assert.deepEqual([failed.status, harness.records[0]?.flag], [503, "UF"]);
  assert.match(
    failed.body,
    /^upstream connect error or disconnect\/reset before headers. reset reason: remote connection failure/,
  );
  harness.cluster("a", [dead, port]);
  harness.table = tableOf(route(forwardTo("a", { retry: retryPolicy({ on: { connectFailure: true } }) })));
  const answers = await Promise.all(
    Array.from({ length: 10 }, () => harness.get("/", { method: "POST", body: "x".repeat(1000) })),
  );
  assert.deepEqual(new Set(answers.map((answer) => answer.status)), new Set([200]));
});

test("a kept-alive connection that its peer closes is no failure for requests that may be retried", async () => {
  await using harness = await Harness.start();
  let connections = 0;
  const port = await harness.rawBackend((socket) => {
    connections += 1;
    let answered = 0;
    // The server closes the connection at its second request.
    socket.on("data", () =>
      answered++ === 0 ? socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") : socket.destroy(),
    );
  });
  harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a")));
  for (let index = 0; index < 5; index += 1) assert.equal((await harness.get("/")).body, "ok");
  assert.equal(connections, 5);
  assert.equal(
    (await harness.get("/", { method: "POST", body: "once" })).status,
    503,
    "a POST that was sent is not sent again",
  );
  assert.equal(harness.records.at(-1)?.flag, "UC");
});

test("a new connection that closes without an answer gives 503 UC, once", async () => {
  await using harness = await Harness.start();
  let connections = 0;
  const port = await harness.rawBackend((socket) => {
    connections += 1;
    socket.on("data", () => socket.destroy());
  });
  harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a")));
  assert.match((await harness.get("/")).body, /connection termination/);
  assert.equal(connections, 1);
});

test("a truncated upstream response is truncated for the client too", async () => {
  await using harness = await Harness.start();
  const port = await harness.rawBackend((socket) =>
    socket.on("data", () => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")),
  );
  harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a")));
  await assert.rejects(harness.get("/"), /aborted|ECONNRESET|hang up/);
  assert.equal(harness.records[0]?.flag, "UC");
});

test("a route's timeout answers 504, and a retry policy retries its status codes", async () => {
  await using harness = await Harness.start();
  let calls = 0;
  const { port } = await harness.backend((request, response) => {
    if (request.url === "/slow") return;
    calls += 1;
    response.statusCode = calls % 3 === 0 ? 200 : 503;
    response.end(String(request.headers["x-envoy-attempt-count"]));
  });
  harness.cluster("a", [port]);
  harness.table = tableOf(
    route(forwardTo("a", { timeoutMs: 30 }), { matches: (request) => request.path === "/slow" }),
    route(
      forwardTo("a", {
        includeAttemptCount: true,
        retry: retryPolicy({ on: { retriableStatusCodes: true }, retriableStatusCodes: [503] }),
      }),
    ),
  );
  const slow = await harness.get("/slow");
  assert.deepEqual([slow.status, slow.body, harness.records[0]?.flag], [504, "upstream request timeout", "UT"]);
  assert.deepEqual(await harness.get("/flaky").then((answer) => [answer.status, answer.body]), [200, "3"]);
  assert.equal(calls, 3);
});

test("a client that disconnects cancels its request upstream", async () => {
  await using harness = await Harness.start();
  const gone = Promise.withResolvers<void>();
  const reached = Promise.withResolvers<void>();
  const { port } = await harness.backend((request) => {
    reached.resolve();
    request.on("close", () => gone.resolve());
  });
  const cluster = harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a")));
  const client = harness.client();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await reached.promise;
  client.socket.destroy();
  await gone.promise;
  assert.equal(cluster.activeRequests, 0);
  assert.deepEqual(
    harness.records.map((record) => [record.status, record.flag]),
    [[0, "DC"]],
  );
});

test("the route table changes under load without a failed request", async () => {
  await using harness = await Harness.start();
  for (const name of ["a", "b"]) harness.cluster(name, [(await harness.backend(echo(name))).port]);
  const tables = { a: tableOf(route(forwardTo("a"))), b: tableOf(route(forwardTo("b"))) };
  harness.table = tables.a;
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  let failed = 0;
  const worker = async (): Promise<void> => {
    for (let index = 0; index < 120; index += 1) {
      const answer = await harness.get("/", index % 4 === 0 ? {} : { agent });
      if (answer.status !== 200) failed += 1;
      if (index % 10 === 0) harness.table = harness.table === tables.a ? tables.b : tables.a;
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  assert.equal(failed, 0);
  agent.destroy();
});

test("while draining, answers say close, new connections are still served, and idle ones can be closed", async () => {
  await using harness = await Harness.start();
  harness.cluster("a", [(await harness.backend(echo("a"))).port]);
  harness.table = tableOf(route(forwardTo("a")));
  const kept = harness.client();
  kept.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
  await kept.until(/"url":"\/1"/);
  const idle = harness.client();
  idle.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
  await idle.until(/"url":"\/2"/);
  harness.listener.drain();
  kept.send("GET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
  assert.match(await kept.until(/"url":"\/3"/), /connection: close/);
  await kept.closed;
  assert.equal((await harness.get("/new")).headers.connection, "close");
  harness.listener.closeIdle(0);
  await idle.closed;
});

test("a mirror gets a copy of the request, and its response is discarded", async () => {
  await using harness = await Harness.start();
  harness.cluster("a", [(await harness.backend(echo("a"))).port]);
  const copies: string[] = [];
  const mirror = await harness.backend((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      copies.push(`${request.method} ${request.url} ${request.headers.host} ${body.length}`);
      response.statusCode = 500;
      response.end("nobody sees this");
    });
  });
  const cluster = harness.cluster("mirror", [mirror.port]);
  harness.table = tableOf(
    route(
      forwardTo("a", {
        mirrors: [
          { cluster: "mirror", fraction: 1, keepHost: false },
          { cluster: "none", fraction: 1, keepHost: false },
        ],
      }),
    ),
  );
  for (let index = 0; index < 3; index += 1) {
    const answer = await harness.get("/m?x", {
      method: "POST",
      body: "y".repeat(100_000),
      headers: { host: "shop.test:80" },
    });
    assert.equal(answer.status, 200);
  }
  await until(() => copies.length === 3);
  assert.deepEqual(new Set(copies), new Set(["POST /m?x shop.test-shadow:80 100000"]));
  await until(() => [...cluster.endpoints()].every((endpoint) => endpoint.activeRequests === 0));
});

test("a client that never completes its head loses its connection after the idle time", async () => {
  await using harness = await Harness.start({ idleTimeoutMs: 1000, headTimeoutMs: 0 });
  const { port } = await harness.backend((_request, response) => response.end());
  harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a")));
  const client = harness.client();
  client.send("GET /first HTTP/1.1\r\nhost: a\r\n\r\nGET /second HTTP/1.1\r\nhost: a\r\n");
  await client.until(/^HTTP\/1\.1 200 [^]*\r\n\r\n/);
  for (let second = 0; second < 3; second += 1) harness.listener.sweep();
  client.send("\r\n");
  assert.match(await client.until(/\r\nHTTP\/1\.1 \d+ /), /HTTP\/1\.1 408 /);
});
