import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { KubernetesObject } from "../../api/index.ts";
import { silentLogger, systemClock } from "../../base/index.ts";
import { MetricsRegistry } from "../../telemetry/index.ts";
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from "../../wire/discovery/index.ts";
import { ClusterLoadAssignmentSchema } from "../../wire/envoy/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { config, createModelFixture, namespace, pod, service, slice } from "../testing/model-fixture.ts";
import { deriveMeshModel } from "../translate/mesh-model.ts";
import { deriveOutboundResources } from "../translate/outbound/outbound-resources.ts";
import { deriveWaypointResources } from "../translate/waypoint/waypoint-resources.ts";
import { createDiscoveryMetrics } from "./discovery-metrics.ts";
import { DiscoveryServer } from "./discovery-server.ts";
import { emptyView, ScopedView, UnionView, type ResourceView } from "./resource-views/resource-view.ts";
import { ScopeClusterView } from "./resource-views/scope-cluster-view.ts";

const http = { name: "http", port: 80, targetPort: 8080 };
const lasting: readonly KubernetesObject[] = [
  namespace("shop"),
  service("shop/web", "10.96.0.5", { app: "web" }, [http], { "istio.io/use-waypoint": "wp" }),
  config("Gateway", "shop/wp", {
    gatewayClassName: "istio-waypoint",
    listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE" }],
  }),
];
const passing: readonly KubernetesObject[] = [
  pod("shop/web-1", "10.244.1.5", { labels: { app: "web" }, account: "web" }),
  slice("shop/web", { name: "http", port: 8080 }, [{ address: "10.244.1.5", pod: "web-1" }]),
];
const node = { id: "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local" };

function serveMesh() {
  const fixture = createModelFixture();
  const { graph, inputs } = fixture;
  const model = deriveMeshModel(graph, inputs);
  const outbound = deriveOutboundResources(graph, model);
  const waypoints = deriveWaypointResources(graph, model);
  model.scopes.groups.set("client", {
    kind: "sidecar",
    namespace: "shop",
    labels: {},
    locality: { region: "", zone: "", subzone: "" },
    node: "node-1",
    network: "",
    hbone: false,
    dnsCapture: false,
  });
  fixture.apply(...lasting, ...passing);
  const view: ResourceView = new UnionView([
    new ScopeClusterView(outbound.clusters, "endpoints", model.scopes.choices.get("client")?.scope ?? ""),
    ...waypoints.endpoints.map((collection) => new ScopedView(collection, "shop/wp")),
  ]);
  const discovery = new DiscoveryServer({
    viewOf: (_proxy, typeUrl) => (typeUrl === typeUrls.endpoint ? view : emptyView),
    generation: () => 1,
    metrics: createDiscoveryMetrics(new MetricsRegistry()),
    clock: systemClock,
    log: silentLogger,
  });
  const names = [...view.all()].map(({ name }) => name).sort();
  return { ...fixture, discovery, names };
}

/** Assignments by name with the number of their endpoints, or `removed` for a removed assignment. */
type Received = Record<string, number | "removed">;

function counted(resources: readonly (Uint8Array | undefined)[], removed: readonly string[] = []): Received {
  const assignments = resources.map((value) => fromBinary(ClusterLoadAssignmentSchema, value ?? new Uint8Array()));
  return {
    ...Object.fromEntries(
      assignments.map(({ clusterName, endpoints }) => [
        clusterName,
        endpoints.flatMap((one) => one.lbEndpoints).length,
      ]),
    ),
    ...Object.fromEntries(removed.map((name) => [name, "removed" as const])),
  };
}

/** Acknowledges each response at once. The result returns the assignments that arrived since its last call. */
function connect(
  { discovery, names }: ReturnType<typeof serveMesh>,
  protocol: "delta" | "state-of-the-world",
): () => Received {
  let received: Received = {};
  const { endpoint: typeUrl } = typeUrls;
  const request = (nonce: string, versionInfo = ""): Uint8Array =>
    protocol === "delta"
      ? toBinary(
          DeltaDiscoveryRequestSchema,
          create(DeltaDiscoveryRequestSchema, {
            node,
            typeUrl,
            responseNonce: nonce,
            resourceNamesSubscribe: nonce === "" ? names : [],
          }),
        )
      : toBinary(
          DiscoveryRequestSchema,
          create(DiscoveryRequestSchema, { node, typeUrl, responseNonce: nonce, versionInfo, resourceNames: names }),
        );
  const write = (parts: readonly Buffer[]): boolean => {
    const bytes = Buffer.concat(parts);
    if (protocol === "delta") {
      const { nonce, resources, removedResources } = fromBinary(DeltaDiscoveryResponseSchema, bytes);
      Object.assign(
        received,
        counted(
          resources.map(({ resource }) => resource?.value),
          removedResources,
        ),
      );
      queueMicrotask(() => client.receive(request(nonce)));
    } else {
      const { nonce, versionInfo, resources } = fromBinary(DiscoveryResponseSchema, bytes);
      Object.assign(received, counted(resources.map(({ value }) => value)));
      queueMicrotask(() => client.receive(request(nonce, versionInfo)));
    }
    return true;
  };
  const client = discovery.connect(protocol, { write }, () => false);
  client.receive(request(""));
  return () => {
    const taken = received;
    received = {};
    return taken;
  };
}

// Proxies keep the endpoints of a removed assignment, as Envoy does, so only an empty assignment removes them.
for (const protocol of ["delta", "state-of-the-world"] as const)
  test(`${protocol}: a service that loses all its endpoints has an empty assignment, not a removed one`, async () => {
    const mesh = serveMesh();
    const names = ["inbound-vip|80|http|web.shop.svc.cluster.local", "outbound|80||web.shop.svc.cluster.local"];
    assert.deepEqual(mesh.names, names);
    const take = connect(mesh, protocol);
    await Promise.resolve();
    const all = (count: number): Received => Object.fromEntries(names.map((name) => [name, count]));
    assert.deepEqual(take(), all(1));
    mesh.remove(...passing);
    mesh.discovery.flush();
    await Promise.resolve();
    assert.deepEqual(take(), all(0));
    mesh.apply(...passing);
    mesh.discovery.flush();
    assert.deepEqual(take(), all(1));
  });
