import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, toBinary, toJson, type DescMessage, type JsonObject } from "@bufbuild/protobuf";
import type { KubernetesObject } from "../api/index.ts";
import type { Pod } from "../api/kubernetes/index.ts";
import { renderPrometheus } from "../telemetry/index.ts";
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  type DeltaDiscoveryResponse,
} from "../wire/discovery/index.ts";
import {
  Cluster_DnsLookupFamily,
  ClusterSchema,
  envoyRegistry,
  ListenerSchema,
  RouteConfigurationSchema,
} from "../wire/envoy/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { meshKey } from "./model/index.ts";
import type { ServedMesh } from "./served-mesh.ts";
import { config, namespace, pod, service, slice, testMesh } from "./testing/model-fixture.ts";
import { createServedFixture } from "./testing/served-fixture.ts";

function startMesh() {
  const { mesh, metrics, change } = createServedFixture();
  const apply = (...objects: readonly KubernetesObject[]): void => change(objects);
  apply(
    namespace("shop"),
    pod("shop/client-1", "10.244.1.8", { labels: { app: "client" }, redirected: false }),
    ...web("a", 1),
    ...web("b", 2),
  );
  return { mesh, metrics, apply, change };
}

function web(name: string, index: number): readonly KubernetesObject[] {
  return [
    service(`shop/${name}`, `10.96.0.${index}`, { app: name }, [{ name: "http", port: 80, targetPort: 8080 }]),
    slice(`shop/${name}`, { name: "http", port: 8080 }, [{ address: `10.244.0.${index}` }]),
  ];
}

function split(weight: number): KubernetesObject {
  const to = (host: string, share: number): object => ({ destination: { host }, weight: share });
  return config("VirtualService", "shop/a", {
    hosts: ["a"],
    http: [{ route: [to("a", weight), to("b", 100 - weight)] }],
  });
}

/** A stream without a network. It reads responses at once, and acknowledges them on demand. */
class Peer {
  readonly received: DeltaDiscoveryResponse[] = [];
  readonly #client: ReturnType<ServedMesh["discovery"]["connect"]>;
  readonly #metadata: JsonObject;
  #first = true;
  writable = true;

  constructor({ discovery }: ServedMesh, metadata: JsonObject = {}) {
    this.#metadata = metadata;
    const write = (parts: readonly Buffer[]): boolean => {
      this.received.push(fromBinary(DeltaDiscoveryResponseSchema, Buffer.concat(parts)));
      return this.writable;
    };
    this.#client = discovery.connect("delta", { write }, () => false);
  }

  send(
    typeUrl: string,
    names: readonly string[] = [],
    more: { readonly responseNonce?: string; readonly initialResourceVersions?: Record<string, string> } = {},
  ): void {
    const node = this.#first
      ? { node: { id: "sidecar~10.244.1.8~client-1.shop~shop.svc.cluster.local", metadata: this.#metadata } }
      : {};
    this.#first = false;
    this.#client.receive(
      toBinary(
        DeltaDiscoveryRequestSchema,
        create(DeltaDiscoveryRequestSchema, { typeUrl, resourceNamesSubscribe: [...names], ...more, ...node }),
      ),
    );
  }

  /** Returns all received responses and acknowledges them. */
  take(): readonly DeltaDiscoveryResponse[] {
    const taken: DeltaDiscoveryResponse[] = [];
    for (let response = this.received.shift(); response !== undefined; response = this.received.shift()) {
      taken.push(response);
      this.send(response.typeUrl, [], { responseNonce: response.nonce });
    }
    return taken;
  }

  drained(): void {
    this.writable = true;
    this.#client.drained();
  }

  close(): void {
    this.#client.close();
  }
}

const namesOf = (responses: readonly DeltaDiscoveryResponse[]): string[] =>
  responses.flatMap(({ resources }) => resources.map(({ name }) => name)).sort();
const versionsOf = (responses: readonly DeltaDiscoveryResponse[]): Record<string, string> =>
  Object.fromEntries(responses.flatMap(({ resources }) => resources.map(({ name, version }) => [name, version])));

test("a client of on-demand virtual hosts gets a route configuration without hosts, and then one host for each change", () => {
  const { mesh, apply } = startMesh();
  apply(split(90));
  const peer = new Peer(mesh, { VIRTUAL_HOST_DISCOVERY: "true" });
  peer.send(typeUrls.route, ["80"]);
  const [tables] = peer.take();
  const table = fromBinary(RouteConfigurationSchema, tables?.resources[0]?.resource?.value ?? new Uint8Array());
  assert.deepEqual(
    [table.name, table.virtualHosts.length, table.vhds?.configSource?.configSourceSpecifier.case],
    ["80", 0, "ads"],
  );
  peer.send(typeUrls.virtualHost);
  assert.deepEqual(namesOf(peer.take()), ["80/*", "80/a.shop.svc.cluster.local", "80/b.shop.svc.cluster.local"]);
  apply(split(50));
  const changed = peer.take();
  assert.deepEqual(
    [changed.map(({ typeUrl }) => typeUrl), namesOf(changed)],
    [[typeUrls.virtualHost], ["80/a.shop.svc.cluster.local"]],
  );
  assert.ok(toBinary(DeltaDiscoveryResponseSchema, changed[0] ?? create(DeltaDiscoveryResponseSchema)).length < 2000);
  apply(...web("c", 3));
  assert.deepEqual(namesOf(peer.take()), ["80/c.shop.svc.cluster.local"]);
  const reference = new Peer(mesh);
  reference.send(typeUrls.route, ["80"]);
  const [all] = reference.take();
  assert.deepEqual(
    fromBinary(RouteConfigurationSchema, all?.resources[0]?.resource?.value ?? new Uint8Array()).virtualHosts.map(
      ({ name }) => name,
    ),
    ["a.shop.svc.cluster.local:80", "b.shop.svc.cluster.local:80", "c.shop.svc.cluster.local:80", "allow_any"],
  );
});

test("names resolve to the address families that a proxy has itself, and all other resources are shared", () => {
  const { mesh, apply } = startMesh();
  apply(
    config("ServiceEntry", "shop/out", {
      hosts: ["out.test"],
      resolution: "DNS",
      ports: [{ number: 443, name: "tls", protocol: "TLS" }],
    }),
  );
  const name = "outbound|443||out.test";
  const sentTo = (
    metadata: JsonObject,
  ): { readonly versions: Record<string, string>; readonly family: Cluster_DnsLookupFamily } => {
    const peer = new Peer(mesh, metadata);
    peer.send(typeUrls.cluster);
    const responses = peer.take();
    peer.close();
    const bytes = responses.flatMap(({ resources }) => resources).find((resource) => resource.name === name)
      ?.resource?.value;
    return {
      versions: versionsOf(responses),
      family: fromBinary(ClusterSchema, bytes ?? new Uint8Array()).dnsLookupFamily,
    };
  };
  const [four, six, both] = [
    sentTo({ INSTANCE_IPS: "10.0.0.9" }),
    sentTo({ INSTANCE_IPS: "fd00::9,fe80::9" }),
    sentTo({ INSTANCE_IPS: "fd00::9,10.0.0.9" }),
  ];
  assert.deepEqual(
    [four.family, six.family, both.family],
    [Cluster_DnsLookupFamily.V4_ONLY, Cluster_DnsLookupFamily.V6_ONLY, Cluster_DnsLookupFamily.ALL],
  );
  assert.deepEqual(sentTo({}), four, "by the address of its node where it lists none");
  assert.deepEqual({ ...six.versions, [name]: "" }, { ...four.versions, [name]: "" });
  assert.equal(new Set([four, six, both].map(({ versions }) => versions[name])).size, 3);
});

test("unknown hosts resolve to a proxy's own address families, in its cluster as in its listeners", () => {
  const { mesh } = startMesh();
  mesh.graph.batch(() =>
    mesh.inputs.mesh.set(meshKey, { ...testMesh, outboundTrafficPolicy: "ALLOW_ANY_DYNAMIC_DNS" }),
  );
  const familiesOf = (metadata: JsonObject): readonly unknown[] => {
    const peer = new Peer(mesh, metadata);
    peer.send(typeUrls.cluster);
    peer.send(typeUrls.listener);
    const resources = peer.take().flatMap((response) => response.resources);
    peer.close();
    return ["AllowAnyDynamicDNSCluster", "virtualOutbound"].map((name) => {
      const { resource } = resources.find((candidate) => candidate.name === name) ?? {};
      const schema: DescMessage = name === "virtualOutbound" ? ListenerSchema : ClusterSchema;
      const message = fromBinary(schema, resource?.value ?? new Uint8Array());
      const text = JSON.stringify(toJson(schema, message, { registry: envoyRegistry() }));
      return /"dnsLookupFamily":"(\w+)"/.exec(text)?.[1];
    });
  };
  assert.deepEqual(familiesOf({ INSTANCE_IPS: "10.0.0.9" }), ["V4_ONLY", "V4_ONLY"]);
  assert.deepEqual(familiesOf({ INSTANCE_IPS: "fd00::9" }), ["V6_ONLY", "V6_ONLY"]);
  assert.deepEqual(familiesOf({ INSTANCE_IPS: "fd00::9,10.0.0.9" }), ["ALL", "ALL"]);
});

test("a change causes one response of each affected type to each client, and its ACK gets no answer", () => {
  const { mesh, apply } = startMesh();
  const peers = [new Peer(mesh), new Peer(mesh), new Peer(mesh)];
  for (const peer of peers) {
    peer.send(typeUrls.cluster);
    peer.send(typeUrls.endpoint, ["outbound|80||a.shop.svc.cluster.local", "outbound|80||b.shop.svc.cluster.local"]);
    peer.send(typeUrls.listener);
    peer.send(typeUrls.route, ["80"]);
    while (peer.take().length > 0);
  }
  apply(slice("shop/a", { name: "http", port: 8080 }, [{ address: "10.244.0.77" }]));
  for (const peer of peers) {
    assert.deepEqual(
      peer.received.map(({ typeUrl, resources, removedResources }) => [
        typeUrl,
        resources.map(({ name }) => name),
        removedResources,
      ]),
      [[typeUrls.endpoint, ["outbound|80||a.shop.svc.cluster.local"], []]],
    );
    peer.take();
    assert.equal(peer.received.length, 0);
  }
  apply(slice("shop/a", { name: "http", port: 8080 }, [{ address: "10.244.0.77" }]));
  assert.deepEqual(
    peers.map(({ received }) => received.length),
    [0, 0, 0],
    "what says nothing new is sent to nobody",
  );
});

test("another process gives the same versions after a restart, so that a reconnect brings only changes", () => {
  const before = startMesh();
  before.apply(split(90));
  const first = new Peer(before.mesh);
  const known: Record<string, Record<string, string>> = {};
  for (const [typeUrl, names] of [
    [typeUrls.cluster, []],
    [typeUrls.listener, []],
    [typeUrls.route, ["80"]],
  ] as const) {
    first.send(typeUrl, names);
    known[typeUrl] = versionsOf(first.take());
  }
  assert.ok(Object.keys(known[typeUrls.cluster] ?? {}).length > 3);
  const after = startMesh();
  after.apply(split(90), ...web("c", 3));
  const again = new Peer(after.mesh);
  again.send(typeUrls.cluster, [], { initialResourceVersions: known[typeUrls.cluster] ?? {} });
  assert.deepEqual(namesOf(again.take()), ["outbound|80||c.shop.svc.cluster.local"]);
  again.send(typeUrls.listener, [], { initialResourceVersions: known[typeUrls.listener] ?? {} });
  assert.deepEqual(namesOf(again.take()), []);
});

test("a client that does not read gets no further responses, delays no other client, and later gets only the last state", () => {
  const { mesh, apply } = startMesh();
  const [slow, quick] = [new Peer(mesh), new Peer(mesh)];
  for (const peer of [slow, quick]) {
    peer.send(typeUrls.route, ["80"]);
    peer.take();
  }
  slow.writable = false;
  let last: readonly DeltaDiscoveryResponse[] = [];
  for (let weight = 1; weight <= 50; weight += 1) {
    apply(split(weight));
    last = quick.take();
    assert.equal(last.length, 1);
  }
  assert.equal(slow.received.length, 1, "one response is with it, and the next 49 are one");
  slow.drained();
  const taken = slow.take();
  assert.deepEqual([taken.length, versionsOf(taken.slice(1))], [2, versionsOf(last)]);
  slow.close();
  quick.close();
  assert.equal(mesh.discovery.streams.size, 0);
});

test("mesh changes are counted by kind and reason, and an unchanged object is not counted", () => {
  const { metrics, apply } = startMesh();
  apply(split(90));
  apply(split(50));
  apply(split(50));
  const text = renderPrometheus(metrics);
  for (const line of [
    'pilot_k8s_cfg_events{type="VirtualService",event="add"} 1',
    'pilot_k8s_cfg_events{type="VirtualService",event="update"} 1',
    'pilot_k8s_reg_events{type="Services",event="add"} 2',
    'pilot_push_triggers{type="config"} 2',
    'pilot_push_triggers{type="endpoint"} 2',
  ]) {
    assert.ok(
      text.split("\n").includes(line),
      `${line}\n${text
        .split("\n")
        .filter((found) => found.startsWith("pilot_"))
        .join("\n")}`,
    );
  }
  assert.doesNotMatch(text, /event="delete"/, "what has not come is not shown");
});

test("versions do not depend on the order in which objects are read, and a client that has them gets no response", () => {
  const objects = [
    ...web("c", 3),
    split(30),
    config("DestinationRule", "shop/b", { host: "b", trafficPolicy: { loadBalancer: { simple: "RANDOM" } } }),
    config("DestinationRule", "shop/c", { host: "c", subsets: [{ name: "v1", labels: { version: "v1" } }] }),
  ];
  const types = [typeUrls.cluster, typeUrls.listener, typeUrls.endpoint, typeUrls.route];
  const served = (
    order: readonly KubernetesObject[],
  ): { readonly mesh: ServedMesh; readonly versions: Readonly<Record<string, Readonly<Record<string, string>>>> } => {
    const { mesh, apply } = startMesh();
    for (const object of order) apply(object);
    const peer = new Peer(mesh);
    for (const typeUrl of types) peer.send(typeUrl, ["*"]);
    const versions: Record<string, Record<string, string>> = {};
    for (const { typeUrl, resources } of peer.take())
      for (const { name, version } of resources) (versions[typeUrl] ??= {})[name] = version;
    return { mesh, versions };
  };
  const before = served(objects);
  const after = served([...objects].reverse());
  assert.ok(types.every((typeUrl) => Object.keys(before.versions[typeUrl] ?? {}).length > 0));
  assert.deepEqual(after.versions, before.versions);
  const back = new Peer(after.mesh);
  for (const typeUrl of types) back.send(typeUrl, ["*"], { initialResourceVersions: before.versions[typeUrl] ?? {} });
  assert.deepEqual(
    back
      .take()
      .flatMap(({ resources, removedResources }) => [...resources.map(({ name }) => name), ...removedResources]),
    [],
  );
});

for (const [title, waits] of [
  ["the same change brings both", false],
  ["the listener changes once more before the client has answered", true],
] as const)
  test(`a cluster is removed before a listener arrives that would fetch keys through it: ${title}`, () => {
    const { mesh, apply, change } = startMesh();
    mesh.inputs.mesh.set(meshKey, { ...testMesh, keySetFetcher: "proxy" });
    const entry = config("ServiceEntry", "shop/keys", {
      hosts: ["keys.example"],
      location: "MESH_INTERNAL",
      ports: [{ number: 8000, name: "http", protocol: "HTTP" }],
      resolution: "DNS",
      endpoints: [{ address: "keys.internal" }],
    });
    const tokensOf = (issuer: string): KubernetesObject =>
      config("RequestAuthentication", "shop/tokens", {
        jwtRules: [{ issuer, jwksUri: "http://keys.example:8000/jwks" }],
      });
    const cluster = "outbound|8000||keys.example";
    const changesOf = (responses: readonly DeltaDiscoveryResponse[]): string[] =>
      responses.flatMap(({ typeUrl, resources, removedResources }) => [
        ...resources.flatMap(({ name, resource }) =>
          typeUrl === typeUrls.listener && name === "virtualInbound"
            ? `listener ${Buffer.from(resource?.value ?? []).includes(cluster) ? "with" : "without"} keys`
            : [],
        ),
        ...(removedResources.includes(cluster) ? ["no cluster"] : []),
      ]);
    const client = pod("shop/client-1", "10.244.1.8", { labels: { app: "client" }, redirected: false }) as Pod;
    client.spec?.containers.push({ name: "istio-proxy", args: ["proxy", "sidecar"], env: [] });
    apply(client, entry, tokensOf("first"));
    const peer = new Peer(mesh);
    for (const typeUrl of [typeUrls.cluster, typeUrls.listener]) peer.send(typeUrl);
    assert.deepEqual(changesOf(peer.take()), ["listener with keys"]);
    if (waits) {
      change([], [tokensOf("first"), entry]);
      apply(tokensOf("second"));
      assert.deepEqual(changesOf(peer.take()), ["listener without keys", "no cluster", "listener with keys"]);
    } else {
      change([tokensOf("second")], [entry]);
      assert.deepEqual(changesOf(peer.take()), ["no cluster", "listener with keys"]);
    }
    peer.close();
  });
