import assert from "node:assert/strict";
import { test } from "node:test";
import { releaseParts, type ReleasePartsInput } from "./release-parts.ts";

const deployment = {
  kind: "Deployment",
  object: { metadata: { name: "web", namespace: "shop" }, spec: { template: { metadata: { labels: { a: "b" } } } } },
  pods: [{ metadata: {} }],
};

test("without the new release, every part that needs it is reported, and injection only if pods are injected", async () => {
  const areasWith = async (injected: readonly object[], injector: object | undefined): Promise<string[]> => {
    const { notCompared } = await releaseParts({
      upgrade: { installs: [{ tag: "9.9.9" }] },
      live: { pods: [], controlPlane: { namespace: "istio-system", mesh: "", injector } },
      injected,
    } as unknown as ReleasePartsInput);
    assert.ok(notCompared.every(({ reason }) => reason === "the new release, 9.9.9, is not available"));
    return notCompared.map(({ area }) => area);
  };
  const always = ["rendered", "defaults", "definitions", "configuration", "proxies"];
  assert.deepEqual(await areasWith([deployment], {}), [...always, "workloads"]);
  assert.deepEqual(await areasWith([], {}), always);
  assert.deepEqual(await areasWith([deployment], undefined), always);
});
