import assert from "node:assert/strict";
import { test } from "node:test";
import { toBinary, fromJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { systemClock } from "../base/index.ts";
import { FakeCertificateAuthority } from "../dataplane/index.ts";
import { freePort } from "../net/testing/index.ts";
import { ClusterSchema, envoyRegistry } from "../wire/envoy/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { firstFetchLimitMs } from "./listener-set.ts";
import { aloneConfig } from "./testing/alone-config.ts";
import { edsCluster, httpListener, plainEndpoints, weightedRoute } from "./testing/ads-server.ts";
import { fetchOnce, Harness } from "./testing/harness.ts";
import { TestProxy } from "./testing/test-proxy.ts";

type Host = readonly [zone: string, address: string, port: number];

function zonedEndpoints(name: string, hosts: readonly Host[]): JsonValue {
  return {
    clusterName: name,
    endpoints: [...Map.groupBy(hosts, ([zone]) => zone)].map(([zone, members]) => ({
      locality: { region: "r", zone },
      lbEndpoints: members.map(([, address, portValue]) => ({
        endpoint: { address: { socketAddress: { address, portValue } } },
      })),
    })),
  };
}

const zoneAware = (name: string): JsonObject => ({
  ...(edsCluster(name) as JsonObject),
  commonLbConfig: { zoneAwareLbConfig: { minClusterSize: "1" } },
});

const own = "127.0.0.1";
const peer = "127.0.0.2";
const localEndpoints = (hosts: readonly Host[]) => ({ local_cluster: zonedEndpoints("local_cluster", hosts) });

async function startSidecar(workers: number): Promise<TestProxy> {
  return await TestProxy.start({
    name: "client",
    role: "sidecar",
    address: own,
    authority: new FakeCertificateAuthority(),
    environment: { ISTIO_META_ENABLE_SELF_DISCOVERY: "true" },
    workers,
  });
}

async function startBackends(backends: Harness, names: readonly string[]): Promise<number[]> {
  return await Promise.all(
    names.map(async (name) => (await backends.backend((_, response) => response.end(name))).port),
  );
}

for (const workers of [1, 2])
  test(`requests stay in the proxy's zone, and follow local_cluster when it changes, with ${workers} worker(s)`, async () => {
    await using proxy = await startSidecar(workers);
    await using backends = await Harness.start();
    const { ads } = proxy;
    const [near = 0, far = 0] = await startBackends(backends, ["near", "far"]);
    const port = await freePort();
    const hosts: readonly Host[] = [
      ["near", own, near],
      ["far", own, far],
    ];
    ads.push(typeUrls.cluster, { aware: zoneAware("aware"), plain: edsCluster("plain") });
    ads.push(typeUrls.endpoint, {
      aware: zonedEndpoints("aware", hosts),
      plain: zonedEndpoints("plain", hosts),
      ...localEndpoints([
        ["near", own, 80],
        ["far", peer, 80],
      ]),
    });
    const plainPort = await freePort();
    ads.push(typeUrls.listener, {
      aware: { ...(httpListener(port, "aware") as JsonObject), name: "aware" },
      plain: { ...(httpListener(plainPort, "plain") as JsonObject), name: "plain" },
    });
    ads.push(typeUrls.route, {
      aware: weightedRoute("aware", { aware: 1 }),
      plain: weightedRoute("plain", { plain: 1 }),
    });
    await proxy.ready();
    const reached = async (at: number): Promise<string[]> => {
      const found = new Set<string>();
      for (let count = 0; count < 40; count += 1) found.add((await fetchOnce(at, "/")).body);
      return [...found].sort();
    };
    const move = async (next: readonly Host[]): Promise<void> => {
      const from = ads.acknowledgements.length;
      ads.push(typeUrls.endpoint, localEndpoints(next));
      assert.equal((await ads.acknowledged(typeUrls.endpoint, from)).error, undefined);
    };
    assert.deepEqual(await reached(port), ["near"]);
    assert.deepEqual(await reached(plainPort), ["far", "near"], "a cluster that is not zone-aware");
    await move([
      ["far", own, 80],
      ["near", peer, 80],
    ]);
    assert.deepEqual(await reached(port), ["far"]);
    await move([]);
    assert.deepEqual(await reached(port), ["far", "near"]);
    // Most of the workload's proxies, but only half of the endpoints, are in the near zone.
    await move([
      ["near", own, 80],
      ["near", "127.0.0.3", 80],
      ["near", "127.0.0.4", 80],
      ["far", peer, 80],
    ]);
    assert.deepEqual(await reached(port), ["far", "near"]);
    await move([
      ["near", own, 80],
      ["far", peer, 80],
    ]);
    assert.deepEqual(await reached(port), ["near"]);
  });

test("the admin port shows local_cluster as a static cluster with the endpoints of the workload", async () => {
  await using proxy = await startSidecar(1);
  const { ads } = proxy;
  ads.push(typeUrls.cluster, { a: edsCluster("a"), local_cluster: edsCluster("local_cluster") });
  ads.push(typeUrls.endpoint, {
    a: plainEndpoints("a", [await freePort()]),
    ...localEndpoints([
      ["near", own, 80],
      ["far", peer, 80],
    ]),
  });
  ads.push(typeUrls.listener, {});
  await proxy.ready();
  const getAdmin = async (path: string): Promise<string> => (await fetchOnce(proxy.ports.admin, path)).body;
  const dump = async (resource: string): Promise<unknown[]> =>
    (JSON.parse(await getAdmin(`/config_dump?resource=${resource}&include_eds`)) as { configs: JsonObject[] }).configs;
  const local = (await dump("static_clusters")).find(
    (entry) => (entry as { cluster: JsonObject }).cluster["name"] === "local_cluster",
  ) as { cluster: JsonObject };
  assert.deepEqual(
    [local.cluster["type"], local.cluster["alt_stat_name"], local.cluster["common_lb_config"]],
    ["EDS", "local_cluster;", { zone_aware_lb_config: { min_cluster_size: "1" } }],
  );
  assert.deepEqual(
    (await dump("dynamic_active_clusters")).map((entry) => (entry as { cluster: JsonObject }).cluster["name"]),
    ["a"],
    "the control plane cannot replace it",
  );
  assert.equal((await dump("static_endpoint_configs")).length, 1);
  assert.match(await getAdmin("/config_dump"), /"local_cluster_name": "local_cluster"/);
  const { cluster_statuses: statuses } = JSON.parse(await getAdmin("/clusters?format=json")) as {
    cluster_statuses: JsonObject[];
  };
  const status = statuses.find(({ name }) => name === "local_cluster") ?? {};
  const addresses = (status["host_statuses"] as JsonObject[]).map(
    ({ address }) => ((address as JsonObject)["socket_address"] as JsonObject)["address"],
  );
  assert.deepEqual(addresses, [own, peer]);
  assert.deepEqual([status["added_via_api"], status["eds_service_name"]], [undefined, "local_cluster"]);
  assert.match(await getAdmin("/clusters"), /^local_cluster::added_via_api::false$/m);
});

/** A configuration without a proxy around it. The test sets its time. */
function configAt(time: { nowMs: number }) {
  const names: string[] = [];
  const { config, apply: applyUpdate } = aloneConfig({
    ownPlace: { locality: undefined, addresses: new Set([own]) },
    clock: { ...systemClock, steadyMs: () => time.nowMs },
  });
  const listenerSet = { tlsSpecs: () => [], proceed: () => undefined, needsRemoved: false };
  config.attach(listenerSet as unknown as Parameters<typeof config.attach>[0], {
    setNames: (typeUrl, wanted) => {
      if (typeUrl === typeUrls.endpoint) names.splice(0, names.length, ...wanted);
    },
  });
  const apply = async (typeUrl: string, clusters: readonly string[], removed: string[] = []): Promise<void> => {
    const resources = clusters.map((name) => ({
      name,
      aliases: [],
      version: "1",
      typeUrl,
      body: toBinary(ClusterSchema, fromJson(ClusterSchema, edsCluster(name), { registry: envoyRegistry() })),
    }));
    await applyUpdate({ typeUrl, resources, removed });
  };
  return { config, names, apply };
}

test("readiness waits for local_cluster no longer than for the endpoints of another cluster", async () => {
  const time = { nowMs: 1000 };
  const { config, names, apply } = configAt(time);
  await apply(typeUrls.cluster, []);
  assert.deepEqual(names, ["local_cluster"]);
  assert.deepEqual(config.startNeeds(), ["endpoints of local_cluster"]);
  time.nowMs += firstFetchLimitMs;
  assert.deepEqual(config.startNeeds(), [], "although no endpoints have come at all");
  await apply(typeUrls.cluster, ["a"]);
  assert.deepEqual(names.toSorted(), ["a", "local_cluster"]);
  assert.deepEqual(config.startNeeds(), ["endpoints"]);
});

test("the wait ends when the control plane reports that it does not know local_cluster", async () => {
  const { config, names, apply } = configAt({ nowMs: 1000 });
  await apply(typeUrls.cluster, [], ["local_cluster"]);
  assert.deepEqual(names, ["local_cluster"], "it stays, although the control plane removes it");
  await apply(typeUrls.endpoint, [], ["local_cluster"]);
  assert.deepEqual(config.startNeeds(), []);
});
