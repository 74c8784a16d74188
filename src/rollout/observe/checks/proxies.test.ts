import assert from "node:assert/strict";
import { test } from "node:test";
import { observeConnections, observeRequests } from "./counters.ts";
import { maxProxies, proxiesFor, proxyPods } from "./proxies.ts";
import { fakePod, fakeScrape, fakeView, gatewayPod, sidecarPod, ztunnelPod } from "./testing/fake-mesh.ts";

const side = (workload: string): { readonly namespace: string; readonly workload: string } => ({
  namespace: "shop",
  workload,
});
const backends = {
  type: "backends",
  canary: side("v2"),
  stable: side("v1"),
  expectedShare: 0.5,
  atLeast: false,
} as const;

test("a pod with the label of a ztunnel counts for one only where ztunnels run", () => {
  const view = fakeView([ztunnelPod("z"), fakePod({ name: "forged", namespace: "evil", labels: { app: "ztunnel" } })]);
  assert.deepEqual(
    proxyPods(view).map(({ pod }) => pod.metadata.name),
    ["z"],
  );
});

test("pods of another namespace that look like gateways do not displace the gateways and sidecars of a rollout", () => {
  const forged = Array.from({ length: 2 * maxProxies }, (_, index) =>
    gatewayPod(`a-${String(index).padStart(3, "0")}`, { namespace: "evil" }),
  );
  const view = fakeView([
    ...forged,
    gatewayPod("z-ingress", { namespace: "istio-ingress" }),
    ...Array.from({ length: 40 }, (_, index) => gatewayPod(`z-${index}`)),
  ]);
  const chosen = proxiesFor(view, backends);
  assert.equal(chosen.length, maxProxies);
  const inNamespace = (namespace: string): number =>
    chosen.filter(({ pod }) => pod.metadata.namespace === namespace).length;
  assert.deepEqual([inNamespace("shop"), inNamespace("istio-ingress")], [40, 1]);
});

test("a pod whose status names the engine's own machine, or a cloud's server of credentials, is not scraped", () => {
  const addressed = (name: string, podIP: string) => fakePod({ ...sidecarLike, name, status: { podIP } });
  const sidecarLike = { containers: ["app", "istio-proxy"], annotations: { "istio.io/rev": "default" } };
  const view = fakeView([
    addressed("own", "127.0.0.1"),
    addressed("cloud", "169.254.169.254"),
    addressed("mapped", "::ffff:127.0.0.1"),
    addressed("none", ""),
    sidecarPod("real", "default", "v2"),
  ]);
  assert.deepEqual(
    proxyPods(view).map(({ pod }) => pod.metadata.name),
    ["real"],
  );
});

test("a mesh names whose proxies report requests to servers of other namespaces, so that tenants forge none", async () => {
  const claim = (name: string, value: number): string =>
    `${name}{reporter="source",destination_workload="v2",destination_workload_namespace="shop",response_code="503",response_flags="UF"} ${value}`;
  const pods = [
    gatewayPod("forged", { namespace: "evil" }),
    gatewayPod("ingress", { namespace: "istio-ingress" }),
    fakePod({ name: "client", containers: ["app", "istio-proxy"], annotations: { "istio.io/rev": "default" } }),
  ];
  const texts = Object.fromEntries(pods.map(({ metadata: { name = "" } }) => [name, claim("istio_requests_total", 9)]));
  const reportersOf = async (trusted?: ReadonlySet<string>): Promise<unknown> => {
    const view = fakeView(pods, [], trusted);
    const looks = [
      await observeRequests(view, backends, fakeScrape(texts)),
      await observeConnections(view, backends, fakeScrape(texts)),
    ];
    return looks.map((look) => (look.type === "counters" ? Object.keys(look.sources).sort() : look));
  };
  const all = ["evil/forged", "istio-ingress/ingress", "shop/client"];
  const trusted = ["istio-ingress/ingress", "shop/client"];
  assert.deepEqual(await reportersOf(), [all, all]);
  assert.deepEqual(await reportersOf(new Set(["istio-ingress"])), [trusted, trusted]);
});
