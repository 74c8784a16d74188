import assert from "node:assert/strict";
import { connect as connectHttp2, createServer as createHttp2Server, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { forwardTo, Harness, route, tableOf } from "../testing/harness.ts";
import { GrpcWebFilter } from "./grpc-web-filter.ts";

function frame(flag: number, text: string): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(flag, 0);
  prefix.writeUInt32BE(text.length, 1);
  return Buffer.concat([prefix, Buffer.from(text)]);
}

const trailers = "grpc-status: 0\r\ngrpc-message: fine\r\n";

/** Echoes messages over gRPC. Some paths get another kind of answer. */
async function started(): Promise<{ harness: Harness; requests: string[]; close: () => void }> {
  const harness = await Harness.start({
    filters: [new GrpcWebFilter("envoy.filters.http.grpc_web")],
    filtersIdle: false,
  });
  const requests: string[] = [];
  const server = createHttp2Server();
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    const chunks: Buffer[] = [];
    stream.on("error", () => undefined);
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("end", () => {
      requests.push(
        `${String(headers["content-type"])} ${String(headers.te)} ${String(headers["content-length"])} ${Buffer.concat(chunks).toString("hex")}`,
      );
      if (headers[":path"] === "/only")
        stream.respond({ ":status": 200, "content-type": "application/grpc", "grpc-status": "5" }, { endStream: true });
      else if (headers[":path"] === "/html") {
        stream.respond({ ":status": 502, "content-type": "text/html" });
        stream.end("<p>");
      } else {
        stream.respond({ ":status": 200, "content-type": "application/grpc+proto" }, { waitForTrailers: true });
        stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0", "grpc-message": "fine" }));
        stream.end(Buffer.concat(chunks));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  harness.cluster("grpc", [(server.address() as AddressInfo).port], { upstreamProtocol: "http2" });
  harness.table = tableOf(route(forwardTo("grpc")));
  return { harness, requests, close: () => void server.close() };
}

async function call(
  harness: Harness,
  path: string,
  contentType: string,
  body: Buffer | string,
  more: Record<string, string> = {},
): Promise<{ status: number; type: string | undefined; grpcStatus: unknown; body: string }> {
  const answer = await harness.get(path, { method: "POST", headers: { "content-type": contentType, ...more }, body });
  return {
    status: answer.status,
    type: answer.headers["content-type"],
    grpcStatus: answer.headers["grpc-status"],
    body: Buffer.from(answer.body).toString("latin1"),
  };
}

test("a gRPC-Web request becomes a gRPC request, and trailers become the last frame of the response's body", async () => {
  const { harness, requests, close } = await started();
  await using _ = harness;
  const message = frame(0, "hello");
  const answer = await call(harness, "/", "application/grpc-web+proto", message);
  assert.deepEqual(answer, {
    status: 200,
    type: "application/grpc-web+proto",
    grpcStatus: undefined,
    body: Buffer.concat([message, Buffer.from(frame(0x80, trailers).toString("utf8"))]).toString("latin1"),
  });
  assert.equal(requests[0], `application/grpc trailers ${message.length} ${message.toString("hex")}`);
  assert.equal(harness.finished[0]?.grpcStatus, "0");
  close();
  for (const cluster of harness.clusters.values()) cluster.drain();
});

test("a base64 request is decoded however it is split, and its response is encoded", async () => {
  const { harness, requests, close } = await started();
  await using _ = harness;
  const first = frame(0, "one");
  const second = frame(0, "second");
  // Each message has its own base64 padding.
  const text = `${first.toString("base64")}${second.toString("base64")}`;
  const client = harness.client();
  client.send(
    "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/grpc-web-text\r\ntransfer-encoding: chunked\r\n\r\n",
  );
  for (let at = 0; at < text.length; at += 3) {
    const part = text.slice(at, at + 3);
    client.send(`${part.length.toString(16)}\r\n${part}\r\n`);
    await new Promise((resolve) => setImmediate(resolve));
  }
  client.send("0\r\n\r\n");
  const received = await client.until(/\r\n0\r\n\r\n$/);
  assert.match(received, /content-type: application\/grpc-web-text\+proto\r\n/);
  const chunks = [
    ...received.slice(received.indexOf("\r\n\r\n") + 4).matchAll(/([0-9a-f]+)\r\n([A-Za-z0-9+/=]+)\r\n/g),
  ].map(([, , chunk = ""]) => Buffer.from(chunk, "base64"));
  assert.equal(
    Buffer.concat(chunks).toString("hex"),
    Buffer.concat([first, second, frame(0x80, trailers)]).toString("hex"),
  );
  assert.equal(requests[0], `application/grpc trailers undefined ${Buffer.concat([first, second]).toString("hex")}`);
  const binary = await call(harness, "/", "application/grpc-web-text", first.toString("base64"), {
    accept: "application/grpc-web",
  });
  assert.equal(binary.type, "application/grpc-web+proto", "as the client accepts it");
  for (const wrong of ["AAA", "AA*A", "A===A"])
    assert.equal((await call(harness, "/", "application/grpc-web-text", wrong)).grpcStatus, "13", wrong);
  close();
  for (const cluster of harness.clusters.values()) cluster.drain();
});

test("gRPC-Web translates header-only, non-gRPC and local answers, and leaves other requests unchanged", async () => {
  const { harness, requests, close } = await started();
  await using _ = harness;
  const message = frame(0, "m");
  assert.deepEqual(await call(harness, "/only", "application/grpc-web", message), {
    status: 200,
    type: "application/grpc-web+proto",
    grpcStatus: "5",
    body: "",
  });
  assert.deepEqual(await call(harness, "/html", "application/grpc-web", message), {
    status: 502,
    type: "text/html",
    grpcStatus: undefined,
    body: "<p>",
  });
  await call(harness, "/html", "application/json", "{}");
  assert.match(requests.at(-1) ?? "", /^application\/json undefined 2 /);
  const session = connectHttp2(`http://127.0.0.1:${harness.port}`);
  const over = async (type: string): Promise<{ type: unknown; body: Buffer; trailers: unknown }> => {
    const stream = session.request({ ":path": "/", ":method": "POST", "content-type": type });
    const out = { type: undefined as unknown, body: Buffer.alloc(0), trailers: undefined as unknown };
    stream.on("response", (headers) => (out.type = headers["content-type"]));
    stream.on("trailers", (headers) => (out.trailers = headers["grpc-status"]));
    stream.on("data", (chunk: Buffer) => (out.body = Buffer.concat([out.body, chunk])));
    stream.end(message);
    await new Promise((resolve) => stream.on("close", resolve));
    return out;
  };
  assert.deepEqual(await over("application/grpc-web"), {
    type: "application/grpc-web+proto",
    body: Buffer.concat([message, frame(0x80, trailers)]),
    trailers: undefined,
  });
  assert.deepEqual(await over("application/grpc"), { type: "application/grpc+proto", body: message, trailers: "0" });
  session.close();
  harness.table = tableOf();
  assert.deepEqual(await call(harness, "/", "application/grpc-web", message), {
    status: 200,
    type: "application/grpc-web+proto",
    grpcStatus: "12",
    body: "",
  });
  close();
  for (const cluster of harness.clusters.values()) cluster.drain();
});
