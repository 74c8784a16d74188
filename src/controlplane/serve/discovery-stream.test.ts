import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { silentLogger, systemClock, type Clock } from "../../base/index.ts";
import { CollectionGraph } from "../../kube/index.ts";
import { MetricsRegistry } from "../../telemetry/index.ts";
import {
  DeltaDiscoveryRequestSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
  DeltaDiscoveryResponseSchema,
} from "../../wire/discovery/index.ts";
import {
  ClusterLoadAssignmentSchema,
  ClusterSchema,
  RouteConfigurationSchema,
  VirtualHostSchema,
} from "../../wire/envoy/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { encodeResource, sameResource, type EncodedResource } from "../translate/resource.ts";
import { acknowledgements } from "./acknowledgement.ts";
import { createDiscoveryMetrics } from "./discovery-metrics.ts";
import { DiscoveryServer } from "./discovery-server.ts";
import type { ProxyIdentity } from "./proxy-identity.ts";
import { CollectionView, emptyView } from "./resource-views/resource-view.ts";

/** No time passes, so a response that is sent did not wait for a timer. */
const stopped: Clock = { ...systemClock, steadyMs: () => 0, after: () => ({ [Symbol.dispose]: () => undefined }) };
const cluster = (name: string, seconds = 1): EncodedResource =>
  encodeResource(ClusterSchema, name, create(ClusterSchema, { name, connectTimeout: { seconds: BigInt(seconds) } }));
const endpoints = (name: string): EncodedResource =>
  encodeResource(ClusterLoadAssignmentSchema, name, create(ClusterLoadAssignmentSchema, { clusterName: name }));
const route = (name: string, host = "*"): EncodedResource =>
  encodeResource(
    RouteConfigurationSchema,
    name,
    create(RouteConfigurationSchema, { name, virtualHosts: [{ name: host, domains: [host] }] }),
  );
const virtualHost = (name: string, domain: string): EncodedResource =>
  encodeResource(VirtualHostSchema, name, create(VirtualHostSchema, { name, domains: [domain] }));
const node = {
  id: "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local",
  metadata: { VIRTUAL_HOST_DISCOVERY: "true" },
  userAgentName: "envoy",
};

function serve() {
  let generation = 0;
  const graph = new CollectionGraph({ computed: () => (generation += 1) });
  const source = (name: string) => graph.source<EncodedResource>(name, sameResource);
  const sources = {
    clusters: source("clusters"),
    assignments: source("endpoints"),
    routes: source("routes"),
    hosts: source("hosts"),
  };
  const views = new Map<string, CollectionView>([
    [typeUrls.cluster, new CollectionView([sources.clusters])],
    [typeUrls.endpoint, new CollectionView([sources.assignments])],
    [typeUrls.route, new CollectionView([sources.routes])],
    [typeUrls.virtualHost, new CollectionView([sources.hosts])],
  ]);
  const proxies: ProxyIdentity[] = [];
  const viewOf = (proxy: ProxyIdentity, typeUrl: string) => (proxies.push(proxy), views.get(typeUrl) ?? emptyView);
  const discovery = new DiscoveryServer({
    viewOf,
    generation: () => generation,
    metrics: createDiscoveryMetrics(new MetricsRegistry()),
    clock: stopped,
    log: silentLogger,
  });
  const change = (run: () => void): void => {
    graph.batch(run);
    discovery.flush();
  };
  return { ...sources, discovery, proxies, change, generation: () => generation };
}

/** Connects a delta client that receives responses at once. `writable` says whether the stream accepts more. */
function connectDelta({ discovery }: ReturnType<typeof serve>, state = { writable: true }) {
  const received: { typeUrl: string; nonce: string; names: string[]; removed: string[] }[] = [];
  const write = (parts: readonly Buffer[]): boolean => {
    const { typeUrl, nonce, resources, removedResources } = fromBinary(
      DeltaDiscoveryResponseSchema,
      Buffer.concat(parts),
    );
    received.push({ typeUrl, nonce, names: resources.map(({ name }) => name), removed: removedResources });
    return state.writable;
  };
  const client = discovery.connect("delta", { write }, () => false);
  const send = (request: {
    readonly typeUrl: string;
    readonly responseNonce?: string;
    readonly resourceNamesSubscribe?: string[];
  }): void =>
    client.receive(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, { node, ...request })));
  const acknowledge = (): string[] => {
    const taken = received.splice(0);
    for (const { typeUrl, nonce } of taken) send({ typeUrl, responseNonce: nonce });
    return taken.map(({ typeUrl, names }) => `${typeUrl.slice(typeUrl.lastIndexOf(".") + 1)} ${names.join()}`);
  };
  return { send, acknowledge, received, drained: () => client.drained() };
}

test("a change is not acknowledged before the pending answer that carries it", () => {
  for (const subscribe of [["a"], []]) {
    const mesh = serve();
    mesh.change(() => mesh.clusters.set("a", cluster("a")));
    const state = { writable: false };
    const client = connectDelta(mesh, state);
    client.send({ typeUrl: typeUrls.endpoint, resourceNamesSubscribe: ["x"] });
    client.send({ typeUrl: typeUrls.cluster, resourceNamesSubscribe: subscribe });
    mesh.change(() => mesh.clusters.set("a", cluster("a", 2)));
    const caused = mesh.generation();
    const isAcknowledged = (): boolean | undefined =>
      acknowledgements(mesh.discovery, caused, () => true)[0]?.acknowledged;
    client.acknowledge();
    assert.equal(isAcknowledged(), false, "nothing of it has been sent");
    state.writable = true;
    client.drained();
    assert.equal(isAcknowledged(), false, "it has been sent");
    client.acknowledge();
    assert.equal(isAcknowledged(), true);
  }
});

test("a new DNS cluster, which has no endpoints by EDS, does not delay routes", () => {
  const mesh = serve();
  mesh.change(() => mesh.routes.set("80", route("80")));
  const client = connectDelta(mesh);
  client.send({ typeUrl: typeUrls.cluster });
  client.send({ typeUrl: typeUrls.endpoint, resourceNamesSubscribe: ["x"] });
  client.send({ typeUrl: typeUrls.route, resourceNamesSubscribe: ["80"] });
  while (client.acknowledge().length > 0);
  mesh.change(() => {
    mesh.clusters.set("dns", cluster("dns"));
    mesh.routes.set("80", route("80", "shop.example"));
  });
  assert.deepEqual(client.acknowledge(), ["Cluster dns"]);
  assert.deepEqual(client.acknowledge(), ["RouteConfiguration 80"]);
});

test("a virtual host that may use a new cluster follows the acknowledgement of the cluster's endpoints", () => {
  const mesh = serve();
  const client = connectDelta(mesh);
  for (const typeUrl of [typeUrls.cluster, typeUrls.virtualHost]) client.send({ typeUrl });
  client.send({ typeUrl: typeUrls.endpoint, resourceNamesSubscribe: ["x"] });
  while (client.acknowledge().length > 0);
  mesh.change(() => {
    mesh.clusters.set("new", cluster("new"));
    mesh.assignments.set("new", endpoints("new"));
    mesh.hosts.set("80/shop", virtualHost("80/shop", "shop"));
  });
  assert.deepEqual(client.acknowledge(), ["Cluster new"]);
  assert.deepEqual(client.acknowledge(), [], "the client has not asked for the endpoints yet");
  client.send({ typeUrl: typeUrls.endpoint, resourceNamesSubscribe: ["new"] });
  assert.deepEqual(client.acknowledge(), ["ClusterLoadAssignment new"]);
  assert.deepEqual(client.acknowledge(), ["VirtualHost 80/shop"]);
});

test("state of the world: a cluster that returns is new to the client, and this protocol has no on-demand virtual hosts", () => {
  const mesh = serve();
  mesh.change(() => {
    for (const name of ["a", "b"]) {
      mesh.clusters.set(name, cluster(name));
      mesh.assignments.set(name, endpoints(name));
    }
  });
  const received: { typeUrl: string; nonce: string; versionInfo: string }[] = [];
  const client = mesh.discovery.connect(
    "state-of-the-world",
    { write: (parts) => (received.push(fromBinary(DiscoveryResponseSchema, Buffer.concat(parts))), true) },
    () => false,
  );
  const send = (request: {
    readonly typeUrl: string;
    readonly responseNonce?: string;
    readonly versionInfo?: string;
    readonly resourceNames?: string[];
  }): void => client.receive(toBinary(DiscoveryRequestSchema, create(DiscoveryRequestSchema, { node, ...request })));
  const names = ["a", "b"];
  const acknowledge = (): string[] => {
    const taken = received.splice(0);
    for (const { typeUrl, nonce, versionInfo } of taken)
      send({
        typeUrl,
        responseNonce: nonce,
        versionInfo,
        ...(typeUrl === typeUrls.endpoint
          ? { resourceNames: names }
          : typeUrl === typeUrls.route
            ? { resourceNames: ["80"] }
            : {}),
      });
    return taken.map(({ typeUrl }) => typeUrl);
  };
  send({ typeUrl: typeUrls.cluster });
  send({ typeUrl: typeUrls.endpoint, resourceNames: names });
  send({ typeUrl: typeUrls.route, resourceNames: ["80"] });
  while (acknowledge().length > 0);
  mesh.change(() => mesh.clusters.delete("a"));
  while (acknowledge().length > 0);
  mesh.change(() => {
    mesh.clusters.set("a", cluster("a"));
    mesh.routes.set("80", route("80"));
  });
  assert.deepEqual(
    acknowledge(),
    [typeUrls.cluster, typeUrls.endpoint],
    "a cluster in the same form as before waits for endpoints again",
  );
  assert.deepEqual(acknowledge(), [typeUrls.route]);
  assert.equal(
    mesh.proxies.every(({ virtualHostDiscovery }) => !virtualHostDiscovery),
    true,
  );
});
