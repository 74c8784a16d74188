import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { many } from "../../base/testing/index.ts";
import type { KubernetesObject } from "../../api/index.ts";
import { config, namespace, service } from "../testing/model-fixture.ts";
import { lowerLimits } from "../testing/lower-limits.ts";
import { createServedFixture } from "../testing/served-fixture.ts";
import { DeltaDiscoveryRequestSchema } from "../../wire/discovery/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";

const ports = (count: number): readonly object[] =>
  many(count, (index) => ({ name: `http-${index}`, port: index + 1 }));

/** The reports before and after a change that brings everything within the limits. */
function reports(
  present: readonly KubernetesObject[],
  mended: KubernetesObject,
): readonly (readonly (readonly [string, string])[])[] {
  const { mesh, change } = createServedFixture();
  const found = (): readonly (readonly [string, string])[] =>
    Object.entries(mesh.limits).flatMap(([kind, messages]) =>
      [...messages.entries()].map(([key, message]) => [`${kind} ${key}`, message] as const),
    );
  const client = mesh.discovery.connect("delta", { write: () => true }, () => false);
  const node = {
    id: "router~10.0.0.1~ingress.edge~edge.svc.cluster.local",
    metadata: { LABELS: { istio: "ingressgateway" } },
  };
  client.receive(
    toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, { typeUrl: typeUrls.listener, node })),
  );
  change([namespace("shop"), ...present]);
  const before = found();
  change([mended]);
  return [before, found()];
}

test("subsets without clusters are reported at the rule that contains them, even if two rules share a host", () => {
  const subsets = (start: string): object[] => [...many(30, (index) => ({ name: `${start}${index}` }))];
  const rule = (name: string, spec: object): KubernetesObject =>
    config("DestinationRule", `shop/${name}`, { host: "web", ...spec });
  assert.deepEqual(
    reports(
      [
        service("shop/web", "10.96.0.1", {}, ports(100)),
        rule("a", { subsets: subsets("a") }),
        rule("b", { subsets: subsets("b") }),
      ],
      rule("b", { subsets: subsets("b").slice(0, 10) }),
    ),
    [
      [
        [
          "DestinationRule shop/b",
          'spec.subsets: 20 subsets, from "b10" on, have no effect: each subset is a cluster for each of the 100 ports of web.shop.svc.cluster.local, and all subsets may have 4096 clusters in a proxy, so 40 subsets count; remove subsets or ports',
        ],
      ],
      [],
    ],
  );
});

test("workloads that do not count are reported at the ServiceEntry that selects them", (t) => {
  lowerLimits(t, { clusterEndpoints: 4_096 });
  const entry = (hosts: number): KubernetesObject =>
    config("ServiceEntry", "shop/vms", {
      hosts: many(hosts, (index) => `h${index}.example`),
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      resolution: "STATIC",
      workloadSelector: { labels: { app: "vm" } },
    });
  const workloads = many(65, (index) =>
    config("WorkloadEntry", `shop/vm-${index}`, { address: `10.0.0.${index}`, labels: { app: "vm" } }),
  );
  assert.deepEqual(reports([...workloads, entry(64)], entry(60)), [
    [
      [
        "ServiceEntry shop/vms",
        "spec.workloadSelector: 1 of 65 workloads have no effect: each is an endpoint of 64 clusters, one for each host and port, and all clusters may have 4096 endpoints in a proxy; use fewer ports, hosts or workloads",
      ],
    ],
    [],
  ]);
});

test("servers and ports at which a VirtualService has no routes are reported", (t) => {
  lowerLimits(t, { routes: 2_000 });
  const http = many(50, (index) => ({
    match: [{ uri: { prefix: `/${index}` } }],
    route: [{ destination: { host: "web" } }],
  }));
  const gateway = (servers: number): KubernetesObject => ({
    ...config("Gateway", "shop/many", {
      selector: { istio: "ingressgateway" },
      servers: many(servers, (index) => ({
        port: { number: 8_000 + index, name: `http-${index}`, protocol: "HTTP" },
        hosts: ["*"],
      })),
    }),
    apiVersion: "networking.istio.io/v1",
  });
  const [before, after] = reports(
    [gateway(45), config("VirtualService", "shop/all", { hosts: ["a.example"], gateways: ["many"], http })],
    gateway(40),
  );
  assert.deepEqual(
    [before, after],
    [
      [
        [
          "VirtualService shop/all",
          "spec: the 50 routes have no effect at 5 servers of its Gateways, from port 8040 of shop/many on: each server and port has all of them for each host, and a proxy may have 2000 routes of all VirtualServices of a namespace; use fewer routes, hosts or servers",
        ],
      ],
      [],
    ],
  );
});
