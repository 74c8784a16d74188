import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import type { KubernetesObject } from "../../api/index.ts";
import { meshKey, type MultiClusterServices } from "../model/facts.ts";
import { deriveServiceRegistry } from "../model/service/service-model.ts";
import { multiClusterServices } from "../debug/multi-cluster-answer.ts";
import { config, namespace, pod, service, slice, testMesh } from "../testing/model-fixture.ts";
import { createOutboundFixture, type OutboundFixture } from "../testing/outbound-fixture.ts";
import { createRemoteFixture, type RemoteFixture } from "../testing/remote-fixture.ts";

const ports = [{ name: "http", port: 80, targetPort: 8080 }];
const own = "outbound|80||web.shop.svc.cluster.local";
const wide = "outbound|80||web.shop.svc.clusterset.local";
const plain: MultiClusterServices = { group: "multicluster.x-k8s.io", host: true, clusterLocal: false };

function servers(cluster: "home" | "west"): readonly KubernetesObject[] {
  const address = cluster === "home" ? "10.1.0.1" : "10.2.0.1";
  return [
    service("shop/web", cluster === "home" ? "10.96.0.1" : "10.100.0.1", { app: "web" }, ports),
    pod("shop/web-0", address, { labels: { app: "web" }, redirected: false }),
    slice("shop/web", { name: "http", port: 8080 }, [{ address, pod: "web-0" }]),
  ];
}

function exported(name = "shop/web"): KubernetesObject {
  return config("ServiceExport", name, {});
}

function imported(ips: readonly string[], name = "shop/web"): KubernetesObject {
  return config("ServiceImport", name, { type: "ClusterSetIP", ips });
}

interface Mesh {
  readonly fixture: OutboundFixture;
  readonly west: RemoteFixture;
}

function twoClusters(services: MultiClusterServices | "off" = plain): Mesh {
  const fixture = createOutboundFixture();
  const own = services === "off" ? {} : { multiClusterServices: services };
  fixture.inputs.mesh.set(meshKey, { ...testMesh, clusterId: "home", ...own });
  const west = createRemoteFixture(fixture, "west");
  fixture.apply(namespace("shop"), ...servers("home"));
  west.apply(namespace("shop"), ...servers("west"));
  return { fixture, west };
}

function addressesOf(assignment: JsonObject | undefined): readonly string[] | undefined {
  if (assignment === undefined) return undefined;
  return [...JSON.stringify(assignment).matchAll(/"address":"([^"]+)"/g)].map(([, address]) => address ?? "").sort();
}

function reached(fixture: OutboundFixture, cluster: string): Readonly<Record<string, readonly string[] | undefined>> {
  return {
    home: addressesOf(fixture.serve().endpoints()[cluster]),
    west: addressesOf(fixture.serve({ clusterId: "west" }).endpoints()[cluster]),
  };
}

test("without an export, an endpoint is discovered only in its own cluster; an export offers it to all clusters until the export is deleted", () => {
  const { fixture, west } = twoClusters();
  assert.deepEqual(reached(fixture, own), { home: ["10.1.0.1"], west: ["10.2.0.1"] });
  west.apply(exported());
  assert.deepEqual(reached(fixture, own), { home: ["10.1.0.1", "10.2.0.1"], west: ["10.2.0.1"] });
  west.remove(exported());
  assert.deepEqual(reached(fixture, own)["home"], ["10.1.0.1"]);
});

test("without multi-cluster services, exports and imports change nothing", () => {
  const { fixture, west } = twoClusters("off");
  fixture.apply(imported(["242.0.0.1"]));
  west.apply(imported(["242.1.0.1"]));
  assert.deepEqual(reached(fixture, own), { home: ["10.1.0.1", "10.2.0.1"], west: ["10.1.0.1", "10.2.0.1"] });
  assert.deepEqual(reached(fixture, wide), { home: undefined, west: undefined });
});

test("an imported service has a host in clusterset.local, which leads to the endpoints of all clusters that export it", () => {
  const { fixture, west } = twoClusters();
  assert.equal(fixture.serve().clusters()[wide], undefined);
  for (const cluster of [fixture, west]) cluster.apply(imported([cluster === west ? "242.1.0.1" : "242.0.0.1"]));
  west.apply(exported());
  assert.deepEqual(reached(fixture, wide), { home: ["10.1.0.1", "10.2.0.1"], west: ["10.2.0.1"] });
  fixture.apply(exported());
  assert.deepEqual(reached(fixture, wide)["west"], ["10.1.0.1", "10.2.0.1"]);
  // A cluster that does not import the host offers no endpoints under it.
  west.remove(imported([]));
  assert.deepEqual(reached(fixture, wide)["home"], ["10.1.0.1"]);
  fixture.remove(imported([]));
  assert.equal(fixture.serve().clusters()[wide], undefined);
});

test("if clusters are local, a host in the cluster's domain leads only to the client's cluster, and only clusterset.local leads to others", () => {
  const { fixture, west } = twoClusters({ ...plain, clusterLocal: true });
  for (const cluster of [fixture, west]) cluster.apply(imported(["242.0.0.1"]), exported());
  assert.deepEqual(reached(fixture, own), { home: ["10.1.0.1"], west: ["10.2.0.1"] });
  assert.deepEqual(reached(fixture, wide), { home: ["10.1.0.1", "10.2.0.1"], west: ["10.1.0.1", "10.2.0.1"] });
});

test("clients use the addresses of the import in their own cluster, for listeners, routes and DNS", () => {
  const { fixture, west } = twoClusters();
  const db = [service("shop/db", "10.96.0.2", { app: "db" }, [{ name: "tcp", port: 9000, targetPort: 9000 }])];
  fixture.apply(...db, imported(["242.0.0.1"]), imported(["242.0.0.2"], "shop/db"));
  west.apply(imported(["242.1.0.1"]), imported(["242.1.0.2"], "shop/db"));
  const [home, remote] = [fixture.serve({ dnsCapture: true }), fixture.serve({ clusterId: "west", dnsCapture: true })];
  assert.ok("242.0.0.2_9000" in home.listeners() && !("242.1.0.2_9000" in home.listeners()));
  assert.ok("242.1.0.2_9000" in remote.listeners());
  assert.match(JSON.stringify(home.routes()["80"]), /"web\.shop\.svc\.clusterset\.local"[^\]]*"242\.0\.0\.1"/);
  const names = (remote.names() as { table: Record<string, JsonObject> }).table;
  assert.deepEqual(names["web.shop.svc.clusterset.local"], { ips: ["242.1.0.1"], registry: "Kubernetes" });
  assert.equal(names["web.shop.svc.cluster.local"]?.["shortname"], "web");
});

test("an import of a service that only another cluster has, and a cluster without an import, use the known addresses", () => {
  const { fixture, west } = twoClusters();
  const only = [
    service("shop/only", "10.100.0.7", { app: "only" }, ports),
    slice("shop/only", { name: "http", port: 8080 }, [{ address: "10.2.0.9" }]),
  ];
  west.apply(...only, exported("shop/only"), imported(["242.1.0.7"], "shop/only"));
  const cluster = "outbound|80||only.shop.svc.clusterset.local";
  assert.deepEqual(reached(fixture, cluster), { home: ["10.2.0.9"], west: ["10.2.0.9"] });
  assert.match(JSON.stringify(fixture.serve().routes()["80"]), /"242\.1\.0\.7"/);
  west.remove(...only);
  assert.equal(fixture.serve().clusters()[cluster], undefined);
});

test("an import without addresses, or without a Service in any cluster, has no host", () => {
  const { fixture } = twoClusters();
  fixture.apply(imported([]), imported(["242.0.0.9"], "shop/nothing"));
  const names = Object.keys(fixture.serve().clusters());
  assert.deepEqual(
    names.filter((name) => name.endsWith("clusterset.local")),
    [],
  );
});

test("rules and routes may name the host in clusterset.local", () => {
  const { fixture, west } = twoClusters();
  west.apply(exported(), imported(["242.1.0.1"]));
  fixture.apply(
    imported(["242.0.0.1"]),
    config("DestinationRule", "shop/web", {
      host: "web.shop.svc.clusterset.local",
      trafficPolicy: { connectionPool: { tcp: { maxConnections: 7 } } },
    }),
    config("VirtualService", "shop/web", {
      hosts: ["web"],
      http: [{ route: [{ destination: { host: "web.shop.svc.clusterset.local" } }] }],
    }),
  );
  const proxy = fixture.serve();
  assert.match(JSON.stringify(proxy.clusters()[wide]), /"maxConnections":7/);
  assert.doesNotMatch(JSON.stringify(proxy.clusters()[own]), /"maxConnections":7/);
  assert.match(JSON.stringify(proxy.routes()["80"]), /"cluster":"outbound\|80\|\|web\.shop\.svc\.clusterset\.local"/);
});

test("a route's ServiceImport leads to clusterset.local, or to the Service's own host without such hosts", () => {
  const route = config("HTTPRoute", "shop/web", {
    parentRefs: [{ group: "", kind: "Service", name: "front" }],
    rules: [{ backendRefs: [{ group: "example.net", kind: "ServiceImport", name: "web", port: 80 }] }],
  });
  for (const [host, wanted] of [
    [true, wide],
    [false, own],
  ] as const) {
    const { fixture } = twoClusters({ group: "example.net", host, clusterLocal: false });
    fixture.apply(service("shop/front", "10.96.0.8", {}, ports), imported(["242.0.0.1"]), route);
    const text = JSON.stringify(fixture.serve().routes()["80"]);
    assert.ok(text.includes(`"cluster":"${wanted}"`), wanted);
  }
});

test("routes of a Service do not change the host of its import", () => {
  const { fixture } = twoClusters();
  fixture.apply(
    imported(["242.0.0.1"]),
    config("HTTPRoute", "shop/web", {
      parentRefs: [{ group: "", kind: "Service", name: "web" }],
      rules: [
        { matches: [{ path: { type: "PathPrefix", value: "/only" } }], backendRefs: [{ name: "web", port: 80 }] },
      ],
    }),
  );
  const { virtualHosts = [] } = fixture.serve().routes()["80"] as { virtualHosts?: { name: string }[] };
  const [ofService, ofImport] = [own, wide].map((cluster) =>
    JSON.stringify(virtualHosts.find(({ name }) => name === `${cluster.split("|")[3]}:80`)),
  );
  assert.match(ofService ?? "", /only/);
  assert.doesNotMatch(ofImport ?? "", /only/);
});

test("debug data show what each cluster exports and imports, in upstream's form", () => {
  const { fixture, west } = twoClusters();
  fixture.apply(imported(["242.0.0.1"]));
  west.apply(imported(["242.1.0.1", "242.1.0.2"]), exported(), exported("shop/absent"));
  const registry = deriveServiceRegistry(fixture.graph, fixture.inputs);
  fixture.graph.settle();
  const none = { Exported: true, Imported: false, ClusterSetVIP: "", Discoverability: {} };
  assert.deepEqual(multiClusterServices(fixture.inputs, registry), [
    {
      Cluster: "home",
      Name: "web",
      Namespace: "shop",
      Exported: false,
      Imported: true,
      ClusterSetVIP: "242.0.0.1",
      Discoverability: null,
    },
    { Cluster: "west", Name: "absent", Namespace: "shop", ...none },
    {
      Cluster: "west",
      Name: "web",
      Namespace: "shop",
      Exported: true,
      Imported: true,
      ClusterSetVIP: "242.1.0.1",
      Discoverability: {
        "web.shop.svc.cluster.local": "AlwaysDiscoverable",
        "web.shop.svc.clusterset.local": "AlwaysDiscoverable",
      },
    },
  ]);
});

test("slices that a controller of multi-cluster services copied from other clusters are not read", () => {
  const { fixture } = twoClusters("off");
  const copy = slice("shop/web", { name: "http", port: 8080 }, [{ address: "10.9.0.1" }]);
  const labels = { ...copy.metadata.labels, "multicluster.kubernetes.io/service-name": "web" };
  fixture.apply({ ...copy, metadata: { ...copy.metadata, name: "web-copy", labels } });
  assert.deepEqual(reached(fixture, own)["home"], ["10.1.0.1", "10.2.0.1"]);
});
