import assert from "node:assert/strict";
import { test } from "node:test";
import { reference } from "../references.ts";
import { movedDestinations } from "./route-destinations.ts";

const httpRoute = reference("gateway.networking.k8s.io/v1", "HTTPRoute", "web", "shop");
const virtualService = reference("networking.istio.io/v1", "VirtualService", "web", "shop");
const backend = (name: string, weight?: number) => ({ name, port: 80, ...(weight === undefined ? {} : { weight }) });
const rules = (...lists: readonly (readonly object[])[]) => lists.map((backendRefs) => ({ backendRefs }));

function gaining(route: typeof httpRoute, before: unknown, after: unknown): readonly string[] {
  return movedDestinations(route, before, after).gaining.map(
    ({ namespace, service, subset }) => `${namespace}/${service}${subset === undefined ? "" : ` ${subset}`}`,
  );
}

test("a destination gains requests when its share of a rule rises, whatever the numbers of the weights are", () => {
  const alone = rules([backend("v1")]);
  const half = rules([backend("v1", 1), backend("v2", 1)]);
  const all = rules([backend("v1", 0), backend("v2", 100)]);
  assert.deepEqual(gaining(httpRoute, alone, half), ["shop/v2"]);
  assert.deepEqual(gaining(httpRoute, half, rules([backend("v1", 50), backend("v2", 50)])), []);
  assert.deepEqual(gaining(httpRoute, all, half), ["shop/v1"]);
  assert.deepEqual(gaining(httpRoute, all, alone), ["shop/v1"]);
  assert.deepEqual(gaining(httpRoute, undefined, alone), ["shop/v1"]);
  assert.deepEqual(movedDestinations(httpRoute, all, alone).former, [{ namespace: "shop", service: "v2" }]);
});

test("a rule that sends some requests to the canary alone does not hide that the stable version gains others", () => {
  const before = rules([backend("v1", 0), backend("v2", 100)]);
  const after = rules([backend("v2")], [backend("v1", 70), backend("v2", 30)]);
  assert.deepEqual(gaining(httpRoute, before, after), ["shop/v2", "shop/v1"]);
});

test("a rule that stays does not make a version one that gets requests already", () => {
  const other = { matches: [{ path: { value: "/other" } }], backendRefs: [backend("v1")] };
  const [before, after] = [
    [backend("v1", 0), backend("v2", 100)],
    [backend("v1", 70), backend("v2", 30)],
  ];
  const moved = movedDestinations(httpRoute, [other, { backendRefs: before }], [other, { backendRefs: after }]);
  assert.deepEqual(moved, {
    gaining: [{ namespace: "shop", service: "v1", isNew: true }],
    former: [{ namespace: "shop", service: "v2" }],
  });
});

test("a missing weight is 1 in the Gateway API, and 0 beside others in a VirtualService", () => {
  const mixed = [{ name: "v1", port: 80 }, backend("v2", 1)];
  assert.deepEqual(gaining(httpRoute, rules([backend("v2")]), rules(mixed)), ["shop/v1"]);
  const to = (subset: string, weight?: number) => ({
    destination: { host: "web", subset },
    ...(weight === undefined ? {} : { weight }),
  });
  const [only, both] = [[to("v1")], [to("v1"), to("v2", 100)]];
  assert.deepEqual(gaining(virtualService, [{ route: only }], [{ route: both }]), ["shop/web v2"]);
  assert.deepEqual(gaining(virtualService, [{ route: both }], [{ route: only }]), ["shop/web v1"]);
});

test("a backend whose pods nobody knows is left out", () => {
  const elsewhere = rules([{ kind: "Hostname", group: "networking.istio.io", name: "api.example" }]);
  assert.deepEqual(gaining(httpRoute, undefined, elsewhere), []);
  for (const host of ["api.example", "web.other"])
    assert.deepEqual(gaining(virtualService, undefined, [{ route: [{ destination: { host } }] }]), []);
  const full = [{ route: [{ destination: { host: "web.other.svc.cluster.local" } }] }];
  assert.deepEqual(gaining(virtualService, undefined, full), ["other/web"]);
});
