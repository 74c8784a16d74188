import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, toBinary, toJson, type DescMessage, type JsonObject } from "@bufbuild/protobuf";
import type { KubernetesObject } from "../api/index.ts";
import { DeltaDiscoveryRequestSchema, DeltaDiscoveryResponseSchema } from "../wire/discovery/index.ts";
import { ClusterSchema, envoyRegistry, ListenerSchema, RouteConfigurationSchema } from "../wire/envoy/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { config, namespace, pod, service, slice, testMesh } from "./testing/model-fixture.ts";
import { createServedFixture } from "./testing/served-fixture.ts";

const ownConfig = `
gatewayTopology: { numTrustedProxies: 2, forwardClientCertDetails: FORWARD_ONLY }
proxyHeaders:
  forwardedClientCert: SANITIZE
  server: { value: pod-mesh }
  requestId: { disabled: true }
  attemptCount: { disabled: true }
  envoyDebugHeaders: { disabled: true }
`;

function annotated(object: KubernetesObject, text: string | undefined): KubernetesObject {
  const annotations = {
    ...object.metadata.annotations,
    ...(text === undefined ? {} : { "proxy.istio.io/config": text }),
  };
  return { ...object, metadata: { ...object.metadata, annotations } };
}

const wayLabels = {
  "gateway.networking.k8s.io/gateway-name": "way",
  "gateway.networking.k8s.io/gateway-class-name": "istio-waypoint",
};

interface PodSettings {
  readonly text: string | undefined;
  /** The variables of the proxy's container. */
  readonly variables?: Readonly<Record<string, string>>;
}

function proxyPod(
  key: string,
  address: string,
  { mode, labels }: { readonly mode: string; readonly labels: Record<string, string> },
  { text, variables = {} }: PodSettings,
): KubernetesObject {
  const base = pod(key, address, { labels, redirected: false }) as KubernetesObject & {
    spec: { containers: object[] };
  };
  const env = Object.entries(variables).map(([variable, value]) => ({ name: variable, value }));
  base.spec.containers.push({ name: "istio-proxy", args: ["proxy", mode], env });
  return annotated(base, text);
}

const schemas: Readonly<Record<string, DescMessage>> = {
  [typeUrls.listener]: ListenerSchema,
  [typeUrls.cluster]: ClusterSchema,
};

interface Proxy {
  readonly id: string;
  readonly labels: Record<string, string>;
}

/** The resources of proxies in a mesh in which all pods have this annotation, and these variables. */
function served(text: string | undefined, mesh = testMesh, variables: PodSettings["variables"] = {}) {
  const { mesh: servedMesh, change } = createServedFixture({ settings: mesh });
  const server = { hosts: ["*"], port: { number: 80, name: "http", protocol: "HTTP" } };
  const settings = { text, variables };
  const gatewayPod = (name: string, labels: Record<string, string>, address: string, mode = "router") =>
    proxyPod(`shop/${name}`, address, { mode, labels }, settings);
  change([
    namespace("shop", { "istio.io/use-waypoint": "way" }),
    service("shop/web", "10.96.0.5", { app: "web" }, [{ name: "http", port: 80, targetPort: 8080 }]),
    slice("shop/web", { name: "http", port: 8080 }, [{ address: "10.244.1.5", pod: "web-1" }]),
    proxyPod("shop/web-1", "10.244.1.5", { mode: "sidecar", labels: { app: "web" } }, settings),
    gatewayPod("classic-1", { istio: "ingressgateway" }, "10.244.1.6"),
    gatewayPod("edge-1", { "gateway.networking.k8s.io/gateway-name": "edge" }, "10.244.1.7"),
    gatewayPod("way-1", wayLabels, "10.244.1.8", "waypoint"),
    {
      ...config("Gateway", "shop/edge", {
        gatewayClassName: "istio",
        listeners: [{ name: "http", port: 80, protocol: "HTTP" }],
      }),
      apiVersion: "gateway.networking.k8s.io/v1",
    },
    {
      ...config("Gateway", "shop/way", {
        gatewayClassName: "istio-waypoint",
        listeners: [{ name: "mesh", port: 15008, protocol: "HBONE" }],
      }),
      apiVersion: "gateway.networking.k8s.io/v1",
    },
    config("VirtualService", "shop/web", {
      hosts: ["web.example"],
      gateways: ["classic"],
      http: [{ rewrite: { authority: "inner" }, route: [{ destination: { host: "web" } }] }],
    }),
    config("VirtualService", "shop/inside", {
      hosts: ["web"],
      http: [{ rewrite: { authority: "inner" }, route: [{ destination: { host: "web" } }] }],
    }),
    config("HTTPRoute", "shop/web", {
      parentRefs: [{ name: "edge" }],
      rules: [
        {
          filters: [{ type: "URLRewrite", urlRewrite: { hostname: "inner" } }],
          backendRefs: [{ name: "web", port: 80 }],
        },
      ],
    }),
    {
      ...config("Gateway", "shop/classic", { selector: { istio: "ingressgateway" }, servers: [server] }),
      apiVersion: "networking.istio.io/v1",
    },
  ]);
  return ({ id, labels }: Proxy, typeUrl: string, names: readonly string[] = []): string => {
    const received: JsonObject[] = [];
    const schema = schemas[typeUrl] ?? RouteConfigurationSchema;
    const write = (parts: readonly Buffer[]): boolean => {
      const response = fromBinary(DeltaDiscoveryResponseSchema, Buffer.concat(parts));
      for (const { resource } of response.resources)
        received.push(
          toJson(schema, fromBinary(schema, resource?.value ?? new Uint8Array()), {
            registry: envoyRegistry(),
          }) as JsonObject,
        );
      return true;
    };
    const client = servedMesh.discovery.connect("delta", { write }, () => false);
    client.receive(
      toBinary(
        DeltaDiscoveryRequestSchema,
        create(DeltaDiscoveryRequestSchema, {
          typeUrl,
          resourceNamesSubscribe: [...names],
          node: { id, metadata: { LABELS: labels } },
        }),
      ),
    );
    client.close();
    assert.ok(received.length > 0, id);
    return JSON.stringify(received);
  };
}

const proxies: Readonly<Record<"classic" | "edge" | "way" | "web", Proxy>> = {
  classic: { id: "router~10.244.1.6~classic-1.shop~shop.svc.cluster.local", labels: { istio: "ingressgateway" } },
  edge: {
    id: "router~10.244.1.7~edge-1.shop~shop.svc.cluster.local",
    labels: { "gateway.networking.k8s.io/gateway-name": "edge" },
  },
  way: { id: "waypoint~10.244.1.8~way-1.shop~shop.svc.cluster.local", labels: wayLabels },
  web: { id: "sidecar~10.244.1.5~web-1.shop~shop.svc.cluster.local", labels: { app: "web" } },
};

const plain = served(undefined);
const own = served(ownConfig);

test("gateways use the topology of their pods' own proxy config, including those of Gateway API", () => {
  for (const name of ["classic", "edge"] as const) {
    assert.doesNotMatch(plain(proxies[name], typeUrls.listener), /xffNumTrustedHops|FORWARD_ONLY/, name);
    assert.match(own(proxies[name], typeUrls.listener), /"xffNumTrustedHops":2/, name);
    assert.match(own(proxies[name], typeUrls.listener), /"forwardClientCertDetails":"FORWARD_ONLY"/, name);
  }
});

test("every proxy has the headers of its pod's own proxy config", () => {
  const serverName = /"serverName":"pod-mesh"/;
  for (const name of ["classic", "edge", "way", "web"] as const) {
    assert.doesNotMatch(plain(proxies[name], typeUrls.listener), serverName, name);
    const listeners = own(proxies[name], typeUrls.listener);
    assert.match(listeners, serverName, name);
    assert.match(listeners, /"generateRequestId":false/, name);
    assert.match(listeners, /"suppressEnvoyHeaders":true/, name);
  }
  const listeners = JSON.parse(own(proxies.web, typeUrls.listener)) as JsonObject[];
  for (const name of ["virtualInbound", "0.0.0.0_80"])
    assert.match(JSON.stringify(listeners.find((listener) => listener["name"] === name)), serverName, name);
});

test("the pod's own proxy config enables the attempt count on every route", () => {
  const tables = { web: ["80"], classic: [], edge: [] } as const;
  for (const name of ["web", "classic", "edge"] as const) {
    assert.match(plain(proxies[name], typeUrls.route, tables[name]), /"includeRequestAttemptCount":true/);
    assert.doesNotMatch(own(proxies[name], typeUrls.route, tables[name]), /AttemptCount/, name);
  }
});

test("X-Forwarded headers are those of the mesh, unless the pod's own proxy config has headers", () => {
  const tables = { web: ["80"], classic: ["http.80"], edge: ["http.80"] } as const;
  const enabled = { xForwardedHost: true, xForwardedPort: true };
  const mesh = { ...testMesh, proxyHeaders: { ...testMesh.proxyHeaders, ...enabled } };
  const byMesh = served(undefined, mesh);
  const byPod = served("proxyHeaders: { xForwardedHost: { enabled: true }, xForwardedPort: { enabled: true } }");
  const withoutThem = served("proxyHeaders: { server: { value: other } }", mesh);
  for (const name of ["web", "classic", "edge"] as const) {
    const appendedHeaders = (serve: typeof plain): readonly boolean[] => [
      serve(proxies[name], typeUrls.route, tables[name]).includes('"appendXForwardedHost":true'),
      serve(proxies[name], typeUrls.listener).includes('"appendXForwardedPort":true'),
    ];
    assert.deepEqual([plain, byMesh, byPod, withoutThem].map(appendedHeaders), [
      [false, false],
      [true, true],
      [true, true],
      [false, false],
    ]);
  }
});

test("names of HTTP/1 headers keep their case if the mesh config says so, unless the pod's own proxy config has headers", () => {
  const mesh = { ...testMesh, proxyHeaders: { ...testMesh.proxyHeaders, preserveHttp1HeaderCase: true } };
  const byMesh = served(undefined, mesh);
  const byPod = served("proxyHeaders: { preserveHttp1HeaderCase: true }");
  const withoutThem = served("proxyHeaders: { server: { value: other } }", mesh);
  const port80 = "outbound|80||web.shop.svc.cluster.local";
  const clusters = {
    web: [port80, "inbound|8080||", "PassthroughCluster", "InboundPassthroughCluster"],
    classic: [port80],
    edge: [port80],
    way: ["inbound-vip|80|http|web.shop.svc.cluster.local"],
  } as const;
  for (const name of ["web", "classic", "edge", "way"] as const) {
    const preservedCase = (serve: typeof plain): readonly boolean[] => {
      const all = JSON.parse(serve(proxies[name], typeUrls.cluster)) as JsonObject[];
      const kept = all.filter((cluster) => JSON.stringify(cluster).includes('"preserve_case"'));
      assert.deepEqual(
        new Set(kept.map((cluster) => cluster["name"])),
        new Set<unknown>(kept.length === 0 ? [] : clusters[name]),
      );
      return [kept.length > 0, serve(proxies[name], typeUrls.listener).includes('"preserve_case"')];
    };
    assert.deepEqual(
      [plain, byMesh, byPod, withoutThem].map(preservedCase),
      [
        [false, false],
        [true, true],
        [true, true],
        [false, false],
      ],
      name,
    );
  }
});

test("headers that a pod's config does not mention stay as in the mesh config", () => {
  const mesh = { ...testMesh, proxyHeaders: { ...testMesh.proxyHeaders, serverValue: "the-mesh" } };
  const listeners = served("proxyHeaders: { requestId: { disabled: true } }", mesh)(proxies.web, typeUrls.listener);
  assert.match(listeners, /"serverName":"the-mesh"/);
  assert.match(listeners, /"generateRequestId":false/);
});

test("an unreadable annotation changes nothing", () => {
  const listeners = served("gatewayTopology: [")(proxies.classic, typeUrls.listener);
  assert.equal(listeners, plain(proxies.classic, typeUrls.listener));
});

test("the variable ISTIO_META_IDLE_TIMEOUT of a proxy bounds the idle time of its connections of either kind", () => {
  const bounded = served(undefined, testMesh, { ISTIO_META_IDLE_TIMEOUT: "2h" });
  for (const [name, proxy] of Object.entries(proxies)) {
    const listeners = bounded(proxy, typeUrls.listener);
    assert.match(listeners, /"commonHttpProtocolOptions":\{"idleTimeout":"7200s"\}/, name);
    assert.doesNotMatch(plain(proxy, typeUrls.listener), /"idleTimeout":"7200s"/, name);
  }
  for (const proxy of [proxies.web, proxies.way])
    assert.match(bounded(proxy, typeUrls.listener), /"statPrefix":"[^"]+","cluster":"[^"]+","idleTimeout":"7200s"/);
  for (const wrong of ["soon", "-1s", "99999999h"])
    assert.equal(
      served(undefined, testMesh, { ISTIO_META_IDLE_TIMEOUT: wrong })(proxies.web, typeUrls.listener),
      plain(proxies.web, typeUrls.listener),
      wrong,
    );
});

test("the variable ISTIO_META_HTTP10 lets a proxy accept HTTP/1.0", () => {
  const accepting = served(undefined, testMesh, { ISTIO_META_HTTP10: "1" });
  for (const [name, proxy] of Object.entries(proxies)) {
    assert.match(accepting(proxy, typeUrls.listener), /"acceptHttp10":true/, name);
    assert.doesNotMatch(plain(proxy, typeUrls.listener), /acceptHttp10/, name);
  }
  assert.doesNotMatch(
    served(undefined, testMesh, { ISTIO_META_HTTP10: "true" })(proxies.web, typeUrls.listener),
    /acceptHttp10/,
  );
});
