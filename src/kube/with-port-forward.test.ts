import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { SpdySession, type SpdyStream } from "../wire/spdy/index.ts";
import type { KubeClient } from "./client.ts";
import { withPortForward } from "./with-port-forward.ts";

test("a pod that wants to know who asks is asked again from within, and only then", async () => {
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
  // Nothing that changes anything is said twice, and other paths are the API server's own.
  assert.equal((await client.raw("POST", path)).status, 401);
  assert.equal((await client.raw("GET", "/api/v1/namespaces/istio-system/pods/istiod-1")).status, 401);
  status = 200;
  assert.equal((await client.raw("GET", path)).text, "who asks?");
  assert.equal(await client.get({} as never, "x"), "got");
  assert.equal(forwarded.length, 2);
  server.close();
  server.closeAllConnections();
  // Who may not forward a port gets the pod's own answer.
  status = 401;
  assert.deepEqual(await client.raw("GET", path), { status: 401, headers: {}, text: "who asks?" });
});
