import assert from "node:assert/strict";
import { test } from "node:test";
import { MeshState } from "./mesh-state.ts";
import type { Service } from "./model.ts";

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
