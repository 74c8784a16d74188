// Objects near the size that an API server stores (1.5 MiB), each large in another way.
import type { KubernetesObject } from "../../src/api/index.ts";
import { config, pod, service, slice } from "../../src/controlplane/testing/model-fixture.ts";

export type LargeObjects = (size: number) => readonly KubernetesObject[];

interface LargeCase {
  readonly size: number;
  readonly objects: LargeObjects;
}

const web = "web.shop.svc.cluster.local";

function list<Item>(size: number, itemOf: (index: number) => Item): Item[] {
  return Array.from({ length: size }, (_, index) => itemOf(index));
}

function address(index: number): string {
  return `240.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`;
}

const istio = (kind: string, key: string, spec: object, group = "networking.istio.io"): KubernetesObject => ({
  ...config(kind, key, spec),
  apiVersion: `${group}/v1`,
});

const gatewayOf = (servers: readonly object[]): KubernetesObject =>
  istio("Gateway", "edge/gw", { selector: { istio: "ingress" }, servers });

export const largeObjects: Readonly<Record<string, LargeCase>> = {
  subsets: {
    size: 2000,
    objects: (size) => [
      istio("DestinationRule", "shop/web", {
        host: web,
        subsets: list(size, (index) => ({ name: `v${index}`, labels: { version: `v${index}` } })),
      }),
    ],
  },
  "subsets with policies": {
    size: 2000,
    objects: (size) => [
      istio("DestinationRule", "shop/web", {
        host: web,
        trafficPolicy: { outlierDetection: { consecutive5xxErrors: 3 } },
        subsets: list(size, (index) => ({
          name: `v${index}`,
          labels: { version: `v${index}` },
          trafficPolicy: {
            connectionPool: { http: { http1MaxPendingRequests: index + 1 } },
            portLevelSettings: [{ port: { number: 80 }, loadBalancer: { simple: "ROUND_ROBIN" } }],
          },
        })),
      }),
    ],
  },
  "port settings": {
    size: 8000,
    objects: (size) => [
      istio("DestinationRule", "shop/web", {
        host: web,
        trafficPolicy: {
          portLevelSettings: list(size, (index) => ({
            port: { number: index + 1 },
            loadBalancer: { simple: "ROUND_ROBIN" },
          })),
        },
      }),
    ],
  },
  "rules of one host": {
    size: 2000,
    objects: (size) =>
      list(size, (index) =>
        istio("DestinationRule", `shop/web-${index}`, {
          host: web,
          subsets: [{ name: `v${index}`, labels: { version: `v${index}` } }],
        }),
      ),
  },
  "virtual hosts": {
    size: 20_000,
    objects: (size) => [
      istio("VirtualService", "shop/web", {
        hosts: list(size, (index) => `host-${index}.example.com`),
        http: [{ route: [{ destination: { host: web, port: { number: 80 } } }] }],
      }),
    ],
  },
  "virtual hosts of a gateway": {
    size: 20_000,
    objects: (size) => [
      gatewayOf([{ port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["*"] }]),
      istio("VirtualService", "shop/web", {
        hosts: list(size, (index) => `host-${index}.example.com`),
        gateways: ["edge/gw"],
        http: [{ route: [{ destination: { host: web, port: { number: 80 } } }] }],
      }),
    ],
  },
  routes: {
    size: 8000,
    objects: (size) => [
      istio("VirtualService", "shop/web", {
        hosts: [web],
        http: list(size, (index) => ({
          match: [{ uri: { prefix: `/${index}` } }],
          route: [{ destination: { host: web, port: { number: 80 } } }],
        })),
      }),
    ],
  },
  "routes of a gateway": {
    size: 8000,
    objects: (size) => [
      gatewayOf([{ port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["*"] }]),
      istio("VirtualService", "shop/web", {
        hosts: ["shop.example.com"],
        gateways: ["edge/gw"],
        http: list(size, (index) => ({
          match: [{ uri: { prefix: `/${index}` } }],
          route: [{ destination: { host: web, port: { number: 80 } } }],
        })),
      }),
    ],
  },
  "hosts times routes": {
    size: 300,
    objects: (size) => [
      istio("VirtualService", "shop/web", {
        hosts: list(size, (index) => `host-${index}.example.com`),
        http: list(size, (index) => ({
          match: [{ uri: { prefix: `/${index}` } }],
          route: [{ destination: { host: web, port: { number: 80 } } }],
        })),
      }),
    ],
  },
  "hosts times routes of a gateway": {
    size: 300,
    objects: (size) => [
      gatewayOf([{ port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["*"] }]),
      istio("VirtualService", "shop/web", {
        hosts: list(size, (index) => `host-${index}.example.com`),
        gateways: ["edge/gw"],
        http: list(size, (index) => ({
          match: [{ uri: { prefix: `/${index}` } }],
          route: [{ destination: { host: web, port: { number: 80 } } }],
        })),
      }),
    ],
  },
  "weighted destinations": {
    size: 8000,
    objects: (size) => [
      istio("VirtualService", "shop/web", {
        hosts: [web],
        http: [{ route: list(size, () => ({ destination: { host: web, port: { number: 80 } }, weight: 1 })) }],
      }),
    ],
  },
  matches: {
    size: 8000,
    objects: (size) => [
      istio("VirtualService", "shop/web", {
        hosts: [web],
        http: [
          {
            match: list(size, (index) => ({ uri: { prefix: `/${index}` } })),
            route: [{ destination: { host: web, port: { number: 80 } } }],
          },
        ],
      }),
    ],
  },
  "tcp routes": {
    size: 4000,
    objects: (size) => [
      istio("VirtualService", "shop/web", {
        hosts: [web],
        tcp: list(size, (index) => ({
          match: [{ port: 82, destinationSubnets: [`${address(index)}/32`] }],
          route: [{ destination: { host: web, port: { number: 82 } } }],
        })),
      }),
    ],
  },
  delegates: {
    size: 2000,
    objects: (size) => [
      istio("VirtualService", "shop/root", {
        hosts: [web],
        http: list(size, (index) => ({
          match: [{ uri: { prefix: `/${index}` } }],
          delegate: { name: `part-${index}`, namespace: "shop" },
        })),
      }),
      ...list(size, (index) =>
        istio("VirtualService", `shop/part-${index}`, {
          http: [{ route: [{ destination: { host: web, port: { number: 80 } } }] }],
        }),
      ),
    ],
  },
  "virtual services of one host": {
    size: 2000,
    objects: (size) => [
      gatewayOf([{ port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["*"] }]),
      ...list(size, (index) =>
        istio("VirtualService", `shop/part-${index}`, {
          hosts: ["shop.example.com"],
          gateways: ["edge/gw"],
          http: [
            {
              match: [{ uri: { prefix: `/${index}` } }],
              route: [{ destination: { host: web, port: { number: 80 } } }],
            },
          ],
        }),
      ),
    ],
  },
  "entry hosts": {
    size: 16_000,
    objects: (size) => [
      istio("ServiceEntry", "shop/outside", {
        hosts: list(size, (index) => `host-${index}.example.com`),
        ports: [{ number: 80, name: "http", protocol: "HTTP" }],
        resolution: "DNS",
      }),
    ],
  },
  "entry hosts of tls": {
    size: 8000,
    objects: (size) => [
      istio("ServiceEntry", "shop/outside", {
        hosts: list(size, (index) => `host-${index}.example.com`),
        ports: [{ number: 443, name: "tls", protocol: "TLS" }],
        resolution: "DNS",
      }),
    ],
  },
  "entry endpoints": {
    size: 16_000,
    objects: (size) => [
      istio("ServiceEntry", "shop/outside", {
        hosts: ["outside.example.com"],
        ports: [{ number: 80, name: "http", protocol: "HTTP" }],
        resolution: "STATIC",
        endpoints: list(size, (index) => ({ address: address(index) })),
      }),
    ],
  },
  "entry endpoints of names": {
    size: 8000,
    objects: (size) => [
      istio("ServiceEntry", "shop/outside", {
        hosts: ["outside.example.com"],
        ports: [{ number: 80, name: "http", protocol: "HTTP" }],
        resolution: "DNS",
        endpoints: list(size, (index) => ({ address: `host-${index}.example.com` })),
      }),
    ],
  },
  "entry hosts times endpoints": {
    size: 300,
    objects: (size) => [
      istio("ServiceEntry", "shop/outside", {
        hosts: list(size, (index) => `host-${index}.example.com`),
        ports: [{ number: 80, name: "http", protocol: "HTTP" }],
        resolution: "STATIC",
        endpoints: list(size, (index) => ({ address: address(index) })),
      }),
    ],
  },
  "entry hosts times ports": {
    size: 200,
    objects: (size) => [
      istio("ServiceEntry", "shop/outside", {
        hosts: list(size, (index) => `host-${index}.example.com`),
        ports: list(size, (index) => ({ number: index + 1000, name: `http-${index}`, protocol: "HTTP" })),
        resolution: "DNS",
      }),
    ],
  },
  "entry tcp ports": {
    size: 4000,
    objects: (size) => [
      istio("ServiceEntry", "shop/outside", {
        hosts: ["outside.example.com"],
        addresses: ["240.0.0.1"],
        ports: list(size, (index) => ({ number: index + 1000, name: `tcp-${index}`, protocol: "TCP" })),
        resolution: "STATIC",
        endpoints: [{ address: "10.1.1.1" }],
      }),
    ],
  },
  "entry addresses": {
    size: 16_000,
    objects: (size) => [
      istio("ServiceEntry", "shop/outside", {
        hosts: ["outside.example.com"],
        addresses: list(size, (index) => address(index)),
        ports: [{ number: 80, name: "http", protocol: "HTTP" }],
        resolution: "STATIC",
        endpoints: [{ address: "10.1.1.1" }],
      }),
    ],
  },
  "entry tcp addresses": {
    size: 16_000,
    objects: (size) => [
      istio("ServiceEntry", "shop/outside", {
        hosts: ["outside.example.com"],
        addresses: list(size, (index) => address(index)),
        ports: [{ number: 3306, name: "tcp", protocol: "TCP" }],
        resolution: "STATIC",
        endpoints: [{ address: "10.1.1.1" }],
      }),
    ],
  },
  "tcp entries of one port": {
    size: 2000,
    objects: (size) =>
      list(size, (index) =>
        istio("ServiceEntry", `shop/outside-${index}`, {
          hosts: [`host-${index}.example.com`],
          addresses: [address(index)],
          ports: [{ number: 3306, name: "tcp", protocol: "TCP" }],
          resolution: "STATIC",
          endpoints: [{ address: "10.1.1.1" }],
        }),
      ),
  },
  "entries of one host": {
    size: 2000,
    objects: (size) =>
      list(size, (index) =>
        istio("ServiceEntry", `shop/outside-${index}`, {
          hosts: ["outside.example.com"],
          ports: [{ number: 80, name: "http", protocol: "HTTP" }],
          resolution: "STATIC",
          endpoints: [{ address: address(index) }],
        }),
      ),
  },
  "selected workload entries": {
    size: 4000,
    objects: (size) => [
      istio("ServiceEntry", "shop/outside", {
        hosts: ["outside.example.com"],
        ports: [{ number: 80, name: "http", protocol: "HTTP" }],
        resolution: "STATIC",
        workloadSelector: { labels: { app: "vm" } },
      }),
      ...list(size, (index) =>
        istio("WorkloadEntry", `shop/vm-${index}`, { address: address(index), labels: { app: "vm" } }),
      ),
    ],
  },
  "entries with workload entries": {
    size: 400,
    objects: (size) => [
      ...list(size, (index) =>
        istio("ServiceEntry", `shop/outside-${index}`, {
          hosts: [`host-${index}.example.com`],
          ports: [{ number: 80, name: "http", protocol: "HTTP" }],
          resolution: "STATIC",
          workloadSelector: { labels: { app: `vm-${index}` } },
        }),
      ),
      ...list(size, (index) =>
        istio("WorkloadEntry", `shop/vm-${index}`, { address: address(index), labels: { app: `vm-${index}` } }),
      ),
    ],
  },
  "egress hosts": {
    size: 16_000,
    objects: (size) => [
      istio("Sidecar", "shop/default", {
        egress: [{ hosts: ["shop/*", ...list(size, (index) => `edge/host-${index}.example.com`)] }],
      }),
    ],
  },
  "egress hosts of services": {
    size: 2000,
    objects: (size) => [
      istio("Sidecar", "shop/default", {
        egress: [{ hosts: ["shop/*", ...list(size, (index) => `*/host-${index}.example.com`)] }],
      }),
      ...list(size, (index) =>
        istio("ServiceEntry", `edge/outside-${index}`, {
          hosts: [`host-${index}.example.com`],
          ports: [{ number: 80, name: "http", protocol: "HTTP" }],
          resolution: "DNS",
        }),
      ),
    ],
  },
  "egress listeners": {
    size: 4000,
    objects: (size) => [
      istio("Sidecar", "shop/default", {
        egress: list(size, (index) => ({
          port: { number: index + 1000, name: `http-${index}`, protocol: "HTTP" },
          hosts: ["shop/*"],
        })),
      }),
    ],
  },
  "ingress listeners": {
    size: 4000,
    objects: (size) => [
      istio("Sidecar", "shop/default", {
        workloadSelector: { labels: { app: "web" } },
        ingress: list(size, (index) => ({
          port: { number: index + 1000, name: `http-${index}`, protocol: "HTTP" },
          defaultEndpoint: `127.0.0.1:${index + 1000}`,
        })),
      }),
    ],
  },
  "authorization rules": {
    size: 512,
    objects: (size) => [
      istio(
        "AuthorizationPolicy",
        "shop/allow",
        {
          rules: list(size, (index) => ({
            from: [{ source: { principals: [`cluster.local/ns/a/sa/b-${index}`] } }],
            to: [{ operation: { ports: ["80"] } }],
          })),
        },
        "security.istio.io",
      ),
    ],
  },
  "authorization principals": {
    size: 16_000,
    objects: (size) => [
      istio(
        "AuthorizationPolicy",
        "shop/allow",
        { rules: [{ from: [{ source: { principals: list(size, (index) => `cluster.local/ns/a/sa/b-${index}`) } }] }] },
        "security.istio.io",
      ),
    ],
  },
  "authorization paths": {
    size: 16_000,
    objects: (size) => [
      istio(
        "AuthorizationPolicy",
        "shop/allow",
        { rules: [{ to: [{ operation: { paths: list(size, (index) => `/a/{*}/b-${index}`) } }] }] },
        "security.istio.io",
      ),
    ],
  },
  "authorization addresses": {
    size: 16_000,
    objects: (size) => [
      istio(
        "AuthorizationPolicy",
        "shop/allow",
        { rules: [{ from: [{ source: { ipBlocks: list(size, (index) => `${address(index)}/32`) } }] }] },
        "security.istio.io",
      ),
    ],
  },
  "authorization policies": {
    size: 2000,
    objects: (size) =>
      list(size, (index) =>
        istio(
          "AuthorizationPolicy",
          `shop/allow-${index}`,
          { rules: [{ from: [{ source: { principals: [`cluster.local/ns/a/sa/b-${index}`] } }] }] },
          "security.istio.io",
        ),
      ),
  },
  "mutual TLS ports": {
    size: 20_000,
    objects: (size) => [
      istio(
        "PeerAuthentication",
        "shop/web",
        {
          selector: { matchLabels: { app: "web" } },
          mtls: { mode: "STRICT" },
          portLevelMtls: Object.fromEntries(list(size, (index) => [String(index + 1), { mode: "PERMISSIVE" }])),
        },
        "security.istio.io",
      ),
    ],
  },
  "token issuers": {
    size: 4000,
    objects: (size) => [
      istio(
        "RequestAuthentication",
        "shop/web",
        {
          jwtRules: list(size, (index) => ({
            issuer: `https://issuer-${index}.example.com`,
            jwks: '{"keys":[{"kty":"oct","k":"AAAA"}]}',
          })),
        },
        "security.istio.io",
      ),
    ],
  },
  servers: {
    size: 4000,
    objects: (size) => [
      gatewayOf(
        list(size, (index) => ({
          port: { number: 443, name: `https-${index}`, protocol: "HTTPS" },
          hosts: [`host-${index}.example.com`],
          tls: { mode: "SIMPLE", credentialName: `secret-${index}` },
        })),
      ),
    ],
  },
  "servers with routes": {
    size: 1000,
    objects: (size) => [
      gatewayOf(
        list(size, (index) => ({
          port: { number: 443, name: `https-${index}`, protocol: "HTTPS" },
          hosts: [`host-${index}.example.com`],
          tls: { mode: "SIMPLE", credentialName: `secret-${index}` },
        })),
      ),
      ...list(size, (index) =>
        istio("VirtualService", `shop/host-${index}`, {
          hosts: [`host-${index}.example.com`],
          gateways: ["edge/gw"],
          http: [{ route: [{ destination: { host: web, port: { number: 80 } } }] }],
        }),
      ),
    ],
  },
  "server hosts": {
    size: 16_000,
    objects: (size) => [
      gatewayOf([
        {
          port: { number: 80, name: "http", protocol: "HTTP" },
          hosts: list(size, (index) => `host-${index}.example.com`),
        },
      ]),
      istio("VirtualService", "shop/web", {
        hosts: ["*.example.com"],
        gateways: ["edge/gw"],
        http: [{ route: [{ destination: { host: web, port: { number: 80 } } }] }],
      }),
    ],
  },
  "server hosts and virtual hosts": {
    size: 8000,
    objects: (size) => [
      gatewayOf([
        {
          port: { number: 80, name: "http", protocol: "HTTP" },
          hosts: list(size, (index) => `host-${index}.example.com`),
        },
      ]),
      istio("VirtualService", "shop/web", {
        hosts: list(size, (index) => `host-${index}.example.com`),
        gateways: ["edge/gw"],
        http: [{ route: [{ destination: { host: web, port: { number: 80 } } }] }],
      }),
    ],
  },
  "server ports": {
    size: 4000,
    objects: (size) => [
      gatewayOf(
        list(size, (index) => ({
          port: { number: index + 1000, name: `http-${index}`, protocol: "HTTP" },
          hosts: ["*"],
        })),
      ),
      istio("VirtualService", "shop/web", {
        hosts: ["*.example.com"],
        gateways: ["edge/gw"],
        http: [{ route: [{ destination: { host: web, port: { number: 80 } } }] }],
      }),
    ],
  },
  "tag overrides": {
    size: 4000,
    objects: (size) => [
      istio(
        "Telemetry",
        "shop/web",
        {
          metrics: [
            {
              providers: [{ name: "prometheus" }],
              overrides: list(size, (index) => ({
                match: { metric: "REQUEST_COUNT", mode: "CLIENT_AND_SERVER" },
                tagOverrides: { [`tag_${index}`]: { value: "request.host" } },
              })),
            },
          ],
        },
        "telemetry.istio.io",
      ),
    ],
  },
  "custom tags": {
    size: 8000,
    objects: (size) => [
      istio(
        "Telemetry",
        "shop/web",
        {
          tracing: [
            {
              customTags: Object.fromEntries(list(size, (index) => [`tag_${index}`, { literal: { value: "a" } }])),
            },
          ],
        },
        "telemetry.istio.io",
      ),
    ],
  },
  "patches of listeners": {
    size: 1000,
    objects: (size) => [
      istio("EnvoyFilter", "shop/web", {
        configPatches: list(size, (index) => ({
          applyTo: "HTTP_FILTER",
          match: { listener: { filterChain: { filter: { name: "envoy.filters.network.http_connection_manager" } } } },
          patch: {
            operation: "INSERT_BEFORE",
            value: {
              name: `lua-${index}`,
              typed_config: {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
                inlineCode: "function envoy_on_request(handle) end",
              },
            },
          },
        })),
      }),
    ],
  },
  "patches of clusters": {
    size: 2000,
    objects: (size) => [
      istio("EnvoyFilter", "shop/web", {
        configPatches: list(size, (index) => ({
          applyTo: "CLUSTER",
          match: { cluster: { name: `cluster-${index}` } },
          patch: { operation: "MERGE", value: { connect_timeout: "3s" } },
        })),
      }),
    ],
  },
  "added clusters": {
    size: 2000,
    objects: (size) => [
      istio("EnvoyFilter", "shop/web", {
        configPatches: list(size, (index) => ({
          applyTo: "CLUSTER",
          patch: { operation: "ADD", value: { name: `cluster-${index}`, type: "STATIC", connect_timeout: "3s" } },
        })),
      }),
    ],
  },
  "patches of subsets": {
    size: 200,
    objects: (size) => [
      istio("DestinationRule", "shop/web", {
        host: web,
        subsets: list(size * 5, (index) => ({ name: `v${index}`, labels: { version: `v${index}` } })),
      }),
      istio("EnvoyFilter", "shop/web", {
        configPatches: list(size, () => ({
          applyTo: "CLUSTER",
          match: { cluster: { service: web } },
          patch: { operation: "MERGE", value: { connect_timeout: "3s" } },
        })),
      }),
    ],
  },
  "patches of routes": {
    size: 1000,
    objects: (size) => [
      istio("EnvoyFilter", "shop/web", {
        configPatches: list(size, (index) => ({
          applyTo: "VIRTUAL_HOST",
          match: { routeConfiguration: { vhost: { name: `host-${index}` } } },
          patch: { operation: "MERGE", value: { include_request_attempt_count: true } },
        })),
      }),
    ],
  },
  "service ports": {
    size: 4000,
    objects: (size) => [
      service(
        "shop/many",
        "10.96.1.1",
        { app: "web" },
        list(size, (index) => ({ name: `http-${index}`, port: index + 1000, targetPort: index + 1000 })),
      ),
    ],
  },
  "service ports of pods": {
    size: 200,
    objects: (size) => [
      service(
        "shop/web",
        "10.96.0.1",
        { app: "web" },
        list(size, (index) => ({ name: `http-${index}`, port: index + 1000, targetPort: index + 1000 })),
      ),
    ],
  },
  "service endpoints": {
    size: 10_000,
    objects: (size) => [
      slice(
        "shop/web",
        { name: "http", port: 8080 },
        list(size, (index) => ({ address: address(index), pod: `pod-${index}` })),
      ),
      ...list(size, (index) => pod(`shop/pod-${index}`, address(index), { labels: { app: "web" } })),
    ],
  },
  "endpoints and subsets": {
    size: 500,
    objects: (size) => [
      istio("DestinationRule", "shop/web", {
        host: web,
        subsets: list(size, (index) => ({ name: `v${index}`, labels: { version: `v${index}` } })),
      }),
      slice(
        "shop/web",
        { name: "http", port: 8080 },
        list(size, (index) => ({ address: address(index), pod: `pod-${index}` })),
      ),
      ...list(size, (index) =>
        pod(`shop/pod-${index}`, address(index), { labels: { app: "web", version: `v${index}` } }),
      ),
    ],
  },
};
