import assert from "node:assert/strict";
import { test } from "node:test";
import type { HttpMatch } from "../../../api/istio/index.ts";
import type { ServiceModel } from "../../model/service/service-model.ts";
import type { VirtualServiceShape } from "../../model/routing/virtual-service-shape.ts";
import { testMesh } from "../../testing/model-fixture.ts";
import { planTables } from "./outbound-host-plan.ts";
import type { PlannedPort } from "./planned-port.ts";
import type { ResolvedService } from "./outbound-route.ts";

function resolved(name: string, own: Partial<ServiceModel> = {}): ResolvedService {
  const [namespace = "", hostname = ""] = name.split("/");
  const port = { name: "http", port: 80, protocol: "http", target: 0 } as const;
  const base = {
    registry: "Kubernetes",
    name: hostname,
    objectName: hostname,
    createdAt: "",
    labels: {},
    resolution: "endpoints",
    addresses: [],
    meshExternal: false,
    visibleIn: ["*"],
    selector: {},
    subjectAltNames: [],
    aliasOf: "",
    preference: "none",
  } as const;
  return {
    service: {
      ...base,
      namespace,
      hostname: own.registry === "External" ? hostname : `${hostname}.${namespace}.svc.cluster.local`,
      ports: [port],
      ...own,
    },
    port,
  };
}

function shape(name: string, hosts: readonly string[], match: Partial<HttpMatch> = {}): VirtualServiceShape {
  const [namespace = "", own = ""] = name.split("/");
  const whole: HttpMatch = {
    headers: {},
    withoutHeaders: {},
    queryParams: {},
    ignoreUriCase: false,
    sourceLabels: {},
    gateways: [],
    ...match,
  };
  const [host = ""] = hosts;
  return {
    namespace,
    name: own,
    createdAt: "",
    hosts,
    gateways: ["mesh"],
    visibleIn: ["*"],
    http: [{ match: Object.keys(match).length === 0 ? [] : [whole], destinations: [{ host }] }],
    layer4: [],
    units: 1,
  };
}

const services = [
  resolved("shop/web", { addresses: ["10.0.0.1"] }),
  resolved("shop/cart", { addresses: ["10.0.0.2"] }),
  resolved("stock/web", { addresses: ["10.0.0.3"] }),
  resolved("stock/api", { addresses: ["10.0.0.3"] }),
  resolved("stock/sticky"),
  resolved("edge/pods", { resolution: "passthrough" }),
  resolved("edge/example.com", { registry: "External" }),
  resolved("edge/named.shop.svc.cluster.local", { registry: "External" }),
];
const [{ service: web }] = services as [ResolvedService, ...ResolvedService[]];

function planned(namespace: string, own: Partial<PlannedPort> = {}, labels = {}): PlannedPort {
  const port = {
    scope: namespace,
    namespace,
    labels,
    clusterId: undefined,
    dnsCapture: false,
    unknownTraffic: "ALLOW_ANY" as const,
    egressProxy: undefined,
    port: 80,
    protocol: undefined,
    bind: undefined,
    bindsToPort: false,
    services: [],
    shared: undefined,
    virtualServices: [],
    withheld: [],
  };
  return {
    port,
    mesh: testMesh,
    services,
    virtualServices: [],
    serviceOf: () => undefined,
    httpRoutesOf: undefined,
    aliased: [],
    aliasesOf: () => [],
    targetOf: () => undefined,
    hashing: [],
    ...own,
  };
}

/** A route to an ExternalName Service that is not among the services of the port. */
const toOld = { match: [], destinations: [{ host: "old.stock.svc.cluster.local" }] };

/** For every client, the wildcard applies to a host without its own VirtualService. */
const ofOneHost = [
  shape("shop/all", ["*.svc.cluster.local"]),
  shape("shop/labels", [web.hostname], { sourceLabels: { app: "a" } }),
  shape("shop/port", [web.hostname], { port: 8080 }),
  shape("shop/stock", [web.hostname], { sourceNamespace: "stock" }),
  shape("shop/first", [web.hostname], { sourceNamespace: "shop" }),
  shape("shop/second", [web.hostname], { sourceNamespace: "shop" }),
];

const meshes: Readonly<Record<string, Partial<PlannedPort>>> = {
  "services alone": {},
  "a service that clients are sticky to": { hashing: ["*.stock.svc.cluster.local"] },
  "a service with an alias": {
    aliased: [web.hostname],
    aliasesOf: (host) => (host === web.hostname ? ["old.stock.svc.cluster.local", "shop.example.com"] : []),
  },
  "an alias by which another service goes": {
    aliased: [web.hostname],
    aliasesOf: (host) => (host === web.hostname ? ["api.stock.svc.cluster.local"] : []),
  },
  "a VirtualService that sends requests to an alias of another port": {
    aliased: [web.hostname],
    targetOf: (alias) => (alias === "old.stock.svc.cluster.local" ? web.hostname : undefined),
    virtualServices: [{ ...shape("stock/api", ["api.stock.svc.cluster.local"]), http: [toOld] }],
  },
  "a VirtualService of an alias": {
    services: [...services, resolved("stock/old", { resolution: "alias", aliasOf: web.hostname })],
    aliased: [web.hostname],
    aliasesOf: (host) => (host === web.hostname ? ["old.stock.svc.cluster.local"] : []),
    targetOf: (alias) => (alias === "old.stock.svc.cluster.local" ? web.hostname : undefined),
    virtualServices: [shape("stock/old", ["old.stock.svc.cluster.local"])],
  },
  "VirtualServices, also of hosts that nobody knows": {
    virtualServices: [
      shape("shop/web", [web.hostname, "unknown.example.com"]),
      shape("stock/all", ["*.stock.svc.cluster.local"]),
    ],
  },
  "a VirtualService for clients of one namespace": {
    virtualServices: [shape("shop/web", [web.hostname], { sourceNamespace: "shop" })],
  },
  "a VirtualService for some clients": {
    virtualServices: [shape("shop/web", [web.hostname], { sourceLabels: { app: "a" } })],
  },
  "VirtualServices of one host for different clients, and one for all hosts": { virtualServices: ofOneHost },
  "a host that is another one's short name": {
    services: [
      ...services,
      resolved("edge/web", { registry: "External" }),
      resolved("edge/api", { registry: "External" }),
    ],
  },
  "two services of one address only": {
    services: [
      resolved("a/one", { addresses: ["10.0.0.9"], hostname: "10.0.0.9" }),
      resolved("b/two", { addresses: ["10.0.0.9"] }),
    ],
  },
};

for (const [name, mesh] of Object.entries(meshes)) {
  test(`clients' shared hosts plus each one's own hosts equal a derivation for that client alone: ${name}`, () => {
    for (const [namespace, labels] of [
      ["shop", {}],
      ["stock", {}],
      ["edge", {}],
      ["elsewhere", {}],
      ["shop", { app: "a" }],
    ] as const) {
      const port = planned(namespace, mesh, labels);
      // The common hosts are not used if routes must be searched.
      assert.deepEqual(
        planTables(port),
        planTables({ ...port, httpRoutesOf: () => [] }),
        `${namespace} ${JSON.stringify(labels)}`,
      );
    }
  });
}

test("clients without a difference share the same host objects", () => {
  const [[one], [other], [own]] = [
    planTables(planned("here")),
    planTables(planned("there")),
    planTables(planned("shop")),
  ];
  assert.ok(one?.hosts.every((host, index) => host === other?.hosts[index]));
  assert.deepEqual(
    own?.hosts.filter((host, index) => host !== one?.hosts[index]).map(({ host }) => host),
    ["cart.shop.svc.cluster.local", "named.shop.svc.cluster.local", "web.shop.svc.cluster.local"],
  );
});

test("a route to an ExternalName Service reaches the host that it points to, whatever the Service's own ports are", () => {
  const [table] = planTables(
    planned("stock", {
      aliased: [web.hostname],
      targetOf: (alias) => (alias === "old.stock.svc.cluster.local" ? web.hostname : undefined),
      virtualServices: [{ ...shape("stock/api", ["api.stock.svc.cluster.local"]), http: [toOld] }],
    }),
  );
  const source = table?.hosts.find(({ host }) => host === "api.stock.svc.cluster.local")?.source;
  assert.deepEqual(source?.from === "virtual-service" ? [...(source.destinations ?? [])] : source, [
    ["old.stock.svc.cluster.local", web.hostname],
  ]);
});

test("a VirtualService of an ExternalName Service applies to its name, and the rest goes to the host it points to", () => {
  const old = "old.stock.svc.cluster.local";
  const aliases: Partial<PlannedPort> = {
    services: [...services, resolved("stock/old", { resolution: "alias", aliasOf: web.hostname })],
    aliased: [web.hostname],
    aliasesOf: (host) => (host === web.hostname ? [old] : []),
  };
  const hostOf = (own: Partial<PlannedPort>, domain: string): string | undefined =>
    planTables(planned("edge", { ...aliases, ...own }))[0]?.hosts.find(({ domains }) => domains.includes(domain))?.host;
  assert.equal(hostOf({}, old), web.hostname);
  assert.equal(hostOf({ virtualServices: [shape("stock/old", [old])] }, old), old);
  assert.equal(hostOf({ virtualServices: [shape("stock/old", [old])] }, "old.stock"), old);
  assert.equal(hostOf({ virtualServices: [shape("stock/old", [old])] }, web.hostname), web.hostname);
});

test("if several VirtualServices have one host, a client gets the first one that has routes for the client", () => {
  const sourceOf = (namespace: string, labels = {}): string | undefined => {
    const [table] = planTables(planned(namespace, { virtualServices: ofOneHost }, labels));
    const source = table?.hosts.find(({ host }) => host === web.hostname)?.source;
    return source?.from === "virtual-service" ? source.virtualService : source?.from;
  };
  assert.deepEqual(
    [sourceOf("shop", { app: "a" }), sourceOf("stock"), sourceOf("shop"), sourceOf("edge")],
    ["shop/labels", "shop/stock", "shop/first", "service"],
  );
});
