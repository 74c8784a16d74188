import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import * as http2 from "node:http2";
import { Agent, request as httpRequest } from "node:http";
import { test } from "node:test";
import { systemClock, type Clock } from "../../base/index.ts";
import { hastyClock, until } from "../../base/testing/index.ts";
import { forwardTo, Harness, retryPolicy, route, tableOf } from "../testing/harness.ts";
import { sendRequest, connectTo, Http2Backend } from "../testing/http2-peers.ts";

type StreamHandler = Parameters<typeof Http2Backend.start>[0];

const sha = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

const echoStream: StreamHandler = (stream, headers) => {
  const chunks: Buffer[] = [];
  let trailers: http2.IncomingHttpHeaders = {};
  stream.on("trailers", (received) => (trailers = received));
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  stream.on("end", () => {
    stream.respond({ ":status": 200, "content-type": "application/json" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "x-end": "yes" }));
    stream.end(JSON.stringify({ headers, trailers, length: Buffer.concat(chunks).length }));
  });
};

async function withBackend(
  onStream: StreamHandler,
  settings: http2.Settings = {},
  clock: Clock = systemClock,
): Promise<{ harness: Harness; backend: Http2Backend } & AsyncDisposable> {
  const harness = await Harness.start({}, 1, { clock });
  const backend = await Http2Backend.start(onStream, settings);
  harness.cluster("a", [backend.port], { upstreamProtocol: "http2" });
  harness.table = tableOf(route(forwardTo("a", { includeAttemptCount: true })));
  return {
    harness,
    backend,
    [Symbol.asyncDispose]: async () => {
      await harness[Symbol.asyncDispose]();
      await backend[Symbol.asyncDispose]();
    },
  };
}

test("a request over HTTP/2 reaches an HTTP/2 upstream, with bodies and trailers both ways", async () => {
  await using made = await withBackend(echoStream);
  const { harness } = made;
  const session = await connectTo(harness.port);
  const answer = await sendRequest(
    session,
    { ":method": "POST", ":path": "/x?y=1", cookie: ["a=1", "b=2"], te: "trailers" },
    "hello",
    { "x-sum": "5" },
  );
  assert.equal(answer.headers[":status"], 200);
  assert.equal(answer.headers["server"], "istio-envoy");
  assert.equal(answer.trailers["x-end"], "yes");
  const request = JSON.parse(answer.body.toString()) as {
    headers: Record<string, string>;
    trailers: Record<string, string>;
    length: number;
  };
  assert.deepEqual([request.length, request.trailers["x-sum"]], [5, "5"]);
  assert.deepEqual(
    [
      ":path",
      ":method",
      ":scheme",
      "cookie",
      "te",
      "x-forwarded-proto",
      "x-envoy-attempt-count",
      "transfer-encoding",
      "host",
    ].map((name) => request.headers[name]),
    ["/x?y=1", "POST", "http", "a=1; b=2", "trailers", "http", "1", undefined, undefined],
  );
  assert.equal(request.headers[":authority"], `127.0.0.1:${harness.port}`);
  session.close();
  await until(() => harness.records.length === 1);
  assert.deepEqual([harness.records[0]?.receivedBytes, harness.records[0]?.sentBytes], [5, answer.body.length]);
});

test("streams of one connection that wait for their client do not mix their bodies", async () => {
  const bodies = Array.from({ length: 6 }, () => randomBytes(1024 * 1024));
  // A wide window lets the proxy send what it reads without a copy, until the kernel takes no more.
  const [usual, wide] = [65_535, 8 * 1024 * 1024];
  for (const [upstream, window] of [
    ["http1", usual],
    ["http1", wide],
    ["http2", usual],
    ["http2", wide],
  ] as const) {
    await using harness = await Harness.start();
    await using backend = await Http2Backend.start((stream, headers) => {
      stream.respond({ ":status": 200 });
      stream.end(bodies[Number(headers[":path"]?.slice(1))]);
    });
    const plain = await harness.backend((request, response) => response.end(bodies[Number(request.url?.slice(1))]));
    harness.cluster("a", [upstream === "http2" ? backend.port : plain.port], { upstreamProtocol: upstream });
    harness.table = tableOf(route(forwardTo("a")));
    const session = await connectTo(harness.port, { settings: { initialWindowSize: window } });
    session.setLocalWindowSize(window);
    const answers = await Promise.all(
      bodies.map(async (_, index) => await sendRequest(session, { ":path": `/${index}` })),
    );
    assert.deepEqual(
      answers.map(({ body }) => sha(body)),
      bodies.map(sha),
      `${upstream}, a window of ${window}`,
    );
    session.close();
  }
});

test("large bodies arrive whole in every combination of HTTP/1.1 and HTTP/2, with and without a stated length", async () => {
  const body = randomBytes(3 * 1024 * 1024);
  for (const upstream of ["http1", "http2"] as const) {
    await using harness = await Harness.start();
    const mirrorBody: StreamHandler = (stream) => {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", () => stream.end(Buffer.concat(chunks)));
    };
    await using backend = await Http2Backend.start(mirrorBody);
    const plain = await harness.backend((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        // Two writes without a `content-length` make the response chunked.
        const all = Buffer.concat(chunks);
        response.write(all.subarray(0, 100_000));
        response.end(all.subarray(100_000));
      });
    });
    harness.cluster("a", [upstream === "http2" ? backend.port : plain.port], { upstreamProtocol: upstream });
    harness.table = tableOf(route(forwardTo("a")));
    const session = await connectTo(harness.port);
    for (const length of [undefined, String(body.length)]) {
      const headers = { ":method": "PUT", ":path": "/", ...(length === undefined ? {} : { "content-length": length }) };
      const answer = await sendRequest(session, headers, body);
      assert.equal(sha(answer.body), sha(body), `HTTP/2 to ${upstream}, length ${length}`);
      const back = await new Promise<Buffer>((resolve, reject) => {
        const request = httpRequest(
          {
            port: harness.port,
            host: "127.0.0.1",
            method: "PUT",
            headers: length === undefined ? { "transfer-encoding": "chunked" } : { "content-length": length },
          },
          (response) => {
            const chunks: Buffer[] = [];
            response.on("data", (chunk: Buffer) => chunks.push(chunk));
            response.on("end", () => resolve(Buffer.concat(chunks)));
          },
        );
        request.on("error", reject);
        request.write(body.subarray(0, 70_001));
        request.end(body.subarray(70_001));
      });
      assert.equal(sha(back), sha(body), `HTTP/1.1 to ${upstream}, length ${length}`);
    }
    session.close();
    assert.deepEqual(new Set(harness.records.map((record) => record.flag)), new Set(["-"]));
  }
});

test("trailers cross between HTTP/1.1 and HTTP/2 in both directions if the listener enables them", async () => {
  await using harness = await Harness.start({ http1Trailers: true });
  await using backend = await Http2Backend.start(echoStream);
  let received = "";
  const plain = await harness.rawBackend((socket) =>
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1");
      if (received.includes("\r\nx-sum: 5\r\n\r\n"))
        socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nGrpc-Status: 7\r\n\r\n");
    }),
  );
  harness.cluster("two", [backend.port], { upstreamProtocol: "http2" });
  harness.cluster("one", [plain]);
  harness.table = tableOf(
    route(forwardTo("two"), { matches: (request) => request.path === "/two" }),
    route(forwardTo("one")),
  );
  const client = harness.client();
  client.send("POST /two HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 5\r\n\r\n");
  assert.match(
    await client.until(/x-end: yes\r\n\r\n$/),
    /"trailers":\{"x-sum":"5"\},"length":5\}\r\n0\r\nx-end: yes\r\n\r\n$/,
  );
  const session = await connectTo(harness.port);
  const answer = await sendRequest(session, { ":method": "POST", ":path": "/one" }, "hello", { "x-sum": "5" });
  assert.deepEqual([answer.body.toString(), answer.trailers["grpc-status"]], ["abc", "7"]);
  assert.match(received, /transfer-encoding: chunked\r\n(?:.*\r\n)*\r\n5\r\nhello\r\n0\r\nx-sum: 5\r\n\r\n$/);
  session.close();
});

test("answers without a body keep their connections: HEAD, 204, 304, and responses without any length", async () => {
  await using made = await withBackend((stream, headers) => {
    const status = Number(String(headers[":path"]).slice(1));
    stream.respond(
      { ":status": status, ...(headers[":method"] === "HEAD" ? { "content-length": 10 } : {}) },
      { endStream: true },
    );
  });
  const { harness } = made;
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const session = await connectTo(harness.port);
  for (const [method, status] of [
    ["HEAD", 200],
    ["GET", 204],
    ["GET", 304],
    ["GET", 200],
    ["DELETE", 404],
  ] as const) {
    const plain = await harness.get(`/${status}`, { agent, method });
    assert.deepEqual([plain.status, plain.body], [status, ""]);
    const answer = await sendRequest(session, { ":method": method, ":path": `/${status}` });
    assert.deepEqual(
      [answer.headers[":status"], answer.body.length, answer.headers["content-length"]],
      [status, 0, method === "HEAD" ? "10" : undefined],
    );
  }
  assert.equal(harness.listener.accepted, 2);
  agent.destroy();
  session.close();
});

test("many requests share a connection, up to the server's limit of concurrent streams", async () => {
  let open = 0;
  let most = 0;
  await using made = await withBackend(
    (stream) => {
      open += 1;
      most = Math.max(most, open);
      setTimeout(() => {
        open -= 1;
        stream.respond({ ":status": 200 });
        stream.end("x");
      }, 5);
    },
    { maxConcurrentStreams: 10 },
  );
  const session = await connectTo(made.harness.port);
  await sendRequest(session, { ":path": "/" });
  const answers = await Promise.all(Array.from({ length: 100 }, () => sendRequest(session, { ":path": "/" })));
  assert.deepEqual(new Set(answers.map((answer) => answer.headers[":status"])), new Set([200]));
  assert.ok(most <= 10 * made.backend.connections, `${most} at once on ${made.backend.connections} connections`);
  session.close();
});

test("a connection is retired after its number of requests without losing one", async () => {
  await using made = await withBackend((stream) => {
    stream.respond({ ":status": 200 });
    stream.end("x");
  });
  const { harness, backend } = made;
  const known = harness.clusters.get("a")?.config.limits;
  harness.cluster("a", [backend.port], {
    upstreamProtocol: "http2",
    limits: { ...(known ?? assert.fail()), maxRequestsPerConnection: 5 },
  });
  const session = await connectTo(harness.port);
  const answers = await Promise.all(Array.from({ length: 20 }, () => sendRequest(session, { ":path": "/" })));
  assert.deepEqual(new Set(answers.map((answer) => answer.headers[":status"])), new Set([200]));
  assert.equal(backend.connections, 4);
  session.close();
});

test("a server that sends GOAWAY at any moment loses no request", async () => {
  await using made = await withBackend((stream) =>
    setTimeout(() => (stream.respond({ ":status": 200 }), stream.end("x")), 3),
  );
  const { harness, backend } = made;
  const session = await connectTo(harness.port);
  const statuses: (number | undefined)[] = [];
  const worker = async (): Promise<void> => {
    for (let index = 0; index < 30; index += 1) {
      statuses.push((await sendRequest(session, { ":method": "POST", ":path": "/" }, "body")).headers[":status"]);
      // The server leaves after a number of requests, not after a time. On a busy machine it would otherwise leave more
      // often than a request is attempted.
      if (statuses.length % 12 === 0) for (const each of backend.sessions) each.close();
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  assert.deepEqual([statuses.length, new Set(statuses)], [240, new Set([200])]);
  assert.ok(backend.connections > 3);
  session.close();
});

test("streams that a server refused or never processed are retried once; others are answered with 503 UR", async () => {
  let refusals = 0;
  await using made = await withBackend((stream, headers) => {
    if (headers[":path"] === "/reset") stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
    else if (refusals++ < 2) stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
    else {
      stream.respond({ ":status": 200 });
      stream.end("at last");
    }
  });
  const { harness } = made;
  const session = await connectTo(harness.port);
  assert.equal(
    (await sendRequest(session, { ":method": "POST", ":path": "/refused" }, "x")).body.toString(),
    "at last",
  );
  const failed = await sendRequest(session, { ":path": "/reset" });
  assert.deepEqual(
    [failed.headers[":status"], failed.body.toString()],
    [503, "upstream connect error or disconnect/reset before headers. reset reason: remote reset"],
  );
  assert.equal(harness.records.at(-1)?.flag, "UR");
  session.close();
});

test("a retry policy retries a reset, and a truncated answer is truncated for the client too", async () => {
  let calls = 0;
  await using made = await withBackend((stream, headers) => {
    calls += 1;
    if (headers[":path"] === "/cut") {
      stream.respond({ ":status": 200 });
      stream.write("half");
      setTimeout(() => stream.destroy(new Error("cut")), 5);
    } else if (calls < 3) stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
    else {
      stream.respond({ ":status": 200 });
      stream.end(String(headers["x-envoy-attempt-count"]));
    }
  });
  const { harness } = made;
  harness.table = tableOf(
    route(forwardTo("a", { includeAttemptCount: true, retry: retryPolicy({ on: { reset: true } }) })),
  );
  const session = await connectTo(harness.port);
  assert.equal((await sendRequest(session, { ":path": "/" })).body.toString(), "3");
  await assert.rejects(sendRequest(session, { ":path": "/cut" }), /INTERNAL_ERROR/);
  assert.equal(harness.records.at(-1)?.flag, "UR");
  session.close();
});

test("a client that cancels its request cancels it upstream", async () => {
  const reached = Promise.withResolvers<http2.ServerHttp2Stream>();
  const closed = Promise.withResolvers<number | undefined>();
  await using made = await withBackend((stream) => {
    reached.resolve(stream);
    stream.on("close", () => closed.resolve(stream.rstCode));
  });
  const session = await connectTo(made.harness.port);
  const stream = session.request({ ":path": "/" });
  stream.on("error", () => undefined);
  await reached.promise;
  stream.close(http2.constants.NGHTTP2_CANCEL);
  assert.equal(await closed.promise, http2.constants.NGHTTP2_CANCEL);
  await until(() => made.harness.records.length === 1);
  assert.deepEqual(
    [made.harness.records[0]?.status, made.harness.records[0]?.flag, made.harness.clusters.get("a")?.activeRequests],
    [0, "DC", 0],
  );
  session.close();
});

test("large answers flow to slow clients stream by stream without being buffered", async () => {
  const size = 24 * 1024 * 1024;
  let sent = 0;
  await using made = await withBackend((stream, headers) => {
    // If the request's body stays unread, Node resets the stream.
    stream.resume();
    stream.respond({ ":status": 200 });
    if (headers[":path"] === "/small") {
      stream.end("small");
      return;
    }
    const block = Buffer.alloc(65_536, 97);
    const more = (): void => {
      while (sent < size) {
        sent += block.length;
        if (!stream.write(block)) return void stream.once("drain", more);
      }
      stream.end();
    };
    more();
  });
  const session = await connectTo(made.harness.port);
  const slow = session.request({ ":path": "/" });
  slow.pause();
  await until(() => sent > 0);
  let last = -1;
  while (sent !== last) {
    last = sent;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.ok(sent < 8 * 1024 * 1024, `the upstream was held back: ${sent}`);
  assert.equal((await sendRequest(session, { ":path": "/small" })).body.toString(), "small");
  let receivedBytes = 0;
  slow.on("data", (chunk: Buffer) => (receivedBytes += chunk.length));
  slow.resume();
  await until(() => receivedBytes === size);
  session.close();
});

test("a response may come before the request has ended, and then the rest of the request is dropped", async () => {
  await using made = await withBackend((stream) => {
    stream.respond({ ":status": 413 });
    stream.end("too much");
  });
  const session = await connectTo(made.harness.port);
  const stream = session.request({ ":method": "POST", ":path": "/" });
  stream.on("error", () => undefined);
  let body = "";
  stream.on("data", (chunk: Buffer) => (body += chunk.toString()));
  stream.write("some");
  await new Promise((resolve) => stream.once("close", resolve));
  assert.deepEqual([body, stream.rstCode], ["too much", http2.constants.NGHTTP2_NO_ERROR]);
  assert.equal((await sendRequest(session, { ":path": "/" })).headers[":status"], 413);
  session.close();
});

test("the proxy answers a gRPC client in gRPC's format", async () => {
  await using harness = await Harness.start();
  const session = await connectTo(harness.port);
  const answer = await sendRequest(session, {
    ":method": "POST",
    ":path": "/a.B/C",
    "content-type": "application/grpc+proto",
    te: "trailers",
  });
  assert.deepEqual(
    [answer.headers[":status"], answer.headers["content-type"], answer.headers["grpc-status"], answer.body.length],
    [200, "application/grpc", "12", 0],
  );
  harness.cluster("gone", []);
  harness.table = tableOf(route(forwardTo("gone")));
  const unhealthy = await sendRequest(session, {
    ":method": "POST",
    ":path": "/a.B/C",
    "content-type": "application/grpc",
  });
  assert.deepEqual(
    [unhealthy.headers["grpc-status"], unhealthy.headers["grpc-message"]],
    ["14", "no healthy upstream"],
  );
  session.close();
});

test("a drain sends clients away, serves open requests, and loses none that arrives meanwhile", async () => {
  await using made = await withBackend((stream, headers) =>
    setTimeout(() => (stream.respond({ ":status": 200 }), stream.end(String(headers[":path"]))), 40),
  );
  const { harness } = made;
  const session = await connectTo(harness.port);
  await sendRequest(session, { ":path": "/warm" });
  const gone = new Promise<void>((resolve) => session.once("goaway", () => resolve()));
  const closed = new Promise<void>((resolve) => session.once("close", () => resolve()));
  const early = sendRequest(session, { ":path": "/early" });
  harness.listener.drain();
  const late = sendRequest(session, { ":path": "/late" });
  await gone;
  assert.deepEqual([(await early).body.toString(), (await late).body.toString()], ["/early", "/late"]);
  await closed;
  await until(() => harness.listener.connections === 0);
  const next = await connectTo(harness.port);
  const leaves = new Promise<void>((resolve) => next.once("goaway", () => resolve()));
  assert.equal((await sendRequest(next, { ":path": "/new" })).body.toString(), "/new");
  await leaves;
});

test("clients that open and reset streams endlessly, or flood with control frames, are cut off", async () => {
  // The proxy makes a client that cancels many streams wait before each further one, for 14 s in all.
  await using made = await withBackend(() => undefined, {}, hastyClock(10));
  const rapid = await connectTo(made.harness.port);
  const calm = new Promise<number>((resolve) => rapid.once("goaway", resolve));
  for (let round = 0; round < 20 && !rapid.destroyed; round += 1) {
    for (let index = 0; index < 50 && !rapid.closed; index += 1) {
      const stream = rapid.request({ ":path": "/" });
      stream.on("error", () => undefined);
      stream.close(http2.constants.NGHTTP2_CANCEL);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.equal(await calm, http2.constants.NGHTTP2_ENHANCE_YOUR_CALM);
  await until(() => made.harness.clusters.get("a")?.activeRequests === 0);
});

test("an HTTP/2 upstream gets no upgrade request; an upstream that uses the client's protocol stays on HTTP/1.1 for it", async () => {
  await using made = await withBackend(echoStream);
  const { harness } = made;
  const refused = harness.client();
  refused.send("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  await refused.until(/^HTTP\/1.1 403 /);
  const { port, server } = await harness.backend((_request, response) => response.end("plain"));
  server.on("upgrade", (_request, socket) =>
    socket.end("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi"),
  );
  harness.cluster("a", [port], { upstreamProtocol: "downstream" });
  const upgraded = harness.client();
  upgraded.send("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  await upgraded.until(/^HTTP\/1.1 101 (?:.*\r\n)*\r\nhi$/);
});

test("a route can turn a CONNECT over HTTP/2 into a tunnel to an HTTP/1.1 upstream", async () => {
  await using harness = await Harness.start();
  const port = await harness.rawBackend((socket) => {
    let head = "";
    socket.on("data", (chunk) => {
      if (head.endsWith("\r\n\r\n")) socket.write(`[${chunk.toString()}]`);
      else if ((head += chunk.toString("latin1")).endsWith("\r\n\r\n")) socket.write("HTTP/1.1 200 OK\r\n\r\nhi");
    });
    socket.on("end", () => socket.end("bye"));
  });
  harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a"), { forConnect: true }));
  const session = await connectTo(harness.port);
  const stream = session.request({ ":method": "CONNECT", ":authority": "x.test:80" });
  let text = "";
  stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
  stream.write("early");
  await until(() => text.endsWith("[early]"));
  stream.end();
  await new Promise((resolve) => stream.once("close", resolve));
  assert.equal(text, "hi[early]bye");
  assert.equal((await sendRequest(session, { ":path": "/" })).headers[":status"], 404);
  session.close();
});

test("a client that expects 100 gets it before it sends the body", async () => {
  await using harness = await Harness.start();
  const { port, server } = await harness.backend((_request, response) => response.end("unexpected"));
  server.on("checkContinue", (request, response) => {
    response.writeContinue();
    request.resume();
    request.on("end", () => response.end("done"));
  });
  harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a")));
  const session = await connectTo(harness.port);
  const stream = session.request({ ":method": "PUT", ":path": "/", expect: "100-continue" }, { endStream: false });
  await new Promise<void>((resolve) => stream.once("continue", resolve));
  stream.end("body");
  let body = "";
  stream.on("data", (chunk: Buffer) => (body += chunk.toString()));
  await new Promise((resolve) => stream.once("end", resolve));
  assert.equal(body, "done");
  session.close();
});

test("a mirror of another protocol gets the same request", async () => {
  await using made = await withBackend(echoStream);
  const { harness, backend } = made;
  const { port } = await harness.backend((request, response) => {
    request.resume();
    request.on("end", () => response.end("main"));
  });
  const copies: string[] = [];
  await using mirror = await Http2Backend.start((stream, headers) => {
    let body = "";
    stream.on("data", (chunk: Buffer) => (body += chunk.toString()));
    stream.on("end", () => {
      copies.push(`${headers[":method"]} ${headers[":authority"]} ${body}`);
      stream.respond({ ":status": 204 }, { endStream: true });
    });
  });
  assert.ok(backend.port > 0);
  harness.cluster("main", [port]);
  harness.cluster("mirror", [mirror.port], { upstreamProtocol: "http2" });
  harness.table = tableOf(route(forwardTo("main", { mirrors: [{ cluster: "mirror", fraction: 1, keepHost: false }] })));
  const client = harness.client();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
  await client.until(/main/);
  await until(() => copies.length === 1);
  assert.deepEqual(copies, ["POST a-shadow hello"]);
});

test("forbidden fields are removed from HTTP/2 trailers, on the way to either protocol", async () => {
  for (const upstreamProtocol of ["http2", "http1"] as const) {
    await using harness = await Harness.start({ http1Trailers: true });
    await using backend = await Http2Backend.start(echoStream);
    let received = "";
    const plain = await harness.rawBackend((socket) =>
      socket.on("data", (chunk) => {
        received += chunk.toString("latin1");
        if (received.includes("\r\n0\r\n")) socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}`);
      }),
    );
    harness.cluster("a", [upstreamProtocol === "http2" ? backend.port : plain], { upstreamProtocol });
    harness.table = tableOf(route(forwardTo("a")));
    const session = http2.connect(`http://127.0.0.1:${harness.port}`);
    const stream = session.request({ ":method": "POST", ":path": "/" }, { waitForTrailers: true });
    stream.on("wantTrailers", () =>
      stream.sendTrailers({
        "x-forwarded-client-cert": "By=a",
        authorization: "b",
        "x-envoy-retry-on": "5xx",
        "x-sum": "5",
      }),
    );
    stream.end("hello");
    let body = "";
    stream.setEncoding("utf8").on("data", (text: string) => (body += text));
    await new Promise((resolve) => stream.once("end", resolve));
    session.destroy();
    if (upstreamProtocol === "http2")
      assert.deepEqual({ ...(JSON.parse(body) as { trailers: object }).trailers }, { "x-sum": "5" });
    else assert.match(received, /\r\n0\r\nx-sum: 5\r\n\r\n$/);
  }
});
