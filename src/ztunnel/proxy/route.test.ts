import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom, SerinError } from "../../base/index.ts";
import { parseLocalConfig } from "../state/local-config.ts";
import { MeshState } from "../state/mesh-state.ts";
import { resolvedRoute, route, type Route } from "./route.ts";

const mesh = `
workloads:
- {uid: src, name: src, namespace: default, workloadIps: [10.0.0.1], protocol: HBONE, node: n1, locality: {region: r1, zone: z1}}
- {uid: a, name: a, namespace: default, serviceAccount: a, workloadIps: [10.0.1.1, "fd00::1"], protocol: HBONE, node: n1, locality: {region: r1, zone: z1}, services: {default/web.local: {80: 8080}, default/zonal.local: {80: 8080}, default/strict.local: {80: 8080}}}
- {uid: b, name: b, namespace: default, serviceAccount: b, workloadIps: [10.0.1.2], protocol: TCP, node: n2, locality: {region: r1, zone: z2}, services: {default/web.local: {80: 8080}, default/zonal.local: {80: 8080}}}
- {uid: sick, name: sick, namespace: default, workloadIps: [10.0.1.3], protocol: HBONE, status: Unhealthy, services: {default/web.local: {80: 8080}}}
- {uid: wp, name: wp, namespace: default, serviceAccount: wp, workloadIps: [10.0.2.1], services: {default/wp.local: {15008: 15008}}}
- {uid: wp2, name: wp2, namespace: default, serviceAccount: wp2, workloadIps: [10.0.2.2]}
- {uid: guarded, name: guarded, namespace: default, workloadIps: [10.0.3.1], protocol: HBONE, waypoint: {destination: {namespace: default, hostname: wp.local}, hboneMtlsPort: 15008}}
- {uid: behind, name: behind, namespace: default, workloadIps: [10.0.4.1], protocol: HBONE, services: {default/guarded.local: {80: 80}}}
- {uid: far, name: far, namespace: default, network: other, workloadIps: [10.9.9.9], services: {default/far.local: {80: 80}}}
- {uid: stable, name: stable, namespace: default, workloadIps: [10.0.5.1], protocol: HBONE, capacity: 90, services: {default/divided.local: {80: 80}}}
- {uid: next, name: next, namespace: default, workloadIps: [10.0.5.2], protocol: HBONE, capacity: 10, services: {default/divided.local: {80: 80}}}
- {uid: left, name: left, namespace: default, workloadIps: [10.0.5.3], protocol: HBONE, capacity: 0, services: {default/divided.local: {80: 80}}}
- {uid: named, name: named, namespace: default, hostname: db.internal, protocol: HBONE, serviceAccount: db, services: {default/named.local: {5432: 6000}}}
- {uid: NetworkGateway/other/192.0.2.8/0, name: gateway, namespace: istio-system, serviceAccount: ew, network: other, workloadIps: [192.0.2.8]}
- {uid: split, name: split, namespace: default, network: other, protocol: HBONE, networkGateway: {destination: other/192.0.2.8, hboneMtlsPort: 15008}, services: {default/global.local: {80: 8080}}}
- {uid: mongo, name: mongo, namespace: default, workloadIps: [10.8.0.1], services: {default/mongo.example: {27017: 27018}}}
- {uid: db, name: db, namespace: shop, workloadIps: [10.8.0.2]}
- {uid: pair1, name: pair1, namespace: default, workloadIps: [10.9.0.1], services: {default/pair.example: {80: 8080}, default/both.example: {80: 8080}}}
- {uid: pair2, name: pair2, namespace: default, workloadIps: [10.9.0.2], services: {default/pair.example: {80: 8080}, default/both.example: {80: 8080}}}
- {uid: both1, name: both1, namespace: default, workloadIps: [10.9.1.1], services: {default/both.example: {80: 8080}}}
- {uid: selected, name: selected, namespace: default, workloadIps: [10.9.2.1], protocol: HBONE, services: {default/none.example: {80: 8080}}}
- {uid: waited, name: waited, namespace: default, workloadIps: [10.9.3.1], services: {default/waited.example: {80: 8080}}}
- {uid: Kubernetes//Pod/shop/taken, name: taken, namespace: shop, workloadIps: [10.9.4.1]}
- {uid: external, name: external, namespace: shop, workloadIps: [10.9.5.1]}
- {uid: foreign, name: foreign, namespace: foreign, workloadIps: [10.9.4.1, 10.9.5.1], services: {foreign/taken.example: {80: 81}}}
- {uid: elsewhere, name: elsewhere, namespace: foreign, workloadIps: [10.9.6.1], services: {foreign/taken.example: {80: 81}}}
services:
- {name: pair, namespace: default, hostname: pair.example, vips: [/10.9.0.0/24], ports: {80: 8080}}
- {name: both, namespace: default, hostname: both.example, vips: [/10.9.1.1], ports: {80: 8080}}
- {name: none, namespace: default, hostname: none.example, vips: [/10.9.2.1], ports: {80: 8080}, loadBalancer: {mode: Passthrough}}
- {name: waited, namespace: default, hostname: waited.example, vips: [/10.9.3.1], ports: {80: 8080}, waypoint: {destination: /10.0.2.1, hboneMtlsPort: 15008}}
- {name: taken, namespace: foreign, hostname: taken.example, vips: [/10.9.4.1, /10.9.5.1], ports: {80: 81}}
- {name: mongo, namespace: default, hostname: mongo.example, vips: [/10.8.0.1], ports: {27017: 27018}}
- {name: claimed, namespace: default, hostname: claimed.example, vips: [/10.8.0.2], ports: {27017: 80}, waypoint: {destination: /10.0.2.1, hboneMtlsPort: 15008}}
- {name: named, namespace: default, hostname: named.local, vips: [/10.96.0.10], ports: {5432: 6000}}
- {name: range, namespace: default, hostname: range.local, vips: [/10.97.0.0/16], ports: {80: 8080}, loadBalancer: {mode: Passthrough}}
- {name: smaller, namespace: default, hostname: smaller.local, vips: [/10.97.5.0/24], ports: {80: 8080}, waypoint: {destination: /10.0.2.1, hboneMtlsPort: 15008}}
- {name: global, namespace: default, hostname: global.local, vips: [/10.96.0.11, other/10.100.0.10], ports: {80: 8080}, subjectAltNames: ["spiffe://cluster.local/ns/default/sa/global"]}
- {name: web, namespace: default, hostname: web.local, vips: [/10.96.0.1], ports: {80: 8080}}
- {name: zonal, namespace: default, hostname: zonal.local, vips: [/10.96.0.2], ports: {80: 8080}, loadBalancer: {mode: Failover, routingPreferences: [Region, Zone]}}
- {name: strict, namespace: default, hostname: strict.local, vips: [/10.96.0.3], ports: {80: 8080}, loadBalancer: {mode: Strict, routingPreferences: [Node]}}
- {name: pass, namespace: default, hostname: pass.local, vips: [/10.96.0.4], ports: {80: 8080}, loadBalancer: {mode: Passthrough}}
- {name: wp, namespace: default, hostname: wp.local, vips: [/10.96.0.5], ports: {15008: 15008}}
- {name: guarded, namespace: default, hostname: guarded.local, vips: [/10.96.0.6], ports: {80: 80}, waypoint: {destination: /10.96.0.5, hboneMtlsPort: 15008}}
- {name: canary, namespace: default, hostname: canary.local, vips: [/10.96.0.7], ports: {80: 80}, weightedWaypoints: [{destination: {destination: /10.0.2.1}, weight: 3}, {destination: {destination: /10.0.2.2}, weight: 1}]}
- {name: divided, namespace: default, hostname: divided.local, vips: [/10.96.0.9], ports: {80: 80}}
- {name: far, namespace: default, hostname: far.local, vips: [/10.96.0.8], ports: {80: 80}}
`;

const state = new MeshState();
parseLocalConfig(mesh, state);
const random = seededRandom(7);

function to(address: string, port = 80, source = "src", tried?: ReadonlySet<string>): Route {
  return route({
    state,
    source: state.workloadByUid(source) ?? assert.fail(),
    destination: { address, port },
    random,
    hbonePort: 15_008,
    ...(tried === undefined ? {} : { tried }),
  });
}

function shares(address: string): Map<string, number> {
  const counts = new Map<string, number>();
  for (let round = 0; round < 1_000; round += 1) {
    const name = to(address).workload?.name ?? "";
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

test("a service's connections go to its healthy endpoints, over HBONE if they support it", () => {
  const counts = shares("10.96.0.1");
  assert.deepEqual([...counts.keys()].sort(), ["a", "b"]);
  assert.ok((counts.get("a") ?? 0) > 400);
  const a = to("10.96.0.1", 80, "src", new Set(["b"]));
  assert.deepEqual(
    [a.protocol, a.address, a.port, a.authority, a.service?.hostname, a.expectedIdentities],
    ["HBONE", "10.0.1.1", 15_008, "10.0.1.1:8080", "web.local", ["spiffe://cluster.local/ns/default/sa/a"]],
  );
  const b = to("10.96.0.1", 80, "src", new Set(["a"]));
  assert.deepEqual([b.protocol, b.address, b.port, b.authority], ["TCP", "10.0.1.2", 8080, undefined]);
});

test("a route says whether the connection can still go to another endpoint", () => {
  assert.equal(to("10.96.0.1").hasOthers, true);
  assert.equal(to("10.96.0.1", 80, "src", new Set(["a"])).hasOthers, undefined);
  assert.equal(to("10.96.0.6").hasOthers, undefined, "the waypoint has one pod");
  assert.equal(to("10.0.1.1", 8080).hasOthers, undefined, "a pod's own address");
});

test("failover prefers a locality, strict requires it, and passthrough keeps the destination", () => {
  assert.deepEqual([...shares("10.96.0.2").keys()], ["a"]);
  assert.equal(to("10.96.0.2", 80, "src", new Set(["a"])).workload?.name, "b");
  assert.equal(to("10.96.0.3").workload?.name, "a");
  assert.throws(() => to("10.96.0.3", 80, "b"), /no healthy upstream/);
  assert.deepEqual(to("10.96.0.4"), { protocol: "TCP", address: "10.96.0.4", port: 80, expectedIdentities: [] });
});

test("waypoints get the original target, weights split connections, and a waypoint's own traffic goes directly", () => {
  const service = to("10.96.0.6");
  assert.deepEqual(
    [service.protocol, service.address, service.port, service.authority, service.workload?.name],
    ["HBONE", "10.0.2.1", 15_008, "10.96.0.6:80", "wp"],
  );
  assert.deepEqual(service.expectedIdentities, ["spiffe://cluster.local/ns/default/sa/wp"]);
  assert.equal(service.service?.hostname, "guarded.local");
  const workload = to("10.0.3.1", 9);
  assert.deepEqual([workload.address, workload.authority], ["10.0.2.1", "10.0.3.1:9"]);
  assert.equal(to("10.0.3.1", 9, "wp").address, "10.0.3.1");
  assert.equal(to("10.96.0.6", 80, "wp").address, "10.0.4.1");
  const counts = shares("10.96.0.7");
  assert.ok(
    Math.abs((counts.get("wp") ?? 0) - 750) < 60,
    `${counts.get("wp")} of 1000 went to the waypoint of weight 3 of 4`,
  );
});

test("the other waypoint gets the share of an unreachable one, and a waypoint's own traffic goes to neither", () => {
  const tried = (name: string) =>
    Array.from({ length: 50 }, () => to("10.96.0.7", 80, "src", new Set([name])).workload?.name);
  assert.ok(tried("wp2").includes("wp"));
  assert.equal(to("10.96.0.7", 80, "src", new Set(["wp"])).authority, "10.96.0.7:80");
  assert.throws(() => to("10.96.0.7", 80, "wp2"), /no healthy upstream/);
});

test("endpoints get connections by capacity, and one without capacity only if there is no other", () => {
  const counts = shares("10.96.0.9");
  assert.deepEqual([...counts.keys()].sort(), ["next", "stable"]);
  assert.ok(Math.abs((counts.get("next") ?? 0) - 100) < 40, `${counts.get("next")} of 1000 went to the tenth`);
  assert.equal(to("10.96.0.9", 80, "src", new Set(["stable", "next"])).workload?.name, "left");
});

test("connections examine all endpoints of a service once, and again after an endpoint or the service has changed", () => {
  const own = new MeshState();
  parseLocalConfig(
    `
workloads:
- {uid: src, name: src, namespace: default, workloadIps: [10.0.0.1]}
- {uid: one, name: one, namespace: default, workloadIps: [10.0.0.2], protocol: TCP, services: {default/web.local: {80: 8080, 90: 9090}}}
services:
- {name: web, namespace: default, hostname: web.local, vips: [/10.96.0.1], ports: {80: 8080}}
`,
    own,
  );
  const source = own.workloadByUid("src") ?? assert.fail();
  const one = own.workloadByUid("one") ?? assert.fail();
  let examined = 0;
  const examinedOne = {
    ...one,
    get status() {
      examined += 1;
      return one.status;
    },
  };
  /** For each dialled port of the service, the port to which the connection goes. 0 if there is no endpoint. */
  const ports = (...dialled: readonly number[]): readonly number[] =>
    dialled.map((port) => {
      const destination = { address: "10.96.0.1", port };
      try {
        return route({ state: own, source, destination, random, hbonePort: 15_008 }).port;
      } catch (error) {
        assert.match(String(error), /no healthy upstream/);
        return 0;
      }
    });
  own.putWorkload(examinedOne);
  assert.deepEqual([ports(80, 80, 80), examined], [[8080, 8080, 8080], 1]);
  own.putWorkload({ ...examinedOne, services: new Map([["default/web.local", new Map([[80, 8081]])]]) });
  assert.deepEqual(ports(80), [8081]);
  own.putWorkload({ ...one, status: "Unhealthy" });
  assert.deepEqual(ports(80), [0]);
  own.putWorkload(one);
  assert.deepEqual(ports(80, 90), [8080, 0]);
  const [service = assert.fail()] = own.services();
  own.putService({ ...service, ports: new Map([[90, 9090]]) });
  assert.deepEqual(ports(80, 90), [0, 9090]);
  own.removeWorkload("one");
  assert.deepEqual(ports(90), [0]);
});

test("unknown destinations pass directly, and errors say why one is unreachable", () => {
  assert.deepEqual(to("1.2.3.4", 443), { protocol: "TCP", address: "1.2.3.4", port: 443, expectedIdentities: [] });
  assert.equal(to("10.0.1.1", 1234).authority, "10.0.1.1:1234");
  const code = (run: () => unknown) => {
    try {
      run();
    } catch (error) {
      return error instanceof SerinError ? error.code : error;
    }
    return undefined;
  };
  assert.equal(
    code(() => to("10.96.0.1", 81)),
    "no-endpoint",
  );
  assert.equal(
    code(() => to("10.96.0.8")),
    "destination-unknown",
  );
});

test("an address that moves to another workload belongs to the new one, even if the old one is removed later", () => {
  const moving = new MeshState();
  parseLocalConfig(
    "workloads: [{uid: one, name: one, workloadIps: [10.0.0.9]}, {uid: two, name: two, workloadIps: [10.0.0.9]}]",
    moving,
  );
  moving.removeWorkload("one");
  assert.equal(moving.workloadByAddress("", "10.0.0.9")?.name, "two");
});

test("an entry of another namespace cannot claim the address of a pod, whichever arrives first", () => {
  const pod = `{uid: Kubernetes//Pod/shop/web, name: web, namespace: shop, workloadIps: [10.0.0.9], protocol: TCP}`;
  const entry = `{uid: Kubernetes/networking.istio.io/WorkloadEntry/other/web, name: web, namespace: other, workloadIps: [10.0.0.9], protocol: HBONE, waypoint: {destination: /10.0.2.1, hboneMtlsPort: 15008}}`;
  for (const workloads of [
    [pod, entry],
    [entry, pod],
  ]) {
    const shared = new MeshState();
    parseLocalConfig(`workloads:\n${workloads.map((one) => `- ${one}\n`).join("")}services: []`, shared);
    assert.equal(shared.workloadByAddress("", "10.0.0.9")?.namespace, "shop");
    shared.removeWorkload("Kubernetes/networking.istio.io/WorkloadEntry/other/web");
    assert.equal(shared.workloadByAddress("", "10.0.0.9")?.namespace, "shop");
    shared.removeWorkload("Kubernetes//Pod/shop/web");
    assert.equal(shared.workloadByAddress("", "10.0.0.9"), undefined);
  }
});

test("a service that has the address of its own endpoint gets the connections to its ports, and another service does not", () => {
  const service = to("10.8.0.1", 27_017);
  assert.deepEqual([service.service?.hostname, service.address, service.port], ["mongo.example", "10.8.0.1", 27_018]);
  const other = to("10.8.0.1", 22);
  assert.deepEqual([other.service, other.workload?.name, other.port], [undefined, "mongo", 22]);
  const claimed = to("10.8.0.2", 27_017);
  assert.deepEqual([claimed.service, claimed.workload?.name, claimed.port], [undefined, "db", 27_017]);
});

test("a client that dials an endpoint's address reaches this endpoint, whichever services have the address", () => {
  const next = (address: string) => {
    const found = to(address);
    return [found.service?.hostname, found.protocol, found.workload?.name, found.port];
  };
  for (let turn = 0; turn < 20; turn += 1) {
    assert.deepEqual(next("10.9.0.1"), [undefined, "TCP", "pair1", 80], "a range is not the endpoint's address");
    assert.deepEqual(next("10.9.1.1"), ["both.example", "TCP", "both1", 8080]);
    assert.deepEqual(next("10.9.4.1"), [undefined, "TCP", "taken", 80], "a foreign entry has the address of a pod");
    assert.equal(to("10.9.5.1").address, "10.9.5.1", "a foreign entry has an address outside the cluster");
  }
  assert.throws(() => to("10.9.1.1", 80, "src", new Set(["both1"])), /no healthy upstream/);
  assert.deepEqual(next("10.9.2.1"), [undefined, "HBONE", "selected", 15_008], "an entry without load balancing");
  assert.deepEqual([to("10.9.3.1").waypoint, to("10.9.3.1").service?.hostname], [true, "waited.example"]);
  assert.equal(to("10.9.3.1", 80, "wp").port, 8080);
});

test("an endpoint with only a hostname is resolved, and requested by its address", async () => {
  const found = to("10.96.0.10", 5432);
  assert.equal(found.address, "db.internal");
  const resolved = await resolvedRoute(found, "10.96.0.10", async () => ["fd00::7", "10.7.0.7"]);
  assert.deepEqual(
    [resolved.protocol, resolved.address, resolved.port, resolved.authority],
    ["HBONE", "10.7.0.7", 15_008, "10.7.0.7:6000"],
  );
  await assert.rejects(
    resolvedRoute(found, "10.96.0.10", async () => []),
    /db.internal has no known address/,
  );
  const plain = to("10.96.0.1", 80, "src", new Set(["b"]));
  assert.equal(await resolvedRoute(plain, "10.96.0.1", async () => assert.fail()), plain);
});

test("an address belongs to the smallest range that contains it", () => {
  assert.deepEqual([to("10.97.1.1").address, to("10.97.1.1").protocol], ["10.97.1.1", "TCP"]);
  const inner = to("10.97.5.9");
  assert.deepEqual([inner.workload?.name, inner.authority], ["wp", "10.97.5.9:80"]);
});

test("an endpoint in another network is reached by its service's name, in a tunnel through the network's gateway", () => {
  const found = to("10.96.0.11");
  assert.deepEqual(
    [found.address, found.port, found.authority, found.expectedIdentities],
    ["192.0.2.8", 15_008, "global.local:80", ["spiffe://cluster.local/ns/istio-system/sa/ew"]],
  );
  assert.deepEqual(found.within, {
    endpointUid: "split",
    expectedIdentities: ["spiffe://cluster.local/ns/default/sa/global"],
  });
  assert.throws(() => to("10.96.0.11", 80, "src", new Set(["split"])), /no healthy upstream/);
});
