import assert from "node:assert/strict";
import { test } from "node:test";
import { suspicion } from "../../base/testing/index.ts";
import { parseLocalConfig } from "./local-config.ts";
import { MeshState } from "./mesh-state.ts";
import type { Service, Workload } from "./model.ts";

const vip = { network: "", address: "240.0.0.1" };
const service = (namespace: string, hostname: string, more: Partial<Service> = {}): Service => ({
  name: hostname,
  namespace,
  hostname,
  vips: [vip],
  ports: new Map(),
  subjectAltNames: [],
  weightedWaypoints: [],
  canonical: false,
  visibility: "Public",
  ...more,
});

/** The service that a client finds, with each order in which the services may arrive. */
function found(client: string, ...services: readonly Service[]): readonly string[] {
  const hosts = [services, services.toReversed()].map((order) => {
    const state = new MeshState();
    for (const one of order) state.putService(one);
    return state.serviceByVip(vip.network, vip.address, client)?.hostname ?? "none";
  });
  return [...new Set(hosts)];
}

test("a client reaches the service of its own namespace among several with one address, then a canonical one, in any order of arrival", () => {
  const own = service("shop", "z.test");
  const other = service("a", "a.test");
  const kubernetes = service("b", "b.test", { canonical: true });
  assert.deepEqual(found("shop", own, other, kubernetes), ["z.test"]);
  assert.deepEqual(found("far", own, other, kubernetes), ["b.test"]);
  assert.deepEqual(found("far", own, other), ["a.test"]);
  assert.deepEqual(found("shop", service("b", "b.test", { visibility: "Namespace" })), ["none"]);
});

test("the choice among services of one namespace with one address does not depend on their order of arrival", () => {
  assert.deepEqual(found("shop", service("shop", "b.test"), service("shop", "a.test")), ["a.test"]);
  assert.deepEqual(found("far", service("shop", "b.test"), service("shop", "a.test")), ["a.test"]);
  assert.deepEqual(found("shop", service("shop", "b.test", { canonical: true }), service("shop", "a.test")), [
    "b.test",
  ]);
});

function workload(uid: string): Workload {
  const state = new MeshState();
  parseLocalConfig(`workloads: [{uid: "${uid}", name: entry, workloadIps: [10.0.0.9]}]`, state);
  return state.workloadByUid(uid) ?? assert.fail();
}

for (const [shared, changes] of [
  ["name", (index: number) => ({ workloadIps: [`10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`] })],
  ["address", (index: number) => ({ name: `entry-${index}` })],
] as const)
  test(`workloads that share their ${shared} arrive, change, are found and leave in time proportional to their number`, () => {
    const template = workload("entry");
    const make = (size: number): readonly Workload[] =>
      Array.from({ length: size }, (_, index) => ({ ...template, uid: `entry-${index}`, ...changes(index) }));
    const run = (workloads: readonly Workload[]): void => {
      const state = new MeshState();
      for (const each of [...workloads, ...workloads]) state.putWorkload(each);
      for (const { workloadIps } of workloads)
        assert.ok(state.workloadByAddress("", workloadIps[0] ?? "") !== undefined);
      for (const each of workloads) state.removeWorkload(each.uid);
      assert.equal(state.workloadByAddress("", template.workloadIps[0] ?? ""), undefined);
    };
    assert.equal(suspicion(run, make, 8_000), undefined);
  });

test("of workloads with one name, a pod of the own cluster has the name, else the latest one with the account", () => {
  const state = new MeshState("east");
  const info = { name: "entry", namespace: "default", serviceAccount: "default" };
  const found = (): string | undefined => state.workloadByPod(info)?.uid;
  state.putWorkload(workload("west//Pod/default/entry"));
  state.putWorkload(workload("east/networking.istio.io/WorkloadEntry/default/entry"));
  assert.equal(found(), "east/networking.istio.io/WorkloadEntry/default/entry");
  state.putWorkload(workload("west//Pod/default/entry"));
  assert.equal(found(), "west//Pod/default/entry");
  state.putWorkload(workload("east//Pod/default/entry"));
  state.putWorkload({ ...workload("west//Pod/default/entry"), serviceAccount: "other" });
  assert.equal(found(), "east//Pod/default/entry");
  state.removeWorkload("east//Pod/default/entry");
  assert.equal(found(), "east/networking.istio.io/WorkloadEntry/default/entry");
});
