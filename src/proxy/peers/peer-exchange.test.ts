import assert from "node:assert/strict";
import { test } from "node:test";
import { connectTcp, listenTcp, type ByteStream } from "../../net/index.ts";
import { encodePeerMetadata, furtherLabelNames } from "./peer-metadata.ts";
import { encodePeerExchange, exchangePeers } from "./peer-exchange.ts";

const reviews = {
  workload: "reviews-v1",
  namespace: "shop",
  canonicalName: "reviews",
  canonicalRevision: "v1",
  cluster: "Kubernetes",
};
const own = encodePeerExchange({
  id: "sidecar~10.0.0.1~reviews-v1-x.shop~shop.svc.cluster.local",
  value: encodePeerMetadata(reviews, "reviews-v1-x"),
});

async function pair(): Promise<readonly [ByteStream, ByteStream]> {
  const { promise, resolve } = Promise.withResolvers<ByteStream>();
  const listener = await listenTcp({ address: "127.0.0.1", port: 0 }, resolve);
  const client = await connectTcp({ address: "127.0.0.1", port: listener.address.port, timeoutMs: 1000 });
  const server = await promise;
  listener.close();
  return [client, server];
}

function received(stream: ByteStream, length: number): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    stream.setHandler({
      data: (chunk) => {
        text += chunk.toString();
        if (text.length >= length) resolve(text);
      },
      end: () => resolve(text),
      drain: () => undefined,
      close: () => resolve(text),
    });
    stream.resume();
  });
}

test("the magic number and the length come first, then an Any", () => {
  assert.equal(own.readUInt32BE(0), 0x3d230467);
  assert.equal(own.readUInt32BE(4), own.length - 8);
  assert.ok(own.includes("type.googleapis.com/google.protobuf.Struct"));
  assert.ok(own.includes("x-envoy-peer-metadata-id"));
});

test("both ends learn the other's metadata, and the bytes after it pass, even if they arrive with it", async () => {
  const [client, server] = await pair();
  // Another implementation may send its metadata in pieces, followed at once by the application's first bytes.
  client.write(own.subarray(0, 5));
  const exchange = exchangePeers(server, own, 1000);
  client.write(Buffer.concat([own.subarray(5), Buffer.from("hello")]));
  const [serverResult, clientResult] = await Promise.all([exchange, exchangePeers(client, Buffer.alloc(0), 1000)]);
  assert.deepEqual([serverResult?.peer, clientResult?.peer], [reviews, reviews]);
  assert.ok(serverResult !== undefined && clientResult !== undefined);
  assert.equal(await received(serverResult.stream, 5), "hello");
  serverResult.stream.write(Buffer.from("back"));
  assert.equal(await received(clientResult.stream, 4), "back");
  client.destroy();
  server.destroy();
});

test("an end reads only those further labels of the other that it requests", async () => {
  const [client, server] = await pair();
  const value = encodePeerMetadata({ ...reviews, labels: { role: "backend", tier: "gold" } });
  client.write(encodePeerExchange({ id: "reviews", value }));
  const result = await exchangePeers(server, own, 1000, furtherLabelNames(["tier"]));
  assert.deepEqual(result?.peer, { ...reviews, labels: { tier: "gold" } });
  client.destroy();
  server.destroy();
});

test("a peer that starts with another protocol is served with all its bytes, and a peer that ends first is not served", async () => {
  const [client, server] = await pair();
  client.write(Buffer.from("GET / HTTP/1.1"));
  const result = await exchangePeers(server, own, 1000);
  assert.ok(result !== undefined);
  assert.equal(result.peer, undefined);
  assert.equal(await received(result.stream, 14), "GET / HTTP/1.1");
  client.destroy();
  server.destroy();
  const [gone, left] = await pair();
  gone.end();
  assert.equal(await exchangePeers(left, own, 1000), undefined);
  gone.destroy();
});
