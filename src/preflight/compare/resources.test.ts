import assert from "node:assert/strict";
import { test } from "node:test";
import { envoyFilterEffects, type FilteredProxy } from "./envoy-filter-effect.ts";
import { groupChanges, resourceChanges, type ProxyResources } from "./resources.ts";
import { fieldChanges, type Json } from "../tree-diff.ts";

const resources = (clusters: Record<string, Json>): ProxyResources =>
  new Map([["cluster", new Map(Object.entries(clusters))]]);

test("list elements are matched by name, and a changed order is reported", () => {
  const before = { filters: [{ name: "cors", on: true }, { name: "fault" }, { name: "router" }] };
  const after = { filters: [{ name: "fault" }, { name: "cors", on: false }, { name: "router" }] };
  assert.deepEqual(fieldChanges(before, after), [
    { path: "filters[cors].on", before: true, after: false },
    { path: "filters(order)", before: ["cors", "fault", "router"], after: ["fault", "cors", "router"] },
  ]);
});

test("unnamed elements that both lists have are no difference, and the order of fields never is", () => {
  assert.deepEqual(fieldChanges([{ a: 1, b: 2 }, { a: 2 }], [{ a: 3 }, { b: 2, a: 1 }, { a: 2 }]), [
    { path: "[]", after: { a: 3 } },
  ]);
});

test("one change of many resources of many proxies is reported once", () => {
  const before = resources({ one: { timeout: "10s", lb: "RR" }, two: { timeout: "10s" }, gone: {} });
  const after = resources({ one: { timeout: "5s", lb: "RR" }, two: { timeout: "5s" } });
  const groups = groupChanges(["reviews", "ratings"].flatMap((proxy) => resourceChanges(proxy, before, after)));
  assert.deepEqual(groups, [
    {
      type: "cluster",
      change: "changed",
      changes: [{ path: "timeout", before: "10s", after: "5s" }],
      resources: ["one", "two"],
      resourceCount: 2,
      proxies: ["ratings", "reviews"],
      proxyCount: 2,
    },
    {
      type: "cluster",
      change: "removed",
      changes: [],
      resources: ["gone"],
      resourceCount: 1,
      proxies: ["ratings", "reviews"],
      proxyCount: 2,
    },
  ]);
});

test("an EnvoyFilter that matches in only one release appears in the result, because resources with and without it are compared", () => {
  const bare = { a: { timeout: "10s" }, b: { timeout: "10s" } };
  const proxy = (name: string, namespace: string, patched: Record<string, Json>): FilteredProxy => ({
    name,
    namespace,
    labels: { app: name },
    from: { without: resources(bare), with: resources({ ...bare, a: { timeout: "3s" } }) },
    to: { without: resources(bare), with: resources(patched) },
  });
  const filter = (name: string, namespace: string, labels?: Record<string, string>) => ({
    metadata: { name, namespace },
    spec: labels === undefined ? {} : { workloadSelector: { labels } },
  });
  const proxies = [proxy("web", "shop", bare), proxy("api", "shop", { ...bare, a: { timeout: "3s" } })];
  const effects = envoyFilterEffects(
    [filter("all", "root"), filter("api-only", "shop", { app: "api" }), filter("elsewhere", "other")],
    proxies,
    "root",
  );
  assert.deepEqual(
    effects.map(({ name, patchedByFrom, patchedByTo, differing }) => [name, patchedByFrom, patchedByTo, differing]),
    [
      ["root/all", 2, 1, ["web: cluster a"]],
      ["shop/api-only", 1, 1, []],
      ["other/elsewhere", 0, 0, []],
    ],
  );
  const changedDefault: FilteredProxy = {
    ...proxy("web", "shop", bare),
    to: { without: resources({ a: { timeout: "5s" } }), with: resources({ a: { timeout: "3s" } }) },
  };
  assert.deepEqual(
    envoyFilterEffects([filter("all", "root")], [changedDefault], "root")[0]?.differing,
    [],
    "another default that is overridden all the same is no other effect",
  );
});
