import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer, type AddressInfo, type Server } from "node:net";
import { test, type TestContext } from "node:test";
import { attemptProbe, type ProbeOutcome } from "./probe-attempt.ts";

const timeoutMs = 500;

async function portOf(context: TestContext, server: Server): Promise<number> {
  await once(server.listen(0, "127.0.0.1"), "listening");
  context.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function attempt(port: number, get: { readonly path?: string; readonly httpHeaders?: [] } = {}) {
  return await attemptProbe(
    { httpGet: { port, ...get }, timeoutSeconds: timeoutMs / 1000 },
    { podIp: "127.0.0.1", container: { name: "c" }, exec: () => assert.fail("no command") },
  );
}

/** The outcome of a probe to a server that answers these bytes to the request, and then does not end the connection. */
async function answered(context: TestContext, ...pieces: readonly string[]): Promise<ProbeOutcome> {
  const server = createServer((socket) => {
    context.after(() => socket.destroy());
    socket
      .on("error", () => undefined)
      .once("data", () => {
        for (const piece of pieces) socket.write(piece);
      });
  });
  return await attempt(await portOf(context, server));
}

test("an HTTP probe sends the path and the headers of its GET, and asks for the end of the connection", async (context) => {
  const seen: unknown[] = [];
  const server = createHttpServer((request, response) => {
    const { host, connection, "user-agent": agent, "x-probe": own } = request.headers;
    seen.push(request.method, request.url, host === `127.0.0.1:${port}`, connection, agent, own);
    response.end("x".repeat(100_000));
  });
  const port = await portOf(context, server);
  const httpGet = { port, path: "/ready?full", httpHeaders: [{ name: "X-Probe", value: "a b" }] };
  const target = { podIp: "127.0.0.1", container: { name: "c" }, exec: () => assert.fail("no command") };
  assert.deepEqual(await attemptProbe({ httpGet }, target), { success: true, message: "" });
  assert.deepEqual(seen, ["GET", "/ready?full", true, "close", "kube-probe/1.36", "a b"]);
});

test("the status decides, as soon as the head is there, also in pieces and after an interim response", async (context) => {
  const ok = { success: true, message: "" };
  assert.deepEqual(await answered(context, "HTTP/1.1 204 No Content\r\n\r\n"), ok);
  assert.deepEqual(await answered(context, "HTT", "P/1.1 30", "2 Found\r\ncontent-length: 9\r\n\r", "\n1"), ok);
  assert.deepEqual(await answered(context, "HTTP/1.1 103 Early Hints\r\na: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), ok);
  assert.deepEqual(await answered(context, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 503 No\r\n\r\n"), {
    success: false,
    message: "HTTP probe failed with statuscode: 503",
  });
});

test("a failed probe says why", async (context) => {
  const closed = createServer((socket) => socket.resume().end());
  const port = await portOf(context, closed);
  assert.deepEqual(await attempt(port), { success: false, message: `Get "http://127.0.0.1:${port}/": EOF` });
  assert.match((await answered(context, "SSH-2.0-x\r\n")).message, /malformed HTTP response$/);
  assert.match((await answered(context, "HTTP/1.1 fine\r\n\r\n")).message, /malformed HTTP response$/);
  assert.match((await answered(context, `HTTP/1.1 200 OK\r\na: ${"b".repeat(20_000)}`)).message, /too long$/);
  assert.match((await answered(context, "HTTP/1.1 2")).message, /context deadline exceeded$/);
  assert.match((await attempt(port, { path: "/a b" })).message, /unescaped characters/);
});

test("a probe of a port where nobody listens fails with the address", async (context) => {
  const server = createServer();
  const port = await portOf(context, server);
  server.close();
  await once(server, "close");
  assert.match((await attempt(port)).message, new RegExp(`ECONNREFUSED 127\\.0\\.0\\.1:${port}`));
});
