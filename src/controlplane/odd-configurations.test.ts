import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { KubernetesObject } from "../api/index.ts";
import { DeltaDiscoveryRequestSchema, DeltaDiscoveryResponseSchema } from "../wire/discovery/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { config, namespace, node, pod, service, slice } from "./testing/model-fixture.ts";
import { createServedFixture } from "./testing/served-fixture.ts";

const http = { number: 80, name: "http", protocol: "HTTP" };
const webPort = { name: "http", port: 80, targetPort: 8080 };
const domain = "svc.cluster.local";

function busyMesh() {
  const { mesh, change } = createServedFixture();
  let bytes = 0;
  const clients: (() => void)[] = [];
  const connect = (id: string, metadata: Record<string, unknown>, wanted: readonly string[]): void => {
    const received: { readonly typeUrl: string; readonly nonce: string }[] = [];
    const write = (parts: readonly Buffer[]): boolean => {
      const { typeUrl, nonce } = fromBinary(DeltaDiscoveryResponseSchema, Buffer.concat(parts));
      bytes += parts.reduce((sum, part) => sum + part.length, 0);
      received.push({ typeUrl, nonce });
      return true;
    };
    const client = mesh.discovery.connect("delta", { write }, () => true);
    const send = (request: object): void =>
      client.receive(
        toBinary(
          DeltaDiscoveryRequestSchema,
          create(DeltaDiscoveryRequestSchema, {
            node: { id, metadata: metadata as Record<string, string> },
            ...request,
          }),
        ),
      );
    for (const typeUrl of wanted) send({ typeUrl, resourceNamesSubscribe: ["*"] });
    clients.push(() => {
      for (const { typeUrl, nonce } of received.splice(0)) send({ typeUrl, responseNonce: nonce });
    });
  };
  const sidecar = pod("shop/web-1", "10.1.0.1", { labels: { app: "web" }, redirected: false }) as KubernetesObject & {
    spec: { containers: object[] };
  };
  sidecar.spec.containers.push({ name: "istio-proxy", args: ["proxy", "sidecar"], env: [] });
  const waypointLabels = {
    "gateway.networking.k8s.io/gateway-name": "wp",
    "gateway.istio.io/managed": "istio.io-mesh-controller",
  };
  change([
    namespace("istio-system"),
    namespace("shop"),
    namespace("team", { "istio.io/dataplane-mode": "ambient", "istio.io/use-waypoint": "wp" }),
    node("node-1", "a"),
    sidecar,
    service("shop/web", "10.96.0.1", { app: "web" }, [webPort]),
    slice("shop/web", { name: "http", port: 8080 }, [{ address: "10.1.0.1", pod: "web-1" }]),
    service("team/api", "10.96.0.2", { app: "api" }, [webPort]),
    pod("team/api-1", "10.1.0.2", { labels: { app: "api" } }),
    slice("team/api", { name: "http", port: 8080 }, [{ address: "10.1.0.2", pod: "api-1" }]),
    pod("team/wp-1", "10.1.0.9", { labels: waypointLabels }),
    pod("istio-system/gw-1", "10.1.0.8", { labels: { istio: "ingressgateway" }, redirected: false }),
    {
      kind: "GatewayClass",
      metadata: { name: "istio" },
      spec: { controllerName: "istio.io/gateway-controller" },
    } as KubernetesObject,
    {
      kind: "GatewayClass",
      metadata: { name: "istio-waypoint" },
      spec: { controllerName: "istio.io/mesh-controller" },
    } as KubernetesObject,
    waypoint("team/wp"),
  ]);
  const l7 = [typeUrls.cluster, typeUrls.listener, typeUrls.endpoint, typeUrls.route];
  connect("sidecar~10.1.0.1~web-1.shop~shop.svc.cluster.local", { NAMESPACE: "shop", LABELS: { app: "web" } }, l7);
  connect(
    "router~10.1.0.8~gw-1.istio-system~istio-system.svc.cluster.local",
    { NAMESPACE: "istio-system", LABELS: { istio: "ingressgateway" } },
    l7,
  );
  connect("waypoint~10.1.0.9~wp-1.team~team.svc.cluster.local", { NAMESPACE: "team", LABELS: waypointLabels }, l7);
  connect("ztunnel~10.9.0.1~z-1.istio-system~istio-system.svc.cluster.local", {}, [
    typeUrls.address,
    typeUrls.authorization,
  ]);
  const changed = (objects: readonly KubernetesObject[]): void => {
    change(objects);
    for (const acknowledge of clients) acknowledge();
    mesh.discovery.flush();
  };
  changed([]);
  changed([]);
  return {
    change: changed,
    computed: (): number => mesh.graph.collections.reduce((sum, { stats }) => sum + stats.recomputations, 0),
    bytes: (): number => bytes,
  };
}

function waypoint(key: string, labels: object = {}): KubernetesObject {
  return {
    ...config(
      "Gateway",
      key,
      {
        gatewayClassName: "istio-waypoint",
        listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE", allowedRoutes: { namespaces: { from: "All" } } }],
      },
      { labels },
    ),
    apiVersion: "gateway.networking.k8s.io/v1",
  };
}

function gatewayApi(object: KubernetesObject): KubernetesObject {
  return { ...object, apiVersion: "gateway.networking.k8s.io/v1" };
}

function alias(name: string, externalName: string): KubernetesObject {
  const spec = { type: "ExternalName", externalName, ports: [webPort] };
  return { kind: "Service", metadata: { name, namespace: "shop" }, spec } as KubernetesObject;
}

function indexes(size: number): readonly number[] {
  return Array.from({ length: size }, (_, index) => index);
}

/** Configurations whose objects refer to each other in a circle, or overlap. Each has `size` objects. */
const shapes: Readonly<Record<string, (size: number) => readonly KubernetesObject[]>> = {
  "delegates in a ring, and one to itself": (size) => [
    ...indexes(size).map((index) =>
      config("VirtualService", `shop/d-${index}`, {
        http: [
          {
            match: [{ uri: { prefix: `/${index}` } }],
            delegate: { name: `d-${(index + 1) % size}`, namespace: "shop" },
          },
        ],
      }),
    ),
    ...indexes(size).map((index) =>
      config("VirtualService", `shop/r-${index}`, {
        hosts: [`r-${index}.example.com`],
        http: [{ delegate: { name: `d-${index}`, namespace: "shop" } }, { delegate: { name: `r-${index}` } }],
      }),
    ),
  ],
  "many roots of one delegate with many routes": (size) => [
    config("VirtualService", "shop/d", {
      http: indexes(size).map((index) => ({
        match: [{ uri: { prefix: `/${index}` } }],
        route: [{ destination: { host: "web" } }],
      })),
    }),
    ...indexes(size).map((index) =>
      config("VirtualService", `shop/r-${index}`, {
        hosts: [`r-${index}.example.com`],
        http: [{ match: [{ uri: { prefix: `/${index}` } }], delegate: { name: "d", namespace: "shop" } }],
      }),
    ),
  ],
  "ExternalName Services in a ring, in a chain and to themselves": (size) => [
    ...indexes(size).map((index) => alias(`ring-${index}`, `ring-${(index + 1) % size}.shop.${domain}`)),
    ...indexes(size).map((index) =>
      alias(`chain-${index}`, index === 0 ? `web.shop.${domain}` : `chain-${index - 1}.shop.${domain}`),
    ),
    ...indexes(size).map((index) => alias(`self-${index}`, `self-${index}.shop.${domain}`)),
    config("VirtualService", "shop/aliases", {
      hosts: indexes(size).map((index) => `ring-${index}.shop.${domain}`),
      http: [{ route: [{ destination: { host: `ring-1.shop.${domain}` } }] }],
    }),
  ],
  "ServiceEntries with their own hosts and each other's as endpoints": (size) =>
    indexes(size).map((index) =>
      config("ServiceEntry", `shop/e-${index}`, {
        hosts: [`e-${index}.example.com`],
        ports: [http],
        resolution: "DNS",
        location: "MESH_EXTERNAL",
        endpoints: [{ address: `e-${index}.example.com` }, { address: `e-${(index + 1) % size}.example.com` }],
      }),
    ),
  "ServiceEntries of one host": (size) =>
    indexes(size).map((index) =>
      config("ServiceEntry", `shop/s-${index}`, {
        hosts: ["one.example.com", `web.shop.${domain}`],
        ports: [{ ...http, number: 1000 + index }],
        resolution: "STATIC",
        addresses: [`240.0.${index >> 8}.${index & 255}`],
        endpoints: [{ address: "192.0.2.1" }],
      }),
    ),
  "ServiceEntries of one host, each for another namespace": (size) =>
    indexes(size).map((index) =>
      config("ServiceEntry", `shop/s-${index}`, {
        hosts: ["one.example.com"],
        ports: [http],
        resolution: "STATIC",
        exportTo: ["shop", `n-${index}`],
        endpoints: [{ address: `192.0.${index >> 8}.${index & 255}` }],
      }),
    ),
  "Sidecars with the same hosts several times": (size) => [
    config("Sidecar", "shop/all", {
      egress: [
        ...indexes(size).map((index) => ({
          port: { number: 20_000 + index, protocol: "HTTP", name: `p-${index}` },
          hosts: ["*/*", "./*", "~/none.example.com"],
        })),
        { hosts: ["*/*", "shop/*", "./*"] },
      ],
    }),
    ...indexes(size).map((index) =>
      config("VirtualService", `shop/v-${index}`, {
        hosts: [`web.shop.${domain}`, "*.com"],
        http: [{ route: [{ destination: { host: `web.shop.${domain}` } }] }],
      }),
    ),
  ],
  "ReferenceGrants of each namespace to all": (size) => [
    ...indexes(size).map((index) =>
      gatewayApi(
        config("ReferenceGrant", `team/g-${index}`, {
          from: ["shop", "team"].map((from) => ({
            group: "gateway.networking.k8s.io",
            kind: "HTTPRoute",
            namespace: from,
          })),
          to: [
            { group: "", kind: "Service" },
            { group: "gateway.networking.k8s.io", kind: "ReferenceGrant" },
          ],
        }),
      ),
    ),
    ...indexes(size).map((index) =>
      gatewayApi(
        config("HTTPRoute", `shop/h-${index}`, {
          parentRefs: [{ group: "", kind: "Service", name: "web" }],
          rules: [
            {
              backendRefs: [
                { name: "api", namespace: "team", port: 80 },
                { name: "web", port: 80 },
              ],
            },
          ],
        }),
      ),
    ),
  ],
  "Gateways and ListenerSets that are attached to themselves": (size) =>
    indexes(size).flatMap((index) => [
      gatewayApi(
        config("Gateway", `shop/self-${index}`, {
          gatewayClassName: "istio",
          addresses: [{ type: "Hostname", value: `self-${index}.shop.${domain}` }],
          allowedListeners: { namespaces: { from: "All" } },
          listeners: [{ name: "http", port: 80, protocol: "HTTP", allowedRoutes: { namespaces: { from: "All" } } }],
        }),
      ),
      gatewayApi(
        config("ListenerSet", `shop/set-${index}`, {
          parentRef: { kind: "ListenerSet", name: `set-${index}` },
          listeners: [{ name: "http", port: 81, protocol: "HTTP" }],
        }),
      ),
      gatewayApi(
        config("HTTPRoute", `shop/to-itself-${index}`, {
          parentRefs: [{ name: `self-${index}` }, { kind: "HTTPRoute", name: `to-itself-${index}` }],
          rules: [
            { backendRefs: [{ group: "gateway.networking.k8s.io", kind: "Gateway", name: `self-${index}` }] },
            { backendRefs: [{ group: "gateway.networking.k8s.io", kind: "HTTPRoute", name: `to-itself-${index}` }] },
          ],
        }),
      ),
    ]),
  "waypoints of waypoints, in a ring across namespaces": (size) =>
    indexes(size).flatMap((index) => {
      const next = {
        "istio.io/use-waypoint": "wp",
        "istio.io/use-waypoint-namespace": `n-${(index + 1) % size}`,
      };
      return [
        namespace(`n-${index}`, { "istio.io/dataplane-mode": "ambient", ...next }),
        waypoint(`n-${index}/wp`, { "istio.io/waypoint-for": "all", ...next }),
        pod(`n-${index}/wp-1`, `10.2.${index >> 8}.${index & 255}`, {
          labels: { "gateway.networking.k8s.io/gateway-name": "wp", ...next },
        }),
        service(
          `n-${index}/wp`,
          `10.97.${index >> 8}.${index & 255}`,
          { "gateway.networking.k8s.io/gateway-name": "wp" },
          [{ name: "mesh", port: 15_008 }],
          next,
        ),
      ];
    }),
  "DestinationRules with wildcards and selectors": (size) =>
    indexes(size).flatMap((index) => [
      config("DestinationRule", `shop/w-${index}`, {
        host: ["*.svc.cluster.local", "*.cluster.local", "*.local", "*"][index % 4],
        workloadSelector: { matchLabels: { app: index % 2 === 0 ? "web" : `x-${index}` } },
        trafficPolicy: { connectionPool: { tcp: { maxConnections: index + 1 } } },
        subsets: [{ name: `s-${index}`, labels: { version: `v${index}` } }],
      }),
    ]),
  "WorkloadEntries that ServiceEntries of the same host select": (size) => [
    ...indexes(size).map((index) =>
      config("WorkloadEntry", `shop/m-${index}`, {
        address: `192.0.${index >> 8}.${index & 255}`,
        labels: { app: "vm" },
      }),
    ),
    config("ServiceEntry", "shop/machines", {
      hosts: ["vm.example.com"],
      ports: [http],
      resolution: "STATIC",
      workloadSelector: { labels: { app: "vm" } },
    }),
  ],
};

/** The items that a mesh computes for a configuration, and the bytes that its proxies get. */
function cost(objects: readonly KubernetesObject[]): { readonly items: number; readonly bytes: number } {
  const mesh = busyMesh();
  const [items, bytes] = [mesh.computed(), mesh.bytes()];
  mesh.change(objects);
  return { items: mesh.computed() - items, bytes: mesh.bytes() - bytes };
}

// An endless loop over one of these configurations would keep the control plane from answering at all.
for (const [name, objects] of Object.entries(shapes))
  test(`a mesh settles with work and answers in proportion to its objects: ${name}`, () => {
    const [small, large] = [cost(objects(30)), cost(objects(120))];
    assert.ok(small.items > 0, "the objects count");
    assert.ok(large.items <= 5 * small.items, `${small.items} items, and ${large.items} for four times the objects`);
    assert.ok(large.bytes <= 6 * small.bytes, `${small.bytes} bytes, and ${large.bytes} for four times the objects`);
  });
