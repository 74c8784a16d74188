import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { unknownWorkload } from "../terms/workload-labels.ts";
import { MetricsRegistry, parsePrometheus, renderPrometheus, snapshotOf } from "../../telemetry/index.ts";
import { IstioStatsConfigSchema } from "../../wire/envoy/index.ts";
import { ConfigNotes } from "../config/config-check.ts";
import { compileStats } from "../config/filters/stats-config.ts";
import { standaloneServices } from "../filters/filter-services.ts";
import type { ExchangeRecord } from "../record/exchange-record.ts";
import { plainRecord } from "../testing/plain-record.ts";
import type { Cluster } from "../upstream/cluster.ts";
import { bucketsOf, parseHistogramBuckets } from "./histogram-buckets.ts";
import { IstioMetrics } from "./istio-metrics.ts";
import { noCapture } from "../record/capture-index.ts";

const own = {
  ...unknownWorkload,
  workload: "web",
  namespace: "shop",
  principal: "spiffe://p",
  app: "web",
  version: "v1",
};
const notes = new ConfigNotes(() => undefined, standaloneServices());
const clientRules = compileStats(create(IstioStatsConfigSchema, {}), notes);
const serverRules = compileStats(create(IstioStatsConfigSchema, { disableHostHeaderFallback: true }), notes);

function samplesOf(registry: MetricsRegistry, name: string) {
  return parsePrometheus(renderPrometheus(registry)).samples.filter((sample) => sample.name === name);
}

test("gRPC messages are counted by client and server, and the gRPC status is a label of requests", () => {
  const registry = new MetricsRegistry();
  const metrics = new IstioMetrics(registry, own);
  const record: ExchangeRecord = {
    ...plainRecord,
    isGrpc: true,
    grpcStatus: "5",
    status: 200,
    requestMessages: 3,
    responseMessages: 4,
  };
  for (let count = 0; count < 2; count += 1) metrics.observe(record, "destination", serverRules, noCapture);
  const [requests] = samplesOf(registry, "istio_requests_total");
  assert.deepEqual(
    [requests?.labels["request_protocol"], requests?.labels["grpc_response_status"], requests?.value],
    ["grpc", "5", 2],
  );
  const [sent] = samplesOf(registry, "istio_request_messages_total");
  const [received] = samplesOf(registry, "istio_response_messages_total");
  assert.deepEqual(
    [sent?.value, received?.value, sent?.labels["destination_workload"], "response_code" in (sent?.labels ?? {})],
    [6, 8, "web", false],
  );
});

test("messages of an open gRPC stream are counted once per reporting interval, and the rest at its end", () => {
  const registry = new MetricsRegistry();
  const metrics = new IstioMetrics(registry, own);
  const counts = (): (number | undefined)[] =>
    ["istio_request_messages_total", "istio_response_messages_total", "istio_requests_total"].map(
      (name) => samplesOf(registry, name)[0]?.value,
    );
  const record = { ...plainRecord, isGrpc: true, status: 0, requestMessages: 3, responseMessages: 0 };
  const at = (nowMs: number, reporter: "source" | "destination", rules = serverRules): void =>
    metrics.streams(record, reporter, rules, noCapture, nowMs);
  at(1000, "source");
  at(6000, "source");
  assert.deepEqual(counts(), [undefined, undefined, undefined], "a client's side waits for the answer's begin");
  Object.assign(record, { status: 200, responseMessages: 1 });
  at(6500, "source");
  assert.deepEqual(counts(), [3, 1, undefined], "and then shows no series of whole requests");
  Object.assign(record, { requestMessages: 4, responseMessages: 9 });
  at(11_000, "source");
  assert.deepEqual(counts(), [3, 1, undefined], "not before its time");
  at(11_500, "source");
  assert.deepEqual(counts(), [4, 9, undefined]);
  record.requestMessages = 6;
  metrics.observe({ ...record, requestMessages: 1, responseMessages: 1 }, "source", serverRules, noCapture);
  metrics.observe(record, "source", serverRules, noCapture);
  assert.deepEqual(counts(), [7, 10, 2], "another stream counts whole, this one what is left");
  Object.assign(record, { requestMessages: 2, responseMessages: 2 });
  metrics.observe(record, "source", serverRules, noCapture);
  assert.deepEqual(counts(), [9, 12, 3], "the object serves a next stream");
  const often = compileStats(create(IstioStatsConfigSchema, { tcpReportingDuration: { seconds: 1n } }), notes);
  const incoming = { ...plainRecord, isGrpc: true, status: 0, requestMessages: 5 };
  for (const nowMs of [0, 1000]) metrics.streams(incoming, "destination", often, noCapture, nowMs);
  const received = samplesOf(registry, "istio_request_messages_total").find(
    ({ labels }) => labels["reporter"] === "destination",
  );
  assert.equal(received?.value, 5, "a server's side knows who asks, and the configuration says how often");
});

test("traffic to no service is labelled with its cluster and host at a client, and has no service label at a server", () => {
  const registry = new MetricsRegistry();
  const metrics = new IstioMetrics(registry, own);
  const cluster = { name: "PassthroughCluster", config: { service: undefined } } as unknown as Cluster;
  metrics.observe(
    { ...plainRecord, authority: "example.org", cluster, routeName: "allow_any" },
    "source",
    clientRules,
    noCapture,
  );
  metrics.observe(
    { ...plainRecord, authority: "other.test", routeName: "block_all", status: 502 },
    "source",
    clientRules,
    noCapture,
  );
  metrics.observe({ ...plainRecord, authority: "third.test" }, "destination", serverRules, noCapture);
  const found = samplesOf(registry, "istio_requests_total").map(({ labels }) => [
    labels["reporter"],
    labels["destination_service"],
    labels["destination_service_name"],
  ]);
  assert.deepEqual(found, [
    ["source", "example.org", "PassthroughCluster"],
    ["source", "other.test", "BlackHoleCluster"],
    ["destination", "unknown", "unknown"],
  ]);
});

test("an endless series of new hosts or peer names stays within the bound, and everything is counted", () => {
  const registry = new MetricsRegistry({ maxSeriesPerMetric: 100 });
  const metrics = new IstioMetrics(registry, own);
  const labelSets = 5000;
  const heapBefore = process.memoryUsage().heapUsed;
  for (let index = 0; index < labelSets; index += 1) {
    metrics.observe(
      { ...plainRecord, authority: `${index}.example.org`, pathAndQuery: `/${index}` },
      "source",
      clientRules,
      noCapture,
    );
    metrics.observe(
      { ...plainRecord, downstreamPeer: { ...unknownWorkload, workload: `w${index}` } },
      "destination",
      serverRules,
      noCapture,
    );
  }
  const requests = samplesOf(registry, "istio_requests_total");
  assert.equal(requests.length, 101);
  assert.equal(
    requests.reduce((sum, { value }) => sum + value, 0),
    2 * labelSets,
  );
  assert.ok(
    (samplesOf(registry, "serin_metrics_dropped_series_total").find(
      ({ labels }) => labels["metric"] === "istio_requests_total",
    )?.value ?? 0) > labelSets,
  );
  assert.ok(renderPrometheus(registry).length < 8e6);
  assert.ok(process.memoryUsage().heapUsed - heapBefore < 200e6);
});

test("evicted series return when they are counted again", () => {
  let nowMs = 0;
  const registry = new MetricsRegistry({ maxSeriesPerMetric: 2, staleAfterMs: 1000, clock: { steadyMs: () => nowMs } });
  const metrics = new IstioMetrics(registry, own);
  metrics.observe(plainRecord, "destination", serverRules, noCapture);
  assert.equal(samplesOf(registry, "istio_requests_total").length, 1);
  nowMs = 2000;
  assert.equal(samplesOf(registry, "istio_requests_total").length, 0);
  metrics.observe(plainRecord, "destination", serverRules, noCapture);
  assert.equal(samplesOf(registry, "istio_requests_total")[0]?.value, 1);
});

test("a workload's annotation sets the buckets of Istio's histograms, and the error for an invalid annotation names it", () => {
  const registry = new MetricsRegistry();
  new IstioMetrics(
    registry,
    own,
    bucketsOf(parseHistogramBuckets('{"istiocustom.istio_request_bytes":[7],"istio":[10,5,5,0.1],"listener":[3]}')),
  ).observe(plainRecord, "destination", serverRules, noCapture);
  const boundsOf = (name: string): string[] =>
    samplesOf(registry, `${name}_bucket`).map(({ labels }) => labels["le"] ?? "");
  // The prefix `istio` sorts before the longer one, so it matches first, as in upstream.
  for (const name of ["istio_request_duration_milliseconds", "istio_request_bytes", "istio_response_bytes"])
    assert.deepEqual(boundsOf(name), ["0.1", "5", "10", "+Inf"]);
  assert.ok(boundsOf("serin_request_duration_milliseconds").length > 4, "the judge's own are not Istio's");
  for (const wrong of ["", "[1]", '{"istio":[]}', '{"istio":[0]}', '{"istio":["1"]}', '{"istio":5}', "null"])
    assert.throws(() => parseHistogramBuckets(wrong), /statsHistogramBuckets must be a JSON object/, wrong);
});

test("a route whose name is that of a property of every object is labelled and read by other threads as any other", () => {
  const registry = new MetricsRegistry();
  const metrics = new IstioMetrics(registry, own);
  const service = { name: "reviews", namespace: "shop", host: "reviews.shop.svc.cluster.local" };
  const cluster = { name: "outbound|80||reviews", config: { service } } as unknown as Cluster;
  for (const routeName of ["constructor", "toString", "__proto__"])
    metrics.observe({ ...plainRecord, cluster, routeName }, "source", clientRules, noCapture);
  assert.deepEqual(
    samplesOf(registry, "istio_requests_total").map(({ labels, value }) => [labels["destination_service_name"], value]),
    [["reviews", 3]],
  );
  assert.doesNotThrow(() => structuredClone(snapshotOf(registry)), "a worker cannot report its metrics");
});

test("a namespace whose server answers with many statuses does not take the series of other namespaces' services", () => {
  const registry = new MetricsRegistry({ maxSeriesPerMetric: 100 });
  const metrics = new IstioMetrics(registry, own);
  const clusterOf = (namespace: string): Cluster =>
    ({ name: namespace, config: { service: { host: `web.${namespace}`, name: "web", namespace } } }) as Cluster;
  const evil = clusterOf("evil");
  for (let status = 200; status < 600; status += 1)
    metrics.observe({ ...plainRecord, cluster: evil, status }, "destination", serverRules, noCapture);
  const cluster = clusterOf("bank");
  for (const status of [200, 404, 503, 503])
    metrics.observe({ ...plainRecord, cluster, status }, "destination", serverRules, noCapture);
  assert.deepEqual(
    samplesOf(registry, "istio_requests_total")
      .filter(({ labels }) => labels["destination_service_namespace"] === "bank")
      .map(({ labels, value }) => [labels["response_code"], value]),
    [
      ["200", 1],
      ["404", 1],
      ["503", 2],
    ],
  );
});
