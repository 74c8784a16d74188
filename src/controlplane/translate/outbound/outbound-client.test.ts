import assert from "node:assert/strict";
import { test } from "node:test";
import { deriveMeshModel } from "../mesh-model.ts";
import { ScopeClusterView } from "../../serve/resource-views/scope-cluster-view.ts";
import { config, createModelFixture, namespace, service } from "../../testing/model-fixture.ts";
import type { ProxyGroup } from "../../model/scope-choice.ts";
import { deriveOutboundResources } from "./outbound-resources.ts";

const host = "web.shop.svc.cluster.local";
const group: ProxyGroup = {
  kind: "sidecar",
  namespace: "",
  labels: {},
  locality: { region: "", zone: "", subzone: "" },
  node: "",
  network: "",
  hbone: false,
  dnsCapture: false,
};

function setUp(...namespaces: readonly string[]) {
  const fixture = createModelFixture();
  const model = deriveMeshModel(fixture.graph, fixture.inputs);
  const { clusters } = deriveOutboundResources(fixture.graph, model);
  fixture.apply(service("shop/web", "10.96.0.9", { app: "web" }, [{ name: "http", port: 80 }]));
  const connect = (name: string, own: Partial<ProxyGroup> = {}): void =>
    model.scopes.groups.set(`${name} ${JSON.stringify(own)}`, { ...group, namespace: name, ...own });
  for (const name of namespaces) {
    fixture.apply(namespace(name));
    connect(name);
  }
  fixture.graph.settle();
  const entryOf = (name: string, own: Partial<ProxyGroup> = {}) => {
    const scope = model.scopes.choices.get(`${name} ${JSON.stringify(own)}`)?.scope ?? "";
    return clusters.scopes.get(scope)?.services.find((entry) => entry.service.hostname === host);
  };
  const scopeOf = (name: string): string => model.scopes.choices.get(`${name} {}`)?.scope ?? "";
  const computed = (): number =>
    fixture.graph.collections.find(({ name }) => name === "service-clusters")?.stats.recomputations ?? 0;
  const remove = (kind: string, name: string): void => fixture.remove(config(kind, name, {}));
  return { ...fixture, remove, clusters, connect, entryOf, scopeOf, computed };
}

function rule(name: string, subset: string, spec: object = {}) {
  return config("DestinationRule", name, { host, subsets: [{ name: subset, labels: { version: subset } }], ...spec });
}

test("namespaces with the same view of a service share its derived clusters", () => {
  const { clusters, entryOf, computed, apply } = setUp("shop", "orders", "billing");
  assert.equal(clusters.services.size, 1);
  assert.equal(entryOf("orders"), entryOf("shop"));
  assert.equal(entryOf("billing"), entryOf("shop"));
  const before = computed();
  apply(service("shop/new", "10.96.0.10", { app: "new" }, [{ name: "http", port: 80 }]));
  assert.equal(computed() - before, 1, "a new service is derived once for all of them");
});

test("a namespace with its own DestinationRule gets its own entry until the rule is deleted", () => {
  const { clusters, entryOf, apply, remove } = setUp("shop", "orders", "billing");
  apply(rule("orders/web", "v1"));
  assert.notEqual(entryOf("orders"), entryOf("billing"));
  assert.equal(entryOf("shop"), entryOf("billing"));
  assert.equal(clusters.services.get(entryOf("orders")?.key ?? "")?.clusters.length, 2);
  assert.equal(clusters.services.get(entryOf("billing")?.key ?? "")?.clusters.length, 1);
  remove("DestinationRule", "orders/web");
  assert.equal(entryOf("orders"), entryOf("billing"));
  assert.equal(clusters.services.size, 1);
});

test("a public rule in the service's namespace gives its own namespace one entry, and clients elsewhere another", () => {
  const { clusters, entryOf, apply } = setUp("shop", "orders", "billing");
  apply(rule("shop/web", "v1"));
  assert.equal(entryOf("orders"), entryOf("billing"));
  assert.notEqual(entryOf("shop"), entryOf("billing"));
  assert.deepEqual(
    [...clusters.services.values()].map((entry) => entry.clusters.length),
    [2, 2],
  );
});

test("a rule that is exported to one namespace gives only that namespace its own entry", () => {
  const { clusters, entryOf, apply } = setUp("orders", "billing", "stock");
  apply(rule("shop/web", "v1", { exportTo: ["billing"] }));
  assert.equal(entryOf("orders"), entryOf("stock"));
  const own = clusters.services.get(entryOf("billing")?.key ?? "");
  assert.deepEqual(
    own?.clusters.map(({ variant }) => variant.subset),
    ["v1", undefined],
  );
  assert.equal(clusters.services.get(entryOf("orders")?.key ?? "")?.clusters.length, 1);
});

test("a rule for a wildcard host gives its namespace own entries only for the services that it covers", () => {
  const { clusters, entryOf, scopeOf, apply } = setUp("orders", "billing");
  apply(
    service("stock/api", "10.96.0.11", { app: "api" }, [{ name: "http", port: 80 }]),
    config("DestinationRule", "orders/all", { host: "*.shop.svc.cluster.local" }),
  );
  assert.notEqual(entryOf("orders"), entryOf("billing"));
  const keysOf = (name: string): readonly string[] =>
    clusters.scopes.get(scopeOf(name))?.services.map(({ key }) => key) ?? [];
  assert.deepEqual(keysOf("orders").filter((key) => !keysOf("billing").includes(key)).length, 1);
});

test("a rule with a workload selector separates clients only by the labels that it selects", () => {
  const { connect, entryOf, apply, graph } = setUp("orders", "billing");
  const [a, b] = [{ labels: { app: "a" } }, { labels: { app: "b" } }];
  for (const name of ["orders", "billing"]) for (const labels of [a, b]) connect(name, labels);
  apply(rule("orders/web", "v1", { workloadSelector: { matchLabels: { app: "a" } } }));
  graph.settle();
  assert.notEqual(entryOf("orders", a), entryOf("orders", b));
  assert.equal(entryOf("billing", a), entryOf("billing", b));
});

test("clients are notified of the clusters that a rule adds, changes and removes", () => {
  const { clusters, scopeOf, apply, remove } = setUp("orders", "billing");
  const changed = { orders: [] as string[], billing: [] as string[] };
  using _orders = new ScopeClusterView(clusters, "clusters", scopeOf("orders")).subscribe((names) =>
    changed.orders.push(...names),
  );
  using _billing = new ScopeClusterView(clusters, "clusters", scopeOf("billing")).subscribe((names) =>
    changed.billing.push(...names),
  );
  const take = (): Readonly<Record<string, readonly string[]>> =>
    Object.fromEntries(Object.entries(changed).map(([name, names]) => [name, [...new Set(names.splice(0))].sort()]));
  apply(rule("orders/web", "v1"));
  assert.deepEqual(take(), { orders: [`outbound|80|v1|${host}`, `outbound|80||${host}`], billing: [] });
  apply(rule("orders/web", "v2"));
  assert.deepEqual(take(), { orders: [`outbound|80|v1|${host}`, `outbound|80|v2|${host}`], billing: [] });
  remove("DestinationRule", "orders/web");
  assert.deepEqual(take(), { orders: [`outbound|80|v2|${host}`, `outbound|80||${host}`], billing: [] });
  remove("Service", "shop/web");
  assert.deepEqual(take(), { orders: [`outbound|80||${host}`], billing: [`outbound|80||${host}`] });
});
