import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import type { KubernetesObject } from "../../api/index.ts";
import { ClusterSchema, ListenerSchema } from "../../wire/envoy/index.ts";
import { meshKey, type MeshSettings } from "../model/facts.ts";
import type { ProxyGroup } from "../model/scope-choice.ts";
import { decodeResource, valueAt } from "../testing/decode-resource.ts";
import { config, createModelFixture, namespace, pod, service, testMesh } from "../testing/model-fixture.ts";
import { createOutboundFixture } from "../testing/outbound-fixture.ts";
import { deriveInboundResources } from "./inbound/inbound-resources.ts";
import { deriveMeshModel } from "./mesh-model.ts";
import { deriveOutboundResources } from "./outbound/outbound-resources.ts";
import { scopedResourceKey } from "./resource.ts";

const keeping = { ...testMesh, proxyHeaders: { ...testMesh.proxyHeaders, preserveHttp1HeaderCase: true } };
const formatter = {
  name: "preserve_case",
  typedConfig: {
    "@type": "type.googleapis.com/envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig",
  },
};
const inTheirCase = { headerKeyFormat: { statefulFormatter: formatter } };

const ports = [
  { name: "http", port: 80 },
  { name: "odd", port: 81 },
  { name: "tcp", port: 82 },
  { name: "grpc", port: 83 },
];
const objects = [namespace("shop"), service("shop/web", "10.96.0.5", { app: "web" }, ports)];
const outboundName = (port: number, subset = ""): string => `outbound|${port}|${subset}|web.shop.svc.cluster.local`;

function versionsOf(cluster: JsonObject | undefined): unknown {
  const options = valueAt(
    cluster,
    "typedExtensionProtocolOptions",
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
  ) as JsonObject | undefined;
  return options?.["explicitHttpConfig"] ?? options?.["useDownstreamProtocolConfig"];
}

function outbound(given: Partial<ProxyGroup>, more: readonly KubernetesObject[] = [], mesh: MeshSettings = keeping) {
  const fixture = createOutboundFixture();
  fixture.inputs.mesh.set(meshKey, mesh);
  fixture.apply(...objects, ...more);
  const served = fixture.serve(given);
  return {
    versions: (name: string) => versionsOf(served.clusters()[name]),
    listeners: () => JSON.stringify(served.listeners()),
  };
}

test("clusters of ports that may speak HTTP/1 and those of unknown destinations keep the case of headers", () => {
  const { versions, listeners } = outbound({});
  const followingClient = { httpProtocolOptions: inTheirCase, http2ProtocolOptions: {} };
  assert.deepEqual(
    [80, 81, 82, 83].map((port) => versions(outboundName(port))),
    [{ httpProtocolOptions: inTheirCase }, followingClient, undefined, { http2ProtocolOptions: {} }],
  );
  assert.deepEqual(versions("PassthroughCluster"), followingClient);
  assert.match(listeners(), /"preserve_case"/);
  const gateway = outbound({ kind: "router" });
  // Gateways do not follow their client's HTTP version.
  assert.deepEqual(
    [80, 81, 82].map((port) => gateway.versions(outboundName(port))),
    [{ httpProtocolOptions: inTheirCase }, { httpProtocolOptions: inTheirCase }, undefined],
  );
  const hosts = outbound({}, [], { ...keeping, outboundTrafficPolicy: "ALLOW_ANY_DYNAMIC_DNS" });
  assert.deepEqual(hosts.versions("AllowAnyDynamicDNSCluster"), followingClient);
});

test("a rule that keeps the client's HTTP version keeps the case of headers, and an upgrade setting does not change that", () => {
  const subset = (name: string, http: object) => ({
    name,
    labels: { version: name },
    trafficPolicy: { connectionPool: { http } },
  });
  const rule = config("DestinationRule", "shop/web", {
    host: "web",
    subsets: [
      subset("client", { useClientProtocol: true }),
      subset("upgraded", { h2UpgradePolicy: "UPGRADE" }),
      subset("idle", { idleTimeout: "3s" }),
    ],
  });
  const { versions } = outbound({}, [rule]);
  assert.deepEqual(
    ["client", "upgraded", "idle"].map((name) => versions(outboundName(80, name))),
    [
      { httpProtocolOptions: inTheirCase, http2ProtocolOptions: {} },
      { httpProtocolOptions: inTheirCase },
      { httpProtocolOptions: inTheirCase },
    ],
  );
});

test("a proxy's own setting wins over the mesh's, and it shares the clusters that do not speak HTTP/1", () => {
  const fixture = createModelFixture();
  const model = deriveMeshModel(fixture.graph, fixture.inputs);
  const { clusters } = deriveOutboundResources(fixture.graph, model).clusters;
  fixture.apply(...objects);
  const place = { locality: { region: "", zone: "", subzone: "" }, node: "n", network: "" };
  const group = { kind: "sidecar", namespace: "shop", labels: {}, hbone: false, dnsCapture: false, ...place } as const;
  const own = (preserveHttp1HeaderCase: boolean): ProxyGroup => ({
    ...group,
    proxyConfig: { proxyHeaders: { preserveHttp1HeaderCase } },
  });
  const shown = (): readonly string[] => {
    fixture.graph.settle();
    return [...clusters.values()]
      .map((resource) => {
        const kept = JSON.stringify(decodeResource(ClusterSchema, resource)).includes("preserve_case");
        return `${resource.name.split("|")[1]}${kept ? " kept" : ""}`;
      })
      .sort();
  };
  model.scopes.groups.set("plain", group);
  model.scopes.groups.set("off", own(false));
  assert.deepEqual(shown(), ["80", "81", "82", "83"]);
  model.scopes.groups.set("on", own(true));
  assert.deepEqual(shown(), ["80", "80 kept", "81", "81 kept", "82", "83"]);
  fixture.inputs.mesh.set(meshKey, keeping);
  assert.deepEqual(shown(), ["80", "80 kept", "81", "81 kept", "82", "83"]);
  model.scopes.groups.delete("off");
  assert.deepEqual(shown(), ["80 kept", "81 kept", "82", "83"]);
});

test("a sidecar keeps the case of headers towards its application, on declared ports and others", () => {
  const fixture = createModelFixture();
  const { clusters, fixedClusters, listeners } = deriveInboundResources(
    fixture.graph,
    deriveMeshModel(fixture.graph, fixture.inputs),
  );
  fixture.inputs.mesh.set(meshKey, keeping);
  const web = pod("shop/web-1", "10.244.1.5", { labels: { app: "web" }, redirected: false }) as KubernetesObject & {
    spec: { containers: object[] };
  };
  web.spec.containers.push({ name: "istio-proxy", args: ["proxy", "sidecar"], env: [] });
  fixture.apply(...objects, web);
  const versions = (port: number): unknown => {
    const found = clusters.get(scopedResourceKey("shop/web-1", `inbound|${port}||`));
    return versionsOf(decodeResource(ClusterSchema, found?.resource));
  };
  const followingClient = { httpProtocolOptions: inTheirCase, http2ProtocolOptions: {} };
  assert.deepEqual([80, 81, 82, 83].map(versions), [
    { httpProtocolOptions: inTheirCase },
    followingClient,
    undefined,
    { http2ProtocolOptions: {} },
  ]);
  const [passthrough] = [...fixedClusters.values()];
  assert.deepEqual(versionsOf(decodeResource(ClusterSchema, passthrough)), followingClient);
  const listener = listeners.get(scopedResourceKey("shop/web-1", "virtualInbound"))?.resource;
  assert.match(JSON.stringify(decodeResource(ListenerSchema, listener)), /"preserve_case"/);
});
