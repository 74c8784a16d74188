import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { systemClock } from "../base/index.ts";
import { SpdySession, type SpdyStream } from "../wire/spdy/index.ts";
import type { KubeClient } from "./client.ts";
import { portForward, withPortForward } from "./port-forward.ts";

test("bytes go to the pod's port and back, and refusals by the pod and the server are reported", async () => {
  const server = createServer((_request, response) => {
    response.statusCode = 404;
    response.end(JSON.stringify({ kind: "Status", reason: "NotFound", message: 'pods "none" not found', code: 404 }));
  });
  server.on("upgrade", (request, socket) => {
    if (request.url?.includes("/none/") === true) {
      socket.end("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
      return;
    }
    socket.write(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: portforward.k8s.io\r\n\r\n",
    );
    const streams: SpdyStream[] = [];
    const session = new SpdySession({
      role: "server",
      send: (bytes) => void socket.write(bytes),
      opened: (stream) => {
        streams.push(stream);
        const ended = (): void => {
          // The error stream stays open as long as the port-forward.
          if (stream.headers["streamtype"] === "data") streams.forEach((open) => open.end());
        };
        stream.setHandler({
          data: (bytes) => stream.write(Buffer.from(`echo ${Buffer.from(bytes).toString()}`)),
          end: ended,
          reset: () => undefined,
        });
        if (stream.headers["port"] === "1" && stream.headers["streamtype"] === "data") {
          streams[0]?.write(Buffer.from("connection refused"));
          streams[0]?.end();
        }
      },
    });
    socket.on("data", (chunk: Buffer) => session.receive(chunk));
    socket.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const config = {
    server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    context: "test",
    namespace: "default",
  };
  const stream = await portForward(config, { namespace: "default", pod: "web", port: 8080 });
  stream.end("hello");
  let received = "";
  for await (const chunk of stream) received += String(chunk);
  assert.equal(received, "echo hello");
  const refused = await portForward(config, { namespace: "default", pod: "web", port: 1 });
  await assert.rejects(
    async () => {
      for await (const _chunk of refused);
    },
    { code: "stream-broken", message: "port 1 of Pod default/web: connection refused" },
  );
  await assert.rejects(portForward(config, { namespace: "default", pod: "none", port: 1 }), { code: "not-found" });
  server.close();
  server.closeAllConnections();
});

test("a port-forward to a kubelet that hangs ends after its limit, and the error names the pod and the node's check", async () => {
  const server = createServer();
  const accepted = new Promise<void>((resolve) => void server.on("upgrade", () => resolve()));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const { port } = server.address() as AddressInfo;
  const config = { server: `http://127.0.0.1:${port}`, context: "test", namespace: "default" };
  const timers: (() => void)[] = [];
  const after = (_ms: number, run: () => void): Disposable => {
    timers.push(run);
    return { [Symbol.dispose]: () => undefined };
  };
  const target = { namespace: "shop", pod: "web", port: 15_000, clock: { ...systemClock, after } };
  const ended = assert.rejects(portForward(config, target), {
    code: "timeout",
    message: "port-forward of Pod shop/web: no answer within 30 s",
  });
  await accepted;
  for (const run of timers) run();
  await ended;
  server.close();
  server.closeAllConnections();
});

test("a request is repeated by port-forward only if the pod requires a known caller", async () => {
  const forwarded: string[] = [];
  const server = createServer();
  server.on("upgrade", (request, socket) => {
    forwarded.push(request.url ?? "");
    socket.write(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: portforward.k8s.io\r\n\r\n",
    );
    const streams: SpdyStream[] = [];
    const session = new SpdySession({
      role: "server",
      send: (bytes) => void socket.write(bytes),
      opened: (stream) => {
        streams.push(stream);
        stream.setHandler({
          data: (bytes) => {
            forwarded.push(`${stream.headers["port"] ?? ""} ${Buffer.from(bytes).toString().split("\r\n")[0] ?? ""}`);
            stream.write(Buffer.from("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\ntold"));
            streams.forEach((open) => open.end());
          },
          end: () => undefined,
          reset: () => undefined,
        });
      },
    });
    socket.on("data", (chunk: Buffer) => session.receive(chunk));
    socket.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const config = {
    server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    context: "test",
    namespace: "default",
  };
  let status = 401;
  const plain = {
    raw: () => Promise.resolve({ status, headers: {}, text: "who asks?" }),
    get: () => Promise.resolve("got"),
  } as unknown as KubeClient;
  const client = withPortForward(plain, config);
  const path = "/api/v1/namespaces/istio-system/pods/istiod-1:8080/proxy/debug/syncz?a=b";
  assert.deepEqual(await client.raw("GET", path), { status: 200, headers: {}, text: "told" });
  assert.deepEqual(forwarded, [
    "/api/v1/namespaces/istio-system/pods/istiod-1/portforward",
    "8080 GET /debug/syncz?a=b HTTP/1.1",
  ]);
  // Requests with side effects are not repeated through a port-forward. Neither are paths of the API server itself.
  assert.equal((await client.raw("POST", path)).status, 401);
  assert.equal((await client.raw("GET", "/api/v1/namespaces/istio-system/pods/istiod-1")).status, 401);
  status = 200;
  assert.equal((await client.raw("GET", path)).text, "who asks?");
  assert.equal(await client.get({} as never, "x"), "got");
  assert.equal(forwarded.length, 2);
  server.close();
  server.closeAllConnections();
  // A user without the right to forward ports gets the pod's own refusal.
  status = 401;
  assert.deepEqual(await client.raw("GET", path), { status: 401, headers: {}, text: "who asks?" });
});
