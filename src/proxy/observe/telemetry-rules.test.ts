import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { MetricsRegistry, renderPrometheus } from "../../telemetry/index.ts";
import {
  AccessLogSchema,
  ExpressionFilterSchema,
  FileAccessLogSchema,
  IstioStatsConfigSchema,
} from "../../wire/envoy/index.ts";
import { compileAccessLogs } from "../config/access-logs/access-log-config.ts";
import { ConfigNotes } from "../config/config-check.ts";
import { compileStats } from "../config/filters/stats-config.ts";
import { standaloneServices } from "../filters/filter-services.ts";
import type { ExchangeRecord } from "../record/exchange-record.ts";
import { plainRecord } from "../testing/plain-record.ts";
import { IstioMetrics } from "./istio-metrics.ts";
import { noCapture, type CaptureIndex } from "../record/capture-index.ts";
import { standardStats } from "../record/stats-rules.ts";

const record: ExchangeRecord = {
  ...plainRecord,
  status: 404,
  details: "",
  requestId: "id",
  forwardedFor: "",
  capturedRequest: ["gold"],
};
const capture: CaptureIndex = { request: new Map([["x-tier", 0]]), response: new Map() };
const own = {
  workload: "w",
  namespace: "n",
  principal: "p",
  app: "a",
  version: "v",
  canonicalName: "c",
  canonicalRevision: "r",
  cluster: "k",
};
const noted: string[] = [];
const notes = new ConfigNotes((note) => noted.push(note), { ...standaloneServices(), random: () => 0.5 });

test("Telemetry adds and removes labels of metrics, and disables metrics", () => {
  const registry = new MetricsRegistry();
  const metrics = new IstioMetrics(registry, own);
  const config = create(IstioStatsConfigSchema, {
    metrics: [
      {
        name: "requests_total",
        dimensions: { tier: "request.headers['x-tier']", code: "response.code", missing: "request.headers['x-none']" },
        tagsToRemove: ["source_app"],
      },
      { name: "request_bytes", drop: true },
    ],
  });
  const rules = compileStats(config, notes);
  assert.deepEqual(rules.requestCapture, ["x-tier", "x-none"]);
  metrics.observe(record, "source", rules, capture);
  metrics.observe(record, "source", standardStats, noCapture);
  const lines = renderPrometheus(registry).split("\n");
  const counted = lines.filter((line) => line.startsWith("istio_requests_total{"));
  assert.equal(counted.length, 2);
  const changed = counted.find((line) => line.includes('tier="gold"')) ?? "";
  assert.match(changed, /code="404",missing="unknown"\} 1$/);
  assert.doesNotMatch(changed, /source_app=/);
  assert.equal(lines.filter((line) => line === "# TYPE istio_requests_total counter").length, 1);
  assert.equal(
    lines
      .filter((line) => line.startsWith("istio_request_bytes_count"))
      .join()
      .endsWith(" 1"),
    true,
    "the plain observation alone",
  );
});

test("a label with an invalid expression is left out and reported, and no label's name can write lines of its own", () => {
  const told: string[] = [];
  const dimensions = {
    fine: "request.method",
    broken: "request.(",
    loops: "[1].map(x, x)",
    "": "'a'",
    'a"} 9\nistio_requests_total{b': "'c'",
    "1-é": "'d'",
  };
  const config = create(IstioStatsConfigSchema, { metrics: [{ name: "requests_total", dimensions }] });
  const rules = compileStats(config, new ConfigNotes((note) => told.push(note)));
  assert.deepEqual(
    rules.metrics.get("requests_total")?.added.map(({ label }) => label),
    ["fine", "a___9_istio_requests_total_b", "_1__"],
  );
  assert.deepEqual(
    told.map((note) => note.split(" of ")[0]),
    ["broken", "loops", ""].map((label) => `istio.stats: the label ${label}`),
  );
  const registry = new MetricsRegistry();
  new IstioMetrics(registry, own).observe(record, "source", rules, capture);
  const lines = renderPrometheus(registry).split("\n");
  assert.equal(lines.filter((line) => line.startsWith("istio_requests_total{")).length, 1);
});

test("an override without a name applies to all metrics; a conditional one, or one for an unknown metric, is reported", () => {
  const notes: string[] = [];
  const config = create(IstioStatsConfigSchema, {
    statPrefix: "mine",
    metrics: [
      { tagsToRemove: ["source_app"] },
      { name: "requests_total", drop: true, match: "response.code == 200" },
      { name: "istio_requests_total", drop: true },
    ],
  });
  const { metrics } = compileStats(config, new ConfigNotes((note) => notes.push(note)));
  assert.deepEqual(
    ["requests_total", "tcp_sent_bytes_total"].map((name) => [metrics.get(name)?.drop, metrics.get(name)?.removed]),
    [
      [false, new Set(["source_app"])],
      [false, new Set(["source_app"])],
    ],
  );
  assert.deepEqual(
    notes.map((note) => note.replace(/: expected one of .*/, "")),
    [
      "istio.stats: statPrefix mine has no effect here: all metric names begin with istio_",
      "istio.stats: the override of requests_total is not applied, because match is not supported: response.code == 200",
      "istio.stats: the override of istio_requests_total has no effect here",
    ],
  );
});

test("an access log records exchanges that match its expression, and the error for an unsupported log type names it", () => {
  const config = {
    case: "typedConfig" as const,
    value: anyPack(
      FileAccessLogSchema,
      create(FileAccessLogSchema, {
        path: "/dev/stdout",
        accessLogFormat: { case: "format", value: "%REQ_WITHOUT_QUERY(:PATH)%" },
      }),
    ),
  };
  const filtered = (expression: string) =>
    create(AccessLogSchema, {
      name: "file",
      configType: config,
      filter: {
        filterSpecifier: {
          case: "extensionFilter",
          value: {
            name: "cel",
            configType: {
              case: "typedConfig",
              value: anyPack(ExpressionFilterSchema, create(ExpressionFilterSchema, { expression })),
            },
          },
        },
      },
    });
  const wants = (expression: string): boolean | undefined =>
    compileAccessLogs([filtered(expression)], "l", notes)[0]?.wants?.(record, capture);
  assert.deepEqual(
    [
      "response.code >= 400",
      "response.code < 400",
      "request.headers['x-tier'] == 'gold'",
      "request.headers['x-none'] == ''",
      "'x-tier' in request.headers && !connection.mtls",
    ].map(wants),
    [true, false, true, false, true],
  );
  assert.throws(() => wants("response.code >"), /the expression "response.code >"/);
  assert.throws(() => wants("[1, 2].all(x, x > 0)"), /loops .* are not supported/);
  assert.equal(compileAccessLogs([filtered("true")], "l", notes)[0]?.format.line(record, capture), "/a");
  const wasm = create(AccessLogSchema, {
    name: "plugin",
    configType: {
      case: "typedConfig",
      value: {
        $typeName: "google.protobuf.Any",
        typeUrl: "type.googleapis.com/envoy.extensions.access_loggers.wasm.v3.WasmAccessLog",
        value: new Uint8Array(),
      },
    },
  });
  assert.throws(() => compileAccessLogs([wasm], "l", notes), /l: accessLog plugin.*WasmAccessLog/);
});
