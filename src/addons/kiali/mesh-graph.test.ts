import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../../api/kubernetes/index.ts";
import { destinationRuleKind, istioGatewayKind, virtualServiceKind } from "../../api/istio/index.ts";
import { httpRouteKind } from "../../api/gateway/index.ts";
import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import type { MeasuredSample } from "../web/index.ts";
import { graphJson } from "./graph-json.ts";
import { graphPage } from "./graph-page.ts";
import { parseKialiConfig } from "./kiali-config.ts";
import { meshGraph, type MeshGraph } from "./mesh-graph.ts";
import { combineTraffic } from "./traffic.ts";

function parsed<Value extends KubernetesObject>(kind: KindDefinition<Value>, name: string, namespace: string, spec: unknown): Value {
  const value = kind.parse?.({ apiVersion: "v1", kind: kind.kind, metadata: { name, namespace }, spec }).value;
  assert.ok(value !== undefined, `${kind.kind} ${name}`);
  return value;
}

const pod = (workload: string, namespace: string, labels: Readonly<Record<string, string>>, container = "app"): Pod => ({
  metadata: { name: `${workload}-1-x`, namespace, labels: { ...labels, "pod-template-hash": "1" }, ownerReferences: [{ apiVersion: "apps/v1", kind: "ReplicaSet", name: `${workload}-1`, uid: "u", controller: true }] },
  spec: { containers: [{ name: container }] },
});
const pods = [pod("web-v1", "default", { version: "v1" }), pod("web-v2", "default", { version: "v2" }), pod("client", "default", {}), pod("istio-ingressgateway", "istio-system", { istio: "ingressgateway" }, "istio-proxy")];

interface Sent {
  readonly from: string;
  readonly to: string;
  readonly rate: number;
  readonly code?: string;
  readonly reporter?: string;
  readonly service?: string;
}

function sample({ from, to, rate, code = "200", reporter = "source", service = "web" }: Sent): MeasuredSample {
  const isGateway = from === "istio-ingressgateway";
  const labels = {
    reporter, response_code: code, request_protocol: "http", connection_security_policy: reporter === "destination" ? "mutual_tls" : "unknown",
    source_workload: from, source_workload_namespace: isGateway ? "istio-system" : "default", source_app: from, source_version: reporter === "source" ? "unknown" : "latest",
    destination_workload: to, destination_workload_namespace: "default", destination_app: "web", destination_version: to.slice(-2),
    destination_service: `${service}.default.svc.cluster.local`, destination_service_name: service, destination_service_namespace: "default",
  };
  return { labels, value: rate };
}

function graph(sent: readonly Sent[], http?: unknown, gateways: readonly string[] = ["istio-system/gate"]): MeshGraph {
  const virtualServices = http === undefined ? [] : [parsed(virtualServiceKind, "web", "default", { hosts: ["web"], gateways, http })];
  return meshGraph(combineTraffic({ requests: sent.map(sample), p50: [], p95: [], tcp: [] }), {
    virtualServices,
    destinationRules: [parsed(destinationRuleKind, "web", "default", { host: "web", subsets: [{ name: "stable", labels: { version: "v1" } }, { name: "canary", labels: { version: "v2" } }] })],
    gateways: [parsed(istioGatewayKind, "gate", "istio-system", { selector: { istio: "ingressgateway" }, servers: [{ port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["*"] }] })],
    httpRoutes: [],
    pods,
  });
}

const split = [{ route: [{ destination: { host: "web", subset: "stable" }, weight: 90 }, { destination: { host: "web", subset: "canary" }, weight: 10 }] }];
const throughGateway: readonly Sent[] = [{ from: "istio-ingressgateway", to: "web-v1", rate: 85 }, { from: "istio-ingressgateway", to: "web-v2", rate: 15 }];

test("both proxies of an edge make one edge, whose mTLS the server's tells", () => {
  const { edges } = graph([...throughGateway, ...throughGateway.map((sent) => ({ ...sent, rate: sent.rate + 1, reporter: "destination" }))]);
  assert.deepEqual(edges.map(({ source, destination, requestRate, mutualTlsShare }) => [source.workload, destination.version, requestRate, mutualTlsShare]), [["istio-ingressgateway", "v1", 85, 1], ["istio-ingressgateway", "v2", 15, 1]]);
});

test("an edge that only the server counts is shown, as what comes from outside of the mesh", () => {
  const [edge] = graph([{ from: "unknown", to: "web-v1", rate: 2, reporter: "destination", code: "503" }]).edges;
  assert.deepEqual([edge?.requestRate, edge?.failureRate], [2, 2]);
});

test("weights hold where their rule does: at the gateway, not in the mesh", () => {
  const { edges, rules } = graph([...throughGateway, { from: "client", to: "web-v1", rate: 5 }, { from: "client", to: "web-v2", rate: 5 }], split);
  const told = edges.map(({ source, destination, share, configured }) => [source.workload, destination.version, share, configured.map(({ weight }) => weight)]);
  assert.deepEqual(told, [["client", "v1", 0.5, []], ["client", "v2", 0.5, []], ["istio-ingressgateway", "v1", 0.85, [0.9]], ["istio-ingressgateway", "v2", 0.15, [0.1]]]);
  assert.deepEqual(rules[0]?.destinations.map(({ text, weight, share }) => [text, weight, share]), [["web stable", 0.9, 0.85], ["web canary", 0.1, 0.15]]);
});

test("a rule of the mesh holds for clients, not at the gateway", () => {
  const { edges } = graph([...throughGateway, { from: "client", to: "web-v1", rate: 5 }], split, ["mesh"]);
  assert.deepEqual(edges.map(({ configured }) => configured.length), [1, 0, 0]);
});

test("a destination without traffic is among its rule's", () => {
  const { rules } = graph([], split);
  assert.deepEqual(rules[0]?.destinations.map(({ share, requestRate }) => [share, requestRate]), [[undefined, 0], [undefined, 0]]);
});

test("an HTTPRoute's backends are compared across Services", () => {
  const route = parsed(httpRouteKind, "web", "default", { parentRefs: [{ group: "", kind: "Service", name: "web" }], rules: [{ backendRefs: [{ name: "web-v1", port: 80, weight: 3 }, { name: "web-v2", port: 80, weight: 1 }] }] });
  const requests = [sample({ from: "client", to: "web-v1", rate: 6, service: "web-v1" }), sample({ from: "client", to: "web-v2", rate: 4, service: "web-v2" })];
  const { edges } = meshGraph(combineTraffic({ requests, p50: [], p95: [], tcp: [] }), { virtualServices: [], destinationRules: [], gateways: [], httpRoutes: [route], pods });
  assert.deepEqual(edges.map(({ share, configured }) => [share, configured[0]?.weight]), [[0.6, 0.75], [0.4, 0.25]]);
});

test("the page names both ends, the measured and the configured weights, and escapes names", () => {
  const page = graphPage(graph([...throughGateway, { from: "<b>", to: "web-v1", rate: 1 }], split), { webRoot: "/kiali", durationSeconds: 60, namespace: undefined, namespaces: ["default"] });
  assert.match(page, /istio-ingressgateway[\s\S]*85 %[\s\S]*90 %[\s\S]*15 %[\s\S]*10 %/);
  assert.ok(!page.includes("<b>"));
});

test("the JSON is of Kiali's form: nodes, edges through services, rates as texts", () => {
  const options = { namespaces: ["default"], graphType: "versionedApp" as const, durationSeconds: 60, injectServiceNodes: true, nowMs: 1_700_000_000_000 };
  const json = graphJson(graph(throughGateway, split), options) as { timestamp: number; elements: { nodes: { data: Record<string, unknown> }[]; edges: { data: Record<string, unknown> }[] } };
  assert.equal(json.timestamp, 1_700_000_000);
  const { nodes, edges } = json.elements;
  assert.deepEqual(nodes.map(({ data }) => [data["nodeType"], data["app"], data["version"], data["service"]]), [
    ["app", "istio-ingressgateway", "unknown", undefined],
    ["service", "web", undefined, "web"],
    ["app", "web", "v1", undefined],
    ["app", "web", "v2", undefined],
  ]);
  assert.deepEqual(nodes[1]?.data["traffic"], [{ protocol: "http", rates: { httpIn: "100.00", httpOut: "100.00" } }]);
  assert.deepEqual(edges.map(({ data }) => (data["traffic"] as { rates: unknown }).rates), [{ http: "100.00", httpPercentReq: "100.0" }, { http: "85.00", httpPercentReq: "85.0" }, { http: "15.00", httpPercentReq: "15.0" }]);
  assert.deepEqual((edges.at(0)?.data["traffic"] as { responses: unknown } | undefined)?.responses, { 200: { flags: { "-": "100.0" }, hosts: { "web.default.svc.cluster.local": "100.0" } } });
  const elsewhere = graphJson(graph(throughGateway), { ...options, namespaces: ["other"] }) as { elements: { nodes: unknown[] } };
  assert.deepEqual(elsewhere.elements.nodes, []);
});

test("Kiali's configuration names Prometheus and the ports, or upstream's defaults hold", () => {
  assert.deepEqual(parseKialiConfig("{}", "f"), { prometheusUrl: "http://prometheus.istio-system:9090", rootNamespace: "istio-system", port: 20_001, webRoot: "/kiali", metricsPort: 9090 });
  const own = parseKialiConfig("istio_namespace: x\nexternal_services: {istio: {root_namespace: mesh}, prometheus: {url: 'http://p:1'}}\nserver: {port: 80, web_root: /, metrics_port: 81}", "f");
  assert.deepEqual(own, { prometheusUrl: "http://p:1", rootNamespace: "mesh", port: 80, webRoot: "", metricsPort: 81 });
  assert.throws(() => parseKialiConfig("server: {port: x}", "f"), /f: server.port: expected a port/);
});
