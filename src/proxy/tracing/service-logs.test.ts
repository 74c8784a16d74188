import assert from "node:assert/strict";
import { after, test } from "node:test";
import { until } from "../../base/testing/index.ts";
import { fromBinary, toJson, type JsonValue } from "@bufbuild/protobuf";
import { AnySchema, StructSchema } from "@bufbuild/protobuf/wkt";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { freePort } from "../../net/testing/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { edsCluster, httpListener, plainEndpoints, weightedRoute } from "../testing/ads-server.ts";
import { startCollectedProxy } from "../testing/collected-proxy.ts";
import { fetchOnce } from "../testing/harness.ts";
import { plainRecord } from "../testing/plain-record.ts";
import { fieldsOf, messages, numberOf, textOf, type Fields } from "../testing/span-collector.ts";
import { maxExportBytes } from "./batch-exporter.ts";
import { httpEntry, serviceLogs, tcpEntry } from "./service-logs.ts";

const started = await startCollectedProxy((_request, response) =>
  response.writeHead(201, { "x-tier": "gold", "content-length": 5 }).end("hello"),
);
const { proxy, collector, appPort } = started;
const { ads } = proxy;
after(async () => await started[Symbol.asyncDispose]());

const type = "type.googleapis.com/envoy.extensions.access_loggers.grpc.v3";
const common = (logName: string): JsonValue => ({
  logName,
  transportApiVersion: "V3",
  filterStateObjectsToLog: ["upstream_peer", "downstream_peer"],
  grpcService: { envoyGrpc: { clusterName: "collector", authority: "als.example" } },
});
const accessLog = [
  {
    name: "envoy.access_loggers.http_grpc",
    filter: { statusCodeFilter: { comparison: { op: "EQ", value: { defaultValue: 201, runtimeKey: "x" } } } },
    typedConfig: {
      "@type": `${type}.HttpGrpcAccessLogConfig`,
      commonConfig: common("http-log"),
      additionalRequestHeadersToLog: ["X-Color", "x-absent"],
      additionalResponseHeadersToLog: ["x-tier"],
    },
  },
  {
    name: "envoy.tcp_grpc_access_log",
    typedConfig: { "@type": `${type}.TcpGrpcAccessLogConfig`, commonConfig: common("tcp-log") },
  },
] satisfies JsonValue;
const port = await freePort();
ads.push(typeUrls.cluster, { app: edsCluster("app"), collector: edsCluster("collector") });
ads.push(typeUrls.endpoint, {
  app: plainEndpoints("app", [appPort]),
  collector: plainEndpoints("collector", [collector.grpcPort]),
});
ads.push(typeUrls.listener, { l: httpListener(port, "r", { accessLog, preserveExternalRequestId: true }) });
ads.push(typeUrls.route, { r: weightedRoute("r", { app: 1 }) });
await proxy.ready();

const first = (fields: Fields | undefined, ...path: readonly number[]): Fields =>
  path.reduce<Fields>((at, field) => messages(at, field)[0] ?? new Map(), fields ?? new Map());
const mapOf = (fields: Fields, field: number): Record<string, string> =>
  Object.fromEntries(messages(fields, field).map((pair) => [textOf(pair, 1), textOf(pair, 2)]));
/** The entries that arrived for a log, in order. `batch` is the field that holds their batches. */
const entries = (logName: string, batch: number, from: readonly Fields[] = collector.serviceLogs): readonly Fields[] =>
  from
    .filter((message) => textOf(first(message, 1), 2) === logName)
    .flatMap((message) => messages(first(message, batch), 1));
const addressOf = (at: Fields, field: number): string =>
  `${textOf(first(at, field, 1), 2)}:${numberOf(first(at, field, 1), 3)}`;

test("a service gets each exchange in Envoy's format, with the sender and the requested fields", async () => {
  const startedMs = Date.now();
  assert.equal(
    (
      await fetchOnce(port, "/shop?a=1", {
        method: "POST",
        body: "abc",
        headers: {
          "x-color": "blue",
          "user-agent": "test",
          referer: "from",
          host: "shop.test",
          "x-request-id": "id-1",
        },
      })
    ).status,
    201,
  );
  const find = (): Fields | undefined =>
    entries("http-log", 2).find((entry) => textOf(first(entry, 3), 5) === "/shop?a=1");
  await until(() => find() !== undefined);
  const entry = find();
  const [at, request, response] = [first(entry, 1), first(entry, 3), first(entry, 4)];
  assert.equal(numberOf(entry ?? assert.fail(), 2), 2, "HTTP/1.1");
  assert.deepEqual(
    [1, 12].map((field) => numberOf(request, field)),
    [3, 3],
    "POST, three bytes",
  );
  assert.deepEqual(
    [2, 3, 6, 7, 9].map((field) => textOf(request, field)),
    ["http", "shop.test", "test", "from", "id-1"],
  );
  assert.deepEqual(mapOf(request, 13), { "x-color": "blue" });
  assert.deepEqual(
    [numberOf(first(response, 1), 1), numberOf(response, 3), textOf(response, 6)],
    [201, 5, "via_upstream"],
  );
  assert.deepEqual(mapOf(response, 4), { "x-tier": "gold" });
  assert.deepEqual(
    [addressOf(at, 3), addressOf(at, 13), textOf(at, 15), numberOf(at, 24)],
    [`127.0.0.1:${port}`, `127.0.0.1:${appPort}`, "app", 1],
  );
  assert.ok(Math.abs(numberOf(first(at, 5), 1) * 1000 - startedMs) < 60_000, "when it began");
  const peers = Object.fromEntries(messages(at, 21).map((pair) => [textOf(pair, 1), textOf(first(pair, 2), 1)]));
  assert.equal(peers["upstream_peer"], "type.googleapis.com/google.protobuf.Struct");
  const node = first(
    collector.serviceLogs.find((message) => textOf(first(message, 1), 2) === "http-log"),
    1,
    1,
  );
  assert.match(textOf(node, 1), /^router~127\.0\.0\.1~web-1\.test~/);
  assert.equal(textOf(node, 2), "web.test");
  assert.ok(
    collector.requests.some(
      ({ path, headers }) =>
        path === "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs" &&
        headers[":authority"] === "als.example",
    ),
  );
  const connection = (): Fields | undefined => entries("tcp-log", 3).find((one) => textOf(first(one, 1), 15) === "app");
  await until(() => connection() !== undefined);
  const bytes = connection();
  assert.deepEqual(
    [numberOf(first(bytes, 2), 1), numberOf(first(bytes, 2), 2)],
    [3, 5],
    "the log of connections says how many bytes went each way",
  );
});

test("a request whose method is a name that objects inherit has an unspecified method", () => {
  const entry = httpEntry(
    { ...plainRecord, method: "constructor" },
    { request: new Map(), response: new Map() },
    { requestHeaders: [], responseHeaders: [], responseTrailers: [], filterStates: new Set() },
  );
  assert.equal(numberOf(first(fieldsOf(entry), 3), 1), 0);
});

test("exchanges that a filter excludes are not sent, and entries that the service rejects are lost and counted", async () => {
  ads.push(typeUrls.route, {
    r: {
      name: "r",
      virtualHosts: [
        {
          name: "*",
          domains: ["*"],
          routes: [
            { match: { path: "/none" }, directResponse: { status: 404 } },
            { match: { path: "/pushed" }, directResponse: { status: 404 } },
            { match: { prefix: "/" }, route: { cluster: "app" } },
          ],
        },
      ],
    },
  });
  // Use a path that the test does not expect in the log: before the push is in force, the application answers the
  // request, and the proxy logs it.
  await until(async () => (await fetchOnce(port, "/pushed")).status === 404);
  assert.equal((await fetchOnce(port, "/none")).status, 404);
  collector.status = 503;
  await fetchOnce(port, "/lost");
  // The collector may also refuse entries of earlier exchanges, in the same batch or in an earlier one.
  await until(() =>
    entries("http-log", 2, collector.refusedServiceLogs).some((entry) => textOf(first(entry, 3), 5) === "/lost"),
  );
  const value = async (name: string): Promise<number> =>
    (await proxy.samples(`envoy_access_logs_grpc_access_log_${name}`))[0]?.value ?? 0;
  await until(async () => (await value("logs_dropped")) > 0);
  collector.status = 200;
  await fetchOnce(port, "/kept");
  await until(() => entries("http-log", 2).some((entry) => textOf(first(entry, 3), 5) === "/kept"));
  assert.ok((await value("logs_sent")) > 0);
  assert.deepEqual(
    entries("http-log", 2).filter((entry) => ["/none", "/lost"].includes(textOf(first(entry, 3), 5))),
    [],
  );
});

test("an entry contains the further labels of a peer", () => {
  const peer = { workload: "w", namespace: "n", cluster: "c", canonicalName: "app", canonicalRevision: "v1" };
  const record = { ...plainRecord, downstreamPeer: { ...peer, labels: { role: "caller" } } };
  const fields = { requestHeaders: [], responseHeaders: [], responseTrailers: [] };
  const entry = tcpEntry(
    record,
    { request: new Map(), response: new Map() },
    { ...fields, filterStates: new Set(["downstream_peer"]) },
  );
  const [state] = first(fieldsOf(entry), 1, 21).get(2) ?? [];
  const struct = fromBinary(StructSchema, fromBinary(AnySchema, state as Uint8Array).value);
  assert.deepEqual((toJson(StructSchema, struct) as { LABELS?: unknown }).LABELS, {
    role: "caller",
    "service.istio.io/canonical-name": "app",
    "service.istio.io/canonical-revision": "v1",
  });
});

test("a batch is as large as a message may be, and a larger single entry is sent alone to be dropped", async () => {
  const encode = serviceLogs("http", "log", { id: "a", service: "b", address: "127.0.0.1", zone: "" });
  const entryOf = (bytes: number): Uint8Array => new BinaryWriter().uint32(10).bytes(new Uint8Array(bytes)).finish();
  const large = entryOf(maxExportBytes / 2 - 1000);
  const { message, taken } = await encode([large, large, large]);
  assert.equal(taken, 2);
  assert.ok(message.length <= maxExportBytes);
  assert.equal(first(fieldsOf(message), 2).get(1)?.length, 2);
  assert.equal((await encode([entryOf(maxExportBytes)])).taken, 0);
});
