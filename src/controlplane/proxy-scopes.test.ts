import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../base/index.ts";
import { ProxyScopes } from "./proxy-scopes.ts";
import { emptyView, type ProxyIdentity } from "./serve/index.ts";
import { createModelFixture, node, pod } from "./testing/model-fixture.ts";
import { deriveMeshModel } from "./translate/index.ts";

const proxy: ProxyIdentity = { id: "web-1.shop", type: "sidecar", address: "10.0.0.1", name: "web-1", namespace: "shop", version: "1", node: "", clusterId: "Kubernetes", network: "", networkView: [], labels: {}, metadata: {}, serviceAccount: "web", hbone: false, dnsCapture: false, envoy: false, stockEnvoy: false, virtualHostDiscovery: false, verified: true };

test("a proxy is where its pod's node says, also when that is said later", () => {
  const { graph, inputs, apply } = createModelFixture();
  const { scopes } = deriveMeshModel(graph, inputs);
  const views = new ProxyScopes({ inputs, scopes, settle: () => graph.settle(), clock: systemClock }).viewSource(proxy, () => emptyView);
  apply(node("one", ""), pod("shop/web-1", "10.0.0.1", { node: "one" }));
  let moves = 0;
  using _following = views.follow(() => (moves += 1));
  const zones = (): string[] => [...scopes.groups.values()].map(({ locality }) => locality.zone);
  assert.deepEqual(zones(), [""]);
  apply(node("one", "b"));
  assert.deepEqual([zones().includes("b"), moves > 0], [true, true]);
});

test("what one stream says of itself does not hold for another one of the same name", () => {
  const { graph, inputs, apply } = createModelFixture();
  const { scopes } = deriveMeshModel(graph, inputs);
  const proxies = new ProxyScopes({ inputs, scopes, settle: () => graph.settle(), clock: systemClock });
  apply(pod("shop/web-1", "10.0.0.1"));
  const labelsOf = (identity: ProxyIdentity) => {
    let seen: unknown;
    const source = proxies.viewSource(identity, ({ group }) => ((seen = group.labels), emptyView));
    const following = source.follow(() => undefined);
    source.current();
    return { following, seen };
  };
  const claimed = labelsOf({ ...proxy, verified: false, labels: { app: "stranger" } });
  const own = labelsOf({ ...proxy, labels: { app: "web" } });
  using _following = claimed.following;
  using _other = own.following;
  assert.deepEqual([claimed.seen, own.seen], [{ app: "stranger" }, { app: "web" }]);
});
