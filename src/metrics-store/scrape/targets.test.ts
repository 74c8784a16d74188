import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseAllDocuments } from "yaml";
import type { Endpoints, Node, Pod, Service } from "../../api/kubernetes/index.ts";
import { systemClock } from "../../base/index.ts";
import { SharedBudget } from "../../base/shared-budget/index.ts";
import { SampleStore } from "../store/index.ts";
import type { FetchMetrics } from "./fetch-metrics.ts";
import { parseScrapeConfig } from "./scrape-config.ts";
import { ScrapeTurns } from "../../base/scrape-turns/index.ts";
import { TargetLoop } from "./target-loop.ts";
import { targetsOf, type ScrapeTarget } from "./targets.ts";

const manifest = readFileSync(join(import.meta.dirname, "../../../samples/addons/prometheus.yaml"), "utf8");
const configMap = parseAllDocuments(manifest)
  .map((document) => document.toJS() as { kind: string; data: Record<string, string> })
  .find(({ kind }) => kind === "ConfigMap");
const addon = parseScrapeConfig(configMap?.data["prometheus.yml"] ?? "", "prometheus.yml");

const pod = (
  name: string,
  annotations: Readonly<Record<string, string>>,
  phase: "Running" | "Succeeded" = "Running",
): Pod => ({
  metadata: { name, namespace: "default", labels: { app: "web", "app.kubernetes.io/name": "web" }, annotations },
  spec: {
    nodeName: "n1",
    containers: [
      { name: "web", ports: [{ containerPort: 80 }, { name: "admin", containerPort: 81 }] },
      { name: "istio-proxy" },
    ],
  },
  status: { phase, podIP: "10.1.0.1", hostIP: "172.18.0.3" },
});
const none = { pods: [] as Pod[], services: [] as Service[], endpoints: [] as Endpoints[], nodes: [] as Node[] };

function ofJob(name: string, found: readonly ScrapeTarget[]): ScrapeTarget[] {
  return found.filter(({ job }) => job.name === name);
}

test("a pod is scraped once, where its annotations say, whatever its number of ports", () => {
  const annotations = {
    "prometheus.io/scrape": "true",
    "prometheus.io/port": "15020",
    "prometheus.io/path": "/stats/prometheus",
  };
  const { active } = targetsOf(
    addon,
    { ...none, pods: [pod("a", annotations), pod("silent", {}), pod("over", annotations, "Succeeded")] },
    "",
  );
  const [target, ...others] = ofJob("kubernetes-pods", active);
  assert.deepEqual(others, []);
  assert.equal(target?.url, "http://10.1.0.1:15020/stats/prometheus");
  assert.deepEqual(Object.fromEntries(target.labels), {
    app: "web",
    app_kubernetes_io_name: "web",
    instance: "10.1.0.1:15020",
    job: "kubernetes-pods",
    namespace: "default",
    node: "n1",
    pod: "a",
  });
  assert.equal(target.intervalMs, 15_000);
});

test("an IPv6 pod is addressed in brackets, and by https if its annotation requests that", () => {
  const six = pod("a", {
    "prometheus.io/scrape": "true",
    "prometheus.io/port": "9090",
    "prometheus.io/scheme": "https",
  });
  const { active } = targetsOf(
    addon,
    { ...none, pods: [{ ...six, status: { phase: "Running", podIP: "fd00::1" } }] },
    "",
  );
  assert.equal(ofJob("kubernetes-pods", active)[0]?.url, "https://[fd00::1]:9090/metrics");
});

test("a service's endpoints are scraped with the service's labels", () => {
  const metadata = {
    name: "web",
    namespace: "default",
    labels: { app: "web" },
    annotations: { "prometheus.io/scrape": "true", "prometheus.io/port": "8080" },
  };
  const endpoints: Endpoints = {
    metadata: { name: "web", namespace: "default" },
    subsets: [
      {
        addresses: [{ ip: "10.1.0.1", nodeName: "n1", targetRef: { kind: "Pod", namespace: "default", name: "a" } }],
        ports: [{ name: "http", port: 80 }],
      },
    ],
  };
  const { active } = targetsOf(
    addon,
    { ...none, services: [{ metadata }], endpoints: [endpoints], pods: [pod("a", {})] },
    "",
  );
  const found = ofJob("kubernetes-service-endpoints", active);
  assert.deepEqual(
    found.map(({ url }) => url),
    ["http://10.1.0.1:8080/metrics"],
  );
  assert.equal(found[0]?.labels.get("service"), "web");
});

test("node and service roles, static targets and parameters give addresses", () => {
  const config = parseScrapeConfig(
    `scrape_configs:
- {job_name: nodes, scheme: https, kubernetes_sd_configs: [{role: node}]}
- {job_name: services, kubernetes_sd_configs: [{role: service, namespaces: {names: [default]}}]}
- {job_name: own, kubernetes_sd_configs: [{role: service, namespaces: {own_namespace: true}}]}
- {job_name: fixed, metrics_path: /probe, params: {module: [x], match: [a, b]}, static_configs: [{targets: ["h:1", "bare"], labels: {zone: z}}]}`,
    "t",
  );
  const service = (namespace: string): Service => ({
    metadata: { name: "s", namespace },
    spec: { ports: [{ port: 80 }] },
  });
  const node: Node = {
    metadata: { name: "n1" },
    status: {
      addresses: [
        { type: "Hostname", address: "n1" },
        { type: "InternalIP", address: "172.18.0.3" },
      ],
    },
  };
  const { active } = targetsOf(
    config,
    { ...none, nodes: [node], services: [service("default"), service("other")] },
    "other",
  );
  assert.deepEqual(
    active.map(({ job, url }) => `${job.name} ${url}`),
    [
      "nodes https://172.18.0.3:10250/metrics",
      "services http://s.default.svc:80/metrics",
      "own http://s.other.svc:80/metrics",
      "fixed http://h:1/probe?match=b&module=x&match=a",
      "fixed http://bare:80/probe?match=b&module=x&match=a",
    ],
  );
  assert.equal(active[0]?.labels.get("instance"), "n1");
  assert.equal(active[3]?.labels.get("zone"), "z");
});

test("dropped targets are reported, and the same job read again has the same targets", () => {
  const text =
    "scrape_configs: [{job_name: a, static_configs: [{targets: [x, y]}], relabel_configs: [{action: drop, source_labels: [__address__], regex: x}]}]";
  const [first, second] = [
    targetsOf(parseScrapeConfig(text, "t"), none, ""),
    targetsOf(parseScrapeConfig(text, "t"), none, ""),
  ];
  assert.equal(first.droppedCount, 1);
  assert.equal(first.dropped[0]?.discovered.get("__address__"), "x");
  assert.deepEqual(
    first.active.map(({ key }) => key),
    second.active.map(({ key }) => key),
  );
  const changed = targetsOf(
    parseScrapeConfig(text.replace("job_name: a", "job_name: a, scrape_interval: 5s"), "t"),
    none,
    "",
  );
  assert.notEqual(changed.active[0]?.key, first.active[0]?.key);
});

test("a namespace with thousands of targets leaves room for those of others", () => {
  const annotations = { "prometheus.io/scrape": "true" };
  const ofNamespace = (namespace: string, count: number): Pod[] =>
    Array.from({ length: count }, (_, index) => {
      const one = pod(`${namespace}-${index}`, annotations);
      const podIP = `10.1.${index >> 8}.${index & 255}`;
      return { ...one, metadata: { ...one.metadata, namespace }, status: { phase: "Running", podIP } };
    });
  const pods = [...ofNamespace("greedy", 1_700), ...ofNamespace("modest", 20)];
  const { active } = targetsOf(addon, { ...none, pods }, "");
  assert.equal(active.length, 5_000);
  assert.equal(active.filter(({ owner }) => owner.namespace === "modest").length, 60);
});

test("with the addon's configuration, a pod cannot write the series of another one", async () => {
  const pods = [pod("hostile", { "prometheus.io/scrape": "true" })];
  const [target] = ofJob("kubernetes-pods", targetsOf(addon, { ...none, pods }, "").active);
  assert.ok(target !== undefined);
  const store = new SampleStore();
  const fetch: FetchMetrics = async (_target, _signal, read) => {
    await read('m{pod="victim",namespace="bank",instance="10.1.0.9:80",job="kubernetes-pods"} 1\n', "text/plain");
  };
  const loop = new TargetLoop({
    target,
    store,
    fetch,
    clock: systemClock,
    texts: new SharedBudget(1 << 20),
    turns: new ScrapeTurns(),
  });
  await loop.scrape(new AbortController().signal);
  assert.deepEqual(store.labelValues("pod"), ["hostile"]);
  assert.deepEqual(store.labelValues("namespace"), ["default"]);
  assert.deepEqual(store.labelValues("exported_pod"), ["victim"]);
});
