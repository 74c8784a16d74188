import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { valueAt } from "../../testing/decode-resource.ts";
import { config, namespace, service, slice } from "../../testing/model-fixture.ts";
import { createOutboundFixture } from "../../testing/outbound-fixture.ts";

function chainsOf(listener: JsonObject | undefined): readonly (readonly [unknown, unknown])[] {
  const chains = (listener?.["filterChains"] ?? []) as readonly JsonObject[];
  const fallback = listener?.["defaultFilterChain"] as JsonObject | undefined;
  const leadsTo = (chain: JsonObject): JsonValue | undefined => {
    const filter = (chain["filters"] as readonly JsonObject[]).at(-1);
    const clusters = valueAt(filter, "typedConfig", "weightedClusters", "clusters") as
      | readonly JsonObject[]
      | undefined;
    return (
      valueAt(filter, "typedConfig", "cluster") ??
      clusters?.map((cluster) => cluster["name"] ?? "") ??
      valueAt(filter, "typedConfig", "rds", "routeConfigName")
    );
  };
  return [
    ...chains.map((chain) => [chain["filterChainMatch"], leadsTo(chain)] as const),
    ...(fallback === undefined ? [] : [["default", leadsTo(fallback)] as const]),
  ];
}

const detected = { transportProtocol: "raw_buffer", applicationProtocols: ["http/1.1", "h2c"] };

test("HTTP listens on all addresses and TCP on the service's own, where undeclared protocols are detected", () => {
  const { apply, serve } = createOutboundFixture();
  apply(
    namespace("shop"),
    service("shop/web", "10.96.0.5", {}, [{ name: "http", port: 80 }]),
    service("shop/raw", "10.96.0.6", {}, [
      { name: "tcp", port: 80 },
      { name: "odd", port: 7000 },
      { name: "mysql-by-number", port: 3306 },
    ]),
  );
  const listeners = serve().listeners();
  assert.deepEqual(Object.keys(listeners), [
    "0.0.0.0_80",
    "10.96.0.6_3306",
    "10.96.0.6_7000",
    "10.96.0.6_80",
    "virtualOutbound",
  ]);
  assert.deepEqual(chainsOf(listeners["0.0.0.0_80"]), [
    [detected, "80"],
    ["default", "PassthroughCluster"],
  ]);
  assert.deepEqual(chainsOf(listeners["10.96.0.6_80"]), [[undefined, "outbound|80||raw.shop.svc.cluster.local"]]);
  assert.deepEqual(chainsOf(listeners["10.96.0.6_7000"]), [
    [detected, "raw.shop.svc.cluster.local:7000"],
    ["default", "outbound|7000||raw.shop.svc.cluster.local"],
  ]);
  assert.deepEqual(
    valueAt(listeners["10.96.0.6_7000"], "listenerFilters", 0, "name"),
    "envoy.filters.listener.http_inspector",
  );
});

test("a headless service has a listener for each pod, and its clients reach the pod that they address", () => {
  const { apply, serve } = createOutboundFixture();
  apply(
    namespace("shop"),
    service("shop/db", "None", { app: "db" }, [{ name: "tcp", port: 5432 }]),
    slice("shop/db", { name: "tcp", port: 5432 }, [{ address: "10.1.0.3" }, { address: "10.1.0.4" }]),
  );
  const served = serve();
  assert.deepEqual(Object.keys(served.listeners()), ["10.1.0.3_5432", "10.1.0.4_5432", "virtualOutbound"]);
  assert.equal(served.clusters()["outbound|5432||db.shop.svc.cluster.local"]?.["type"], "ORIGINAL_DST");
  assert.equal(serve({ kind: "router" }).clusters()["outbound|5432||db.shop.svc.cluster.local"]?.["type"], "EDS");
});

test("entries without addresses are distinguished by server name and CIDR on one listener", () => {
  const { apply, serve } = createOutboundFixture();
  const tls = [{ number: 443, name: "tls", protocol: "TLS" }];
  apply(
    namespace("shop"),
    config("ServiceEntry", "shop/a", {
      hosts: ["a.example.com", "*.wild.example.com"],
      ports: tls,
      resolution: "NONE",
    }),
    config("ServiceEntry", "shop/b", {
      hosts: ["b.example.com"],
      addresses: ["10.5.0.0/16"],
      ports: [{ number: 443, name: "tcp", protocol: "TCP" }],
      resolution: "NONE",
    }),
  );
  assert.deepEqual(chainsOf(serve().listeners()["0.0.0.0_443"]), [
    [{ serverNames: ["*.wild.example.com"] }, "outbound|443||*.wild.example.com"],
    [{ serverNames: ["a.example.com"] }, "outbound|443||a.example.com"],
    [{ prefixRanges: [{ addressPrefix: "10.5.0.0", prefixLen: 16 }] }, "outbound|443||b.example.com"],
    ["default", "PassthroughCluster"],
  ]);
});

test("TCP and TLS routes of VirtualServices lead connections by destination and server name", () => {
  const { apply, serve } = createOutboundFixture();
  apply(
    namespace("shop"),
    service("shop/a", "10.96.0.5", {}, [
      { name: "tcp", port: 9000 },
      { name: "tls", port: 443 },
    ]),
    service("shop/b", "10.96.0.6", {}, [{ name: "tcp", port: 9001 }]),
    config("VirtualService", "shop/a", {
      hosts: ["a.shop.svc.cluster.local"],
      tcp: [
        {
          match: [{ port: 9000, destinationSubnets: ["10.96.0.0/24"] }],
          route: [
            { destination: { host: "b", subset: "v1" }, weight: 10 },
            { destination: { host: "a", port: { number: 9000 } }, weight: 90 },
          ],
        },
      ],
      tls: [
        { match: [{ port: 443, sniHosts: ["a.shop.svc.cluster.local"] }], route: [{ destination: { host: "b" } }] },
      ],
    }),
    config("DestinationRule", "shop/b", {
      host: "b",
      trafficPolicy: { connectionPool: { tcp: { idleTimeout: "5s" } } },
    }),
  );
  const listeners = serve().listeners();
  assert.deepEqual(chainsOf(listeners["10.96.0.5_9000"]), [
    [
      { prefixRanges: [{ addressPrefix: "10.96.0.0", prefixLen: 24 }] },
      ["outbound|9001|v1|b.shop.svc.cluster.local", "outbound|9000||a.shop.svc.cluster.local"],
    ],
    ["default", "outbound|9000||a.shop.svc.cluster.local"],
  ]);
  assert.deepEqual(chainsOf(listeners["10.96.0.5_443"]), [
    [{ serverNames: ["a.shop.svc.cluster.local"] }, "outbound|9001||b.shop.svc.cluster.local"],
    ["default", "PassthroughCluster"],
  ]);
  assert.equal(
    valueAt(listeners["10.96.0.5_443"], "filterChains", 0, "filters", 1, "typedConfig", "idleTimeout"),
    "5s",
  );
});

test("a Sidecar's egress listener has its own port, protocol and services, and may bind its port", () => {
  const { apply, serve } = createOutboundFixture();
  apply(
    namespace("shop"),
    service("shop/web", "10.96.0.5", {}, [{ name: "http", port: 80 }]),
    service("shop/raw", "10.96.0.6", {}, [
      { name: "tcp", port: 80 },
      { name: "tcp-2", port: 9000 },
    ]),
    config("Sidecar", "shop/s", {
      egress: [
        {
          port: { number: 80, protocol: "HTTP", name: "http" },
          captureMode: "NONE",
          hosts: ["./web.shop.svc.cluster.local"],
        },
        { hosts: ["./*"] },
      ],
    }),
  );
  const served = serve();
  assert.deepEqual(Object.keys(served.listeners()), ["10.96.0.6_9000", "127.0.0.1_80", "virtualOutbound"]);
  assert.deepEqual(chainsOf(served.listeners()["127.0.0.1_80"]), [[undefined, "80"]]);
  assert.equal(served.listeners()["127.0.0.1_80"]?.["bindToPort"], undefined);
  assert.ok("80" in served.routes());
});

test("a Sidecar's HTTP port has routes, whatever protocols the services declare there", () => {
  const { apply, serve } = createOutboundFixture();
  const sidecar = (protocol: string): ReturnType<typeof config> =>
    config("Sidecar", "shop/s", {
      egress: [{ port: { number: 7000, protocol, name: "own" }, hosts: ["./*"] }],
    });
  apply(
    namespace("shop"),
    service("shop/raw", "10.96.0.6", {}, [{ name: "odd", port: 7000 }]),
    service("shop/db", "10.96.0.7", {}, [{ name: "tcp", port: 7000 }]),
    sidecar("HTTP"),
  );
  const requests = serve();
  assert.deepEqual(chainsOf(requests.listeners()["0.0.0.0_7000"]), [
    [detected, "7000"],
    ["default", "PassthroughCluster"],
  ]);
  assert.deepEqual(Object.keys(requests.routes()), ["7000"]);
  assert.deepEqual(
    ((requests.routes()["7000"]?.["virtualHosts"] ?? []) as readonly JsonObject[]).map(({ name }) => name),
    ["raw.shop.svc.cluster.local:7000", "allow_any"],
  );
  apply(sidecar("TCP"));
  const connections = serve();
  assert.deepEqual(Object.keys(connections.listeners()), ["10.96.0.6_7000", "10.96.0.7_7000", "virtualOutbound"]);
  assert.deepEqual(Object.keys(connections.routes()), []);
});
