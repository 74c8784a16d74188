import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { KubernetesObject } from "../../api/index.ts";
import { gatewayKind } from "../../api/gateway/index.ts";
import { deploymentKind, serviceAccountKind, serviceKind } from "../../api/kubernetes/index.ts";
import { silentLogger, systemClock } from "../../base/index.ts";
import { CollectionGraph, type SourceCollection } from "../../kube/index.ts";
import type { GatewayPlacement, ProxyConfigFacts } from "../model/index.ts";
import { deriveGatewayPlacements } from "../model/gateway-placement.ts";
import { deriveWaypoints } from "../model/waypoint.ts";
import { FakeKubeClient } from "../testing/fake-kube-client.ts";
import { config, createModelFixture, namespace } from "../testing/model-fixture.ts";
import { runGatewayDeploymentController } from "./deployment-controller.ts";
import { autoscalerKind, disruptionBudgetKind } from "./gateway-overlays.ts";

const stopped = new AbortController();
const running: Promise<void>[] = [];
after(async () => {
  stopped.abort();
  await Promise.all(running);
});

const proxy = { revision: "default", image: "proxyv2:1", discoveryAddress: "istiod.istio-system.svc:15012", clusterId: "Kubernetes", trustDomain: "cluster.local", network: "", proxyMetadata: {} };
const spec = { gatewayClassName: "istio", listeners: [{ name: "http", port: 80, protocol: "HTTP" }] };

async function untilTrue(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setImmediate(resolve));
}

/** A controller over placements that the test sets, each of the same Gateway. */
function controller(gateway: KubernetesObject): { readonly client: FakeKubeClient; readonly place: (overlays: GatewayPlacement["overlays"]) => void; readonly waits: number[] } {
  const client = new FakeKubeClient();
  client.put(gatewayKind, gateway);
  const graph = new CollectionGraph();
  const placements: SourceCollection<GatewayPlacement> = graph.source("placements");
  const waits: number[] = [];
  const clock = { ...systemClock, after: (delayMs: number) => (waits.push(delayMs), { [Symbol.dispose]: () => undefined }) };
  running.push(runGatewayDeploymentController({ client, placements, proxy: () => proxy, proxyConfigs: graph.source<ProxyConfigFacts>("proxy-configs"), rootNamespace: () => "istio-system", clock, log: silentLogger }, stopped.signal));
  const facts = {} as GatewayPlacement["gateway"];
  return {
    client,
    waits,
    place: (overlays) => {
      placements.set("edge/web", { owned: true, canary: false, managed: true, gateway: facts, ports: [{ name: "http", port: 80, protocol: "HTTP" }], overlays, waypoints: undefined });
      graph.settle();
    },
  };
}

test("what is not the Gateway's own is left alone under the names that its own would have, and is looked at again", async () => {
  const { client, place, waits } = controller(config("Gateway", "edge/web", spec, { annotations: { "gateway.istio.io/name-override": "shop" } }));
  const foreign = { metadata: { name: "shop", namespace: "edge" }, spec: { selector: { app: "shop" }, ports: [{ port: 80 }] } };
  client.put(serviceKind, foreign);
  client.put(serviceAccountKind, { metadata: { name: "web-istio", namespace: "edge", labels: { own: "account" } } });
  place({});
  await untilTrue(async () => (await client.get(deploymentKind, "shop", "edge")) !== undefined);
  await untilTrue(async () => waits.length > 0);
  assert.deepEqual((await client.get(serviceKind, "shop", "edge"))?.spec, foreign.spec);
  assert.deepEqual((await client.get(serviceAccountKind, "web-istio", "edge"))?.metadata.labels, { own: "account" });
  await client.delete(serviceKind, "shop", "edge");
  place({ service: "metadata: {labels: {a: b}}" });
  await untilTrue(async () => (await client.get(serviceKind, "shop", "edge"))?.metadata.labels?.["a"] === "b");
});

test("an autoscaler and a budget go with their keys, but not those of others", async () => {
  const { client, place } = controller(config("Gateway", "edge/web", spec));
  place({ horizontalPodAutoscaler: "spec: {maxReplicas: 4}", podDisruptionBudget: "spec: {minAvailable: 1}" });
  await untilTrue(async () => (await client.get(disruptionBudgetKind, "web-istio", "edge")) !== undefined);
  client.put(disruptionBudgetKind, { metadata: { name: "web-istio", namespace: "edge", labels: { made: "by hand" } } });
  place({});
  await untilTrue(async () => (await client.get(autoscalerKind, "web-istio", "edge")) === undefined);
  assert.ok((await client.get(disruptionBudgetKind, "web-istio", "edge")) !== undefined);
});

test("parameters that cannot be used, or are not read yet, leave what is deployed as it is", async () => {
  const { client, place } = controller(config("Gateway", "edge/web", spec));
  place({ deployment: "spec: {replicas: 3}", service: "metadata: {labels: {a: b}}" });
  await untilTrue(async () => (await client.get(serviceKind, "web-istio", "edge")) !== undefined);
  const before = (await client.get(deploymentKind, "web-istio", "edge"))?.metadata.generation;
  let looks = 0;
  const get = client.get.bind(client);
  client.get = async (kind, ...rest) => ((looks += kind.kind === "Gateway" ? 1 : 0), await get(kind, ...rest));
  place(undefined);
  await untilTrue(async () => looks > 0);
  place({ deployment: "spec: {replicas: 3}", service: "metadata: {labels: {a: c}}" });
  await untilTrue(async () => (await get(serviceKind, "web-istio", "edge"))?.metadata.labels?.["a"] === "c");
  assert.equal((await get(deploymentKind, "web-istio", "edge"))?.metadata.generation, before);
});

test("parameters are a ConfigMap of the core that is there; others, and those that are not read yet, are none", () => {
  const { graph, inputs, apply } = createModelFixture();
  const placements = deriveGatewayPlacements(graph, inputs, deriveWaypoints(graph, inputs), "default");
  const named = (group: string, kind: string): KubernetesObject => ({ ...config("Gateway", "edge/web", { ...spec, infrastructure: { parametersRef: { group, kind, name: "p" } } }), apiVersion: "gateway.networking.k8s.io/v1" });
  const overlays = (): unknown => placements.get("edge/web")?.overlays;
  apply(namespace("edge"), named("", "ConfigMap"));
  assert.equal(overlays(), undefined);
  const data = { deployment: "spec: {replicas: 3}" };
  inputs.configMaps.set("edge/p", { namespace: "edge", name: "p", exists: true, data, authority: { fault: "none" } });
  graph.settle();
  assert.deepEqual(overlays(), data);
  apply(named("example.org", "ConfigMap"));
  assert.equal(overlays(), undefined);
  apply(named("", "Secret"));
  assert.equal(overlays(), undefined);
});
