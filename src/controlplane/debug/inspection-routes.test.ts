import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { DeltaDiscoveryRequestSchema } from "../../wire/discovery/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { envoyTypes } from "../envoy-types-file.ts";
import { config, namespace, pod, service, slice } from "../testing/model-fixture.ts";
import { createServedFixture } from "../testing/served-fixture.ts";
import { inspectionRoutes, withIndex } from "./inspection-routes.ts";
import { multiClusterServices } from "./multi-cluster-answer.ts";

const policy = config("AuthorizationPolicy", "shop/only", { rules: [{}] });
const telemetry = config("Telemetry", "istio-system/all", { tracing: [] });
const objects = [
  namespace("shop"),
  pod("shop/web-1", "10.244.0.1", { labels: { app: "web" }, account: "web" }),
  service("shop/web", "10.96.0.1", { app: "web" }, [{ name: "http", port: 80, targetPort: 8080 }]),
  slice("shop/web", { name: "http", port: 8080 }, [{ address: "10.244.0.1", pod: "web-1" }]),
  service("other/api", "10.96.0.2", { app: "api" }, [{ name: "tcp", port: 90 }]),
  policy,
  telemetry,
];

function setUp() {
  const { mesh, write } = createServedFixture();
  mesh.graph.batch(() => objects.forEach(write));
  const client = mesh.discovery.connect("delta", { write: () => true }, () => false);
  const node = { id: "sidecar~10.244.0.1~web-1.shop~shop.svc.cluster.local", metadata: { NAMESPACE: "shop" } };
  client.receive(
    toBinary(
      DeltaDiscoveryRequestSchema,
      create(DeltaDiscoveryRequestSchema, {
        typeUrl: typeUrls.endpoint,
        resourceNamesSubscribe: ["outbound|80||web.shop.svc.cluster.local"],
        node,
      }),
    ),
  );
  const kindOf = (group: string, kind: string) => ({ group, versions: ["v1"], kind });
  const routes = withIndex(
    inspectionRoutes({
      ...mesh.model,
      ambient: mesh.ambient,
      discovery: mesh.discovery,
      configuration: () =>
        [
          { kind: kindOf("security.istio.io", "AuthorizationPolicy"), informer: { list: () => [policy] } },
          { kind: kindOf("telemetry.istio.io", "Telemetry"), informer: { list: () => [telemetry] } },
        ] as never,
      rootNamespace: () => "istio-system",
      isClusterLocal: () => false,
      multiCluster: () => multiClusterServices(mesh.inputs, mesh.model.registry),
      meshConfig: () => ({ trustDomain: "cluster.local" }),
      types: envoyTypes,
    }),
  );
  const get = async (
    path: string,
  ): Promise<{ readonly status: number; readonly body: string; readonly value: never }> => {
    const url = new URL(path, "http://localhost");
    const { status, body } = (await routes[url.pathname]?.(url)) ?? assert.fail(path);
    return { status, body, value: (/^[[{]/.test(body) ? JSON.parse(body) : undefined) as never };
  };
  return { get };
}

test("sidecarz shows in upstream's form what a sidecar may reach, and names an unknown proxy", async () => {
  const { get } = setUp();
  const scope: {
    readonly name: string;
    readonly namespace: string;
    readonly outboundTrafficPolicy: object;
    readonly services: readonly { readonly hostname: string }[];
    readonly egressListenerServices: readonly unknown[];
    readonly servicesByHostname: object;
    readonly sidecar: null;
  } = (await get("/debug/sidecarz?proxyID=web-1.shop")).value;
  assert.deepEqual(
    [scope.name, scope.namespace, scope.sidecar, scope.outboundTrafficPolicy],
    ["default-sidecar", "shop", null, { mode: "ALLOW_ANY" }],
  );
  assert.deepEqual(scope.services.map(({ hostname }) => hostname).toSorted(), [
    "api.other.svc.cluster.local",
    "web.shop.svc.cluster.local",
  ]);
  assert.deepEqual([scope.egressListenerServices.length, Object.keys(scope.servicesByHostname).length], [1, 2]);
  assert.equal((await get("/debug/sidecarz")).status, 400);
  assert.equal((await get("/debug/sidecarz?proxyID=nobody")).status, 404);
});

test("krtz lists collections with their sizes; paths without a counterpart answer 501 and are not listed", async () => {
  const { get } = setUp();
  const collections: readonly {
    readonly name: string;
    readonly state: { readonly synced: boolean; readonly size: number };
  }[] = (await get("/debug/krtz")).value;
  assert.deepEqual(collections.find(({ name }) => name === "outbound-scopes")?.state.synced, true);
  const listed: readonly string[] = (await get("/debug/list")).value;
  assert.ok(listed.includes("krtz") && listed.includes("sidecarz"));
  for (const path of ["cachez", "inject", "push_status", "pushcontext"]) {
    const { status, body } = await get(`/debug/${path}`);
    assert.deepEqual([status, listed.includes(path), body.length > 50], [501, false, true], path);
  }
});

test("registryz and endpointz show services and endpoints in upstream's form, optionally of one namespace", async () => {
  const { get } = setUp();
  const services: readonly {
    readonly hostname: string;
    readonly Attributes: object;
    readonly ports: unknown;
    readonly Resolution: number;
    readonly defaultAddress: string;
  }[] = (await get("/debug/registryz")).value;
  assert.deepEqual(
    services.map(({ hostname }) => hostname),
    ["api.other.svc.cluster.local", "web.shop.svc.cluster.local"],
  );
  const [web] = (await get("/debug/registryz?namespace=shop")).value as typeof services;
  assert.deepEqual(
    [web?.ports, web?.Resolution, web?.defaultAddress],
    [[{ name: "http", port: 80, protocol: "HTTP" }], 0, "10.96.0.1"],
  );
  const shards: Record<
    string,
    Record<
      string,
      { readonly Shards: Record<string, readonly Record<string, unknown>[]>; readonly ServiceAccounts: unknown }
    >
  > = (await get("/debug/endpointShardz")).value;
  assert.deepEqual(Object.keys(shards), ["web.shop.svc.cluster.local"]);
  const { Shards: found, ServiceAccounts: accounts } = shards["web.shop.svc.cluster.local"]?.["shop"] ?? assert.fail();
  const [endpoint] = found["Kubernetes/Kubernetes"] ?? [];
  assert.deepEqual(
    [endpoint?.["Addresses"], endpoint?.["EndpointPort"], endpoint?.["ServicePortName"], endpoint?.["Namespace"]],
    [["10.244.0.1"], 8080, "http", "shop"],
  );
  assert.deepEqual(accounts, ["spiffe://cluster.local/ns/shop/sa/web"]);
  assert.equal((await get("/debug/endpointz")).body, (await get("/debug/endpointShardz")).body);
});

test("adsz shows connected proxies, what they watch and serve, and one proxy's resources of a type", async () => {
  const { get } = setUp();
  const {
    totalClients,
    clients,
  }: { readonly totalClients: number; readonly clients: readonly Record<string, unknown>[] } = (
    await get("/debug/adsz")
  ).value;
  assert.equal(totalClients, 1);
  assert.match(String(clients[0]?.["connectionId"]), /^web-1\.shop-\d+$/);
  assert.deepEqual(
    [clients[0]?.["address"], clients[0]?.["watches"]],
    ["10.244.0.1", { [typeUrls.endpoint]: ["outbound|80||web.shop.svc.cluster.local"] }],
  );
  assert.deepEqual(Object.keys(((await get("/debug/connections")).value as { clients: object[] }).clients[0] ?? {}), [
    "connectionId",
    "connectedAt",
    "address",
  ]);
  const instances: Record<
    string,
    readonly { readonly Service: { readonly hostname: string }; readonly Port: unknown }[]
  > = (await get("/debug/instancesz")).value;
  assert.deepEqual(
    instances["web-1.shop"]?.map(({ Service: { hostname }, Port }) => [hostname, Port]),
    [["web.shop.svc.cluster.local", { name: "http", port: 80, protocol: "HTTP", TargetPort: 8080 }]],
  );
  const { configs }: { readonly configs: readonly Record<string, unknown>[] } = (
    await get("/debug/edsz?proxyID=web-1.shop")
  ).value;
  assert.deepEqual(
    configs.map((one) => [one["@type"], one["cluster_name"]]),
    [[typeUrls.endpoint, "outbound|80||web.shop.svc.cluster.local"]],
  );
  assert.deepEqual((await get("/debug/ndsz?proxyID=web-1.shop")).value, { configs: [] }, "it has not asked for names");
  assert.deepEqual([(await get("/debug/edsz")).status, (await get("/debug/edsz?proxyID=nobody")).status], [400, 404]);
});

test("configz shows objects by kind and namespace, and the mesh config is shown too", async () => {
  const { get } = setUp();
  assert.deepEqual(
    ((await get("/debug/configz")).value as { kind: string; apiVersion: string }[]).map(
      ({ apiVersion, kind }) => `${apiVersion} ${kind}`,
    ),
    ["security.istio.io/v1 AuthorizationPolicy", "telemetry.istio.io/v1 Telemetry"],
  );
  assert.equal(((await get("/debug/configz?namespace=shop")).value as unknown[]).length, 1);
  assert.deepEqual((await get("/debug/resourcesz")).value, [
    { group: "security.istio.io", version: "v1", kind: "AuthorizationPolicy" },
    { group: "telemetry.istio.io", version: "v1", kind: "Telemetry" },
  ]);
  assert.deepEqual((await get("/debug/authorizationz")).value, {
    authorization_policies: {
      namespace_to_policies: { shop: [{ name: "only", namespace: "shop", annotations: null, spec: { rules: [{}] } }] },
      root_namespace: "istio-system",
    },
  });
  assert.deepEqual((await get("/debug/telemetryz")).value, {
    telemetries: {
      namespace_to_telemetries: { "istio-system": [{ name: "all", namespace: "istio-system", spec: { tracing: [] } }] },
      root_namespace: "istio-system",
    },
  });
  assert.deepEqual((await get("/debug/mesh")).value, { trustDomain: "cluster.local" });
  assert.deepEqual((await get("/debug/networkz")).value, []);
});

test("ambientz shows the workloads of ztunnels with readable addresses", async () => {
  const { get } = setUp();
  const {
    workloads,
    services,
  }: {
    readonly workloads: readonly { readonly name: string; readonly addresses: readonly string[] }[];
    readonly services: readonly { readonly hostname: string }[];
  } = (await get("/debug/ambientz")).value;
  const text = (base64: string | undefined): string => Buffer.from(base64 ?? "", "base64").toString();
  assert.deepEqual(
    workloads.map(({ name, addresses }) => [name, text(addresses[0])]),
    [["web-1", "10.244.0.1"]],
  );
  assert.ok(services.some(({ hostname }) => hostname === "web.shop.svc.cluster.local"));
});

test("an answer has a maximum size, above which a list must be requested by namespace", async () => {
  const routes = inspectionRoutes({
    configuration: () => [
      {
        kind: { group: "security.istio.io", versions: ["v1"], kind: "AuthorizationPolicy" },
        informer: { list: () => Array.from({ length: 20_001 }, () => policy) },
      },
    ],
  } as never);
  const { status, body } =
    (await routes["/debug/configz"]?.(new URL("http://localhost/debug/configz"))) ?? assert.fail();
  assert.deepEqual([status, /more than 20000 entries.*\?namespace=/.test(body)], [413, true]);
});

test("authorizationz shows the policies of a namespace that is called like a function of JavaScript", async () => {
  const own = { ...policy, metadata: { ...policy.metadata, namespace: "constructor" } };
  const routes = inspectionRoutes({
    configuration: () => [
      {
        kind: { group: "security.istio.io", versions: ["v1"], kind: "AuthorizationPolicy" },
        informer: { list: () => [own] },
      },
    ],
    rootNamespace: () => "istio-system",
  } as never);
  const { body } =
    (await routes["/debug/authorizationz"]?.(new URL("http://localhost/debug/authorizationz"))) ?? assert.fail();
  const { authorization_policies: found } = JSON.parse(body) as {
    readonly authorization_policies: { readonly namespace_to_policies: Readonly<Record<string, readonly unknown[]>> };
  };
  assert.equal(found.namespace_to_policies["constructor"]?.length, 1);
});

test("all paths are listed, as upstream does", async () => {
  const { get } = setUp();
  const listed: readonly string[] = (await get("/debug/list")).value;
  for (const path of [
    "adsz",
    "edsz",
    "endpointShardz",
    "registryz",
    "configz",
    "mesh",
    "networkz",
    "mcsz",
    "ambientz",
    "syncz",
  ])
    assert.ok(listed.includes(path), path);
  assert.equal(listed.includes("list"), false);
  assert.match((await get("/debug")).body, /<a href="\/debug\/list">/);
});
