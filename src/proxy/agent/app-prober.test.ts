import { BinaryReader } from "@bufbuild/protobuf/wire";
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import { createServer as createTcpServer, type AddressInfo } from "node:net";
import { test } from "node:test";
import { until } from "../../base/testing/index.ts";
import { EndlessAnswers } from "../../../test/support/endless-answers.ts";
import { listenOnLoopback } from "../../../test/support/listen-on-loopback.ts";
import { probeAndStandStill } from "../../../test/support/stalled-prober.ts";
import { probeApplication } from "./app-prober.ts";

test("the head of an answer decides an HTTP probe, which does not wait for the end of the body", async () => {
  const answers = new EndlessAnswers();
  const server = createServer(answers.http);
  const port = await listenOnLoopback(server);
  const probe = { httpGet: { port, path: "/" }, timeoutSeconds: 600 };
  assert.equal(await probeApplication(probe, "127.0.0.1", undefined), 200);
  await until(() => answers.open === 0);
  server.close();
});

test("a gRPC probe whose answer does not end fails before it fills the memory", async () => {
  const answers = new EndlessAnswers();
  const server = createHttp2Server();
  server.on("stream", answers.grpc);
  const port = await listenOnLoopback(server);
  const probe = { grpc: { port }, timeoutSeconds: 600 };
  await assert.rejects(probeApplication(probe, "127.0.0.1", undefined), /longer than 10240 bytes/);
  await until(() => answers.open === 0);
  server.close();
});

test("a gRPC probe reaches an application at an IPv6 address", async () => {
  const server = createHttp2Server();
  server.on("stream", (stream) => {
    stream.respond({ ":status": 200, "content-type": "application/grpc" });
    // The message has the number 1, the status SERVING, in field 1.
    stream.end(Buffer.of(0, 0, 0, 0, 2, 0x08, 1));
  });
  server.listen(0, "::1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  assert.equal(await probeApplication({ grpc: { port } }, "::1", undefined), 200);
  server.close();
});

test("a gRPC probe names a service of any length", async () => {
  const asked: Buffer[] = [];
  const server = createHttp2Server();
  server.on("stream", (stream) => {
    const parts: Buffer[] = [];
    stream.on("data", (part: Buffer) => parts.push(part));
    stream.on("end", () => {
      asked.push(Buffer.concat(parts).subarray(5));
      stream.respond({ ":status": 200, "content-type": "application/grpc" });
      stream.end(Buffer.of(0, 0, 0, 0, 2, 0x08, 1));
    });
  });
  const port = await listenOnLoopback(server);
  for (const length of [0, 127, 128, 300]) {
    const service = "s".repeat(length);
    await probeApplication({ grpc: { port, service } }, "127.0.0.1", undefined);
    // The service is the string in field 1 of the message.
    const message = asked.at(-1) ?? Buffer.alloc(0);
    if (length === 0) assert.equal(message.length, 0);
    else assert.deepEqual([message[0], new BinaryReader(message.subarray(1)).string()], [0x0a, service]);
  }
  server.close();
});

test("a gRPC probe fails at its limit although the answer arrives byte by byte", async () => {
  const server = createHttp2Server();
  server.on("stream", (stream) => {
    stream.on("error", () => undefined);
    stream.respond({ ":status": 200, "content-type": "application/grpc" });
    const trickle = setInterval(() => stream.write(Buffer.alloc(1)), 20);
    stream.on("close", () => clearInterval(trickle));
  });
  const port = await listenOnLoopback(server);
  const probe = { grpc: { port }, timeoutSeconds: 0.2 };
  await assert.rejects(probeApplication(probe, "127.0.0.1", undefined), /no answer in 200 ms/);
  server.close();
});

test("an HTTP probe of an application that switches protocols fails at once", async () => {
  const server = createTcpServer((socket) => {
    socket.on("error", () => undefined);
    socket.once(
      "data",
      () => void socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"),
    );
  });
  const port = await listenOnLoopback(server);
  await assert.rejects(
    probeApplication({ httpGet: { port }, timeoutSeconds: 600 }, "127.0.0.1", undefined),
    /switched to another protocol/,
  );
  server.close();
});

test("a probe does not fail because the proxy itself stood still for longer than the probe's limit", async () => {
  const statuses = await probeAndStandStill((probe) => probeApplication(probe, "127.0.0.1", undefined));
  assert.deepEqual(statuses, [200, 200, 200]);
});
