import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import { createServer as createTcpServer, type AddressInfo, type Server } from "node:net";
import { test } from "node:test";
import { until } from "../../base/testing/index.ts";
import { probeApplication } from "./app-prober.ts";

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

const piece = Buffer.alloc(16_384);
/** The answers that have not ended. */
let open = 0;
const endlessAnswer: RequestListener = (_request, response) => {
  open += 1;
  response.on("close", () => (open -= 1));
  const sendOn = (): void => {
    while (!response.destroyed && response.write(piece));
  };
  response.on("drain", sendOn);
  sendOn();
};

test("an HTTP probe has its outcome although the body of the answer does not end, and reads no more of it", async () => {
  const server = createServer(endlessAnswer);
  const port = await listening(server);
  const probe = { httpGet: { port, path: "/" }, timeoutSeconds: 600 };
  assert.equal(await probeApplication(probe, "127.0.0.1", undefined), 200);
  await until(() => open === 0);
  server.close();
});

test("a gRPC probe whose answer does not end fails before it fills the memory", async () => {
  const server = createHttp2Server();
  server.on("stream", (stream) => {
    open += 1;
    stream.on("close", () => (open -= 1));
    stream.on("error", () => undefined);
    stream.respond({ ":status": 200, "content-type": "application/grpc" });
    const sendOn = (): void => {
      while (!stream.destroyed && stream.write(piece));
    };
    stream.on("drain", sendOn);
    sendOn();
  });
  const port = await listening(server);
  const probe = { grpc: { port }, timeoutSeconds: 600 };
  await assert.rejects(probeApplication(probe, "127.0.0.1", undefined), /longer than 10240 bytes/);
  await until(() => open === 0);
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
  const port = await listening(server);
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
  const port = await listening(server);
  await assert.rejects(
    probeApplication({ httpGet: { port }, timeoutSeconds: 600 }, "127.0.0.1", undefined),
    /switched to another protocol/,
  );
  server.close();
});
