import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { KubernetesObject } from "../../api/index.ts";
import { gatewayKind } from "../../api/gateway/index.ts";
import { deploymentKind, serviceAccountKind, serviceKind } from "../../api/kubernetes/index.ts";
import { createLogger, systemClock } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { CollectionGraph, type SourceCollection } from "../../kube/index.ts";
import type { GatewayPlacement, ProxyConfigFacts } from "../model/index.ts";
import { deriveGatewayPlacements } from "../model/gateway/gateway-placement.ts";
import { deriveWaypoints } from "../model/ambient/waypoint.ts";
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

const proxy = {
  revision: "default",
  image: "proxyv2:1",
  discoveryAddress: "istiod.istio-system.svc:15012",
  clusterId: "Kubernetes",
  clusterDomain: "cluster.local",
  trustDomain: "cluster.local",
  network: "",
  proxyMetadata: {},
};
const spec = { gatewayClassName: "istio", listeners: [{ name: "http", port: 80, protocol: "HTTP" }] };

function controller(gateway: KubernetesObject): {
  readonly client: FakeKubeClient;
  readonly place: (overlays: GatewayPlacement["overlays"], ports?: GatewayPlacement["ports"]) => void;
  readonly waits: number[];
  readonly again: () => void;
  readonly warnings: string[];
} {
  const client = new FakeKubeClient();
  client.put(gatewayKind, gateway);
  const graph = new CollectionGraph();
  const placements: SourceCollection<GatewayPlacement> = graph.source("placements");
  const waits: number[] = [];
  const due: (() => void)[] = [];
  const warnings: string[] = [];
  const log = createLogger({ scope: "test", level: "warn", write: (line) => void warnings.push(line) });
  const clock = {
    ...systemClock,
    after: (delayMs: number, act: () => void) => (
      waits.push(delayMs),
      due.push(act),
      { [Symbol.dispose]: () => undefined }
    ),
  };
  running.push(
    runGatewayDeploymentController(
      {
        client,
        placements,
        proxy: () => proxy,
        proxyConfigs: graph.source<ProxyConfigFacts>("proxy-configs"),
        rootNamespace: () => "istio-system",
        clock,
        log,
      },
      stopped.signal,
    ),
  );
  const facts = {} as GatewayPlacement["gateway"];
  return {
    client,
    waits,
    warnings,
    again: () => {
      for (const act of due.splice(0)) act();
    },
    place: (overlays, ports = [{ name: "http", port: 80, protocol: "HTTP" }]) => {
      placements.set("edge/web", {
        owned: true,
        canary: false,
        managed: true,
        gateway: facts,
        ports,
        overlays,
        waypoints: undefined,
      });
      graph.settle();
    },
  };
}

test("objects that are not the Gateway's own are left alone under its names, and checked again later", async () => {
  const { client, place, waits } = controller(
    config("Gateway", "edge/web", spec, { annotations: { "gateway.istio.io/name-override": "shop" } }),
  );
  const foreign = {
    metadata: { name: "shop", namespace: "edge" },
    spec: { selector: { app: "shop" }, ports: [{ port: 80 }] },
  };
  client.put(serviceKind, foreign);
  client.put(serviceAccountKind, { metadata: { name: "web-istio", namespace: "edge", labels: { own: "account" } } });
  place({});
  await until(async () => (await client.get(deploymentKind, "shop", "edge")) !== undefined);
  await until(async () => waits.length > 0);
  assert.deepEqual((await client.get(serviceKind, "shop", "edge"))?.spec, foreign.spec);
  assert.deepEqual((await client.get(serviceAccountKind, "web-istio", "edge"))?.metadata.labels, { own: "account" });
  await client.delete(serviceKind, "shop", "edge");
  place({ service: "metadata: {labels: {a: b}}" });
  await until(async () => (await client.get(serviceKind, "shop", "edge"))?.metadata.labels?.["a"] === "b");
});

test("an autoscaler and a budget are deleted with their keys, but not those of others", async () => {
  const { client, place } = controller(config("Gateway", "edge/web", spec));
  place({ horizontalPodAutoscaler: "spec: {maxReplicas: 4}", podDisruptionBudget: "spec: {minAvailable: 1}" });
  await until(async () => (await client.get(disruptionBudgetKind, "web-istio", "edge")) !== undefined);
  client.put(disruptionBudgetKind, { metadata: { name: "web-istio", namespace: "edge", labels: { made: "by hand" } } });
  place({});
  await until(async () => (await client.get(autoscalerKind, "web-istio", "edge")) === undefined);
  assert.ok((await client.get(disruptionBudgetKind, "web-istio", "edge")) !== undefined);
});

test("unusable or unread parameters leave the deployed objects unchanged", async () => {
  const { client, place } = controller(config("Gateway", "edge/web", spec));
  place({ deployment: "spec: {replicas: 3}", service: "metadata: {labels: {a: b}}" });
  await until(async () => (await client.get(serviceKind, "web-istio", "edge")) !== undefined);
  const before = (await client.get(deploymentKind, "web-istio", "edge"))?.metadata.generation;
  let looks = 0;
  const get = client.get.bind(client);
  client.get = async (kind, ...rest) => ((looks += kind.kind === "Gateway" ? 1 : 0), await get(kind, ...rest));
  place(undefined);
  await until(async () => looks > 0);
  place({ deployment: "spec: {replicas: 3}", service: "metadata: {labels: {a: c}}" });
  await until(async () => (await get(serviceKind, "web-istio", "edge"))?.metadata.labels?.["a"] === "c");
  assert.equal((await get(deploymentKind, "web-istio", "edge"))?.metadata.generation, before);
});

test("a Gateway keeps the last parameters while they are missing, and follows all other changes", async () => {
  const { client, place } = controller(config("Gateway", "edge/web", spec));
  place({ deployment: "spec: {replicas: 3}" });
  await until(async () => (await client.get(serviceKind, "web-istio", "edge")) !== undefined);
  place(undefined, [
    { name: "http", port: 80, protocol: "HTTP" },
    { name: "more", port: 81, protocol: "HTTP" },
  ]);
  await until(
    async () =>
      (await client.get(serviceKind, "web-istio", "edge"))?.spec?.ports?.some(({ port }) => port === 81) === true,
  );
  assert.equal((await client.get(deploymentKind, "web-istio", "edge"))?.spec?.replicas, 3);
});

test("a conflicting object is logged once, however often it is checked", async () => {
  const { client, place, waits, again, warnings } = controller(config("Gateway", "edge/web", spec));
  const taken = {
    metadata: {
      name: "web-istio",
      namespace: "edge",
      labels: {
        "gateway.istio.io/managed": "istio.io-gateway-controller",
        "gateway.networking.k8s.io/gateway-name": "other",
      },
    },
  };
  client.put(serviceAccountKind, taken);
  place({});
  for (let looks = 1; looks <= 3; looks += 1) {
    await until(async () => waits.length >= looks);
    again();
  }
  await until(async () => waits.length > 3);
  assert.equal(warnings.length, 1);
  await client.delete(serviceAccountKind, "web-istio", "edge");
  client.put(serviceAccountKind, taken);
  again();
  await until(async () => warnings.length === 2);
});

test("parameters come from an existing core ConfigMap; other kinds and unread ones are ignored", () => {
  const { graph, inputs, apply } = createModelFixture();
  const placements = deriveGatewayPlacements(graph, inputs, deriveWaypoints(graph, inputs), "default");
  const named = (group: string, kind: string): KubernetesObject => ({
    ...config("Gateway", "edge/web", { ...spec, infrastructure: { parametersRef: { group, kind, name: "p" } } }),
    apiVersion: "gateway.networking.k8s.io/v1",
  });
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
