import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import type { KubernetesObject } from "../../../api/index.ts";
import { ListenerSchema, RouteConfigurationSchema } from "../../../wire/envoy/index.ts";
import { parseMeshConfig } from "../../../api/istio/index.ts";
import { meshSettings } from "../../mesh-settings.ts";
import { deriveIngresses, meshKey } from "../../model/index.ts";
import { deriveSecretReferences } from "../../model/gateway/secret-references.ts";
import { decodeResource, valueAt } from "../../testing/decode-resource.ts";
import { config, createModelFixture, service, testMesh } from "../../testing/model-fixture.ts";
import { deriveMeshModel } from "../mesh-model.ts";
import { scopedResourceKey } from "../resource.ts";
import { deriveClassicGatewayResources } from "./gateway-classic-resources.ts";

const group = "group of the ingress gateway";

function ingresses(mesh: object = {}) {
  const fixture = createModelFixture();
  const { graph, inputs } = fixture;
  const model = deriveMeshModel(graph, inputs);
  const statuses = deriveIngresses(graph, inputs);
  const classic = deriveClassicGatewayResources(graph, model);
  const [secrets] = deriveSecretReferences(graph, {
    inputs,
    groups: model.scopes.groups,
    mergedGateways: classic.merged,
  });
  model.scopes.groups.set(group, {
    kind: "router",
    namespace: "istio-system",
    labels: { istio: "ingressgateway" },
    locality: { region: "", zone: "", subzone: "" },
    node: "",
    network: "",
    hbone: false,
    dnsCapture: false,
  });
  const setMesh = (value: object): void => {
    const parsed = parseMeshConfig(value).value;
    assert.ok(parsed !== undefined);
    inputs.mesh.set(meshKey, meshSettings(parsed, testMesh));
    graph.settle();
  };
  setMesh(mesh);
  fixture.apply(
    { kind: "IngressClass", metadata: { name: "istio" }, spec: { controller: "istio.io/ingress-controller" } } as never,
    { kind: "IngressClass", metadata: { name: "other" }, spec: { controller: "example.com/controller" } } as never,
    service("shop/web", "10.0.0.1", { app: "web" }, [{ name: "http", port: 80, targetPort: 8080 }]),
    {
      ...service("istio-system/istio-ingressgateway", "10.0.0.2", { istio: "ingressgateway" }, [
        { name: "http2", port: 80, targetPort: 8080 },
        { name: "https", port: 443, targetPort: 8443 },
      ]),
      spec: {
        type: "LoadBalancer",
        clusterIP: "10.0.0.2",
        selector: { istio: "ingressgateway" },
        ports: [
          { name: "http2", port: 80, targetPort: 8080 },
          { name: "https", port: 443, targetPort: 8443 },
        ],
      },
      status: { loadBalancer: { ingress: [{ ip: "172.18.255.1" }, { hostname: "lb.example.com" }] } },
    } as KubernetesObject,
  );
  const resource = (collection: "listeners" | "routes", name: string): JsonObject =>
    decodeResource(
      collection === "listeners" ? ListenerSchema : RouteConfigurationSchema,
      classic[collection].get(scopedResourceKey(group, name))?.resource,
    );
  return {
    ...fixture,
    setMesh,
    statuses,
    listener: (name: string): JsonObject => resource("listeners", name),
    /** `host: match > cluster` of each route of port 80. */
    routes: (): readonly string[] => {
      if (classic.routes.get(scopedResourceKey(group, "http.8080")) === undefined) return [];
      const hosts = (resource("routes", "http.8080")["virtualHosts"] ?? []) as JsonObject[];
      return hosts.flatMap((host) =>
        ((host["routes"] ?? []) as JsonObject[]).map(
          (route) =>
            `${valueAt(host, "domains", 0) as string}: ${JSON.stringify(route["match"])} > ${valueAt(route, "route", "cluster") as string}`,
        ),
      );
    },
    secrets: (): readonly unknown[] => [...(secrets?.values() ?? [])],
  };
}

const backend = (name: string, port: object = { number: 80 }): object => ({ service: { name, port } });
const ingress = (name: string, spec: object, metadata: object = {}): KubernetesObject =>
  config("Ingress", `shop/${name}`, spec, metadata);
const web = {
  ingressClassName: "istio",
  rules: [{ host: "shop.example.com", http: { paths: [{ path: "/", pathType: "Prefix", backend: backend("web") }] } }],
};

test("an Ingress's paths become routes of the ingress gateway: longest first, exact before prefix, by path segment", () => {
  const { apply, remove, routes, statuses } = ingresses();
  const paths = [
    { path: "/", pathType: "Prefix", backend: backend("web") },
    { path: "/cart/", pathType: "Prefix", backend: backend("web", { name: "http" }) },
    { path: "/cart/", pathType: "Exact", backend: backend("web", { number: 81 }) },
    { path: "/img/*", pathType: "ImplementationSpecific", backend: backend("web") },
    { path: "/lost", pathType: "Exact", backend: backend("web", { name: "no-such-port" }) },
    { path: "/bucket", pathType: "Exact", backend: { resource: { kind: "Bucket", name: "b" } } },
  ];
  const object = ingress("web", { ingressClassName: "istio", rules: [{ host: "shop.example.com", http: { paths } }] });
  apply(object);
  const to80 = "outbound|80||web.shop.svc.cluster.local";
  assert.deepEqual(
    routes().map((route) => route.replaceAll(/,"caseSensitive":true/g, "")),
    [
      `shop.example.com: {"path":"/cart/"} > outbound|81||web.shop.svc.cluster.local`,
      `shop.example.com: {"path":"/cart"} > ${to80}`,
      `shop.example.com: {"prefix":"/cart/"} > ${to80}`,
      `shop.example.com: {"prefix":"/img"} > ${to80}`,
      `shop.example.com: {"prefix":"/"} > ${to80}`,
    ],
  );
  assert.deepEqual(
    [...statuses.values()],
    [{ namespace: "shop", name: "web", uid: "", addresses: [{ ip: "172.18.255.1" }, { hostname: "lb.example.com" }] }],
  );
  remove(object);
  assert.deepEqual([routes(), [...statuses.values()]], [[], []]);
});

test("an Ingress's TLS ends at port 443 with the secret of the gateway's namespace", () => {
  const { apply, listener, secrets } = ingresses();
  apply(ingress("web", { ...web, tls: [{ hosts: ["shop.example.com"], secretName: "shop-cert" }, { hosts: ["x"] }] }));
  const chains = (listener("0.0.0.0_8443")["filterChains"] ?? []) as JsonObject[];
  assert.deepEqual(
    chains.map((chain) => [
      valueAt(chain, "filterChainMatch", "serverNames", 0),
      valueAt(chain, "transportSocket", "typedConfig", "commonTlsContext", "tlsCertificateSdsSecretConfigs", 0, "name"),
    ]),
    [["shop.example.com", "kubernetes://shop-cert"]],
  );
  assert.match(
    JSON.stringify(secrets()),
    /"namespace":"istio-system".*"name":"shop-cert"|"name":"shop-cert".*"namespace":"istio-system"|istio-system\/shop-cert/,
  );
});

test("rules of two Ingresses for one host become one VirtualService, the older Ingress first", () => {
  const { apply, routes } = ingresses();
  const at = (path: string, port: number): object => ({
    ingressClassName: "istio",
    rules: [
      {
        host: "a.example.com",
        http: { paths: [{ path, pathType: "Exact", backend: backend("web", { number: port }) }] },
      },
    ],
  });
  apply(
    ingress("b", at("/same", 82), { creationTimestamp: "2026-01-02T00:00:00Z" }),
    ingress("a", at("/same", 81), { creationTimestamp: "2026-01-01T00:00:00Z" }),
  );
  assert.deepEqual(
    routes().map((route) => route.split(" > ")[1]),
    ["outbound|81||web.shop.svc.cluster.local", "outbound|82||web.shop.svc.cluster.local"],
  );
});

test("an Ingress with a long name is served", () => {
  const { apply, routes } = ingresses();
  const { http } = web.rules[0] ?? {};
  apply(ingress("a".repeat(63), { ...web, rules: [...web.rules, { http }] }));
  assert.equal(routes().length, 2);
});

test("the class, the annotation and the mesh config's mode decide which Ingresses are served", () => {
  const old = (name: string): object => ({ annotations: { "kubernetes.io/ingress.class": name } });
  const withoutClass = { rules: web.rules };
  const cases: readonly (readonly [mode: string, spec: object, metadata: object, taken: boolean])[] = [
    ["STRICT", web, {}, true],
    ["STRICT", { ...web, ingressClassName: "other" }, {}, false],
    ["STRICT", { ...web, ingressClassName: "no-such-class" }, {}, false],
    ["STRICT", withoutClass, {}, false],
    ["STRICT", withoutClass, old("istio"), true],
    ["STRICT", web, old("nginx"), false],
    ["DEFAULT", withoutClass, {}, true],
    ["DEFAULT", { ...web, ingressClassName: "other" }, {}, false],
    ["OFF", web, {}, false],
    ["STRICT", web, { labels: { "istio.io/rev": "canary" } }, false],
  ];
  for (const [ingressControllerMode, spec, metadata, taken] of cases) {
    const { apply, routes } = ingresses({ ingressControllerMode });
    apply(ingress("web", spec, metadata));
    assert.equal(routes().length > 0, taken, JSON.stringify([ingressControllerMode, spec, metadata]));
  }
});

test("the mesh config names the gateway of Ingresses, and a change moves them", () => {
  const { apply, routes, setMesh, statuses } = ingresses({ ingressSelector: "elsewhere", ingressService: "edge" });
  apply(ingress("web", web));
  assert.deepEqual(routes(), []);
  assert.deepEqual([...statuses.values()][0]?.addresses, []);
  setMesh({ ingressClass: "istio" });
  assert.equal(routes().length, 1);
  assert.equal([...statuses.values()][0]?.addresses.length, 2);
});
