import assert from "node:assert/strict";
import { createServer } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import { createServer as createTcpServer } from "node:net";
import { test } from "node:test";
import { until } from "../../../base/testing/index.ts";
import { EndlessAnswers } from "../../../../test/support/endless-answers.ts";
import { listenOnLoopback } from "../../../../test/support/listen-on-loopback.ts";
import { probeAndStandStill, shortLimitSeconds } from "../../../../test/support/stalled-prober.ts";
import { attemptProbe } from "./probe-attempt.ts";

const target = {
  podIp: "127.0.0.1",
  container: { name: "app", image: "app" },
  exec: () => assert.fail("no command"),
};

test("an HTTP probe has its outcome although the body of the answer does not end, and reads no more of it", async () => {
  const answers = new EndlessAnswers();
  const server = createServer(answers.http);
  const port = await listenOnLoopback(server);
  const outcome = await attemptProbe({ httpGet: { port, path: "/" }, timeoutSeconds: 600 }, target);
  assert.deepEqual(outcome, { success: true, message: "" });
  await until(() => answers.open === 0);
  server.close();
});

test("an HTTP probe asks with the kubelet's headers over one connection, and names what it could not reach", async () => {
  let connections = 0;
  const asked: unknown[] = [];
  const server = createServer(({ method, url, headers }, response) => {
    asked.push([method, url, headers.host, headers["user-agent"], headers.connection]);
    response.writeHead(503).end();
  });
  server.on("connection", () => (connections += 1));
  const port = await listenOnLoopback(server);
  const probe = { httpGet: { port, path: "/ready" }, timeoutSeconds: 600 };
  const refused = { success: false, message: "HTTP probe failed with statuscode: 503" };
  assert.deepEqual(await attemptProbe(probe, target), refused);
  assert.deepEqual(asked, [["GET", "/ready", `127.0.0.1:${port}`, "kube-probe/1.36", "close"]]);
  assert.equal(connections, 1);
  await new Promise((resolve) => server.close(resolve));
  assert.deepEqual(await attemptProbe(probe, target), {
    success: false,
    message: `Get "http://127.0.0.1:${port}/ready": connect ECONNREFUSED 127.0.0.1:${port}`,
  });
});

test("a gRPC probe whose answer does not end fails before it fills the memory", async () => {
  const answers = new EndlessAnswers();
  const server = createHttp2Server();
  server.on("stream", answers.grpc);
  const port = await listenOnLoopback(server);
  const outcome = await attemptProbe({ grpc: { port }, timeoutSeconds: 600 }, target);
  assert.equal(outcome.success, false);
  assert.match(outcome.message, /longer than 10240 bytes/);
  await until(() => answers.open === 0);
  server.close();
});

test("a probe does not fail because the node itself stood still for longer than the probe's limit", async () => {
  const passed = { success: true, message: "" };
  assert.deepEqual(await probeAndStandStill((probe) => attemptProbe(probe, target)), [passed, passed, passed]);
});

test("a probe of an application that never answers fails at its limit", async () => {
  const server = createTcpServer((socket) => void socket.on("error", () => undefined));
  const port = await listenOnLoopback(server);
  const timeoutSeconds = shortLimitSeconds;
  for (const probe of [{ httpGet: { port } }, { grpc: { port } }])
    assert.match((await attemptProbe({ ...probe, timeoutSeconds }, target)).message, /deadline exceeded|within 0.5s/);
  server.close();
});

test("a probe of a pod with an IPv6 address calls that address", async () => {
  const port = 1;
  const pod = { ...target, podIp: "::1" };
  for (const probe of [{ httpGet: { port } }, { tcpSocket: { port } }, { grpc: { port } }]) {
    const { success, message } = await attemptProbe({ ...probe, timeoutSeconds: 600 }, pod);
    assert.equal(success, false);
    assert.match(message, /connect \w+ ::1:1/);
    assert.doesNotMatch(message, /\/::1:1|tcp ::1:1/, "an address and a port as one text have brackets");
  }
});
