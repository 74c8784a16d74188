import assert from "node:assert/strict";
import type { IncomingHttpHeaders } from "node:http";
import { after, test } from "node:test";
import { until } from "../../base/testing/index.ts";
import type { JsonValue } from "@bufbuild/protobuf";
import { typeUrls } from "../../wire/xds/index.ts";
import { edsCluster, httpListener, plainEndpoints } from "../testing/ads-server.ts";
import { startCollectedProxy } from "../testing/collected-proxy.ts";
import { fetchOnce } from "../testing/harness.ts";
import { freePort } from "../../net/testing/index.ts";

let requestHeaders: IncomingHttpHeaders = {};
let appStatus = 200;
const started = await startCollectedProxy((request, response) => {
  requestHeaders = request.headers;
  response.writeHead(appStatus, { "content-length": 5 }).end("hello");
});
const { proxy, collector, appPort } = started;
const { ads } = proxy;
after(async () => await started[Symbol.asyncDispose]());

const type = "type.googleapis.com/envoy.config.trace.v3";
const collectorHost = "collector.istio-system.svc.cluster.local";
const providers = {
  grpc: {
    name: "envoy.tracers.opentelemetry",
    typedConfig: {
      "@type": `${type}.OpenTelemetryConfig`,
      serviceName: "web.test",
      grpcService: {
        envoyGrpc: { clusterName: "collector-grpc", authority: collectorHost },
        initialMetadata: [{ key: "x-token", value: "t" }],
      },
    },
  },
  http: {
    name: "envoy.tracers.opentelemetry",
    typedConfig: {
      "@type": `${type}.OpenTelemetryConfig`,
      serviceName: "web.test",
      httpService: {
        httpUri: { uri: `${collectorHost}/v1/traces`, cluster: "collector", timeout: "3s" },
        requestHeadersToAdd: [{ header: { key: "authorization", value: "token" } }],
      },
    },
  },
  zipkin: {
    name: "envoy.tracers.zipkin",
    typedConfig: {
      "@type": `${type}.ZipkinConfig`,
      traceId128bit: true,
      sharedSpanContext: false,
      collectorEndpointVersion: "HTTP_JSON",
      collectorService: { httpUri: { uri: `http://${collectorHost}/api/v2/spans`, cluster: "collector" } },
    },
  },
} satisfies Record<string, JsonValue>;

ads.push(
  typeUrls.cluster,
  Object.fromEntries(["app", "collector", "collector-grpc"].map((name) => [name, edsCluster(name)])),
);
ads.push(typeUrls.endpoint, {
  app: plainEndpoints("app", [appPort]),
  collector: plainEndpoints("collector", [collector.httpPort]),
  "collector-grpc": plainEndpoints("collector-grpc", [collector.grpcPort]),
});
ads.push(typeUrls.route, {
  http: {
    name: "http",
    virtualHosts: [
      {
        name: "*",
        domains: ["*"],
        routes: [
          {
            name: "r",
            match: { prefix: "/" },
            decorator: { operation: "app.test.svc.cluster.local:80/*" },
            route: { cluster: "app" },
          },
        ],
      },
    ],
  },
});

/** Starts a separate listener for each way of tracing. Returns its port. */
async function listening(
  name: string,
  tracing: JsonValue,
  more: Readonly<Record<string, JsonValue>> = {},
  manager: Readonly<Record<string, JsonValue>> = {},
): Promise<number> {
  const port = await freePort();
  const listener = httpListener(port, "http", { tracing, ...manager }) as Record<string, JsonValue>;
  ads.push(typeUrls.listener, { [name]: { ...listener, name, trafficDirection: "INBOUND", ...more } });
  await until(async () => (await fetchOnce(port, "/warm").catch(() => undefined)) !== undefined);
  return port;
}

const always = { randomSampling: { value: 100 }, clientSampling: { value: 100 }, overallSampling: { value: 100 } };
const spanOf = async (path: string, kind = 3) => {
  const find = () => collector.spans.find((span) => span.kind === kind && (span.tags["http.url"] ?? "").endsWith(path));
  await until(() => find() !== undefined);
  return find();
};

test("OTLP over gRPC: a request's span has Envoy's name, kind and tags, and the upstream gets it as the parent", async () => {
  const customTags = [
    { tag: "istio.namespace", literal: { value: "test" } },
    { tag: "tier", requestHeader: { name: "x-tier", defaultValue: "none" } },
    { tag: "form", value: "%REQ(:METHOD)% %PROTOCOL%" },
    { tag: "home", environment: { name: "NO_SUCH_VARIABLE", defaultValue: "away" } },
  ];
  const port = await listening(
    "grpc",
    { ...always, provider: providers.grpc, customTags, maxPathTagLength: 30 },
    { trafficDirection: "OUTBOUND" },
  );
  await fetchOnce(port, "/grpc-one", {
    host: "127.0.0.1",
    headers: { "x-tier": "gold", "user-agent": Buffer.from("t\u00e9st/1").toString("latin1") },
  });
  const { traceparent } = requestHeaders;
  const span = await spanOf("/grpc-one");
  assert.match(String(traceparent), /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  assert.equal(traceparent, `00-${span?.traceId}-${span?.spanId}-01`);
  assert.deepEqual(
    [span?.service, span?.name, span?.parentSpanId, span?.isError],
    ["web.test", "app.test.svc.cluster.local:80/*", "", false],
  );
  const { tags = {} } = span ?? {};
  assert.match(tags["node_id"] ?? "", /^router~127\.0\.0\.1~web-1\.test~/);
  assert.deepEqual(
    [
      "http.method",
      "http.status_code",
      "http.protocol",
      "user_agent",
      "component",
      "upstream_cluster",
      "response_flags",
      "request_size",
      "response_size",
      "peer.address",
      "istio.namespace",
      "tier",
      "form",
      "home",
    ].map((name) => tags[name]),
    [
      "GET",
      "200",
      "HTTP/1.1",
      "t\u00e9st/1",
      "proxy",
      "app",
      "-",
      "0",
      "5",
      "127.0.0.1",
      "test",
      "gold",
      "GET HTTP/1.1",
      "away",
    ],
  );
  assert.equal(tags["guid:x-request-id"], requestHeaders["x-request-id"]);
  assert.equal(String(requestHeaders["x-request-id"])[14], "9", "the id tells that the request is traced");
  const exportRequest = collector.requests.find(({ path }) => path.endsWith("TraceService/Export"));
  assert.deepEqual([exportRequest?.headers["x-token"], exportRequest?.headers[":authority"]], ["t", collectorHost]);
});

test("a context in the request becomes the parent and decides sampling, and an unsampled one is forwarded unchanged", async () => {
  const port = await listening("http", { ...always, provider: providers.http });
  const traceId = "0af7651916cd43dd8448eb211c80319c";
  const parent = "b7ad6b7169203331";
  await fetchOnce(port, "/http-child", {
    headers: { traceparent: `00-${traceId}-${parent}-01`, tracestate: "vendor=1" },
  });
  const [traceparent, tracestate] = [requestHeaders["traceparent"], requestHeaders["tracestate"]];
  const span = await spanOf("/http-child", 2);
  assert.deepEqual(
    [span?.traceId, span?.parentSpanId, traceparent, tracestate],
    [traceId, parent, `00-${traceId}-${span?.spanId}-01`, "vendor=1"],
  );
  assert.equal(collector.requests.find(({ path }) => path === "/v1/traces")?.headers["authorization"], "token");
  await fetchOnce(port, "/http-unsampled", { headers: { traceparent: `00-${traceId}-${parent}-00` } });
  assert.equal(requestHeaders["traceparent"], `00-${traceId}-${parent}-00`);
  appStatus = 503;
  await fetchOnce(port, "/http-failed");
  appStatus = 200;
  const failed = await spanOf("/http-failed", 2);
  assert.deepEqual([failed?.isError, failed?.tags["error"], failed?.tags["http.status_code"]], [true, "true", "503"]);
  assert.equal(
    collector.spans.some((one) => one.tags["http.url"]?.endsWith("/http-unsampled")),
    false,
  );
});

test("a gateway's request to the mesh gets its own span below the client's", async () => {
  const port = await listening(
    "spawn",
    { ...always, provider: providers.http, spawnUpstreamSpan: true },
    { trafficDirection: "OUTBOUND" },
  );
  await fetchOnce(port, "/spawned");
  const { traceparent } = requestHeaders;
  const server = await spanOf("/spawned", 2);
  const find = () => collector.spans.find(({ parentSpanId }) => parentSpanId !== "" && parentSpanId === server?.spanId);
  await until(() => find() !== undefined);
  const client = find();
  assert.deepEqual(
    [client?.name, client?.kind, client?.traceId, client?.tags["upstream_cluster"]],
    ["router app egress", 3, server?.traceId, "app"],
  );
  assert.equal(traceparent, `00-${client?.traceId}-${client?.spanId}-01`);
  assert.ok((client?.durationMs ?? 0) <= (server?.durationMs ?? 0));
});

test("Zipkin gets JSON of version 2, and B3 headers are forwarded", async () => {
  const port = await listening("zipkin", { ...always, provider: providers.zipkin });
  await fetchOnce(port, "/zipkin", {
    headers: {
      "x-b3-traceid": "463ac35c9f6413ad48485a3953bb6124",
      "x-b3-spanid": "a2fb4a1d1a96d312",
      "x-b3-sampled": "1",
    },
  });
  const b3 = ["x-b3-traceid", "x-b3-parentspanid", "x-b3-sampled"].map((name) => requestHeaders[name]);
  const [spanId] = [requestHeaders["x-b3-spanid"]];
  const find = () => collector.zipkin.find(({ id }) => id === spanId);
  await until(() => find() !== undefined);
  const span = find() ?? {};
  assert.deepEqual(b3, ["463ac35c9f6413ad48485a3953bb6124", "a2fb4a1d1a96d312", "1"]);
  assert.deepEqual(
    [span["traceId"], span["parentId"], span["kind"], span["name"], span["localEndpoint"]],
    [
      "463ac35c9f6413ad48485a3953bb6124",
      "a2fb4a1d1a96d312",
      "SERVER",
      "app.test.svc.cluster.local:80/*",
      { serviceName: "web.test", ipv4: "127.0.0.1" },
    ],
  );
  assert.ok(Number(span["duration"]) > 0 && Math.abs(Number(span["timestamp"]) / 1000 - Date.now()) < 60_000);
});

test("without a collector, requests keep the contexts of their clients and get none", async () => {
  const port = await listening("none", always);
  const contexts = async (headers: Record<string, string>) => {
    await fetchOnce(port, "/", { headers });
    return Object.keys(requestHeaders).filter((name) => name.startsWith("x-b3-") || name === "traceparent");
  };
  assert.deepEqual(await contexts({}), []);
  assert.deepEqual(await contexts({ "x-b3-sampled": "1" }), ["x-b3-sampled"]);
});

test("the configured share of requests is traced and all of them carry the decision, but none without propagation", async () => {
  const port = await listening("share", { randomSampling: { value: 20 }, provider: providers.http });
  let sampled = 0;
  const requests = 200;
  for (let index = 0; index < requests; index += 1) {
    await fetchOnce(port, `/share-${index}`);
    const flags = String(requestHeaders["traceparent"]).slice(-2);
    assert.ok(flags === "00" || flags === "01");
    if (flags === "01") sampled += 1;
  }
  assert.ok(sampled > 15 && sampled < 70, `${sampled} of ${requests}`);
  const countOf = () => collector.spans.filter((span) => span.tags["http.url"]?.includes("/share-")).length;
  await until(() => countOf() >= sampled);
  assert.equal(countOf(), sampled);
  const silent = await listening("silent", { ...always, provider: providers.http, noContextPropagation: true });
  await fetchOnce(silent, "/silent");
  assert.equal(requestHeaders["traceparent"], undefined);
  assert.ok((await spanOf("/silent", 2)) !== undefined);
});

test("spans that a collector refuses are lost, counted and logged, and requests do not wait for it", async () => {
  const port = await listening("refused", { ...always, provider: providers.http });
  collector.status = 503;
  assert.equal((await fetchOnce(port, "/refused")).status, 200);
  const lost = async () => (await proxy.samples("envoy_tracing_opentelemetry_spans_dropped"))[0]?.value ?? 0;
  await until(async () => (await lost()) > 0);
  assert.ok(proxy.log.some((line) => line.includes("the collector does not accept spans")));
  collector.status = 200;
  await fetchOnce(port, "/taken");
  assert.ok((await spanOf("/taken", 2)) !== undefined);
  assert.ok(((await proxy.samples("envoy_tracing_opentelemetry_spans_sent"))[0]?.value ?? 0) > 0);
});

test("an access log reaches a service by OTLP, with its attributes and the request's trace, if its filter matches", async () => {
  const accessLog = {
    name: "otel",
    filter: { statusCodeFilter: { comparison: { op: "EQ", value: { defaultValue: 200, runtimeKey: "x" } } } },
    typedConfig: {
      "@type": "type.googleapis.com/envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig",
      commonConfig: {
        logName: "otel",
        transportApiVersion: "V3",
        grpcService: { envoyGrpc: { clusterName: "collector-grpc" } },
      },
      disableBuiltinLabels: true,
      body: { stringValue: "%REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE%\n" },
      attributes: { values: [{ key: "tier", value: { stringValue: "%REQ(x-tier)%" } }] },
    },
  };
  const port = await listening("logged", { ...always, provider: providers.grpc }, {}, { accessLog: [accessLog] });
  appStatus = 503;
  await fetchOnce(port, "/log-failed");
  appStatus = 200;
  await fetchOnce(port, "/log-taken", { headers: { "x-tier": "gold" } });
  const { traceparent } = requestHeaders;
  const find = () => collector.logs.find(({ body }) => body.includes("/log-taken"));
  await until(() => find() !== undefined);
  assert.deepEqual(find(), {
    body: "GET /log-taken 200",
    attributes: { tier: "gold" },
    traceId: String(traceparent).split("-")[1],
  });
  assert.equal(
    collector.logs.some(({ body }) => body.includes("/log-failed")),
    false,
  );
  assert.ok(((await proxy.samples("envoy_access_logs_open_telemetry_access_log_logs_sent"))[0]?.value ?? 0) > 0);
});
