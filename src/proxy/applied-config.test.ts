import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { fromJson, toBinary, type DescMessage, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { createLogger, systemClock } from "../base/index.ts";
import { HandClock } from "../base/testing/index.ts";
import { FakeCertificateAuthority, type XdsUpdate } from "../dataplane/index.ts";
import type { ResolvedName } from "../dataplane/dns/index.ts";
import { freePort } from "../net/testing/index.ts";
import {
  ClusterLoadAssignmentSchema,
  ClusterSchema,
  envoyRegistry,
  RouteConfigurationSchema,
  TypedExtensionConfigSchema,
} from "../wire/envoy/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import type { ChainSpec } from "./listener/listener-spec.ts";
import type { ListenerSet } from "./listener-set.ts";
import { aloneConfig } from "./testing/alone-config.ts";
import { edsCluster, httpListener, plainEndpoints, weightedRoute } from "./testing/ads-server.ts";
import { fetchOnce, Harness } from "./testing/harness.ts";
import { TestProxy } from "./testing/test-proxy.ts";
import type { Cluster } from "./upstream/cluster.ts";

function listenersWith(members: Partial<ListenerSet>): ListenerSet {
  return {
    routeNames: () => new Set(),
    leavingRouteNames: () => new Set(),
    servingChains: [],
    tlsSpecs: () => [],
    discoveries: () => [],
    pending: () => [],
    proceed: () => undefined,
    remove: () => undefined,
    ...members,
  } as unknown as ListenerSet;
}

/** A configuration with one cluster, whose names resolve by `addressesOf`. */
function configWith(
  addressesOf: (name: string) => Promise<readonly string[]>,
  random?: () => number,
): {
  put: (cluster: JsonObject) => Promise<void>;
  cluster: () => Cluster | undefined;
  endpoints: () => string[];
} {
  const resolve = async (name: string): Promise<ResolvedName> => ({ addresses: await addressesOf(name) });
  const { config, apply } = aloneConfig({ resolve, ...(random === undefined ? {} : { random }) });
  return {
    put: async (cluster) => {
      const body = toBinary(
        ClusterSchema,
        fromJson(ClusterSchema, { name: "c", ...cluster }, { registry: envoyRegistry() }),
      );
      await apply({
        typeUrl: typeUrls.cluster,
        resources: [{ name: "c", aliases: [], version: "1", typeUrl: typeUrls.cluster, body }],
        removed: [],
      });
      await setImmediate();
    },
    cluster: () => config.cluster("c"),
    endpoints: () => [...(config.cluster("c")?.endpoints() ?? [])].map(({ config: { address } }) => address),
  };
}

const byName = (more: JsonObject = {}): JsonObject => ({
  type: "STRICT_DNS",
  loadAssignment: {
    clusterName: "c",
    endpoints: [
      { lbEndpoints: [{ endpoint: { address: { socketAddress: { address: "shop.test", portValue: 80 } } } }] },
    ],
  },
  ...more,
});

test("a DNS cluster keeps its addresses while it changes, even if its names cannot be resolved then", async () => {
  let answer: Promise<readonly string[]> = Promise.resolve(["192.0.2.1", "192.0.2.2"]);
  const { put, endpoints } = configWith(() => answer);
  await put(byName());
  assert.deepEqual(endpoints(), ["192.0.2.1", "192.0.2.2"]);
  answer = new Promise(() => undefined);
  await put(byName({ lbPolicy: "RANDOM" }));
  assert.deepEqual(endpoints(), ["192.0.2.1", "192.0.2.2"]);
  answer = Promise.resolve(["192.0.2.3"]);
  await put(byName({ lbPolicy: "LEAST_REQUEST" }));
  assert.deepEqual(endpoints(), ["192.0.2.3"]);
});

test("a cluster's dnsLookupFamily chooses which addresses of a name count, by default IPv6 if there are any", async () => {
  const both = ["192.0.2.1", "2001:db8::1"];
  for (const [dnsLookupFamily, found, expected] of [
    ["V4_ONLY", both, ["192.0.2.1"]],
    ["V6_ONLY", both, ["2001:db8::1"]],
    ["V4_PREFERRED", ["2001:db8::1"], ["2001:db8::1"]],
    ["ALL", both, both],
    ["AUTO", both, ["2001:db8::1"]],
    ["AUTO", ["192.0.2.1"], ["192.0.2.1"]],
  ] as const) {
    const { put, endpoints } = configWith(() => Promise.resolve(found));
    await put(byName({ dnsLookupFamily }));
    assert.deepEqual(endpoints(), expected, dnsLookupFamily);
  }
});

test("a name that gets no response delays no other name of its cluster", async () => {
  const { put, endpoints } = configWith((name) =>
    name === "slow.test" ? new Promise(() => undefined) : Promise.resolve(["192.0.2.1"]),
  );
  await put({ type: "STRICT_DNS", loadAssignment: placed({ "slow.test": ["a", 1, 0], "fast.test": ["b", 1, 0] }) });
  assert.deepEqual(endpoints(), ["192.0.2.1"]);
});

test("requests to a DNS cluster wait until one of its names has an address, or none has one", async () => {
  const slow = Promise.withResolvers<readonly string[]>();
  const { put, cluster, endpoints } = configWith((name) =>
    name === "slow.test" ? slow.promise : Promise.reject(new Error("no such name")),
  );
  const waits = (): boolean => cluster()?.hasEndpoints === false;
  await put({ type: "STRICT_DNS", loadAssignment: placed({ "gone.test": ["a", 1, 0], "slow.test": ["b", 1, 0] }) });
  assert.ok(waits());
  slow.resolve(["192.0.2.1"]);
  await setImmediate();
  assert.deepEqual(endpoints(), ["192.0.2.1"]);
  await put({ type: "STRICT_DNS", loadAssignment: placed({ "gone.test": ["a", 1, 0] }), connectTimeout: "1s" });
  assert.ok(!waits());
  assert.deepEqual(endpoints(), []);
});

test("routes to a new DNS cluster apply as soon as its name is resolved", async () => {
  const found = Promise.withResolvers<ResolvedName>();
  const { config, apply } = aloneConfig({ resolve: () => found.promise });
  const leadsTo = (): string[] => [...(config.routeTable("r")?.clusters() ?? [])];
  const routes = (cluster: string): Promise<void> =>
    apply(updateOf(typeUrls.route, RouteConfigurationSchema, { r: weightedRoute("r", { [cluster]: 1 }) }));
  await apply(
    updateOf(typeUrls.cluster, ClusterSchema, {
      before: { name: "before", type: "STATIC" },
      c: { name: "c", ...byName() },
    }),
  );
  await routes("before");
  await routes("c");
  assert.deepEqual(leadsTo(), ["before"]);
  found.resolve({ addresses: ["192.0.2.1"] });
  await setImmediate();
  assert.deepEqual(leadsTo(), ["c"]);
});

test("all addresses of a LOGICAL_DNS cluster's name are one endpoint", async () => {
  const { put, cluster } = configWith(() => Promise.resolve(["192.0.2.1", "2001:db8::1", "192.0.2.2"]));
  await put(byName({ type: "LOGICAL_DNS", dnsLookupFamily: "ALL" }));
  assert.deepEqual(
    [...(cluster()?.endpoints() ?? [])].map(({ config: { address, alternatives } }) => [address, alternatives]),
    [["192.0.2.1", ["192.0.2.2", "2001:db8::1"]]],
  );
});

/** Names in their localities: region, weight, priority. */
const placed = (
  hosts: Readonly<Record<string, readonly [region: string, weight: number, priority: number]>>,
): JsonObject => ({
  clusterName: "c",
  endpoints: Object.entries(hosts).map(([name, [region, loadBalancingWeight, priority]]) => ({
    locality: { region, zone: "zone", subZone: "subzone" },
    loadBalancingWeight,
    priority,
    lbEndpoints: [{ endpoint: { address: { socketAddress: { address: name, portValue: 80 } } } }],
  })),
});

function shares(cluster: Cluster | undefined): Readonly<Record<string, number>> {
  const picked = Array.from({ length: 50 }, () => cluster?.pick(undefined, 1)?.config.address ?? "none");
  return Object.fromEntries(
    [...Map.groupBy(picked, (address) => address)].map(([address, { length }]) => [address, length]),
  );
}

test("a DNS cluster divides requests among the localities of its names by their weights, whatever a name resolves to", async () => {
  const found: Readonly<Record<string, readonly string[]>> = {
    "near.test": ["192.0.2.1"],
    "own.test": ["192.0.2.2", "192.0.2.3"],
  };
  for (const [type, hosts, expected] of [
    [
      "STRICT_DNS",
      { "near.test": ["near", 80, 0], "own.test": ["own", 20, 0] },
      { "192.0.2.1": 40, "192.0.2.2": 5, "192.0.2.3": 5 },
    ],
    // A locality whose name has no address leaves its share to the others.
    ["STRICT_DNS", { "gone.test": ["gone", 80, 0], "near.test": ["near", 20, 0] }, { "192.0.2.1": 50 }],
    ["STRICT_DNS", { "near.test": ["near", 1, 1], "own.test": ["own", 2, 0] }, { "192.0.2.2": 25, "192.0.2.3": 25 }],
    ["LOGICAL_DNS", { "own.test": ["own", 20, 0] }, { "192.0.2.2": 50 }],
  ] as const) {
    let step = 0;
    const { put, cluster } = configWith(
      (name) => Promise.resolve(found[name] ?? []),
      () => (step++ % 50) / 50,
    );
    await put({
      type,
      lbPolicy: "ROUND_ROBIN",
      commonLbConfig: { healthyPanicThreshold: {}, localityWeightedLbConfig: {} },
      loadAssignment: placed(hosts),
    });
    step = 0;
    assert.deepEqual(shares(cluster()), expected, JSON.stringify(hosts));
    for (const { config } of cluster()?.endpoints() ?? [])
      assert.match(config.locality?.name ?? "", /^(near|own)\/zone\/subzone$/);
  }
});

test("names and original destinations of a cluster that also leads into tunnels are reached directly", async () => {
  const transportSocket = {
    name: "internal_upstream",
    typedConfig: {
      "@type": "type.googleapis.com/envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport",
      transportSocket: { name: "envoy.transport_sockets.raw_buffer" },
    },
  };
  const { put, endpoints, cluster } = configWith(() => Promise.resolve(["192.0.2.1"]));
  await put(byName({ transportSocket }));
  assert.deepEqual(endpoints(), ["192.0.2.1"]);
  await put({ type: "ORIGINAL_DST", lbPolicy: "CLUSTER_PROVIDED", transportSocket });
  assert.deepEqual(cluster()?.config.originalDestination?.transport, { kind: "plain" });
});

test("an endpoint that is a Unix socket gets no requests, and the cluster keeps its others", async () => {
  const pipe = { endpoint: { address: { pipe: { path: "/var/run/a.sock" } } } };
  const plain = { endpoint: { address: { socketAddress: { address: "192.0.2.1", portValue: 80 } } } };
  const { config, apply } = aloneConfig();
  await apply(updateOf(typeUrls.cluster, ClusterSchema, { c: edsCluster("c") }));
  await apply(
    updateOf(typeUrls.endpoint, ClusterLoadAssignmentSchema, {
      c: { clusterName: "c", endpoints: [{ lbEndpoints: [pipe, plain] }] },
    }),
  );
  assert.deepEqual(
    [...(config.cluster("c")?.endpoints() ?? [])].map(({ config: { address } }) => address),
    ["192.0.2.1"],
  );
});

test("a discovered endpoint whose address is not an IP address is left out with a note", async () => {
  const at = (address: string) => ({ endpoint: { address: { socketAddress: { address, portValue: 80 } } } });
  const logged: string[] = [];
  const log = createLogger({ scope: "test", level: "warn", format: "text", write: (line) => void logged.push(line) });
  const { config, apply } = aloneConfig({ log });
  await apply(updateOf(typeUrls.cluster, ClusterSchema, { c: edsCluster("c") }));
  await apply(
    updateOf(typeUrls.endpoint, ClusterLoadAssignmentSchema, {
      c: {
        clusterName: "c",
        endpoints: [{ lbEndpoints: ["@a", "name.example.com", "192.0.2.1", "2001:db8::1"].map(at) }],
      },
    }),
  );
  assert.deepEqual(
    [...(config.cluster("c")?.endpoints() ?? [])].map(({ config: { address } }) => address),
    ["192.0.2.1", "2001:db8::1"],
  );
  assert.deepEqual(
    logged.map((line) => line.trim().split("\t")[3]),
    ["endpoints of c: an endpoint whose address is not an IP address gets no requests"],
  );
});

test("a cluster that has only the entry of tunnels opens one to each original destination", async () => {
  const { put, cluster } = configWith(() => Promise.resolve([]));
  const address = { envoyInternalAddress: { serverListenerName: "connect_originate" } };
  await put({
    type: "STATIC",
    loadAssignment: { clusterName: "c", endpoints: [{ lbEndpoints: [{ endpoint: { address } }] }] },
    transportSocket: {
      name: "internal_upstream",
      typedConfig: {
        "@type":
          "type.googleapis.com/envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport",
        transportSocket: { name: "envoy.transport_sockets.raw_buffer" },
      },
    },
  });
  assert.deepEqual(cluster()?.config.originalDestination?.transport, { kind: "tunnel" });
});

test("a removed cluster serves as long as a connection of a removed listener or chain may need it", async () => {
  const { config, apply } = aloneConfig({ resolve: () => Promise.resolve({ addresses: ["192.0.2.1"] }) });
  const listeners = Object.assign(listenersWith({}), { needsRemoved: true });
  config.attach(listeners);
  const typeUrl = typeUrls.cluster;
  const put = async (names: readonly string[], removed: readonly string[]): Promise<void> => {
    const resources = names.map((name) => ({
      name,
      aliases: [],
      version: "1",
      typeUrl,
      body: toBinary(ClusterSchema, fromJson(ClusterSchema, { name, ...byName() }, { registry: envoyRegistry() })),
    }));
    await apply({ typeUrl, resources, removed: [...removed] });
    await setImmediate();
  };
  const addresses = (name: string): string[] =>
    [...(config.cluster(name)?.endpoints() ?? [])].map(({ config: { address } }) => address);
  await put(["c", "back"], []);
  await put([], ["c", "back"]);
  const [old, removed] = [config.cluster("back"), config.cluster("c")];
  config.sweep(systemClock.steadyMs());
  assert.equal(config.cluster("c"), removed);
  assert.deepEqual(addresses("c"), ["192.0.2.1"]);
  await put(["back"], []);
  assert.notEqual(config.cluster("back"), old, "one that comes back is a new one");
  listeners.needsRemoved = false;
  config.sweep(systemClock.steadyMs());
  assert.equal(config.cluster("c"), undefined);
  assert.deepEqual(addresses("back"), ["192.0.2.1"]);
  await put([], ["back"]);
  assert.equal(config.cluster("back"), undefined, "nobody needs it");
});

test("a removed cluster serves while routes in force name it, for 15 s at most", async () => {
  const clock = new HandClock();
  const { config, apply } = aloneConfig({ clock });
  config.attach(listenersWith({ routeNames: () => new Set(["table"]) }));
  const put = async (typeUrl: string, schema: DescMessage, name: string, json?: JsonObject): Promise<void> => {
    const body = (): Uint8Array => toBinary(schema, fromJson(schema, { name, ...json }, { registry: envoyRegistry() }));
    await apply({
      typeUrl,
      resources: json === undefined ? [] : [{ name, aliases: [], version: "1", typeUrl, body: body() }],
      removed: json === undefined ? [name] : [],
    });
  };
  const cluster = async (name: string, json?: JsonObject): Promise<void> =>
    await put(typeUrls.cluster, ClusterSchema, name, json);
  const routeTo = async (name: string): Promise<void> =>
    await put(typeUrls.route, RouteConfigurationSchema, "table", {
      virtualHosts: [{ name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: name } }] }],
    });
  const serves = (name: string): boolean => {
    config.sweep(clock.steadyMs());
    return config.cluster(name) !== undefined;
  };
  for (const name of ["old", "next"]) await cluster(name, { type: "STATIC" });
  await routeTo("old");
  await cluster("old");
  assert.equal(serves("old"), true);
  await routeTo("next");
  assert.equal(serves("old"), false);
  await cluster("next");
  clock.pass(14_000);
  assert.equal(serves("next"), true);
  clock.pass(2_000);
  assert.equal(serves("next"), false, "the routes that name it will not be replaced");
});

test("a removed cluster serves while a chain in force leads to it, for 15 s at most", async () => {
  const clock = new HandClock();
  const { config, apply } = aloneConfig({ clock });
  const chain = { serves: { kind: "tcp", tcp: { clusters: [{ cluster: "inbound|8080||", weight: 1 }] } } };
  config.attach(listenersWith({ servingChains: [chain as unknown as ChainSpec] }));
  const typeUrl = typeUrls.cluster;
  const names = ["inbound|8080||", "inbound|9090||"];
  const bodyOf = (name: string): Uint8Array =>
    toBinary(ClusterSchema, fromJson(ClusterSchema, { name, type: "STATIC" }));
  const resources = names.map((name) => ({ name, aliases: [], version: "1", typeUrl, body: bodyOf(name) }));
  await apply({ typeUrl, resources, removed: [] });
  await apply({ typeUrl, resources: [], removed: names });
  const serving = (): string[] => names.filter((name) => config.cluster(name) !== undefined);
  assert.deepEqual(serving(), ["inbound|8080||"]);
  clock.pass(14_000);
  config.sweep(clock.steadyMs());
  assert.deepEqual(serving(), ["inbound|8080||"]);
  clock.pass(2_000);
  config.sweep(clock.steadyMs());
  assert.deepEqual(serving(), []);
});

test("routes that no listener requests stay as long as a connection of a removed listener may need them", async () => {
  let [requestedNames, leaving] = [new Set(["first"]), new Set<string>()];
  const { config, apply } = aloneConfig();
  config.attach(listenersWith({ routeNames: () => requestedNames, leavingRouteNames: () => leaving }));
  const body = toBinary(
    RouteConfigurationSchema,
    fromJson(RouteConfigurationSchema, { name: "first", virtualHosts: [] }),
  );
  await apply({
    typeUrl: typeUrls.route,
    resources: [{ name: "first", aliases: [], version: "1", typeUrl: typeUrls.route, body }],
    removed: [],
  });
  [requestedNames, leaving] = [new Set(), new Set(["first"])];
  await apply({ typeUrl: typeUrls.listener, resources: [], removed: ["one"] });
  assert.ok(config.routeTable("first") !== undefined);
  config.sweep(systemClock.steadyMs());
  assert.ok(config.routeTable("first") !== undefined);
  leaving = new Set();
  config.sweep(systemClock.steadyMs());
  assert.equal(config.routeTable("first"), undefined);
  // The table stays even if it arrives while no open listener names it: the control plane would not send it once more.
  const again = {
    typeUrl: typeUrls.route,
    resources: [{ name: "first", aliases: [], version: "2", typeUrl: typeUrls.route, body }],
    removed: [],
  };
  requestedNames = new Set(["first"]);
  await apply(again);
  [requestedNames, leaving] = [new Set(), new Set(["first"])];
  await apply({ typeUrl: typeUrls.listener, resources: [], removed: ["one"] });
  await apply(again);
  leaving = new Set();
  config.sweep(systemClock.steadyMs());
  requestedNames = new Set(["first"]);
  await apply(again);
  assert.ok(config.routeTable("first") !== undefined);
});

function updateOf(
  typeUrl: string,
  schema: DescMessage,
  resources: Readonly<Record<string, JsonValue | undefined>>,
): XdsUpdate {
  const entries = Object.entries(resources);
  return {
    typeUrl,
    resources: entries.flatMap(([name, json]) =>
      json === undefined
        ? []
        : [
            {
              name,
              aliases: [],
              version: "1",
              typeUrl,
              body: toBinary(schema, fromJson(schema, json, { registry: envoyRegistry() })),
            },
          ],
    ),
    removed: entries.flatMap(([name, json]) => (json === undefined ? name : [])),
  };
}

test("a cluster keeps its endpoints when only their resource is removed, until the cluster is removed", async () => {
  const { config, apply } = aloneConfig();
  const clusters = (resources: Parameters<typeof updateOf>[2]) =>
    apply(updateOf(typeUrls.cluster, ClusterSchema, resources));
  const endpoints = (resources: Parameters<typeof updateOf>[2]) =>
    apply(updateOf(typeUrls.endpoint, ClusterLoadAssignmentSchema, resources));
  const ports = (name: string): (number | undefined)[] | undefined => {
    const found = config.cluster(name);
    return found?.hasEndpoints === true ? [...found.endpoints()].map(({ config: { port } }) => port) : undefined;
  };
  await clusters({ a: edsCluster("a"), unknown: edsCluster("unknown") });
  await endpoints({ a: plainEndpoints("a", [81]), unknown: undefined });
  assert.deepEqual([ports("a"), ports("unknown")], [[81], []], "what does not exist is not waited for");
  await endpoints({ a: undefined });
  assert.deepEqual(ports("a"), [81]);
  await clusters({ a: { ...(edsCluster("a") as JsonObject), connectTimeout: "9s" } });
  assert.deepEqual(ports("a"), [81], "the changed cluster is not sent its endpoints again");
  await endpoints({ a: { clusterName: "a" } });
  assert.deepEqual(ports("a"), [], "an empty list counts");
  await endpoints({ a: plainEndpoints("a", [82]) });
  await clusters({ a: undefined });
  await clusters({ a: edsCluster("a") });
  assert.equal(ports("a"), undefined, "a cluster that returns waits for its endpoints");
});

test("routes stay when only their resource is removed, until no listener requests them", async () => {
  let requestedNames = new Set(["first"]);
  const { config, apply } = aloneConfig();
  config.attach(listenersWith({ routeNames: () => requestedNames }));
  await apply(updateOf(typeUrls.route, RouteConfigurationSchema, { first: weightedRoute("first", { a: 1 }) }));
  await apply(updateOf(typeUrls.route, RouteConfigurationSchema, { first: undefined }));
  assert.ok(config.routeTable("first") !== undefined && config.routes.has("first"));
  requestedNames = new Set();
  await apply({ typeUrl: typeUrls.listener, resources: [], removed: ["one"] });
  assert.equal(config.routeTable("first"), undefined);
  assert.equal(config.routes.has("first"), false);
});

for (const [title, sharesResources, expected] of [
  ["is forgotten", false, [true, false, false]],
  ["stays if other threads get the same resources, because it is not sent again then", true, [true, true, false]],
] as const)
  test(`a filter's configuration that no listener names any more ${title}, and its removal forgets it`, async () => {
    let named = true;
    const { config, apply } = aloneConfig({ sharesResources });
    const changes = { prepare: () => () => undefined, refused: () => undefined, retract: () => false };
    const filter = { resource: "f", awaited: false, ...changes };
    config.attach(listenersWith({ discoveries: () => (named ? [filter] : []) }));
    const known: boolean[] = [];
    const applyAndLook = async (update: XdsUpdate): Promise<void> => {
      await apply(update);
      known.push(config.extensions.has("f"));
    };
    const typedConfig = { "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault" };
    await applyAndLook(
      updateOf(typeUrls.extensionConfig, TypedExtensionConfigSchema, { f: { name: "f", typedConfig } }),
    );
    named = false;
    await applyAndLook({ typeUrl: typeUrls.listener, resources: [], removed: ["one"] });
    await applyAndLook({ typeUrl: typeUrls.extensionConfig, resources: [], removed: ["f"] });
    assert.deepEqual(known, expected);
  });

test("a listener may take the address of another that is removed in the same update", async () => {
  await using proxy = await TestProxy.start({
    name: "gateway",
    role: "router",
    authority: new FakeCertificateAuthority(),
  });
  await using backends = await Harness.start();
  const { ads } = proxy;
  const backend = async (name: string): Promise<number> =>
    (await backends.backend((_, response) => response.end(name))).port;
  const port = await freePort();
  ads.push(typeUrls.cluster, { a: edsCluster("a"), b: edsCluster("b") });
  ads.push(typeUrls.endpoint, {
    a: plainEndpoints("a", [await backend("a")]),
    b: plainEndpoints("b", [await backend("b")]),
  });
  ads.push(typeUrls.listener, { one: { ...(httpListener(port, "first") as object), name: "one" } });
  ads.push(typeUrls.route, { first: weightedRoute("first", { a: 1 }) });
  await proxy.ready();
  assert.equal((await fetchOnce(port, "/")).body, "a");
  const from = ads.acknowledgements.length;
  ads.push(typeUrls.route, { second: weightedRoute("second", { b: 1 }) });
  ads.push(typeUrls.listener, { two: { ...(httpListener(port, "second") as object), name: "two" } }, ["one"]);
  assert.equal((await ads.acknowledged(typeUrls.listener, from)).error, undefined);
  await proxy.ready();
  assert.equal((await fetchOnce(port, "/")).body, "b");
});
