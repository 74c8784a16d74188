import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, fromJson, toBinary, type JsonObject, type MessageInitShape } from "@bufbuild/protobuf";
import { CheckRequestSchema, CheckResponseSchema, ExtAuthzPerRouteSchema } from "../../../wire/envoy/index.ts";
import { ConfigNotes } from "../../config/config-check.ts";
import { compileExtAuthzPerRoute } from "../../config/filters/ext-authz-config.ts";
import { extAuthzFilter, extAuthzName } from "../../testing/ext-authz.ts";
import { neverAborted, testRequest } from "../../testing/filter-request.ts";
import { forwardTo, Harness, route, tableOf } from "../../testing/harness.ts";
import { clusterCaller } from "../../upstream/cluster-call.ts";
import type { CallCluster, ClusterRequest } from "../../terms/call-cluster.ts";

const httpService = { serverUri: { uri: "http://authz.test", cluster: "authz", timeout: "2s" } };

async function startWithAuthorization(body: JsonObject): Promise<{ harness: Harness; requests: string[] }> {
  const clusters: { current?: Harness } = {};
  const filter = extAuthzFilter(
    { httpService, withRequestBody: body },
    clusterCaller((cluster) => clusters.current?.clusters.get(cluster)),
  );
  const harness = await Harness.start({ filters: [filter], filtersIdle: false });
  clusters.current = harness;
  const requests: string[] = [];
  const authz = await harness.backend((request, response) => {
    let text = "";
    request.on("data", (chunk: Buffer) => (text += chunk.toString()));
    request.on("end", () => {
      requests.push(
        `${request.method} ${request.headers["content-length"]} ${String(request.headers["x-envoy-auth-partial-body"])} ${text}`,
      );
      response.writeHead(text.includes("evil") ? 403 : 200).end();
    });
  });
  const app = await harness.backend((request, response) => {
    let text = "";
    request.on("data", (chunk: Buffer) => (text += chunk.toString()));
    request.on("end", () => response.end(`app got ${text.length > 40 ? text.length : text}.`));
  });
  harness.cluster("authz", [authz.port]);
  harness.cluster("app", [app.port]);
  harness.table = tableOf(route(forwardTo("app")));
  return { harness, requests };
}

test("the service sees a body that arrives in pieces, and the application gets it unchanged", async () => {
  const { harness, requests } = await startWithAuthorization({ maxRequestBytes: 64 });
  await using _ = harness;
  const client = harness.client();
  client.send(
    "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ntransfer-encoding: chunked\r\nx-envoy-auth-partial-body: forged\r\n\r\n",
  );
  await client.until(/100 Continue\r\n\r\n/);
  client.send("4\r\nwith;3".slice(0, 5));
  client.send("th\r\n3;x=y\r\n us\r\n");
  client.send("0\r\n\r\n");
  await client.until(/app got with us\./);
  assert.deepEqual(requests, ["POST 7 false with us"]);
  assert.equal((await harness.get("/", { method: "POST", body: "evil" })).status, 403);
  assert.equal((await harness.get("/")).body, "app got .");
  assert.equal(requests.at(-1), "GET undefined undefined ", "a request without a body");
});

test("a body beyond the limit is refused without asking, or shown up to the limit", async () => {
  const strict = await startWithAuthorization({ maxRequestBytes: 10 });
  await using _ = strict.harness;
  assert.equal((await strict.harness.get("/", { method: "POST", body: "0123456789" })).body, "app got 0123456789.");
  const refused = await strict.harness.get("/", { method: "POST", body: "0123456789a" });
  assert.deepEqual([refused.status, refused.body, strict.requests.length], [413, "Payload Too Large", 1]);
  const partial = await startWithAuthorization({ maxRequestBytes: 10, allowPartialMessage: true });
  await using __ = partial.harness;
  assert.equal(
    (await partial.harness.get("/", { method: "POST", body: "0123456789".repeat(100_000) })).body,
    "app got 1000000.",
  );
  assert.deepEqual(partial.requests, ["POST 10 true 0123456789"]);
});

test("the service gets no check for a client that leaves before its body has arrived", async () => {
  const { harness, requests } = await startWithAuthorization({ maxRequestBytes: 64 });
  await using _ = harness;
  const client = harness.client();
  client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf");
  await new Promise((resolve) => setImmediate(resolve));
  client.socket.destroy();
  await client.closed;
  assert.equal((await harness.get("/", { method: "POST", body: "other" })).status, 200);
  assert.deepEqual(requests, ["POST 5 false other"]);
  assert.equal(harness.listener.connections <= 1, true);
});

test("a gRPC service gets the body as text or as raw bytes, and a route may withhold it", async () => {
  const checks: ClusterRequest[] = [];
  const answer = Buffer.from(toBinary(CheckResponseSchema, create(CheckResponseSchema, { status: { code: 0 } })));
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(answer.length, 1);
  const callCluster: CallCluster = (request) => {
    checks.push(request);
    return Promise.resolve({ status: 200, headers: [["grpc-status", "0"]], body: Buffer.concat([prefix, answer]) });
  };
  const service = { grpcService: { envoyGrpc: { clusterName: "authz" } } };
  const body = Buffer.from([0x61, 0xff, 0x62]);
  const perRoute = compileExtAuthzPerRoute(
    fromJson(ExtAuthzPerRouteSchema, { checkSettings: { disableRequestBodyBuffering: true } }),
    "test",
    new ConfigNotes(() => undefined),
  );
  for (const packAsBytes of [false, true]) {
    await extAuthzFilter({ ...service, withRequestBody: { maxRequestBytes: 10, packAsBytes } }, callCluster).onRequest(
      testRequest("/", { body, headers: { [`x-envoy-auth-partial-body`]: "forged" } }),
      neverAborted,
    );
  }
  await extAuthzFilter({ ...service, withRequestBody: { maxRequestBytes: 10 } }, callCluster).onRequest(
    testRequest("/", { body, filterConfigs: new Map([[extAuthzName, perRoute]]) }),
    neverAborted,
  );
  const checkedRequests = checks.map(
    (request) => fromBinary(CheckRequestSchema, request.body.subarray(5)).attributes?.request?.http,
  );
  assert.deepEqual(
    checkedRequests.map((http) => [
      http?.body,
      Buffer.from(http?.rawBody ?? []).toString("hex"),
      http?.headers["x-envoy-auth-partial-body"],
    ]),
    [
      ["a\ufffdb", "", "false"],
      ["", "61ff62", "false"],
      ["", "", undefined],
    ],
  );
});

test("the check of a HEAD request does not wait for a body, and a connection that closes meanwhile loses no request", async () => {
  const { harness } = await startWithAuthorization({ maxRequestBytes: 64 });
  await using _ = harness;
  let requestCount = 0;
  const port = await harness.rawBackend((socket) => {
    socket.on("data", () => {
      requestCount += 1;
      // The second check on a connection finds the connection closed.
      if (socket.bytesRead > 0 && socket.listenerCount("end") > 1) socket.destroy();
      else socket.write("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
      socket.on("end", () => undefined);
    });
  });
  harness.cluster("authz", [port]);
  for (let request = 0; request < 3; request += 1)
    assert.equal((await harness.get("/", { method: "HEAD" })).status, 200);
  assert.equal(requestCount, 5, "three questions, two of which found a closed connection first");
});

function message(response: MessageInitShape<typeof CheckResponseSchema>): CallCluster {
  const bytes = Buffer.from(toBinary(CheckResponseSchema, create(CheckResponseSchema, response)));
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(bytes.length, 1);
  return () => Promise.resolve({ status: 200, headers: [["grpc-status", "0"]], body: Buffer.concat([prefix, bytes]) });
}

const service = { grpcService: { envoyGrpc: { clusterName: "authz" } } };

test("the service's answer cannot change the framing of the request or inject a field", async () => {
  const field = (key: string, value: string) => ({ header: { key, value } });
  const evil = [
    field("content-length", "0"),
    field("transfer-encoding", "chunked"),
    field("x-user", "joe\r\nx-admin: yes"),
    field("x bad", "1"),
    field("x-good", "1"),
  ];
  const request = testRequest("/", { headers: { "content-length": "5" } });
  await extAuthzFilter(
    service,
    message({
      status: { code: 0 },
      httpResponse: {
        case: "okResponse",
        value: { headers: evil, headersToRemove: ["content-length"], responseHeadersToAdd: evil },
      },
    }),
  ).onRequest(request, neverAborted);
  assert.deepEqual(
    [...request.fields],
    [
      ["content-length", "5"],
      ["x-good", "1"],
    ],
  );
  assert.deepEqual(request.answerFields, [["x-good", "1"]]);
  const denied = await extAuthzFilter(
    service,
    message({ status: { code: 7 }, httpResponse: { case: "deniedResponse", value: { headers: evil } } }),
  ).onRequest(testRequest(), neverAborted);
  assert.deepEqual(denied?.headers, [["x-good", "1"]]);
});

test("a gRPC service refuses with the status of a final response, or the client gets 403", async () => {
  for (const [code, status] of [
    [429, 429],
    [100, 403],
    [101, 403],
    [7, 403],
    [1000, 403],
  ] as const) {
    const refusal = create(CheckResponseSchema, {
      status: { code: 7 },
      httpResponse: { case: "deniedResponse", value: { status: {} } },
    });
    // The schema has no names for most of these numbers.
    if (refusal.httpResponse.case === "deniedResponse")
      Object.assign(refusal.httpResponse.value.status ?? {}, { code });
    const denied = await extAuthzFilter(service, message(refusal)).onRequest(testRequest(), neverAborted);
    assert.equal(denied?.status, status, String(code));
  }
});
