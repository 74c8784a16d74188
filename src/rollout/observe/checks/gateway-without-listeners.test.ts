import assert from "node:assert/strict";
import { test } from "node:test";
import type { CheckSubject } from "../../decide/index.ts";
import { gatewayWithoutListeners } from "./gateway-without-listeners.ts";
import { fakeScrape, fakeView, gatewayPod } from "./testing/fake-mesh.ts";

const subject: CheckSubject = {
  type: "gatewayRevisions",
  gateway: { name: "front", namespace: "shop" },
  canary: "next",
  stable: "default",
};
const front = "gateway.networking.k8s.io/gateway-name";
const pods = [gatewayPod("old"), gatewayPod("new", { labels: { [front]: "front", "istio.io/rev": "next" } })];
const listening = (count: number): string => `serin_proxy_listeners ${count}\n`;

async function verdict(texts: Readonly<Record<string, string>>, podList = pods): Promise<string | undefined> {
  const result = await gatewayWithoutListeners(fakeView(podList), subject, fakeScrape(texts));
  return result?.type === "verdict" ? result.verdict : undefined;
}

test("a gateway that no Gateway is bound to passes without requests", async () => {
  assert.equal(await verdict({ old: listening(0), new: listening(0) }), "pass");
  assert.equal(await verdict({ new: listening(0) }, pods.slice(1)), "pass", "at 100 % the old pods are gone");
});

test("a gateway is judged by its requests as soon as one of its pods listens, or may listen", async () => {
  assert.equal(await verdict({ old: listening(1), new: listening(0) }), undefined, "the new revision lost a listener");
  assert.equal(await verdict({ old: listening(0), new: listening(1) }), undefined);
  assert.equal(await verdict({ new: listening(0) }), undefined, "the old pod does not answer");
  assert.equal(await verdict({ old: listening(0), new: "" }), undefined, "the new pod does not tell");
  assert.equal(await verdict({ old: listening(0) }, pods.slice(0, 1)), undefined, "the new revision has no pod");
  const backends: CheckSubject = { type: "mesh" };
  assert.equal(await gatewayWithoutListeners(fakeView(pods), backends, fakeScrape({})), undefined);
});

test("a gateway of an installation is found by its labels, beside other proxies of its namespace", async () => {
  const classic = { istio: "ingressgateway", app: "istio-ingressgateway" };
  const installed: CheckSubject = {
    type: "revisions",
    canary: "next",
    stable: "default",
    namespaces: ["shop"],
    gatewayLabels: classic,
  };
  const all = [
    gatewayPod("old", { labels: classic }),
    gatewayPod("new", { labels: { ...classic, "istio.io/rev": "next" } }),
    gatewayPod("other", { labels: { istio: "egressgateway" } }),
  ];
  const texts = { old: listening(0), new: listening(0), other: listening(3) };
  const result = await gatewayWithoutListeners(fakeView(all), installed, fakeScrape(texts));
  assert.equal(result?.type, "verdict");
  const busy = await gatewayWithoutListeners(fakeView(all), installed, fakeScrape({ ...texts, new: listening(1) }));
  assert.equal(busy, undefined);
  const { gatewayLabels: _, ...wave } = installed;
  assert.equal(
    await gatewayWithoutListeners(fakeView(all), wave, fakeScrape(texts)),
    undefined,
    "a wave is no gateway",
  );
});
