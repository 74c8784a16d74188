// Many objects of kinds that select each other by labels, hosts or names. Each object concerns only a few others.
import type { KubernetesObject } from "../../src/api/index.ts";
import { config, namespace, pod, service, slice } from "../../src/controlplane/testing/model-fixture.ts";
import { withSidecar } from "./surroundings.ts";

export interface ManyObjects {
  readonly objects: (size: number) => readonly KubernetesObject[];
  /** Returns the object with a change that affects the configuration of proxies. */
  readonly changed: (object: KubernetesObject, round: number) => KubernetesObject;
}

function list<Item>(size: number, itemOf: (index: number) => Item | readonly Item[]): Item[] {
  return Array.from({ length: size }, (_, index) => itemOf(index)).flat() as Item[];
}

function address(first: number, index: number): string {
  return `${first}.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`;
}

const istio = (kind: string, key: string, spec: object, group = "networking.istio.io"): KubernetesObject => ({
  ...config(kind, key, spec),
  apiVersion: `${group}/v1`,
});

const gatewayApi = (kind: string, key: string, spec: object): KubernetesObject =>
  istio(kind, key, spec, "gateway.networking.k8s.io");

const http = { number: 80, name: "http", protocol: "HTTP" };

function relabelled(object: KubernetesObject, round: number): KubernetesObject {
  return {
    ...object,
    metadata: { ...object.metadata, labels: { ...object.metadata.labels, round: `${round}` } },
  };
}

function withSpec(change: (spec: Record<string, unknown>, round: number) => object): ManyObjects["changed"] {
  return (object, round) => {
    const { spec, metadata } = object as KubernetesObject & { spec?: Record<string, unknown> };
    if (spec === undefined || object.apiVersion === undefined) return relabelled(object, round);
    const generation = (metadata.generation ?? 1) + round + 1;
    return { ...object, metadata: { ...metadata, generation }, spec: change(spec, round) } as KubernetesObject;
  };
}

const sidecarPod = (key: string, ip: string, labels: Record<string, string>): KubernetesObject =>
  withSidecar(pod(key, ip, { labels, redirected: false }));

const workload = (index: number): KubernetesObject =>
  pod(`shop/w-${index}`, address(11, index), { labels: { app: `app-${index}`, tier: "back" }, redirected: true });
const policyCase = (kind: string, spec: object, group = "security.istio.io"): ManyObjects => ({
  objects: (size) =>
    list(size, (index) => [
      istio(kind, `shop/p-${index}`, { selector: { matchLabels: { app: `app-${index}` } }, ...spec }, group),
      workload(index),
      sidecarPod(`shop/s-${index}`, address(12, index), { app: `app-${index}`, tier: "front" }),
    ]),
  changed: relabelledSpec,
});

function relabelledSpec(object: KubernetesObject, round: number): KubernetesObject {
  return withSpec((spec, at) => ({
    ...spec,
    ...("selector" in spec ? { selector: { matchLabels: { app: `changed-${at}` } } } : {}),
  }))(object, round);
}

const gatewayServer = (host: string): object => ({ port: http, hosts: [host] });

export const manyObjects: Readonly<Record<string, ManyObjects>> = {
  entries: {
    objects: (size) =>
      list(size, (index) => [
        istio("ServiceEntry", `shop/e-${index}`, {
          hosts: [`e-${index}.example.org`],
          ports: [http],
          resolution: "STATIC",
          workloadSelector: { labels: { app: `app-${index}` } },
        }),
        istio("WorkloadEntry", `shop/m-${index}`, { address: address(10, index), labels: { app: `app-${index}` } }),
      ]),
    changed: withSpec((spec, round) => ({
      ...spec,
      ...("weight" in spec || "address" in spec
        ? { weight: round + 2 }
        : { location: round % 2 === 0 ? "MESH_INTERNAL" : "MESH_EXTERNAL" }),
    })),
  },
  "service machines": {
    objects: (size) =>
      list(size, (index) => [
        service(`shop/s-${index}`, address(13, index), { app: `app-${index}` }, [
          { name: "http", port: 80, targetPort: 8080 },
        ]),
        istio("WorkloadEntry", `shop/m-${index}`, { address: address(10, index), labels: { app: `app-${index}` } }),
      ]),
    changed: withSpec((spec, round) => ({ ...spec, weight: round + 2 })),
  },
  "entries of pods": {
    objects: (size) =>
      list(size, (index) => [
        istio("ServiceEntry", `shop/e-${index}`, {
          hosts: [`e-${index}.example.org`],
          ports: [http],
          resolution: "STATIC",
          workloadSelector: { labels: { app: `app-${index}` } },
        }),
        workload(index),
      ]),
    changed: withSpec((spec, round) => ({ ...spec, location: round % 2 === 0 ? "MESH_INTERNAL" : "MESH_EXTERNAL" })),
  },
  services: {
    objects: (size) =>
      list(size, (index) => [
        service(`shop/s-${index}`, address(13, index), { app: `app-${index}` }, [
          { name: "http", port: 80, targetPort: 8080 },
        ]),
        workload(index),
        slice(`shop/s-${index}`, { name: "http", port: 8080 }, [{ address: address(11, index), pod: `w-${index}` }]),
      ]),
    changed: relabelled,
  },
  "services of one selector label": {
    objects: (size) =>
      list(size, (index) => [
        service(
          `shop/s-${index}`,
          address(13, index),
          { "app.kubernetes.io/instance": "prod", "app.kubernetes.io/name": `app-${index}` },
          [{ name: "http", port: 80, targetPort: 8080 }],
        ),
        pod(`shop/w-${index}`, address(11, index), {
          labels: { "app.kubernetes.io/instance": "prod", "app.kubernetes.io/name": `app-${index}` },
        }),
      ]),
    changed: relabelled,
  },
  authorization: policyCase("AuthorizationPolicy", { rules: [{ from: [{ source: { namespaces: ["shop"] } }] }] }),
  "authorization of services": {
    objects: (size) =>
      list(size, (index) => [
        istio(
          "AuthorizationPolicy",
          `shop/p-${index}`,
          { targetRefs: [{ kind: "Service", group: "", name: `s-${index}` }] },
          "security.istio.io",
        ),
        service(
          `shop/s-${index}`,
          address(13, index),
          { app: `app-${index}` },
          [{ name: "http", port: 80, targetPort: 8080 }],
          {
            "istio.io/use-waypoint": "wp",
          },
        ),
      ]),
    changed: relabelled,
  },
  "peer authentication": policyCase("PeerAuthentication", { mtls: { mode: "STRICT" } }),
  "request authentication": policyCase("RequestAuthentication", {}),
  telemetry: policyCase("Telemetry", { tracing: [{ randomSamplingPercentage: 5 }] }, "telemetry.istio.io"),
  "wasm plugins": policyCase("WasmPlugin", { url: "oci://example.org/plugin:1" }, "extensions.istio.io"),
  "envoy filters": {
    objects: (size) =>
      list(size, (index) => [
        istio("EnvoyFilter", `shop/f-${index}`, {
          workloadSelector: { labels: { app: `app-${index}` } },
          configPatches: [
            {
              applyTo: "CLUSTER",
              match: { context: "SIDECAR_OUTBOUND" },
              patch: { operation: "MERGE", value: { connect_timeout: "3s" } },
            },
          ],
        }),
        workload(index),
      ]),
    changed: relabelled,
  },
  sidecars: {
    objects: (size) =>
      list(size, (index) => [
        istio("Sidecar", `shop/c-${index}`, {
          workloadSelector: { labels: { app: `app-${index}` } },
          egress: [{ hosts: ["./*"] }],
        }),
        workload(index),
        service(`shop/s-${index}`, address(13, index), { app: `app-${index}` }, [
          { name: "http", port: 80, targetPort: 8080 },
        ]),
      ]),
    changed: withSpec((spec, round) => ({ ...spec, egress: [{ hosts: ["./*", `x-${round}/*`] }] })),
  },
  "destination rules": {
    objects: (size) =>
      list(size, (index) => [
        istio("DestinationRule", `shop/d-${index}`, {
          host: `s-${index}.shop.svc.cluster.local`,
          subsets: [{ name: "v1", labels: { version: "v1" } }],
        }),
        service(`shop/s-${index}`, address(13, index), { app: `app-${index}` }, [
          { name: "http", port: 80, targetPort: 8080 },
        ]),
      ]),
    changed: withSpec((spec, round) => ({ ...spec, subsets: [{ name: `v${round + 2}`, labels: { version: "v1" } }] })),
  },
  "destination rules of wildcards": {
    objects: (size) =>
      list(size, (index) => [
        istio("DestinationRule", `shop/d-${index}`, { host: `*.d-${index}.example.org` }),
        istio("ServiceEntry", `shop/e-${index}`, {
          hosts: [`x.d-${index}.example.org`],
          ports: [http],
          resolution: "DNS",
        }),
      ]),
    changed: withSpec((spec, round) => ({
      ...spec,
      ...("host" in spec
        ? { trafficPolicy: { connectionPool: { tcp: { maxConnections: round + 1 } } } }
        : { location: round % 2 === 0 ? "MESH_INTERNAL" : "MESH_EXTERNAL" }),
    })),
  },
  "virtual services": {
    objects: (size) =>
      list(size, (index) => [
        istio("VirtualService", `shop/v-${index}`, {
          hosts: [`s-${index}`],
          http: [{ timeout: "3s", route: [{ destination: { host: `s-${index}` } }] }],
        }),
        service(`shop/s-${index}`, address(13, index), { app: `app-${index}` }, [
          { name: "http", port: 80, targetPort: 8080 },
        ]),
      ]),
    changed: withSpec((spec, round) => ({
      ...spec,
      http: [{ timeout: `${round + 4}s`, route: [{ destination: { host: "web" } }] }],
    })),
  },
  "virtual services of gateways": {
    objects: (size) =>
      list(size, (index) => [
        istio("VirtualService", `edge/v-${index}`, {
          hosts: [`v-${index}.example.org`],
          gateways: [`edge/g-${index}`],
          http: [{ route: [{ destination: { host: "web.shop.svc.cluster.local" } }] }],
        }),
        istio("Gateway", `edge/g-${index}`, {
          selector: { istio: "ingress" },
          servers: [gatewayServer(`v-${index}.example.org`)],
        }),
      ]),
    changed: withSpec((spec, round) => ({
      ...spec,
      ...("http" in spec
        ? { http: [{ timeout: `${round + 1}s`, route: [{ destination: { host: "web.shop.svc.cluster.local" } }] }] }
        : { servers: [gatewayServer(`changed-${round}.example.org`)] }),
    })),
  },
  "virtual services of one gateway": {
    objects: (size) => [
      istio("Gateway", "edge/g", { selector: { istio: "ingress" }, servers: [gatewayServer("*")] }),
      ...list(size, (index) =>
        istio("VirtualService", `edge/v-${index}`, {
          hosts: [`v-${index}.example.org`],
          gateways: ["edge/g"],
          http: [{ route: [{ destination: { host: "web.shop.svc.cluster.local" } }] }],
        }),
      ),
    ],
    changed: withSpec((spec, round) => ({
      ...spec,
      ...("http" in spec
        ? { http: [{ timeout: `${round + 1}s`, route: [{ destination: { host: "web.shop.svc.cluster.local" } }] }] }
        : { servers: [gatewayServer(`*.changed-${round}.org`)] }),
    })),
  },
  "http routes": {
    objects: (size) => [
      gatewayApi("Gateway", "edge/gw", {
        gatewayClassName: "istio",
        listeners: [{ name: "http", port: 80, protocol: "HTTP", allowedRoutes: { namespaces: { from: "All" } } }],
      }),
      ...list(size, (index) =>
        gatewayApi("HTTPRoute", `shop/r-${index}`, {
          parentRefs: [{ name: "gw", namespace: "edge" }],
          hostnames: [`r-${index}.example.org`],
          rules: [{ backendRefs: [{ name: "web", port: 80 }] }],
        }),
      ),
    ],
    changed: withSpec((spec, round) => ({
      ...spec,
      ...("rules" in spec
        ? { hostnames: [`changed-${round}.example.org`] }
        : {
            listeners: [
              {
                name: "http",
                port: 80,
                protocol: "HTTP",
                hostname: `*.c${round}.org`,
                allowedRoutes: { namespaces: { from: "All" } },
              },
            ],
          }),
    })),
  },
  "gateways of the gateway API": {
    objects: (size) =>
      list(size, (index) => [
        gatewayApi("Gateway", `edge/gw-${index}`, {
          gatewayClassName: "istio",
          listeners: [{ name: "http", port: 80, protocol: "HTTP" }],
        }),
        gatewayApi("HTTPRoute", `edge/r-${index}`, {
          parentRefs: [{ name: `gw-${index}` }],
          rules: [{ backendRefs: [{ name: "edge", port: 80 }] }],
        }),
      ]),
    changed: withSpec((spec, round) => ({
      ...spec,
      ...("rules" in spec
        ? { hostnames: [`changed-${round}.example.org`] }
        : { listeners: [{ name: "http", port: 80, protocol: "HTTP", hostname: `*.c${round}.org` }] }),
    })),
  },
  namespaces: {
    objects: (size) =>
      list(size, (index) => [
        namespace(`n-${index}`, { "istio-injection": "enabled" }),
        service(`n-${index}/s`, address(13, index), { app: "s" }, [{ name: "http", port: 80, targetPort: 8080 }]),
        istio("PeerAuthentication", `n-${index}/default`, { mtls: { mode: "STRICT" } }, "security.istio.io"),
        istio("Sidecar", `n-${index}/default`, { egress: [{ hosts: ["./*"] }] }),
      ]),
    changed: relabelled,
  },
  "addresses of entries": {
    objects: (size) =>
      list(size, (index) =>
        istio("ServiceEntry", `shop/e-${index}`, {
          hosts: [`e-${index}.example.org`],
          addresses: [address(240, index)],
          ports: [{ number: 3306, name: "tcp", protocol: "TCP" }],
          resolution: "STATIC",
          endpoints: [{ address: address(10, index) }],
        }),
      ),
    changed: withSpec((spec, round) => ({ ...spec, endpoints: [{ address: address(9, round) }] })),
  },
  "one host of entries": {
    objects: (size) =>
      list(size, (index) =>
        istio("ServiceEntry", `shop/e-${index}`, {
          hosts: ["shared.example.org"],
          ports: [http],
          resolution: "STATIC",
          endpoints: [{ address: address(10, index) }],
        }),
      ),
    changed: withSpec((spec, round) => ({ ...spec, endpoints: [{ address: address(9, round) }] })),
  },
  "headless services": {
    objects: (size) =>
      list(size, (index) => [
        service(`shop/s-${index}`, "None", { app: `app-${index}` }, [{ name: "tcp", port: 3306, targetPort: 3306 }]),
        workload(index),
        slice(`shop/s-${index}`, { name: "tcp", port: 3306 }, [{ address: address(11, index), pod: `w-${index}` }]),
      ]),
    changed: relabelled,
  },
};
