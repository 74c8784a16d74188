import assert from "node:assert/strict";
import { createServer as createHttp2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { create, fromBinary, fromJson, toBinary, type JsonObject } from "@bufbuild/protobuf";
import {
  CheckRequestSchema,
  CheckResponseSchema,
  ExtAuthzPerRouteSchema,
  HttpStatusCode,
  type CheckRequest,
  type CheckResponse,
} from "../../../wire/envoy/index.ts";
import { ConfigNotes } from "../../config/config-check.ts";
import { compileExtAuthzPerRoute } from "../../config/filters/ext-authz-config.ts";
import { extAuthzFilter, extAuthzName } from "../../testing/ext-authz.ts";
import { connectionFrom, mutualTls, neverAborted, testRequest } from "../../testing/filter-request.ts";
import { Harness } from "../../testing/harness.ts";
import { clusterCaller } from "../../upstream/cluster-call.ts";
import type { CallCluster } from "../../terms/call-cluster.ts";

const exact = (...names: string[]): JsonObject => ({ patterns: names.map((one) => ({ exact: one })) });

test("an HTTP service sees the request without its body, and its answer changes the forwarded request", async () => {
  await using harness = await Harness.start();
  const requests: unknown[] = [];
  const { port } = await harness.backend((request, response) => {
    requests.push([
      request.method,
      request.url,
      request.headers.host,
      request.headers["x-user"],
      request.headers["x-secret"],
      request.headers["x-added"],
    ]);
    const allowed = request.headers["x-user"] === "joe";
    response
      .writeHead(allowed ? 200 : 401, {
        "x-role": "admin",
        "x-other": "no",
        location: "/login",
        "content-type": "text/plain",
      })
      .end(allowed ? "" : "who are you?");
  });
  harness.cluster("authz", [port]);
  const filter = extAuthzFilter(
    {
      httpService: {
        serverUri: { uri: `http://authz.test:${port}`, cluster: "authz", timeout: "2s" },
        pathPrefix: "/check",
        authorizationRequest: { headersToAdd: [{ key: "x-added", value: "by-proxy" }] },
        authorizationResponse: {
          allowedUpstreamHeaders: exact("X-Role"),
          allowedClientHeaders: exact("x-none"),
          allowedClientHeadersOnSuccess: exact("x-other"),
        },
      },
      allowedHeaders: exact("x-user"),
    },
    clusterCaller((cluster) => harness.clusters.get(cluster)),
  );
  const joe = testRequest("/a?b=1", {
    method: "POST",
    headers: { "x-user": "joe", "x-secret": "s", "x-role": "forged", "content-length": "5" },
  });
  assert.equal(await filter.onRequest(joe, neverAborted), undefined);
  assert.deepEqual([joe.fields.get("x-role"), joe.answerFields], ["admin", [["x-other", "no"]]]);
  const other = await filter.onRequest(testRequest("/a", { headers: { "x-user": "eve" } }), neverAborted);
  assert.deepEqual([other?.status, other?.body, other?.details], [401, "who are you?", "ext_authz_denied"]);
  assert.deepEqual(
    other?.headers.map(([field]) => field),
    ["location", "content-type"],
  );
  assert.deepEqual(requests[0], ["POST", "/check/a?b=1", "a.test", "joe", undefined, "by-proxy"]);
});

test("an HTTP service removes headers from the request, but none that give it its form", async () => {
  const answerOf =
    (removals: string[]): CallCluster =>
    async () =>
      await Promise.resolve({
        status: 200,
        headers: removals.map((names) => ["x-envoy-auth-headers-to-remove", names] as const),
        body: Buffer.alloc(0),
      });
  const config: JsonObject = {
    httpService: {
      serverUri: { uri: "http://authz.test", cluster: "authz", timeout: "2s" },
      authorizationResponse: {
        allowedUpstreamHeaders: { patterns: [{ prefix: "x-" }] },
        allowedClientHeadersOnSuccess: { patterns: [{ prefix: "x-" }] },
      },
    },
  };
  const headers = { "x-user": "forged", "x-role": "admin", "x-kept": "1", "content-length": "0", host: "a.test" };
  for (const removals of [["X-User, x-role"], ["x-user", " x-role ,,"], ["x-role,host,:path,content-length,x-user"]]) {
    const request = testRequest("/a", { headers });
    assert.equal(await extAuthzFilter(config, answerOf(removals)).onRequest(request, neverAborted), undefined);
    assert.deepEqual([...request.fields.keys()], ["x-kept", "content-length", "host"], removals.join(";"));
    assert.deepEqual(request.answerFields, []);
  }
});

test("a gRPC service gets the request's attributes, and its answer changes the forwarded request", async () => {
  await using harness = await Harness.start();
  const checks: CheckRequest[] = [];
  const answers: CheckResponse[] = [
    create(CheckResponseSchema, {
      status: { code: 0 },
      httpResponse: {
        case: "okResponse",
        value: {
          headers: [
            { header: { key: "X-Role", value: "admin" } },
            { header: { key: "x-list", value: "b" }, append: true },
          ],
          headersToRemove: ["x-gone"],
          queryParametersToRemove: ["token"],
          queryParametersToSet: [
            { key: "user", value: "joe" },
            { key: "odd", value: "a b&c#%41" },
          ],
          responseHeadersToAdd: [{ header: { key: "x-seen", value: "1" } }],
        },
      },
      dynamicMetadata: { user: "joe" },
    }),
    create(CheckResponseSchema, {
      status: { code: 7 },
      httpResponse: {
        case: "deniedResponse",
        value: {
          status: { code: HttpStatusCode.Unauthorized },
          body: "no",
          headers: [{ header: { key: "x-why", value: "because" } }],
        },
      },
    }),
    create(CheckResponseSchema, { status: { code: 7 } }),
  ];
  const server = createHttp2Server();
  server.on("stream", (stream, headers) => {
    assert.equal(headers[":path"], "/envoy.service.auth.v3.Authorization/Check");
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("end", () => {
      checks.push(fromBinary(CheckRequestSchema, Buffer.concat(chunks).subarray(5)));
      const message = toBinary(CheckResponseSchema, answers.shift() ?? assert.fail());
      const prefix = Buffer.alloc(5);
      prefix.writeUInt32BE(message.length, 1);
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      stream.end(Buffer.concat([prefix, message]));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    harness.cluster("authz", [(server.address() as AddressInfo).port], { upstreamProtocol: "http2" });
    const filter = extAuthzFilter(
      { grpcService: { envoyGrpc: { clusterName: "authz" }, timeout: "2s" } },
      clusterCaller((cluster) => harness.clusters.get(cluster)),
    );
    const connection = connectionFrom("10.0.0.1", { tls: mutualTls("spiffe://cluster.local/ns/a/sa/b") });
    const target = "/a?b=1&token=x&%74oken=y&user=eve";
    const request = testRequest(target, {
      connection,
      headers: { ":path": target, "x-gone": "1", "x-list": "a", constructor: "x" },
    });
    assert.equal(await filter.onRequest(request, neverAborted), undefined);
    assert.deepEqual(
      [request.fields.get("x-role"), request.fields.get("x-list"), request.fields.has("x-gone"), request.answerFields],
      ["admin", "a,b", false, [["x-seen", "1"]]],
    );
    assert.equal(request.fields.get(":path"), "/a?b=1&user=joe&odd=a%20b%26c%23%41");
    assert.deepEqual(request.metadata.get(extAuthzName), { user: "joe" });
    const http = checks[0]?.attributes?.request?.http;
    assert.deepEqual(
      [checks[0]?.attributes?.source?.principal, http?.path, http?.headers["x-list"], http?.headers["constructor"]],
      ["spiffe://cluster.local/ns/a/sa/b", target, "a", "x"],
    );
    const denied = await filter.onRequest(testRequest(), neverAborted);
    assert.deepEqual([denied?.status, denied?.body, denied?.headers], [401, "no", [["x-why", "because"]]]);
    assert.equal((await filter.onRequest(testRequest(), neverAborted))?.status, 403);
  } finally {
    for (const cluster of harness.clusters.values()) cluster.drain();
    server.close();
  }
});

test("when the service is unreachable, requests are refused, or pass with failureModeAllow", async () => {
  const service = { grpcService: { envoyGrpc: { clusterName: "c" } } };
  const fails: CallCluster = () => Promise.reject(new Error("down"));
  const closed = await extAuthzFilter({ ...service, statusOnError: { code: "ServiceUnavailable" } }, fails).onRequest(
    testRequest(),
    neverAborted,
  );
  assert.deepEqual([closed?.status, closed?.details], [503, "ext_authz_error"]);
  const request = testRequest();
  assert.equal(
    await extAuthzFilter({ ...service, failureModeAllow: true, failureModeAllowHeaderAdd: true }, fails).onRequest(
      request,
      neverAborted,
    ),
    undefined,
  );
  assert.equal(request.fields.get("x-envoy-auth-failure-mode-allowed"), "true");
});

test("any answer of an HTTP service but 200 and 5xx refuses the request, also with failureModeAllow", async () => {
  await using harness = await Harness.start();
  const port = await harness.rawBackend((socket) => {
    socket.once("data", (head) => {
      const status = /check\/(\d+) /.exec(head.toString("latin1"))?.[1] ?? "";
      const framing = status === "101" ? "connection: upgrade\r\nupgrade: a\r\n" : "content-length: 2\r\n";
      socket.end(`HTTP/1.1 ${status} X\r\nx-why: a\r\n${framing}\r\n${status === "101" ? "" : "no"}`);
    });
  });
  harness.cluster("authz", [port]);
  const filter = extAuthzFilter(
    {
      httpService: {
        serverUri: { uri: `http://authz.test:${port}`, cluster: "authz", timeout: "2s" },
        pathPrefix: "/check",
      },
      failureModeAllow: true,
    },
    clusterCaller((name) => harness.clusters.get(name)),
  );
  const statusAfter = async (status: number): Promise<number | undefined> =>
    (await filter.onRequest(testRequest(`/${status}`), neverAborted))?.status;
  const statuses = [101, 200, 201, 401, 499, 500, 599, 600, 999];
  assert.deepEqual(await Promise.all(statuses.map(statusAfter)), [
    403,
    undefined,
    201,
    401,
    499,
    undefined,
    undefined,
    403,
    403,
  ]);
});

test("only requests that the access rules marked are checked, and none of a route that disables the check", async () => {
  const byRules = {
    filterEnabledMetadata: {
      filter: "envoy.filters.http.rbac",
      path: [{ key: "istio_ext_authz_shadow_effective_policy_id" }],
      value: { stringMatch: { prefix: "istio-ext-authz-ns[a]" } },
    },
  };
  const filter = extAuthzFilter({ grpcService: { envoyGrpc: { clusterName: "c" } }, ...byRules }, () =>
    Promise.reject(new Error("down")),
  );
  assert.equal(filter.onRequest(testRequest(), neverAborted), undefined);
  const marked = (filterConfigs?: ReadonlyMap<string, object>) => {
    const request = testRequest("/", filterConfigs === undefined ? {} : { filterConfigs });
    request.metadata.set("envoy.filters.http.rbac", {
      istio_ext_authz_shadow_effective_policy_id: "istio-ext-authz-ns[a]-policy[b]-rule[0]",
    });
    return request;
  };
  assert.equal((await filter.onRequest(marked(), neverAborted))?.status, 403);
  const off = compileExtAuthzPerRoute(
    fromJson(ExtAuthzPerRouteSchema, { disabled: true }),
    "test",
    new ConfigNotes(() => undefined),
  );
  assert.equal(filter.onRequest(marked(new Map([[extAuthzName, off]])), neverAborted), undefined);
  assert.throws(
    () =>
      extAuthzFilter({ grpcService: { envoyGrpc: { clusterName: "c" } }, withRequestBody: {} }, () =>
        Promise.reject(new Error()),
      ),
    /maxRequestBytes must be above 0/,
  );
});
