import assert from "node:assert/strict";
import { once } from "node:events";
import * as http2 from "node:http2";
import { test } from "node:test";
import { until } from "../../base/testing/index.ts";
import * as grpc from "@grpc/grpc-js";
import { isGrpcContentType } from "../terms/grpc-call.ts";
import { encodeGrpcMessage, GrpcMessageCounter, parseGrpcTimeout } from "./grpc.ts";
import type { HttpListenerOptions } from "../connection/http-listener.ts";
import { forwardTo, Harness, plainOutliers, retryPolicy, route, tableOf } from "../testing/harness.ts";

const bytes = {
  requestSerialize: (text: string) => Buffer.from(text),
  requestDeserialize: (data: Buffer) => data.toString(),
  responseSerialize: (text: string) => Buffer.from(text),
  responseDeserialize: (data: Buffer) => data.toString(),
};
const definition = {
  unary: { path: "/test.Echo/Unary", requestStream: false, responseStream: false, ...bytes },
  both: { path: "/test.Echo/Both", requestStream: true, responseStream: true, ...bytes },
  collect: { path: "/test.Echo/Collect", requestStream: true, responseStream: false, ...bytes },
  refuse: { path: "/test.Echo/Refuse", requestStream: false, responseStream: false, ...bytes },
  wait: { path: "/test.Echo/Wait", requestStream: false, responseStream: false, ...bytes },
} as const;

/**
 * The status depends on whose clock reaches the deadline first: the client's, or the proxy's, which is 20 ms ahead.
 */
const tooLate: readonly number[] = [grpc.status.DEADLINE_EXCEEDED, grpc.status.UNAVAILABLE];

interface Grpc extends AsyncDisposable {
  readonly harness: Harness;
  readonly client: grpc.Client;
  readonly calls: string[];
}

async function grpcThrough(
  action: Parameters<typeof forwardTo>[1] = {},
  options: Partial<HttpListenerOptions> = {},
): Promise<Grpc> {
  const harness = await Harness.start({}, 1, options);
  const server = new grpc.Server();
  const calls: string[] = [];
  server.addService(definition, {
    unary: (call: grpc.ServerUnaryCall<string, string>, done: grpc.sendUnaryData<string>) => {
      calls.push("unary");
      const trailers = new grpc.Metadata();
      trailers.set("x-trailer", "t");
      done(null, `<${call.request}>`, trailers);
    },
    both: (call: grpc.ServerDuplexStream<string, string>) => {
      call.on("data", (text: string) => call.write(`[${text}]`));
      call.on("end", () => call.end());
    },
    collect: (call: grpc.ServerReadableStream<string, string>, done: grpc.sendUnaryData<string>) => {
      let total = 0;
      call.on("data", (text: string) => (total += text.length));
      call.on("end", () => done(null, String(total)));
    },
    refuse: (_call: unknown, done: grpc.sendUnaryData<string>) => {
      calls.push("refuse");
      done(
        calls.length < 3
          ? { code: grpc.status.UNAVAILABLE, details: "not yet" }
          : { code: grpc.status.PERMISSION_DENIED, details: "nö" },
      );
    },
    wait: () => undefined,
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  harness.cluster("a", [port], { upstreamProtocol: "http2" });
  harness.table = tableOf(route(forwardTo("a", action)));
  const client = new grpc.Client(`127.0.0.1:${harness.port}`, grpc.credentials.createInsecure(), {
    "grpc.enable_retries": 0,
  });
  return {
    harness,
    client,
    calls,
    [Symbol.asyncDispose]: async () => {
      client.close();
      server.forceShutdown();
      await harness[Symbol.asyncDispose]();
    },
  };
}

function unary(
  client: grpc.Client,
  method: "unary" | "refuse" | "wait",
  text: string,
  options: grpc.CallOptions = {},
): Promise<{ answer: string | undefined; code: number; details: string; trailer: unknown }> {
  return new Promise((resolve) => {
    const { path, requestSerialize, responseDeserialize } = definition[method];
    let answer: string | undefined;
    const call = client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      text,
      new grpc.Metadata(),
      options,
      (_error, value) => (answer = value),
    );
    call.on("status", (status) =>
      setImmediate(() =>
        resolve({ answer, code: status.code, details: status.details, trailer: status.metadata.get("x-trailer")[0] }),
      ),
    );
  });
}

test("a unary gRPC call passes with its trailers, and its record has its status", async () => {
  await using made = await grpcThrough();
  assert.deepEqual(await unary(made.client, "unary", "hello"), {
    answer: "<hello>",
    code: 0,
    details: "OK",
    trailer: "t",
  });
  await until(() => made.harness.records.length === 1);
  const record = made.harness.finished[0];
  assert.deepEqual(
    [
      record?.protocol,
      record?.isGrpc,
      record?.grpcStatus,
      record?.requestMessages,
      record?.responseMessages,
      record?.status,
    ],
    ["HTTP/2", true, "0", 1, 1, 200],
  );
});

test("gRPC streams run in both directions at once, and a slow server slows its client down", async () => {
  await using made = await grpcThrough();
  const { path, requestSerialize, responseDeserialize } = definition.both;
  const call = made.client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  const messages: string[] = [];
  let sentCount = 0;
  call.on("data", (text: string) => {
    messages.push(text);
    if (sentCount < 20) call.write(String(sentCount++));
    else call.end();
  });
  call.write(String(sentCount++));
  const status = await new Promise<grpc.StatusObject>((resolve) => call.on("status", resolve));
  assert.deepEqual([status.code, messages.length, messages.at(-1)], [0, 20, "[19]"]);
  const collected = await new Promise<string>((resolve, reject) => {
    const up = made.client.makeClientStreamRequest(
      definition.collect.path,
      definition.collect.requestSerialize,
      definition.collect.responseDeserialize,
      (error, value) => (error === null ? resolve(value ?? "") : reject(error)),
    );
    for (let index = 0; index < 200; index += 1) up.write("x".repeat(30_000));
    up.end();
  });
  assert.equal(collected, "6000000");
  await until(() => made.harness.finished.length === 2);
  assert.deepEqual(
    made.harness.finished.map((record) => [record.requestMessages, record.responseMessages]),
    [
      [20, 20],
      [200, 1],
    ],
  );
});

test("an open gRPC stream is reported at each sweep with its messages so far, and a plain request never", async () => {
  const counts: (readonly [number, number, number])[] = [];
  await using made = await grpcThrough(
    {},
    {
      observeStream: ({ requestMessages, responseMessages, status }) =>
        counts.push([requestMessages, responseMessages, status]),
    },
  );
  const { path, requestSerialize, responseDeserialize } = definition.both;
  const call = made.client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  for (const text of ["a", "b"]) {
    const answer = once(call, "data");
    call.write(text);
    await answer;
    made.harness.listener.sweep();
  }
  const { promise: sentCount, resolve: arrived } = Promise.withResolvers<void>();
  const backend = await made.harness.backend(() => arrived());
  made.harness.cluster("plain", [backend.port]);
  made.harness.table = tableOf(route(forwardTo("plain")));
  const plain = http2.connect(`http://127.0.0.1:${made.harness.port}`);
  const waiting = plain.request({ ":path": "/" });
  waiting.on("error", () => undefined);
  await sentCount;
  made.harness.listener.sweep();
  assert.deepEqual(counts, [
    [1, 1, 200],
    [2, 2, 200],
    [2, 2, 200],
  ]);
  plain.destroy();
  const ended = new Promise((resolve) => call.on("status", resolve));
  call.end();
  await ended;
  made.harness.listener.sweep();
  assert.equal(counts.length, 3, "nor after its end");
});

test("an error in trailers alone reaches the client, after a policy's retries for other statuses", async () => {
  await using made = await grpcThrough({ retry: retryPolicy({ retries: 5, on: { grpcStatuses: new Set(["14"]) } }) });
  const { code, details } = await unary(made.client, "refuse", "x");
  assert.deepEqual([code, details, made.calls.length], [grpc.status.PERMISSION_DENIED, "nö", 3]);
  await until(() => made.harness.finished.length === 1);
  assert.deepEqual([made.harness.finished[0]?.grpcStatus, made.harness.finished[0]?.status], ["7", 200]);
});

test("an error in trailers alone counts for the endpoint's ejection as the HTTP status that it stands for", async () => {
  await using harness = await Harness.start();
  const { port } = await harness.backend((request, response) => {
    response.setHeader("grpc-status", String(request.headers["x-status"])).end();
  });
  const cluster = harness.cluster("a", [port], { outliers: { ...plainOutliers, consecutiveGatewayErrors: 2 } });
  harness.table = tableOf(route(forwardTo("a")));
  const usableAfter = async (status: grpc.status, type = "application/grpc"): Promise<boolean> => {
    await harness.get("/", { method: "POST", headers: { "content-type": type, "x-status": String(status) } });
    return cluster.health.usable === 1;
  };
  const { UNAVAILABLE, INTERNAL, DEADLINE_EXCEEDED } = grpc.status;
  assert.deepEqual(
    [
      await usableAfter(UNAVAILABLE),
      await usableAfter(INTERNAL),
      await usableAfter(UNAVAILABLE),
      await usableAfter(UNAVAILABLE, "text/plain"),
      await usableAfter(DEADLINE_EXCEEDED),
      await usableAfter(UNAVAILABLE),
    ],
    [true, true, true, true, true, false],
  );
});

test("a call without an endpoint is UNAVAILABLE, and a cancelled or late call also ends at its server", async () => {
  await using made = await grpcThrough({ grpcTimeout: { maxMs: 0, offsetMs: 20 } });
  const late = await unary(made.client, "wait", "x", { deadline: Date.now() + 150 });
  assert.ok(tooLate.includes(late.code), `${late.code} ${late.details}`);
  await until(() => made.harness.clusters.get("a")?.activeRequests === 0);
  made.harness.cluster("a", [], { upstreamProtocol: "http2" });
  assert.equal((await unary(made.client, "unary", "x")).code, grpc.status.UNAVAILABLE);
});

test("gRPC content types, timeouts and messages are recognised", () => {
  for (const value of ["application/grpc", "application/grpc+proto", "application/grpc;x"])
    assert.ok(isGrpcContentType(value));
  for (const value of ["application/grpc-web", "application/json", "application/grp"])
    assert.ok(!isGrpcContentType(value));
  assert.deepEqual(["1H", "2M", "3S", "4m", "5000u", "x", "123456789S", undefined].map(parseGrpcTimeout), [
    3_600_000,
    120_000,
    3000,
    4,
    5,
    undefined,
    undefined,
    undefined,
  ]);
  assert.equal(encodeGrpcMessage("50% ö\n"), "50%25 %C3%B6%0A");
  const messages = Buffer.concat([
    Buffer.from([0, 0, 0, 0, 3, 1, 2, 3]),
    Buffer.from([0, 0, 0, 0, 0]),
    Buffer.from([1, 0, 0, 1, 0]),
    Buffer.alloc(256),
  ]);
  for (let cut = 0; cut <= messages.length; cut += 1) {
    const counter = new GrpcMessageCounter();
    counter.add(messages, 0, cut);
    counter.add(messages, cut, messages.length);
    assert.equal(counter.messages, 3);
  }
});
