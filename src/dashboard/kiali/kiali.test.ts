import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../base/index.ts";
import type { Identity } from "../server/index.ts";
import { FakeKubeApi } from "../server/testing/fake-kube-api.ts";
import { syntheticIdentity } from "../server/testing/synthetic-access.ts";
import { combineTraffic, noDurations, trafficLabels, type CountedTraffic } from "../views/index.ts";
import { graphJson } from "./graph-json.ts";
import { KialiApi } from "./kiali-api.ts";
import { parseKialiConfig } from "./kiali-config.ts";

function counted(from: string, to: string, requestRate: number, code = "200"): CountedTraffic {
  const isGateway = from === "istio-ingressgateway";
  const labels = trafficLabels({
    reporter: "source",
    response_code: code,
    request_protocol: "http",
    connection_security_policy: "unknown",
    source_workload: from,
    source_workload_namespace: isGateway ? "istio-system" : "default",
    source_app: from,
    source_version: "unknown",
    destination_workload: to,
    destination_workload_namespace: "default",
    destination_app: "web",
    destination_version: to.slice(-2),
    destination_service: "web.default.svc.cluster.local",
    destination_service_name: "web",
    destination_service_namespace: "default",
  });
  return { labels, requestRate, durations: noDurations, byteRate: 0, openedRate: 0 };
}

const traffic = combineTraffic([
  counted("istio-ingressgateway", "web-v1", 85),
  counted("istio-ingressgateway", "web-v2", 15),
]);

interface Answer {
  readonly timestamp: number;
  readonly elements: {
    readonly nodes: readonly { readonly data: Record<string, unknown> }[];
    readonly edges: readonly { readonly data: Record<string, unknown> }[];
  };
}

test("the JSON has Kiali's format: nodes, edges through services, rates as strings", () => {
  const options = {
    namespaces: ["default"],
    graphType: "versionedApp" as const,
    durationSeconds: 60,
    injectServiceNodes: true,
    nowMs: 1_700_000_000_000,
  };
  const json = graphJson(traffic, options) as Answer;
  assert.equal(json.timestamp, 1_700_000_000);
  const { nodes, edges } = json.elements;
  assert.deepEqual(
    nodes.map(({ data }) => [data["nodeType"], data["app"], data["version"], data["service"]]),
    [
      ["app", "istio-ingressgateway", "unknown", undefined],
      ["service", "web", undefined, "web"],
      ["app", "web", "v1", undefined],
      ["app", "web", "v2", undefined],
    ],
  );
  assert.deepEqual(nodes[1]?.data["traffic"], [{ protocol: "http", rates: { httpIn: "100.00", httpOut: "100.00" } }]);
  assert.deepEqual(
    edges.map(({ data }) => (data["traffic"] as { rates: unknown }).rates),
    [
      { http: "100.00", httpPercentReq: "100.0" },
      { http: "85.00", httpPercentReq: "85.0" },
      { http: "15.00", httpPercentReq: "15.0" },
    ],
  );
  assert.deepEqual((edges.at(0)?.data["traffic"] as { responses: unknown } | undefined)?.responses, {
    200: { flags: { "-": "100.0" }, hosts: { "web.default.svc.cluster.local": "100.0" } },
  });
  assert.deepEqual((graphJson(traffic, { ...options, namespaces: ["other"] }) as Answer).elements.nodes, []);
});

test("Kiali's API returns only what the reader may see, and nothing for unknown things", async () => {
  const client = new FakeKubeApi({
    objects: [
      { apiVersion: "v1", kind: "Namespace", metadata: { name: "default" } },
      { apiVersion: "v1", kind: "Namespace", metadata: { name: "secret" } },
    ],
  });
  const api = new KialiApi({
    config: parseKialiConfig("{}", "f"),
    client,
    traffic: async () => await Promise.resolve(traffic),
    clock: systemClock,
    version: "1.2.3",
  });
  const ask = async (path: string, query: string, identity: Identity): Promise<unknown> =>
    await api.answer(path, new URLSearchParams(query), identity);
  const limited = syntheticIdentity({ namespaces: async () => await Promise.resolve(new Set(["default"])) });
  const namespaces = (await ask("/api/namespaces", "", limited)) as { body: { name: string }[] };
  assert.deepEqual(
    namespaces.body.map(({ name }) => name),
    ["default"],
  );
  const graph = (await ask(
    "/api/namespaces/graph",
    "duration=60s",
    syntheticIdentity({ namespaces: async () => await Promise.resolve(new Set(["other"])) }),
  )) as { body: Answer };
  assert.deepEqual(graph.body.elements.nodes, []);
  const own = (await ask("/api/namespaces/graph", "duration=60s", limited)) as { body: Answer };
  assert.ok(own.body.elements.nodes.some(({ data }) => data["workload"] === "web-v1"));
  assert.doesNotMatch(
    JSON.stringify(own.body),
    /istio-ingressgateway|istio-system/,
    "the other end is of a namespace that may not be read",
  );
  assert.deepEqual(((await ask("/api/namespaces/graph", "duration=1x", limited)) as { status: number }).status, 400);
  assert.equal(await ask("/api/istio/config", "", limited), undefined);
});

test("Kiali's configuration names Prometheus, the ports and the allowed readers; each has a default", () => {
  assert.deepEqual(parseKialiConfig("{}", "f"), {
    prometheusUrl: "http://prometheus.istio-system:9090",
    rootNamespace: "istio-system",
    port: 20_001,
    webRoot: "/kiali",
    metricsPort: 9090,
    anonymousReads: false,
  });
  const own = parseKialiConfig(
    "auth: {strategy: anonymous}\nexternal_services: {istio: {root_namespace: mesh}, prometheus: {url: 'http://p:1'}}\nserver: {port: 80, web_root: /, metrics_port: 81}",
    "f",
  );
  assert.deepEqual(own, {
    prometheusUrl: "http://p:1",
    rootNamespace: "mesh",
    port: 80,
    webRoot: "",
    metricsPort: 81,
    anonymousReads: true,
  });
  assert.throws(() => parseKialiConfig("server: {port: x}", "f"), /f: server.port: expected a port/);
});
