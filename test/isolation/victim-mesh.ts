// The mesh that an attacker shares: sidecars, ambient, waypoints and gateways of other namespaces.
import type { KubernetesObject } from "../../src/api/index.ts";
import { victimSecret } from "./attacker-secrets.ts";
import type { MeshSettings } from "../../src/controlplane/model/facts.ts";
import {
  config,
  namespace,
  node,
  pod,
  service,
  slice,
  testMesh,
} from "../../src/controlplane/testing/model-fixture.ts";

/** The mesh reads Ingresses and objects of multi-cluster services, and its gateways accept PROXY headers. */
export const victimSettings: MeshSettings = {
  ...testMesh,
  ingress: {
    mode: "STRICT",
    className: "istio",
    service: "ingress",
    selector: "ingressgateway",
    namespace: "edge",
  },
  multiClusterServices: { group: "multicluster.x-k8s.io", host: true, clusterLocal: false },
  gatewayTopology: { ...testMesh.gatewayTopology, proxyProtocol: true },
};

const httpPort = { name: "http", port: 80, targetPort: 8080 };
const tcpPort = { name: "tcp-data", port: 9000, targetPort: 9000 };
const ofGatewayApi = { apiVersion: "gateway.networking.k8s.io/v1" };
const ofIstio = { apiVersion: "networking.istio.io/v1" };

/** Everybody may attach routes to this host of the shared gateways. The other hosts belong to the namespace `shop`. */
export const openHost = "*.open.example.com";

function sidecarPod(key: string, address: string, labels: Readonly<Record<string, string>>): KubernetesObject {
  const made = pod(key, address, {
    labels: { ...labels, "security.istio.io/tlsMode": "istio" },
    redirected: false,
    account: labels["app"] ?? "default",
  });
  const { containers } = (made as unknown as { spec: { containers: object[] } }).spec;
  containers.push({ name: "istio-proxy", args: ["proxy", "sidecar"], env: [] });
  return made;
}

/** A Service with two ports, and an endpoint for each of its pods. */
function served(key: string, address: string, pods: Readonly<Record<string, string>>, labels = {}): KubernetesObject[] {
  const name = key.split("/")[1] ?? "";
  const endpoints = Object.entries(pods).map(([of, at]) => ({ address: at, pod: of }));
  return [
    service(key, address, { app: name }, [httpPort, tcpPort], labels),
    slice(key, { name: "http", port: 8080 }, endpoints),
    named(slice(key, { name: "tcp-data", port: 9000 }, endpoints), `${name}-y`),
  ];
}

function named(object: KubernetesObject, name: string): KubernetesObject {
  return { ...object, metadata: { ...object.metadata, name } };
}

const sidecarNamespaces = [
  namespace("shop", { "istio-injection": "enabled" }),
  sidecarPod("shop/web-1", "10.244.1.1", { app: "web", version: "v1" }),
  sidecarPod("shop/web-2", "10.244.1.2", { app: "web", version: "v2" }),
  ...served("shop/web", "10.96.1.1", { "web-1": "10.244.1.1", "web-2": "10.244.1.2" }),
  // A headless Service, to whose pods clients connect directly, by TCP and by gRPC-Web.
  pod("shop/db-0", "10.244.1.3", { labels: { app: "db" }, redirected: false }),
  service("shop/db", "None", { app: "db" }, [tcpPort, { name: "grpc-web", port: 8000 }]),
  slice("shop/db", { name: "tcp-data", port: 9000 }, [{ address: "10.244.1.3", pod: "db-0" }]),
  named(slice("shop/db", { name: "grpc-web", port: 8000 }, [{ address: "10.244.1.3", pod: "db-0" }]), "db-y"),
  config("ServiceImport", "shop/web", { ips: ["242.0.0.1"] }),
  config("ServiceExport", "shop/web", {}),
  {
    apiVersion: "networking.k8s.io/v1",
    ...config("Ingress", "shop/site", {
      ingressClassName: "istio",
      tls: [{ hosts: ["site.example.com"], secretName: "shop-cert" }],
      rules: [
        {
          host: "site.example.com",
          http: {
            paths: [{ path: "/", pathType: "Prefix", backend: { service: { name: "web", port: { number: 80 } } } }],
          },
        },
      ],
    }),
  },
  config("DestinationRule", "shop/web", {
    host: "web",
    subsets: [
      { name: "v1", labels: { version: "v1" } },
      { name: "v2", labels: { version: "v2" } },
    ],
  }),
  config("VirtualService", "shop/web", {
    hosts: ["web"],
    http: [{ retries: { attempts: 2 }, route: [{ destination: { host: "web", subset: "v1" } }] }],
  }),
  config("ServiceEntry", "shop/api", {
    hosts: ["api.example.com"],
    addresses: ["240.0.0.1"],
    ports: [{ number: 443, name: "tls", protocol: "TLS" }],
    location: "MESH_EXTERNAL",
    resolution: "DNS",
  }),
  config("AuthorizationPolicy", "shop/web", {
    selector: { matchLabels: { app: "web" } },
    rules: [{ from: [{ source: { namespaces: ["shop", "edge"] } }] }],
  }),
  config("PeerAuthentication", "shop/default", { mtls: { mode: "STRICT" } }),
  config("Telemetry", "shop/default", { tracing: [{ randomSamplingPercentage: 10 }] }),
  // A namespace whose sidecars see only this namespace.
  namespace("bank", { "istio-injection": "enabled" }),
  sidecarPod("bank/ledger-1", "10.244.2.1", { app: "ledger" }),
  ...served("bank/ledger", "10.96.2.1", { "ledger-1": "10.244.2.1" }),
  config("Sidecar", "bank/default", { egress: [{ hosts: ["./*"] }] }),
];

const waypointSpec = (from: string): object => ({
  gatewayClassName: "istio-waypoint",
  listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE", allowedRoutes: { namespaces: { from } } }],
});

function waypoint(key: string, serviceAddress: string, podAddress: string, from: string): KubernetesObject[] {
  const name = key.split("/")[1] ?? "";
  const labels = {
    "gateway.networking.k8s.io/gateway-name": name,
    "gateway.networking.k8s.io/gateway-class-name": "istio-waypoint",
    "gateway.istio.io/managed": "istio.io-mesh-controller",
  };
  return [
    { ...config("Gateway", key, waypointSpec(from), { labels: { "istio.io/waypoint-for": "all" } }), ...ofGatewayApi },
    pod(`${key}-1`, podAddress, { labels, account: name, redirected: false }),
    service(key, serviceAddress, labels, [{ name: "mesh", port: 15_008 }], labels),
    slice(key, { name: "mesh", port: 15_008 }, [{ address: podAddress, pod: `${name}-1` }]),
  ];
}

const ambientNamespaces = [
  namespace("amb", { "istio.io/dataplane-mode": "ambient", "istio.io/use-waypoint": "wp" }),
  pod("amb/cart-1", "10.244.3.1", { labels: { app: "cart" }, account: "cart" }),
  ...served("amb/cart", "10.96.3.1", { "cart-1": "10.244.3.1" }),
  ...waypoint("amb/wp", "10.96.3.9", "10.244.3.9", "Same"),
  config("AuthorizationPolicy", "amb/cart", {
    selector: { matchLabels: { app: "cart" } },
    action: "DENY",
    rules: [{ from: [{ source: { notNamespaces: ["amb", "edge"] } }] }],
  }),
  config("AuthorizationPolicy", "amb/cart-service", {
    targetRefs: [{ kind: "Service", group: "", name: "cart" }],
    rules: [{ to: [{ operation: { methods: ["GET"] } }] }],
  }),
  config("PeerAuthentication", "amb/default", { mtls: { mode: "STRICT" } }),
  // A waypoint that every namespace may use, and a namespace that does.
  namespace("shared"),
  ...waypoint("shared/wp", "10.96.4.9", "10.244.4.9", "All"),
  namespace("desk", {
    "istio.io/dataplane-mode": "ambient",
    "istio.io/use-waypoint": "wp",
    "istio.io/use-waypoint-namespace": "shared",
  }),
  pod("desk/mail-1", "10.244.5.1", { labels: { app: "mail" }, account: "mail" }),
  ...served("desk/mail", "10.96.5.1", { "mail-1": "10.244.5.1" }),
  {
    ...config("HTTPRoute", "desk/mail", {
      parentRefs: [{ kind: "Service", group: "", name: "mail" }],
      rules: [{ backendRefs: [{ name: "mail", port: 80 }] }],
    }),
    ...ofGatewayApi,
  },
  config("AuthorizationPolicy", "desk/mail", {
    targetRefs: [{ kind: "Service", group: "", name: "mail" }],
    rules: [{ from: [{ source: { namespaces: ["desk"] } }] }],
  }),
  config("ServiceEntry", "desk/far", {
    hosts: ["far.example.com"],
    addresses: ["240.0.0.2"],
    ports: [{ number: 80, name: "http", protocol: "HTTP" }],
    location: "MESH_EXTERNAL",
    resolution: "STATIC",
    endpoints: [{ address: "198.51.100.7" }],
  }),
];

const gatewayLabels = { app: "ingress", istio: "ingressgateway" };
const egressLabels = { app: "egress", istio: "egressgateway" };

function gatewayPods(name: string, address: string, labels: Readonly<Record<string, string>>): KubernetesObject[] {
  const ports = [80, 443, 9000].map((port) => ({ name: `port-${port}`, port, targetPort: port }));
  return [
    pod(`edge/${name}-1`, address, { labels, account: name, redirected: false }),
    service(`edge/${name}`, address.replace("10.244.", "10.96."), { app: labels["app"] ?? "" }, ports),
    ...ports.map((port) =>
      named(
        slice(`edge/${name}`, { name: port.name, port: port.port }, [{ address, pod: `${name}-1` }]),
        `${name}-${port.port}`,
      ),
    ),
  ];
}

const toShop = { route: [{ destination: { host: "web.shop.svc.cluster.local", port: { number: 80 } } }] };

const gatewayNamespace = [
  namespace("edge"),
  victimSecret,
  ...gatewayPods("ingress", "10.244.6.1", gatewayLabels),
  ...gatewayPods("egress", "10.244.6.2", egressLabels),
  {
    ...config("Gateway", "edge/public", {
      selector: { istio: "ingressgateway" },
      servers: [
        { port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["shop/shop.example.com", `*/${openHost}`] },
        {
          port: { number: 443, name: "https", protocol: "HTTPS" },
          hosts: ["shop/shop.example.com"],
          tls: { mode: "SIMPLE", credentialName: "shop-cert" },
        },
        { port: { number: 9000, name: "tcp", protocol: "TCP" }, hosts: ["shop/*"] },
      ],
    }),
    ...ofIstio,
  },
  config("VirtualService", "shop/public", {
    hosts: ["shop.example.com"],
    gateways: ["edge/public"],
    http: [toShop],
  }),
  config("VirtualService", "shop/public-tcp", { hosts: ["*"], gateways: ["edge/public"], tcp: [toShop] }),
  {
    ...config("Gateway", "edge/out", {
      selector: { istio: "egressgateway" },
      servers: [
        {
          port: { number: 443, name: "tls", protocol: "TLS" },
          hosts: ["shop/api.example.com"],
          tls: { mode: "PASSTHROUGH" },
        },
      ],
    }),
    ...ofIstio,
  },
  config("VirtualService", "shop/out", {
    hosts: ["api.example.com"],
    gateways: ["edge/out"],
    tls: [
      {
        match: [{ port: 443, sniHosts: ["api.example.com"] }],
        route: [{ destination: { host: "api.example.com", port: { number: 443 } } }],
      },
    ],
  }),
  {
    ...config("Gateway", "edge/door", {
      gatewayClassName: "istio",
      allowedListeners: { namespaces: { from: "All" } },
      listeners: [
        {
          name: "shop",
          port: 80,
          protocol: "HTTP",
          hostname: "shop.example.com",
          allowedRoutes: {
            namespaces: { from: "Selector", selector: { matchLabels: { "kubernetes.io/metadata.name": "shop" } } },
          },
        },
        {
          name: "open",
          port: 80,
          protocol: "HTTP",
          hostname: openHost,
          allowedRoutes: { namespaces: { from: "All" } },
        },
      ],
    }),
    ...ofGatewayApi,
  },
  pod("edge/door-1", "10.244.6.3", {
    labels: {
      "gateway.networking.k8s.io/gateway-name": "door",
      "gateway.networking.k8s.io/gateway-class-name": "istio",
    },
    account: "door-istio",
    redirected: false,
  }),
  service("edge/door-istio", "10.96.6.3", { "gateway.networking.k8s.io/gateway-name": "door" }, [
    { name: "http", port: 80 },
  ]),
  slice("edge/door-istio", { name: "http", port: 80 }, [{ address: "10.244.6.3", pod: "door-1" }]),
  {
    ...config("HTTPRoute", "shop/door", {
      parentRefs: [{ name: "door", namespace: "edge" }],
      hostnames: ["shop.example.com"],
      rules: [{ backendRefs: [{ name: "web", port: 80 }] }],
    }),
    ...ofGatewayApi,
  },
];

export const victimObjects: readonly KubernetesObject[] = [
  namespace("istio-system"),
  node("node-1", "z1"),
  ...["istio", "istio-waypoint"].map((name) => ({
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "GatewayClass",
    metadata: { name },
    spec: { controllerName: name === "istio" ? "istio.io/gateway-controller" : "istio.io/mesh-controller" },
  })),
  {
    apiVersion: "networking.k8s.io/v1",
    kind: "IngressClass",
    metadata: { name: "istio" },
    spec: { controller: "istio.io/ingress-controller" },
  } as KubernetesObject,
  ...sidecarNamespaces,
  ...ambientNamespaces,
  ...gatewayNamespace,
].map(labelledNamespace);

/** Adds the label that the API server gives each namespace. */
function labelledNamespace(object: KubernetesObject): KubernetesObject {
  if (object.kind !== "Namespace") return object;
  const { name = "", labels } = object.metadata;
  return { ...object, metadata: { ...object.metadata, labels: { ...labels, "kubernetes.io/metadata.name": name } } };
}

export interface VictimProxy {
  readonly type: "sidecar" | "router" | "waypoint";
  readonly pod: string;
  readonly address: string;
}

export const victimProxies: Readonly<Record<string, VictimProxy>> = {
  shop: { type: "sidecar", pod: "shop/web-1", address: "10.244.1.1" },
  bank: { type: "sidecar", pod: "bank/ledger-1", address: "10.244.2.1" },
  ingress: { type: "router", pod: "edge/ingress-1", address: "10.244.6.1" },
  egress: { type: "router", pod: "edge/egress-1", address: "10.244.6.2" },
  door: { type: "router", pod: "edge/door-1", address: "10.244.6.3" },
  waypoint: { type: "waypoint", pod: "amb/wp-1", address: "10.244.3.9" },
  sharedWaypoint: { type: "waypoint", pod: "shared/wp-1", address: "10.244.4.9" },
};

/** The second is in ambient, and uses the shared waypoint. */
export const attackerNamespaces = ["evil", "evil-ambient"] as const;

export const attackerGround: readonly KubernetesObject[] = [
  namespace("evil", { "istio-injection": "enabled" }),
  namespace("evil-ambient", {
    "istio.io/dataplane-mode": "ambient",
    "istio.io/use-waypoint": "wp",
    "istio.io/use-waypoint-namespace": "shared",
  }),
  sidecarPod("evil/pod-1", "10.244.9.1", { app: "web" }),
  pod("evil-ambient/pod-1", "10.244.9.2", { labels: { app: "web" } }),
  ...served("evil/web", "10.96.9.1", { "pod-1": "10.244.9.1" }),
  ...served("evil-ambient/web", "10.96.9.2", { "pod-1": "10.244.9.2" }),
].map(labelledNamespace);
