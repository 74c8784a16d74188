import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type KubernetesObject } from "../../api/index.ts";
import { DeltaDiscoveryRequestSchema, DeltaDiscoveryResponseSchema } from "../../wire/discovery/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { deriveWaypoints } from "../model/ambient/waypoint.ts";
import { ServedAmbient } from "./served-ambient.ts";
import type { ServedMesh } from "../served-mesh.ts";
import {
  config,
  createModelFixture,
  namespace,
  pod,
  service,
  slice,
  type ModelFixture,
} from "../testing/model-fixture.ts";
import { createServedFixture } from "../testing/served-fixture.ts";
import { deriveAmbientResources, type AmbientResources } from "../translate/index.ts";

const sidecar = (key: string, address: string, labels: Record<string, string> = {}): KubernetesObject =>
  pod(key, address, { labels: { app: "web", ...labels }, redirected: false });
const webPort = { name: "http", port: 80, targetPort: 8080 };
const web = (labels: Record<string, string> = {}): KubernetesObject =>
  service("shop/web", "10.96.0.5", { app: "web" }, [webPort], labels);
const entrySpec = {
  hosts: ["api.example.com"],
  addresses: ["240.0.0.9"],
  ports: [{ number: 80, name: "http", protocol: "HTTP" }],
  resolution: "STATIC",
  location: "MESH_EXTERNAL",
  endpoints: [{ address: "192.0.2.9" }],
};

/** One object of each kind that ztunnels' resources depend on, and no sign of ambient. */
const sidecarMesh: readonly KubernetesObject[] = [
  namespace("istio-system"),
  namespace("shop", { "istio-injection": "enabled" }),
  web(),
  sidecar("shop/web-1", "10.244.1.5"),
  slice("shop/web", { name: "http", port: 8080 }, [{ address: "10.244.1.5", pod: "web-1" }, { address: "192.0.2.7" }]),
  config("ServiceEntry", "shop/api", entrySpec),
  config("WorkloadEntry", "shop/machine", { address: "192.0.2.8", labels: { app: "web" } }),
  config("AuthorizationPolicy", "shop/allow", { rules: [{ from: [{ source: { namespaces: ["shop"] } }] }] }),
  config("PeerAuthentication", "shop/strict", {
    mtls: { mode: "STRICT" },
    selector: { matchLabels: { app: "web" } },
    portLevelMtls: { 8081: { mode: "PERMISSIVE" } },
  }),
];

function served() {
  const fixture = createModelFixture();
  const { graph, inputs } = fixture;
  const ambient = new ServedAmbient(graph, inputs, deriveWaypoints(graph, inputs));
  const isDerived = (): boolean => graph.collections.some(({ name }) => name.startsWith("wds-"));
  return { ...fixture, ambient, isDerived };
}

function versions({ addresses, authorizations }: AmbientResources): Readonly<Record<string, string>> {
  return Object.fromEntries(
    [...addresses, ...authorizations]
      .flatMap((collection) =>
        [...collection.values()].map(({ name, version }) => [`${collection.name} ${name}`, version] as const),
      )
      .sort(([left], [right]) => (left < right ? -1 : 1)),
  );
}

/** The resources if they are derived before the first write. */
function fromTheStart(...objects: readonly KubernetesObject[]): {
  readonly fixture: ModelFixture;
  readonly expected: () => Readonly<Record<string, string>>;
} {
  const fixture = createModelFixture();
  const resources = deriveAmbientResources(fixture.graph, fixture.inputs);
  fixture.apply(...objects);
  return { fixture, expected: () => versions(resources) };
}

test("a sidecar-only mesh derives nothing for ztunnels, whatever changes", () => {
  const { apply, isDerived } = served();
  apply(...sidecarMesh);
  apply(
    sidecar("shop/web-2", "10.244.1.6"),
    slice("shop/web", { name: "http", port: 8080 }, [{ address: "10.244.1.6", pod: "web-2" }]),
  );
  assert.equal(isDerived(), false);
});

const gateway = (className: string): KubernetesObject => ({
  ...config("Gateway", "shop/waypoint", {
    gatewayClassName: className,
    listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE" }],
  }),
  apiVersion: "gateway.networking.k8s.io/v1",
});

const signs: Readonly<Record<string, KubernetesObject>> = {
  "a captured pod": pod("shop/web-1", "10.244.1.5", { labels: { app: "web" } }),
  "a pod's label": sidecar("shop/web-1", "10.244.1.5", { "istio.io/dataplane-mode": "ambient" }),
  "a ztunnel's pod": sidecar("istio-system/ztunnel-x", "10.244.1.9", { app: "ztunnel" }),
  "a namespace's label": namespace("shop", { "istio.io/dataplane-mode": "ambient" }),
  "a namespace that names a waypoint": namespace("shop", { "istio.io/use-waypoint": "waypoint" }),
  "a service that names a waypoint": web({ "istio.io/use-waypoint": "waypoint" }),
  "an entry that names a waypoint": config("ServiceEntry", "shop/api", entrySpec, {
    labels: { "istio.io/use-waypoint": "waypoint" },
  }),
  "a machine that names a waypoint": config(
    "WorkloadEntry",
    "shop/machine",
    { address: "192.0.2.8", labels: { app: "web" } },
    { labels: { "istio.io/use-waypoint": "waypoint" } },
  ),
  "a waypoint": gateway("istio-waypoint"),
};

for (const [name, sign] of Object.entries(signs)) {
  test(`${name} is a sign of ambient, and the same settling derives everything as if it had been there from the start`, () => {
    const { ambient, apply, isDerived } = served();
    apply(...sidecarMesh);
    assert.equal(isDerived(), false);
    apply(sign);
    assert.equal(isDerived(), true);
    const { expected } = fromTheStart(...sidecarMesh, sign);
    assert.deepEqual(versions(ambient.resources()), expected());
    assert.ok(Object.keys(expected()).length >= 8);
  });
}

test("near misses are no sign of ambient: another class, another mode, a Service named like a ztunnel", () => {
  const { apply, isDerived } = served();
  apply(
    ...sidecarMesh,
    gateway("istio"),
    namespace("shop", { "istio.io/dataplane-mode": "none" }),
    web({ app: "ztunnel" }),
  );
  assert.equal(isDerived(), false);
});

test("a remote cluster's ambient namespace is also a sign", () => {
  const { inputs, apply, isDerived } = served();
  apply(...sidecarMesh);
  inputs.remote.namespaces.set("east/shop", { name: "shop", labels: { "istio.io/dataplane-mode": "ambient" } });
  assert.equal(isDerived(), true);
});

test("a request for ambient resources without any sign gets them all, and they stay current when signs come and go", () => {
  const { graph, inputs, ambient, apply, remove } = served();
  apply(...sidecarMesh);
  const { fixture, expected } = fromTheStart(...sidecarMesh);
  const resources = ambient.resources();
  assert.deepEqual(versions(resources), expected());
  const sign = namespace("shop", { "istio.io/dataplane-mode": "ambient" });
  const changes = [
    [sign],
    [sidecar("shop/web-2", "10.244.1.6")],
    [web({ "networking.istio.io/traffic-distribution": "PreferClose" })],
    [namespace("shop")],
  ];
  for (const change of changes) {
    apply(...change);
    fixture.apply(...change);
    assert.deepEqual(versions(ambient.resources()), expected());
  }
  remove(web());
  fixture.remove(web());
  assert.deepEqual(versions(ambient.resources()), expected());
  assert.equal(ambient.resources(), resources);
  assert.equal(graph.collections.filter(({ name }) => name === "wds-pods").length, 1);
  assert.equal(inputs.pods.size, 2);
});

function startMesh(...objects: readonly KubernetesObject[]) {
  const { mesh, change, write } = createServedFixture();
  const apply = (...changed: readonly KubernetesObject[]): void => change(changed);
  apply(...objects);
  return { mesh, apply, write };
}

function stream({ discovery }: ServedMesh, id: string) {
  const sent: (readonly string[])[] = [];
  const unanswered: { readonly typeUrl: string; readonly responseNonce: string }[] = [];
  const write = (parts: readonly Buffer[]): boolean => {
    const { typeUrl, nonce, resources } = fromBinary(DeltaDiscoveryResponseSchema, Buffer.concat(parts));
    unanswered.push({ typeUrl, responseNonce: nonce });
    sent.push(resources.map(({ name }) => name).sort());
    return true;
  };
  const client = discovery.connect("delta", { write }, () => false);
  let first = true;
  const send = (request: { readonly typeUrl: string; readonly responseNonce?: string }): void => {
    const node = first ? { node: { id } } : {};
    first = false;
    client.receive(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, { ...request, ...node })));
  };
  return {
    ask: (typeUrl: string): void => send({ typeUrl }),
    take: (): readonly (readonly string[])[] => {
      for (const answer of unanswered.splice(0)) send(answer);
      return sent.splice(0);
    },
    close: (): void => client.close(),
  };
}

const ztunnelId = "ztunnel~10.244.1.9~ztunnel-x.istio-system~istio-system.svc.cluster.local";
const sidecarId = "sidecar~10.244.1.5~web-1.shop~shop.svc.cluster.local";

test("an unannounced ztunnel's first answer is complete, includes unsettled writes, and every later change follows", () => {
  const { mesh, apply, write } = startMesh(...sidecarMesh);
  const isDerived = (): boolean => mesh.graph.collections.some(({ name }) => name === "wds-pods");
  const proxy = stream(mesh, sidecarId);
  for (const typeUrl of [typeUrls.cluster, typeUrls.listener, typeUrls.address]) proxy.ask(typeUrl);
  assert.equal(isDerived(), false);
  write(sidecar("shop/web-2", "10.244.1.6"));
  const [first, second] = [stream(mesh, ztunnelId), stream(mesh, ztunnelId.replace("ztunnel-x", "ztunnel-y"))];
  for (const ztunnel of [first, second]) ztunnel.ask(typeUrls.address);
  assert.equal(isDerived(), true);
  const all = [
    "Kubernetes//Pod/shop/web-1",
    "Kubernetes//Pod/shop/web-2",
    "Kubernetes/discovery.k8s.io/EndpointSlice/shop/web-x/192.0.2.7",
    "Kubernetes/networking.istio.io/ServiceEntry/shop/api/192.0.2.9",
    "Kubernetes/networking.istio.io/WorkloadEntry/shop/machine",
    "shop/api.example.com",
    "shop/web.shop.svc.cluster.local",
  ];
  for (const ztunnel of [first, second]) assert.deepEqual(ztunnel.take(), [all]);
  first.ask(typeUrls.authorization);
  assert.deepEqual(first.take(), [
    ["istio-system/istio_converted_static_strict", "shop/allow", "shop/converted_peer_authentication_strict"],
  ]);
  apply(sidecar("shop/web-3", "10.244.1.7"));
  for (const ztunnel of [first, second]) assert.deepEqual(ztunnel.take(), [["Kubernetes//Pod/shop/web-3"]]);
  for (const each of [proxy, first, second]) each.close();
});

test("an ambient mesh derives everything in the first settling, and a ztunnel's request derives nothing more", () => {
  const { mesh } = startMesh(
    ...sidecarMesh,
    namespace("shop", { "istio.io/dataplane-mode": "ambient" }),
    pod("shop/web-1", "10.244.1.5", { labels: { app: "web" } }),
  );
  const recomputations = (): Readonly<Record<string, number>> =>
    Object.fromEntries(mesh.graph.collections.map(({ name, stats }) => [name, stats.recomputations]));
  const before = recomputations();
  assert.equal(before["wds-pods"], 1);
  const ztunnel = stream(mesh, ztunnelId);
  ztunnel.ask(typeUrls.address);
  ztunnel.ask(typeUrls.authorization);
  assert.equal(ztunnel.take().length, 2);
  assert.deepEqual(recomputations(), before);
  ztunnel.close();
});
