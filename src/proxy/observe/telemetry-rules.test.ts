import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { MetricsRegistry, renderPrometheus } from "../../telemetry/index.ts";
import { AccessLogSchema, ExpressionFilterSchema, FileAccessLogSchema, HttpConnectionManager_TracingSchema, IstioStatsConfigSchema, ZipkinConfig_TraceContextOption, ZipkinConfigSchema } from "../../wire/envoy/index.ts";
import { compileAccessLogs } from "../config/access-log-config.ts";
import { ConfigNotes } from "../config/config-check.ts";
import { compileStats } from "../config/stats-config.ts";
import { compileTracing } from "../config/tracing-config.ts";
import { standaloneServices } from "../filters/filter-services.ts";
import type { ExchangeRecord } from "../http/exchange-record.ts";
import { neverAborted, testRequest } from "../testing/filter-request.ts";
import { IstioMetrics } from "./istio-metrics.ts";
import type { CaptureIndex } from "./log-format.ts";

const address = { address: "10.0.0.1", port: 4000 };
const connection = { remote: address, local: { address: "10.0.0.2", port: 80 }, tls: undefined, peer: undefined };
const record: ExchangeRecord = {
  startedMs: 0, durationMs: 12, method: "GET", pathAndQuery: "/a?b=1", protocol: "HTTP/1.1", authority: "shop.test", status: 404, flag: 0, details: "", transportFailure: "", receivedBytes: 3,
  sentBytes: 4, upstreamServiceMs: 1, requestId: "id", forwardedFor: "", userAgent: "curl", routeName: "r", cluster: undefined, endpoint: undefined, upstreamLocal: "", downstreamLocal: "10.0.0.2:80",
  downstreamRemote: "10.0.0.1:4000", connection, requestedServerName: "", downstreamPeer: undefined, upstreamPeer: undefined, isGrpc: false, grpcStatus: "", requestMessages: 0, responseMessages: 0,
  metadata: undefined, capturedRequest: ["gold"], capturedResponse: [],
};
const capture: CaptureIndex = { request: new Map([["x-tier", 0]]), response: new Map() };
const own = { workload: "w", namespace: "n", principal: "p", app: "a", version: "v", canonicalName: "c", canonicalRevision: "r", cluster: "k" };
const noted: string[] = [];
const notes = new ConfigNotes((note) => noted.push(note), { ...standaloneServices(), random: () => 0.5 });

test("metrics have the labels that Telemetry gives them, lose those that it takes, and are not counted where it says so", () => {
  const registry = new MetricsRegistry();
  const metrics = new IstioMetrics(registry, own);
  const config = create(IstioStatsConfigSchema, {
    metrics: [
      { name: "requests_total", dimensions: { tier: "request.headers['x-tier']", code: "response.code", missing: "request.headers['x-none']" }, tagsToRemove: ["source_app"] },
      { name: "request_bytes", drop: true },
    ],
  });
  const rules = compileStats(config, "listener", notes);
  assert.deepEqual(rules.requestCapture, ["x-tier", "x-none"]);
  metrics.observe(record, "source", rules, capture);
  metrics.observe(record);
  const lines = renderPrometheus(registry).split("\n");
  const counted = lines.filter((line) => line.startsWith("istio_requests_total{"));
  assert.equal(counted.length, 2);
  const changed = counted.find((line) => line.includes('tier="gold"')) ?? "";
  assert.match(changed, /code="404",missing="unknown"\} 1$/);
  assert.doesNotMatch(changed, /source_app=/);
  assert.equal(lines.filter((line) => line === "# TYPE istio_requests_total counter").length, 1);
  assert.equal(lines.filter((line) => line.startsWith("istio_request_bytes_count")).join().endsWith(" 1"), true, "the plain observation alone");
});

test("a log takes what its expression holds for; one of a service is told of and left out", () => {
  const config = { case: "typedConfig" as const, value: anyPack(FileAccessLogSchema, create(FileAccessLogSchema, { path: "/dev/stdout", accessLogFormat: { case: "format", value: "%REQ_WITHOUT_QUERY(:PATH)%" } })) };
  const filtered = (expression: string) =>
    create(AccessLogSchema, {
      name: "file",
      configType: config,
      filter: { filterSpecifier: { case: "extensionFilter", value: { name: "cel", configType: { case: "typedConfig", value: anyPack(ExpressionFilterSchema, create(ExpressionFilterSchema, { expression })) } } } },
    });
  const wants = (expression: string): boolean | undefined => compileAccessLogs([filtered(expression)], "l", notes)[0]?.wants?.(record, capture);
  assert.deepEqual(["response.code >= 400", "response.code < 400", "request.headers['x-tier'] == 'gold'", "request.headers['x-none'] == ''", "'x-tier' in request.headers && !connection.mtls"].map(wants), [true, false, true, false, true]);
  assert.throws(() => wants("response.code >"), /the expression "response.code >"/);
  assert.equal(compileAccessLogs([filtered("true")], "l", notes)[0]?.format.line(record, capture), "/a");
  const service = create(AccessLogSchema, { name: "als", configType: { case: "typedConfig", value: { $typeName: "google.protobuf.Any", typeUrl: "type.googleapis.com/envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig", value: new Uint8Array() } } });
  assert.deepEqual(compileAccessLogs([service], "l", notes), []);
  assert.ok(noted.some((note) => note.includes("the access log als is not written")));
});

test("a request without a trace gets one, sampled by chance and in the tracer's form; one that brings a trace keeps it", async () => {
  const filterFor = (percent: number, traceContextOption = ZipkinConfig_TraceContextOption.USE_B3) => {
    const provider = { name: "zipkin", configType: { case: "typedConfig" as const, value: anyPack(ZipkinConfigSchema, create(ZipkinConfigSchema, { traceId128bit: true, traceContextOption })) } };
    return compileTracing(create(HttpConnectionManager_TracingSchema, { randomSampling: { value: percent }, provider }), "l", notes);
  };
  const passed = async (percent: number, option?: ZipkinConfig_TraceContextOption, headers: Record<string, string> = {}): Promise<ReadonlyMap<string, string>> => {
    const request = testRequest("/", { headers });
    await filterFor(percent, option)?.onRequest(request, neverAborted);
    return request.fields;
  };
  const kept = await passed(60);
  assert.deepEqual([[...kept.keys()], kept.get("x-b3-sampled"), kept.get("x-b3-traceid")?.length, kept.get("x-b3-spanid")?.length], [["x-b3-traceid", "x-b3-spanid", "x-b3-sampled"], "1", 32, 16]);
  assert.match((await passed(40, ZipkinConfig_TraceContextOption.USE_B3_WITH_W3C_PROPAGATION)).get("traceparent") ?? "", /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
  assert.deepEqual([...(await passed(100, undefined, { traceparent: "given" }))], [["traceparent", "given"]]);
  assert.equal(compileTracing(create(HttpConnectionManager_TracingSchema, { noContextPropagation: true }), "l", notes), undefined);
});
