import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../../base/testing/index.ts";
import { forwardTo, Harness, route, tableOf } from "../testing/harness.ts";
import { sendRequest, connectTo } from "../testing/http2-peers.ts";

test("an unrequested 101 response counts as an upstream failure, and the client's next bytes are parsed as a request", async () => {
  await using harness = await Harness.start();
  const chunks: string[] = [];
  const port = await harness.rawBackend((socket) =>
    socket.on("data", (chunk) => {
      chunks.push(chunk.toString());
      socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
    }),
  );
  harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a"), { matches: (request) => request.path === "/open" }));
  const client = harness.client();
  client.send("GET /open HTTP/1.1\r\nhost: a\r\n\r\n");
  await client.until(/^HTTP\/1\.1 502 /);
  client.send("GET /closed HTTP/1.1\r\nhost: a\r\n\r\n");
  await client.until(/HTTP\/1\.1 404 /);
  assert.equal(
    chunks.some((text) => text.includes("/closed")),
    false,
  );
  assert.equal(harness.records[0]?.flag, "UPE");
  const session = await connectTo(harness.port);
  assert.equal((await sendRequest(session, { ":path": "/open" })).headers[":status"], 502);
  session.close();
});

test("a server's endless 100 responses reach the client once", async () => {
  await using harness = await Harness.start();
  const interimCount = 2000;
  const port = await harness.rawBackend((socket) =>
    socket.once("data", () =>
      socket.write(
        `${"HTTP/1.1 100 Continue\r\n\r\n".repeat(interimCount)}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok`,
      ),
    ),
  );
  harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a")));
  const client = harness.client();
  client.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\nhi");
  const all = await client.until(/ok$/);
  assert.equal(all.split("100 Continue").length, 2);
  assert.match(all, /HTTP\/1\.1 200 OK/);
});

test("a server whose interim responses do not end is cut off, so that other requests need not wait", async () => {
  await using harness = await Harness.start();
  const port = await harness.rawBackend((socket) => {
    const sendOn = (): void => {
      while (!socket.destroyed && socket.write("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(100)));
    };
    socket.on("drain", sendOn);
    socket.on("data", sendOn);
  });
  harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a")));
  assert.equal((await harness.get("/")).status, 502);
  assert.equal(harness.records[0]?.flag, "UPE");
});

test("a head that arrives byte by byte is read after any number of interim responses, and an endless head is refused at the limit", async () => {
  await using harness = await Harness.start();
  const port = await harness.rawBackend((socket) => {
    let endless = false;
    socket.on("error", () => undefined);
    socket.on("data", (chunk) => {
      endless ||= chunk.toString().includes("/endless");
      if (endless) {
        socket.write("HTTP/1.1 200 OK\r\n");
        for (let sent = 0; sent < 70; sent += 1) socket.write(`x-${sent}: ${"y".repeat(1000)}\r\n`);
        return;
      }
      const bytes =
        "HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
      let at = 0;
      const next = (): void => {
        if (at < bytes.length) socket.write(bytes.charAt(at++), () => setImmediate(next));
      };
      next();
    });
  });
  harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a")));
  const response = await harness.get("/");
  assert.deepEqual([response.status, response.body], [200, "ok"]);
  assert.equal((await harness.get("/endless")).status, 502);
  await until(() => harness.records.length === 2);
});

test("a response without a body that announces one is a protocol error, and a length of 0 is left out", async () => {
  await using harness = await Harness.start();
  const answers: Readonly<Record<string, string>> = {
    "/length": "HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\n",
    "/chunks": "HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n",
    "/interim": "HTTP/1.1 103 Early Hints\r\ncontent-length: 2\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    "/zero": "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n",
  };
  const port = await harness.rawBackend((socket) =>
    socket.on("data", (chunk) => socket.write(answers[chunk.toString().split(" ")[1] ?? ""] ?? "")),
  );
  harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a")));
  for (const path of ["/length", "/chunks", "/interim"]) assert.equal((await harness.get(path)).status, 502, path);
  const client = harness.client();
  client.send("GET /zero HTTP/1.1\r\nhost: a\r\n\r\n");
  assert.doesNotMatch(await client.until(/^HTTP\/1\.1 204 [^]*\r\n\r\n$/), /content-length/i);
  const session = await connectTo(harness.port);
  const { headers } = await sendRequest(session, { ":path": "/zero" });
  assert.deepEqual([headers[":status"], headers["content-length"]], [204, undefined]);
  session.close();
});
