import assert from "node:assert/strict";
import { test } from "node:test";
import { many } from "../../../base/testing/index.ts";
import type { KubernetesObject } from "../../../api/index.ts";
import { endpointShare, proxyLimits, subsetShare } from "../../../api/istio/index.ts";
import { config, namespace, service, slice } from "../../testing/model-fixture.ts";
import { lowerLimits } from "../../testing/lower-limits.ts";
import { createOutboundFixture, type ServedOutbound } from "../../testing/outbound-fixture.ts";

const addressOf = (index: number): string => `10.${1 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;

function endpointsIn(served: ServedOutbound, cluster: string): number {
  const groups = (served.endpoints()[cluster]?.["endpoints"] ?? []) as { readonly lbEndpoints?: readonly object[] }[];
  return groups.reduce((sum, { lbEndpoints = [] }) => sum + lbEndpoints.length, 0);
}

function routesOf(served: ServedOutbound, isOwn: (host: string) => boolean): number {
  const tables = Object.values(served.routes()) as unknown as readonly {
    readonly virtualHosts: readonly { readonly name: string; readonly routes: readonly object[] }[];
  }[];
  return tables
    .flatMap(({ virtualHosts }) => virtualHosts.filter(({ name }) => isOwn(name)))
    .reduce((sum, { routes }) => sum + routes.length, 0);
}

test("the ports of a Service have a limit, and all clusters together have a limit of endpoints", (t) => {
  lowerLimits(t, { servicePorts: 16, clusterEndpoints: 1_024 });
  const { apply, serve } = createOutboundFixture();
  const ports = many(proxyLimits.servicePorts + 10, (index) => ({ name: `tcp-${index}`, port: index + 1 }));
  const listed = (number: number, first: number): KubernetesObject => {
    const made = slice(
      "shop/web",
      { name: "tcp-0", port: 9_000 },
      many(50, (index) => ({ address: addressOf(first + index) })),
    );
    const own = [0, 1, proxyLimits.servicePorts].map((index) => ({
      name: `tcp-${index}`,
      port: 9_000,
      protocol: "TCP",
    }));
    return { ...made, metadata: { ...made.metadata, name: `web-${number}` }, ports: own } as KubernetesObject;
  };
  apply(namespace("shop"), service("shop/web", "10.96.0.1", {}, ports), listed(2, 50), listed(1, 0));
  const served = serve();
  const clusters = Object.keys(served.clusters()).filter((name) => name.endsWith("|web.shop.svc.cluster.local"));
  assert.equal(clusters.length, proxyLimits.servicePorts);
  const share = endpointShare(proxyLimits.servicePorts);
  assert.equal(share, 64);
  assert.deepEqual(
    [1, 2, 3].map((port) => endpointsIn(served, `outbound|${port}||web.shop.svc.cluster.local`)),
    [share, share, 0],
  );
});

test("the workloads that a ServiceEntry selects are endpoints of its clusters up to a limit, the first ones by name", (t) => {
  lowerLimits(t, { clusterEndpoints: 4_096 });
  const { apply, serve } = createOutboundFixture();
  const entry = (hosts: number): KubernetesObject =>
    config("ServiceEntry", "shop/vms", {
      hosts: many(hosts, (index) => `h${index}.example`),
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      resolution: "STATIC",
      location: "MESH_INTERNAL",
      workloadSelector: { labels: { app: "vm" } },
    });
  const workloads = many(70, (index) =>
    config("WorkloadEntry", `shop/vm-${100 + index}`, { address: addressOf(index), labels: { app: "vm" } }),
  );
  apply(namespace("shop"), ...workloads.toReversed(), entry(58));
  assert.equal(endpointsIn(serve(), "outbound|80||h0.example"), 70);
  apply(entry(64));
  const served = serve();
  assert.equal(endpointsIn(served, "outbound|80||h63.example"), 64);
  assert.match(JSON.stringify(served.endpoints()["outbound|80||h0.example"]), /"10\.1\.0\.63"/);
  assert.doesNotMatch(JSON.stringify(served.endpoints()["outbound|80||h0.example"]), /"10\.1\.0\.64"/);
});

test("a VirtualService has a limited number of routes in a sidecar, whether ports or a wildcard multiply them", (t) => {
  lowerLimits(t, { routes: 2_000 });
  const routes = many(50, (index) => ({
    match: [{ uri: { prefix: `/${index}` } }],
    route: [{ destination: { host: "web" } }],
  }));
  // The size of a rule is rounded up to a power of two.
  const perPort = 64;
  const ports = createOutboundFixture();
  ports.apply(
    namespace("shop"),
    service(
      "shop/web",
      "10.96.0.1",
      {},
      many(50, (index) => ({ name: `http-${index}`, port: 1_000 + index })),
    ),
    config("VirtualService", "shop/web", { hosts: ["web"], http: routes }),
  );
  const whole = Math.floor(proxyLimits.routes / perPort);
  assert.equal(
    routesOf(ports.serve(), (host) => host.startsWith("web.")),
    whole * 50 + (50 - whole),
    "the other ports have the route of the service",
  );
  const wildcard = createOutboundFixture();
  wildcard.apply(
    namespace("shop"),
    config("ServiceEntry", "shop/all", {
      hosts: many(50, (index) => `h${index}.example`),
      ports: many(2, (index) => ({ number: 8_000 + index, name: `http-${index}`, protocol: "HTTP" })),
      resolution: "DNS",
    }),
    config("VirtualService", "shop/all", { hosts: ["*.example"], http: routes.slice(0, 25) }),
  );
  assert.equal(
    routesOf(wildcard.serve(), (host) => host.includes(".example")),
    50 * 25 + 50,
    "it applies to one of the two ports",
  );
});

test("subsets of a rule for a wildcard have a limit, and subsets share a service's limit of endpoints", (t) => {
  lowerLimits(t, { subsetClusters: 512, clusterEndpoints: 16_384 });
  const { apply, serve } = createOutboundFixture();
  const ports = many(8, (index) => ({ name: `tcp-${index}`, port: index + 1 }));
  const made = slice(
    "shop/web",
    { name: "tcp-0", port: 9_000 },
    many(100, (index) => ({ address: addressOf(index) })),
  );
  const subsets = many(100, (index) => ({ name: `s${index}` }));
  apply(
    namespace("shop"),
    service("shop/web", "10.96.0.1", {}, ports),
    made,
    config("DestinationRule", "shop/web", { host: "web", subsets }),
  );
  const host = "web.shop.svc.cluster.local";
  assert.deepEqual(
    [endpointsIn(serve(), `outbound|1||${host}`), endpointsIn(serve(), `outbound|1|s0|${host}`)],
    [100, endpointShare(512)],
  );
  apply(config("DestinationRule", "shop/web", { host: "*.local", subsets }));
  const clusters = Object.keys(serve().clusters()).filter((name) => name.startsWith("outbound|1|"));
  assert.equal(clusters.length, 1 + subsetShare("*.local", 8));
});
