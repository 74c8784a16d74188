import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { ClusterSchema, envoyRegistry } from "../../../wire/envoy/index.ts";
import type { ClusterConfig } from "../../upstream/cluster.ts";
import { resourceJson } from "../../admin/resource-json.ts";
import { serverNameOf } from "../../upstream/connector.ts";
import { compileCluster } from "./cluster-config.ts";
import { ConfigNotes } from "../config-check.ts";

const notes = new ConfigNotes(() => undefined);

function compile(config: JsonObject): ClusterConfig {
  return compileCluster(
    fromJson(ClusterSchema, { name: "c", type: "EDS", ...config }, { registry: envoyRegistry() }),
    notes,
  ).config;
}

const httpOptions = (options: JsonObject): JsonObject => ({
  typedExtensionProtocolOptions: {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
      "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
      ...options,
    },
  },
});

test("the protocol of endpoints comes from the new options or from the old fields", () => {
  const rows: readonly (readonly [config: JsonObject, protocol: string])[] = [
    [{}, "http1"],
    [{ http2ProtocolOptions: {} }, "http2"],
    [{ protocolSelection: "USE_DOWNSTREAM_PROTOCOL", http2ProtocolOptions: {} }, "downstream"],
    [httpOptions({ explicitHttpConfig: { http2ProtocolOptions: { allowConnect: true } } }), "http2"],
    [httpOptions({ explicitHttpConfig: { httpProtocolOptions: {} } }), "http1"],
    [httpOptions({ useDownstreamProtocolConfig: { http2ProtocolOptions: {}, httpProtocolOptions: {} } }), "downstream"],
    [httpOptions({ autoConfig: { http2ProtocolOptions: {} } }), "alpn"],
  ];
  for (const [config, protocol] of rows)
    assert.equal(compile(config).upstreamProtocol, protocol, JSON.stringify(config));
});

test("the formatter that keeps the case of headers is accepted without a note, and a config dump shows it", () => {
  const notes: string[] = [];
  const type = "envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig";
  const formatter = { name: "preserve_case", typedConfig: { "@type": `type.googleapis.com/${type}` } };
  const http1 = { headerKeyFormat: { statefulFormatter: formatter } };
  for (const options of [
    { explicitHttpConfig: { httpProtocolOptions: http1 } },
    { useDownstreamProtocolConfig: { httpProtocolOptions: http1, http2ProtocolOptions: {} } },
  ]) {
    const json = { name: "c", type: "EDS", ...httpOptions(options) };
    const message = fromJson(ClusterSchema, json, { registry: envoyRegistry() });
    compileCluster(message, new ConfigNotes((note) => void notes.push(note)));
    assert.match(JSON.stringify(resourceJson(ClusterSchema, message)), new RegExp(`"preserve_case".*${type}`));
  }
  assert.deepEqual(notes, []);
});

const tlsWith = (tlsParams: JsonObject): JsonObject => ({
  transportSocket: {
    name: "envoy.transport_sockets.tls",
    typedConfig: {
      "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
      commonTlsContext: { tlsParams },
    },
  },
});

test("an unknown TLS curve is refused, and the error names it", () => {
  const tls = (ecdhCurves: string[]) => tlsWith({ ecdhCurves });
  compile(tls(["X25519MLKEM768", "P-384"]));
  assert.throws(() => compile(tls(["P-384", "P-0"])), /the curve P-0/);
});

test("an unknown compliance policy is refused, and the error names it", () => {
  compile(tlsWith({ compliancePolicies: ["FIPS_202205"] }));
  assert.throws(() => compile(tlsWith({ compliancePolicies: ["CNSA2_202603"] })), /the compliance policy CNSA2_202603/);
});

test("with autoSni the server name is the service's host, also if an endpoint has the name of another machine", () => {
  const names = (host: string, tls: JsonObject = {}): readonly (string | undefined)[] => {
    const typedConfig = {
      "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
      ...tls,
    };
    const message = {
      name: "c",
      type: "EDS",
      metadata: { filterMetadata: { istio: { services: [{ host }] } } },
      transportSocket: { name: "envoy.transport_sockets.tls", typedConfig },
      ...httpOptions({
        upstreamHttpProtocolOptions: { autoSni: true },
        explicitHttpConfig: { httpProtocolOptions: {} },
      }),
    };
    const { transports } = compileCluster(fromJson(ClusterSchema, message, { registry: envoyRegistry() }), notes);
    return transports.tls().map((spec) => serverNameOf({ hostname: "balancer.corp" }, spec));
  };
  assert.deepEqual(names("edition.cnn.com"), ["edition.cnn.com"]);
  assert.deepEqual(names("*.cnn.com"), ["balancer.corp"]);
  assert.deepEqual(names("edition.cnn.com", { sni: "set.cnn.com" }), ["set.cnn.com"]);
  assert.deepEqual(names("edition.cnn.com", { autoHostSni: true }), ["balancer.corp"]);
});

test("load balancing reads its options, the panic threshold, localities and slow start", () => {
  assert.deepEqual([compile({}).loadBalancing, compile({}).panicThreshold], ["round-robin", 0.5]);
  assert.equal(compile({ commonLbConfig: { healthyPanicThreshold: {} } }).panicThreshold, 0);
  assert.equal(compile({ commonLbConfig: { localityWeightedLbConfig: {} } }).localityWeighted, true);
  assert.deepEqual(compile({}).zoneAware, { routed: 1, minClusterSize: 6, failsOnPanic: false });
  assert.equal(compile({ commonLbConfig: { localityWeightedLbConfig: {} } }).zoneAware, undefined);
  const zones = (zoneAwareLbConfig: JsonObject, more: JsonObject = {}) =>
    compile({ commonLbConfig: { zoneAwareLbConfig }, ...more }).zoneAware;
  assert.deepEqual(zones({}), { routed: 1, minClusterSize: 6, failsOnPanic: false });
  assert.deepEqual(zones({ routingEnabled: { value: 40 }, minClusterSize: "1", failTrafficOnPanic: true }), {
    routed: 0.4,
    minClusterSize: 1,
    failsOnPanic: true,
  });
  assert.equal(zones({ routingEnabled: {} })?.routed, 0);
  assert.equal(zones({}, { lbPolicy: "MAGLEV" }), undefined, "a hash chooses, not the zone");
  const ring = compile({ lbPolicy: "RING_HASH", ringHashLbConfig: { minimumRingSize: "2048" } });
  assert.deepEqual([ring.loadBalancing, ring.balancing.minRingSize], ["ring-hash", 2048]);
  assert.equal(compile({ lbPolicy: "MAGLEV", maglevLbConfig: { tableSize: "1009" } }).balancing.tableSize, 1009);
  assert.throws(
    () => compile({ lbPolicy: "MAGLEV", maglevLbConfig: { tableSize: "1000" } }),
    /cluster c: maglevLbConfig.tableSize must be a prime/,
  );
  const warm = compile({
    lbPolicy: "LEAST_REQUEST",
    leastRequestLbConfig: { slowStartConfig: { slowStartWindow: "30s" } },
  });
  assert.deepEqual(warm.slowStart, { windowMs: 30_000, aggression: 1, minFraction: 0.1 });
});

test("outlier detection and circuit breakers, with Envoy's defaults", () => {
  const outliers = compile({
    outlierDetection: {
      consecutiveGatewayFailure: 2,
      enforcingConsecutiveGatewayFailure: 100,
      consecutive5xx: 7,
      enforcingSuccessRate: 0,
      baseEjectionTime: "180s",
    },
  }).outliers;
  assert.deepEqual(
    [
      outliers?.consecutiveServerErrors,
      outliers?.consecutiveGatewayErrors,
      outliers?.baseEjectionMs,
      outliers?.intervalMs,
      outliers?.maxEjectionPercent,
    ],
    [7, 2, 180_000, 10_000, 10],
  );
  assert.equal(
    compile({ outlierDetection: { consecutive5xx: 1, enforcingConsecutive5xx: 0 } }).outliers?.consecutiveServerErrors,
    0,
  );
  assert.throws(
    () => compile({ outlierDetection: { enforcingSuccessRate: 100 } }),
    /outlierDetection: enforcingSuccessRate is not supported/,
  );
  const breaker = compile({
    circuitBreakers: { thresholds: [{ maxConnections: 1, retryBudget: { minRetryConcurrency: 5 } }] },
  });
  assert.deepEqual(
    [breaker.maxConnections, breaker.maxRequests, breaker.maxRetries, breaker.retryBudget],
    [1, 1024, 3, { fraction: 0.2, min: 5 }],
  );
});

test("a connection's maximum lifetime is read, and unsupported limits are refused or reported", () => {
  assert.equal(
    compile(
      httpOptions({
        explicitHttpConfig: { httpProtocolOptions: {} },
        commonHttpProtocolOptions: { maxConnectionDuration: "60s" },
      }),
    ).limits.maxDurationMs,
    60_000,
  );
  assert.equal(compile({ commonHttpProtocolOptions: { maxConnectionDuration: "5s" } }).limits.maxDurationMs, 5000);
  assert.equal(compile({}).limits.maxDurationMs, undefined);
  assert.throws(
    () => compile({ commonHttpProtocolOptions: { maxStreamDuration: "1s" } }),
    /cluster c: commonHttpProtocolOptions: the field maxStreamDuration is not supported/,
  );
  assert.throws(
    () =>
      compile(
        httpOptions({
          explicitHttpConfig: { httpProtocolOptions: {} },
          upstreamHttpProtocolOptions: { overrideAutoSniHeader: "x-name" },
        }),
      ),
    /upstreamHttpProtocolOptions: the field overrideAutoSniHeader is not supported/,
  );
  const notes: string[] = [];
  const percent = { outlierDetection: { enforcingConsecutive5xx: 40, enforcingSuccessRate: 0 } };
  compileCluster(
    fromJson(ClusterSchema, { name: "c", type: "EDS", ...percent }),
    new ConfigNotes((note) => void notes.push(note)),
  );
  assert.deepEqual(notes, [
    "cluster c: outlierDetection: enforcingConsecutive5xx 40 counts as 100: an endpoint that reaches the limit is always ejected",
  ]);
});
