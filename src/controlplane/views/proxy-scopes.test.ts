import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import type { KubernetesObject } from "../../api/index.ts";
import type { Pod } from "../../api/kubernetes/index.ts";
import { systemClock, type Clock } from "../../base/index.ts";
import { HandClock } from "../../base/testing/index.ts";
import { NodeSchema } from "../../wire/discovery/index.ts";
import { CollectionGraph } from "../../kube/index.ts";
import { createMeshInputs, meshKey } from "../model/index.ts";
import { ProxyScopes, type ProxyScopesOptions } from "./proxy-scopes.ts";
import { readProxyIdentity } from "../serve/proxy-identity.ts";
import { emptyView, type ProxyIdentity } from "../serve/index.ts";
import { config, createModelFixture, node, pod, service, testMesh } from "../testing/model-fixture.ts";
import { deriveInboundResources, deriveMeshModel } from "../translate/index.ts";

const proxy: ProxyIdentity = {
  id: "web-1.shop",
  type: "sidecar",
  peer: "",
  address: "10.0.0.1",
  domain: "shop.svc.cluster.local",
  name: "web-1",
  namespace: "shop",
  version: "1",
  node: "",
  clusterId: "Kubernetes",
  network: "",
  networkView: [],
  labels: {},
  metadata: {},
  serviceAccount: "web",
  hbone: false,
  sendsHbone: false,
  selfDiscovery: false,
  dnsCapture: false,
  envoy: false,
  stockEnvoy: false,
  virtualHostDiscovery: false,
  extensionConfigDiscovery: false,
  verified: true,
};

function partsOf(graph: CollectionGraph): Pick<ProxyScopesOptions, "connectedPods" | "machines" | "settle"> {
  return {
    connectedPods: graph.source("connected-pods"),
    machines: { own: graph.source("machines"), remote: graph.source("remote-machines") },
    settle: () => graph.settle(),
  };
}

test("a proxy has the locality of its pod's node, even if the node appears later", () => {
  const { graph, inputs, apply } = createModelFixture();
  const { scopes } = deriveMeshModel(graph, inputs);
  const views = new ProxyScopes({ ...partsOf(graph), inputs, scopes, clock: systemClock }).viewSource(
    proxy,
    () => emptyView,
  );
  apply(node("one", ""), pod("shop/web-1", "10.0.0.1", { node: "one" }));
  let moves = 0;
  using _following = views.follow(() => (moves += 1));
  const zones = (): string[] => [...scopes.groups.values()].map(({ locality }) => locality.zone);
  assert.deepEqual(zones(), [""]);
  apply(node("one", "b"));
  assert.deepEqual([zones().includes("b"), moves > 0], [true, true]);
});

test("a label of its pod overrides the locality of a proxy's node", () => {
  const localityOf = (labels: Record<string, string>): unknown => {
    const { graph, inputs, apply } = createModelFixture();
    const { scopes } = deriveMeshModel(graph, inputs);
    const proxies = new ProxyScopes({ ...partsOf(graph), inputs, scopes, clock: systemClock });
    apply(node("one", "b"), pod("shop/web-1", "10.0.0.1", { node: "one", labels }));
    using _following = proxies.viewSource(proxy, () => emptyView).follow(() => undefined);
    return [...scopes.groups.values()].map(({ locality }) => `${locality.region}/${locality.zone}/${locality.subzone}`);
  };
  assert.deepEqual(localityOf({}), ["r1/b/"]);
  assert.deepEqual(localityOf({ "istio-locality": "region.zone.subzone" }), ["region/zone/subzone"]);
  assert.deepEqual(localityOf({ "istio-locality": "old", "topology.istio.io/locality": "new.z" }), ["new/z/"]);
});

test("the metadata of one stream does not apply to another stream of the same name", () => {
  const { graph, inputs, apply } = createModelFixture();
  const { scopes } = deriveMeshModel(graph, inputs);
  const proxies = new ProxyScopes({ ...partsOf(graph), inputs, scopes, clock: systemClock });
  apply(pod("shop/web-1", "10.0.0.1"));
  const labelsOf = (identity: ProxyIdentity) => {
    let labels: unknown;
    const source = proxies.viewSource(identity, ({ group }) => ((labels = group.labels), emptyView));
    const following = source.follow(() => undefined);
    source.current();
    return { following, labels };
  };
  const claimed = labelsOf({ ...proxy, verified: false, labels: { app: "stranger" } });
  const own = labelsOf({ ...proxy, labels: { app: "web" } });
  using _following = claimed.following;
  using _other = own.following;
  assert.deepEqual([claimed.labels, own.labels], [{ app: "stranger" }, { app: "web" }]);
});

test("a proxy gets HBONE unless it or the mesh disables it", () => {
  const { graph, inputs, apply } = createModelFixture();
  const { scopes } = deriveMeshModel(graph, inputs);
  const proxies = new ProxyScopes({ ...partsOf(graph), inputs, scopes, clock: systemClock });
  apply(pod("shop/web-1", "10.0.0.1"));
  const speaks = (metadata: Readonly<Record<string, string>>): boolean | undefined => {
    let isEnvoy: boolean | undefined;
    const identity = readProxyIdentity(
      create(NodeSchema, {
        id: "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local",
        metadata: { ENABLE_HBONE: "true", ...metadata },
      }),
    );
    const source = proxies.viewSource(identity, ({ group }) => ((isEnvoy = group.hbone), emptyView));
    using _following = source.follow(() => undefined);
    source.current();
    return isEnvoy;
  };
  assert.deepEqual(
    [speaks({}), speaks({ DISABLE_HBONE_SEND: "true" }), speaks({ ENABLE_HBONE: "false" })],
    [true, false, false],
  );
  inputs.mesh.set(meshKey, { ...testMesh, hbone: { sent: false, preferred: false, takenBySidecars: true } });
  graph.settle();
  assert.equal(speaks({ NETWORK: "other" }), false);
});

test("a proxy without a pod is served at once if it has a WorkloadEntry, is a gateway or states its own labels", () => {
  const { graph, inputs, apply } = createModelFixture();
  const { scopes } = deriveMeshModel(graph, inputs);
  const proxies = new ProxyScopes({ ...partsOf(graph), inputs, scopes, clock: systemClock });
  const isKnown = (identity: Partial<ProxyIdentity>): boolean =>
    proxies.viewSource({ ...proxy, ...identity }, () => emptyView).known();
  const labels = { app: "web" };
  assert.deepEqual([isKnown({ labels }), isKnown({ type: "router" })], [false, false], "its pod will be seen");
  assert.deepEqual(
    [
      isKnown({ type: "router", labels }),
      isKnown({ labels, metadata: { GENERATOR: "grpc" } }),
      isKnown({ registration: { group: "web", entry: "", probed: false, locality: "" } }),
    ],
    [true, true, true],
  );
  apply(config("WorkloadEntry", "shop/machine", { address: "10.0.0.1" }));
  assert.deepEqual([isKnown({}), isKnown({ address: "10.0.0.2" })], [true, false]);
});

test("a group stays for a while after its last proxy has left, however often one returned before", () => {
  const { graph, inputs, apply } = createModelFixture();
  const { scopes } = deriveMeshModel(graph, inputs);
  const timers = new Set<() => void>();
  const clock: Clock = {
    ...systemClock,
    after: (_ms, run) => (timers.add(run), { [Symbol.dispose]: () => void timers.delete(run) }),
  };
  const views = new ProxyScopes({ ...partsOf(graph), inputs, scopes, clock });
  apply(pod("shop/web-1", "10.0.0.1"));
  const comeAndGo = (): void => {
    const followed = views.viewSource({ ...proxy }, () => emptyView).follow(() => undefined);
    followed[Symbol.dispose]();
  };
  for (let time = 0; time < 5; time += 1) comeAndGo();
  assert.deepEqual([timers.size, scopes.groups.size], [2, 1], "one for the group, one for the pod");
  for (const run of timers) run();
  assert.equal(scopes.groups.size, 0);
});

/** Scopes for which the test decides when groups are deleted and when the model settles. */
function handScopes() {
  const graph = new CollectionGraph({ schedule: () => undefined });
  const inputs = createMeshInputs(graph);
  inputs.mesh.set(meshKey, testMesh);
  const { scopes } = deriveMeshModel(graph, inputs);
  const timers = new Set<() => void>();
  const clock: Clock = {
    ...systemClock,
    after: (_ms, run) => (timers.add(run), { [Symbol.dispose]: () => void timers.delete(run) }),
  };
  const views = new ProxyScopes({ ...partsOf(graph), inputs, scopes, settle: () => undefined, clock });
  const router: ProxyIdentity = { ...proxy, type: "router", labels: { app: "web" } };
  return { graph, scopes, timers, views, router };
}

test("a proxy that returns before the deletion of its group has settled keeps the group", () => {
  for (const isExpected of [false, true]) {
    const { graph, scopes, timers, views, router } = handScopes();
    const follow = (): Disposable => views.viewSource({ ...router }, () => emptyView).follow(() => undefined);
    follow()[Symbol.dispose]();
    graph.settle();
    for (const run of timers) run();
    if (isExpected) views.expect({ ...router });
    using _returned = follow();
    graph.settle();
    assert.equal(scopes.groups.size, 1);
  }
});

test("the group of an expected proxy exists before it subscribes, and goes if it never does", () => {
  const { graph, scopes, timers, views, router } = handScopes();
  for (let time = 0; time < 3; time += 1) views.expect({ ...router });
  for (const type of ["ztunnel", "waypoint"]) views.expect({ ...router, type });
  graph.settle();
  assert.deepEqual([scopes.groups.size, timers.size], [1, 1]);
  for (const run of timers) run();
  graph.settle();
  assert.equal(scopes.groups.size, 0);
});

test("groups of disconnected proxies take bounded memory, whatever labels a client sends each time", () => {
  const { graph, inputs } = createModelFixture();
  const { scopes } = deriveMeshModel(graph, inputs);
  const timers = new Set<() => void>();
  const clock: Clock = {
    ...systemClock,
    after: (_ms, run) => (timers.add(run), { [Symbol.dispose]: () => void timers.delete(run) }),
  };
  const views = new ProxyScopes({ ...partsOf(graph), inputs, scopes, clock });
  const connect = (label: string): Disposable =>
    views.viewSource({ ...proxy, type: "router", labels: { label } }, () => emptyView).follow(() => undefined);
  using _stays = connect("stays");
  const long = "x".repeat(4 << 20);
  for (let index = 0; index < 6; index += 1) connect(`${index}-${long}`)[Symbol.dispose]();
  const left = [...scopes.groups.values()].map(({ labels }) => (labels["label"] ?? "").split("-", 1)[0]);
  assert.deepEqual(left, ["stays", "3", "4", "5"]);
  assert.equal(timers.size, 3);
  for (const run of timers) run();
  assert.equal(scopes.groups.size, 1);
  // The total length of the keys without a proxy is still counted correctly after groups were forgotten, used again and
  // left again.
  for (let time = 0; time < 6; time += 1) connect(`again-${long}`)[Symbol.dispose]();
  assert.equal(scopes.groups.size, 2);
});

test("pods and groups without a proxy are few, whatever names a client sends, and one that connects is served", () => {
  const { graph, inputs } = createModelFixture();
  const { scopes } = deriveMeshModel(graph, inputs);
  const parts = partsOf(graph);
  const proxies = new ProxyScopes({ ...parts, inputs, scopes, clock: new HandClock() });
  const named = (index: number): ProxyIdentity => ({ ...proxy, name: `web-${index}`, labels: { index: `${index}` } });
  const sizes = (): readonly number[] => {
    graph.settle();
    return [parts.connectedPods.size, scopes.groups.size];
  };
  graph.batch(() => {
    for (let index = 0; index < 20_100; index += 1) proxies.expect(named(index));
  });
  assert.deepEqual(sizes(), [20_000, 20_000]);
  const forgotten = named(0);
  const source = proxies.viewSource(forgotten, () => emptyView);
  using _connected = source.follow(() => undefined);
  assert.deepEqual([parts.connectedPods.get("shop/web-0"), source.current()], [true, emptyView]);
  assert.deepEqual(sizes(), [20_001, 20_001]);
});

test("a node with more labels than any pod has is refused", () => {
  const nodeOf = (labels: Record<string, string>) =>
    create(NodeSchema, { id: "router~10.0.0.1~web-1.shop~shop.svc.cluster.local", metadata: { LABELS: labels } });
  assert.deepEqual(readProxyIdentity(nodeOf({ app: "web" })).labels, { app: "web" });
  assert.throws(() => readProxyIdentity(nodeOf({ app: "x".repeat(131_072) })), /at most 131072 are allowed/);
  const many = Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`label-${index}`, "value"]));
  assert.throws(() => readProxyIdentity(nodeOf(many)), /at most 131072 are allowed/);
});

test("a proxy that connects costs the same however many others are connected", (context) => {
  const { graph, inputs, apply } = createModelFixture();
  const { scopes } = deriveMeshModel(graph, inputs);
  const proxies = new ProxyScopes({ ...partsOf(graph), inputs, scopes, clock: systemClock });
  const lookups = context.mock.method(Set.prototype, "has");
  using following = new DisposableStack();
  const lookupsOf = (name: string): number => {
    apply(pod(`shop/${name}`, "10.0.0.1", { labels: { app: name } }));
    const before = lookups.mock.callCount();
    following.use(proxies.viewSource({ ...proxy, name, id: name }, () => emptyView).follow(() => undefined));
    return lookups.mock.callCount() - before;
  };
  lookupsOf("web-0");
  const early = lookupsOf("web-1");
  for (let index = 2; index < 200; index += 1) lookupsOf(`web-${index}`);
  assert.ok(lookupsOf("web-200") <= early + 50);
});

test("only sidecars that are connected, or were a minute ago, have inbound resources", () => {
  const { graph, inputs, apply } = createModelFixture();
  const model = deriveMeshModel(graph, inputs);
  const clock = new HandClock();
  const parts = partsOf(graph);
  const proxies = new ProxyScopes({ ...parts, inputs, scopes: model.scopes, clock });
  const { listeners, clusters } = deriveInboundResources(graph, model, parts.connectedPods);
  const scopesOf = (collection: typeof listeners): readonly string[] => {
    graph.settle();
    return [...new Set([...collection.values()].map(({ scope }) => scope))];
  };
  const sidecarPod = (key: string, address: string): KubernetesObject => {
    const bare: Pod = pod(key, address, { labels: { app: "web" } });
    const containers = [...(bare.spec?.containers ?? []), { name: "istio-proxy" }];
    const made: Pod = { ...bare, spec: { ...bare.spec, containers } };
    return made;
  };
  apply(
    service("shop/web", "10.1.0.1", { app: "web" }, [{ name: "http", port: 80, targetPort: 8080 }]),
    sidecarPod("shop/web-1", "10.0.0.1"),
    sidecarPod("shop/web-2", "10.0.0.2"),
  );
  assert.deepEqual([listeners.size, clusters.size], [0, 0]);
  const following = proxies.viewSource(proxy, () => emptyView).follow(() => undefined);
  assert.ok(listeners.size > 0, "the first answer is complete");
  assert.deepEqual([scopesOf(listeners), scopesOf(clusters)], [["shop/web-1"], ["shop/web-1"]]);
  proxies.expect({ ...proxy, name: "web-2" });
  proxies.expect({ ...proxy, name: "web-3", type: "router" });
  assert.deepEqual(scopesOf(listeners), ["shop/web-1", "shop/web-2"]);
  clock.pass(60_000);
  assert.deepEqual(scopesOf(listeners), ["shop/web-1"], "the second one never connected");
  following[Symbol.dispose]();
  clock.pass(59_999);
  assert.deepEqual(scopesOf(listeners), ["shop/web-1"]);
  clock.pass(1);
  assert.deepEqual(scopesOf(listeners), []);
});
