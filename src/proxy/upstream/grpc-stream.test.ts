import assert from "node:assert/strict";
import type { ServerHttp2Stream } from "node:http2";
import { test } from "node:test";
import { callGrpc } from "../terms/grpc-call.ts";
import { Harness, plainOutliers } from "../testing/harness.ts";
import { Http2Backend } from "../testing/http2-peers.ts";
import { clusterCaller } from "./cluster-call.ts";
import { runGrpcStream } from "./grpc-stream.ts";

const head = { ":status": 200, "content-type": "application/grpc" };

function framed(text: string): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(Buffer.byteLength(text), 1);
  return Buffer.concat([prefix, Buffer.from(text)]);
}

async function stream(serve: (stream: ServerHttp2Stream) => void, maxMessageBytes = 100) {
  await using backend = await Http2Backend.start(serve);
  await using harness = await Harness.start();
  const cluster = harness.cluster("s", [backend.port], { upstreamProtocol: "http2" });
  const messages: string[] = [];
  let sent: (message: Uint8Array) => void = () => undefined;
  const ended = runGrpcStream(
    cluster,
    {
      authority: "service.test",
      path: "/a.B/C",
      maxMessageBytes,
      failed: (message) => new Error(`as its caller names it: ${message}`),
      onMessage: (message) => {
        messages.push(message.toString());
        sent(Buffer.from(`got ${message.toString()}`));
      },
    },
    (send) => {
      sent = send;
      send(Buffer.from("hello"));
    },
    AbortSignal.timeout(10_000),
  );
  const fault = await ended.then(
    () => undefined,
    (error: unknown) => (error as Error).message,
  );
  assert.deepEqual(
    Array.from(cluster.endpoints(), ({ activeRequests }) => activeRequests),
    [0],
  );
  return { messages, fault };
}

test("both sides send messages, however they are cut, until the service ends the stream", async () => {
  const received: Buffer[] = [];
  const { messages, fault } = await stream((served) => {
    const bytes = Buffer.concat([framed("one"), framed(""), framed("three")]);
    served.respond(head, { waitForTrailers: true });
    for (const byte of bytes) served.write(Buffer.of(byte));
    served.on("wantTrailers", () => served.sendTrailers({ "grpc-status": "0" }));
    served.on("data", (part: Buffer) => {
      received.push(part);
      if (Buffer.concat(received).includes("got three")) served.end();
    });
  });
  assert.deepEqual([messages, fault], [["one", "", "three"], undefined]);
  assert.deepEqual(
    Buffer.concat(received),
    Buffer.concat(["hello", "got one", "got ", "got three"].map((text) => framed(text))),
  );
});

test("a stream fails with the service's status, or with an error if this proxy cannot read the response", async () => {
  const cases: Readonly<Record<string, (served: ServerHttp2Stream) => void>> = {
    "answered HTTP 503": (served) => served.respond({ ":status": 503 }, { endStream: true }),
    "ended with gRPC status 12": (served) => served.respond({ ...head, "grpc-status": "12" }, { endStream: true }),
    "ended without a status": (served) => {
      served.respond(head);
      served.end();
    },
    "sent a compressed message": (served) => {
      served.respond(head);
      served.write(Buffer.of(1, 0, 0, 0, 1, 0));
    },
    "sent a message of 101 bytes; at most 100 are read": (served) => {
      served.respond(head);
      served.write(framed("x".repeat(101)));
    },
  };
  for (const [reason, serve] of Object.entries(cases)) {
    const names = reason.includes("at most") ? "" : "as its caller names it: ";
    assert.equal((await stream(serve)).fault, `${names}/a.B/C of cluster s ${reason}`);
  }
});

test("a cluster that has no endpoints or cannot be reached fails the stream", async () => {
  await using harness = await Harness.start();
  const options = {
    authority: "a",
    path: "/a.B/C",
    maxMessageBytes: 1,
    failed: Error,
    onMessage: () => undefined,
  };
  const { signal } = new AbortController();
  const fault = async (ports: readonly number[]): Promise<string> => {
    const cluster = harness.cluster("s", ports);
    return await runGrpcStream(cluster, options, () => undefined, signal).then(
      () => "",
      (error: unknown) => (error as Error).message,
    );
  };
  assert.equal(await fault([]), "cluster s has no usable endpoint");
  assert.match(await fault([1]), /^\/a\.B\/C of cluster s: .*ECONNREFUSED|refused/);
});

test("an endpoint is judged by the gRPC status in the head of its answers to calls of the proxy itself", async () => {
  const refusals = { ...head, "grpc-status": "14" };
  await using backend = await Http2Backend.start((served) => served.respond(refusals, { endStream: true }));
  await using harness = await Harness.start();
  const clusterOf = (consecutiveGatewayErrors: number) =>
    harness.cluster("s", [backend.port], {
      upstreamProtocol: "http2",
      outliers: { ...plainOutliers, consecutiveGatewayErrors },
    });
  const signal = AbortSignal.timeout(10_000);
  const target = { cluster: "s", authority: "a", timeoutMs: 5000, initialMetadata: [] };
  const failed = (message: string): Error => new Error(message);
  const options = { authority: "a", path: "/a.B/C", maxMessageBytes: 100, onMessage: () => undefined, failed };

  const called = clusterOf(2);
  const callCluster = clusterCaller(() => called);
  for (const usable of [1, 0]) {
    await assert.rejects(callGrpc({ ...target, callCluster }, "/a.B/C", Buffer.alloc(0), signal, failed), /gRPC 14/);
    assert.equal(called.health.usable, usable);
  }
  const streamed = clusterOf(2);
  for (const usable of [1, 0]) {
    await assert.rejects(
      runGrpcStream(streamed, options, () => undefined, signal),
      /gRPC status 14/,
    );
    assert.equal(streamed.health.usable, usable);
  }
  const web = clusterOf(1);
  const { status } = await clusterCaller(() => web)(
    { ...target, protocol: "http2", method: "POST", path: "/", headers: [], body: Buffer.alloc(0), maxAnswerBytes: 1 },
    signal,
  );
  assert.deepEqual([status, web.health.usable], [200, 1], "a request that is not gRPC");
});
