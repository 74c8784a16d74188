import assert from "node:assert/strict";
import { test } from "node:test";
import { revisionOfPod } from "./inventory.ts";
import { noObjects, withoutKinds } from "./mesh-objects.ts";
import { pod } from "./testing/small-mesh.ts";

test("a pod's revision is that of its injector, its gateway's Deployment or its ztunnel", () => {
  const containers = ["app", "istio-proxy"];
  assert.equal(revisionOfPod(pod("shop", "a", { containers, annotations: { "istio.io/rev": "new" } })), "new");
  assert.equal(revisionOfPod(pod("shop", "a", { containers, labels: { "istio.io/rev": "old" } })), "old");
  assert.equal(revisionOfPod(pod("shop", "a", { containers })), "default");
  assert.equal(
    revisionOfPod(
      pod("shop", "a", {
        annotations: { "ambient.istio.io/redirection": "enabled", "serin.dev/ztunnel-owner": "new" },
      }),
    ),
    "new",
  );
  assert.equal(revisionOfPod(pod("shop", "a", { annotations: { "istio.io/rev": "new" } })), "", "nothing was injected");
});

test("objects, configuration, journals and Events of unlistable kinds are removed", () => {
  const named = (kind: string, name: string): never =>
    ({ apiVersion: "rollout.serin.dev/v1alpha1", kind, metadata: { name } }) as never;
  const [upgrade, freeze, canary] = [named("MeshUpgrade", "up"), named("Freeze", "holidays"), named("Canary", "web")];
  const events = ["MeshUpgrade", "Pod"].map((kind) => ({ metadata: { name: kind }, involvedObject: { kind } }));
  const journals = ["meshupgrade.up", "canary.shop.web"].map((name) => ({
    ...(named("RolloutJournal", name) as object),
    entries: [],
  })) as never;
  const objects = {
    ...noObjects,
    upgrades: [upgrade],
    freezes: [freeze],
    canaries: [canary],
    configs: [upgrade, freeze, canary],
    events,
    journals,
  };
  assert.equal(withoutKinds(objects, new Set()), objects);
  const kept = withoutKinds(objects, new Set(["MeshUpgrade", "Freeze"]));
  assert.deepEqual([kept.upgrades, kept.freezes, kept.configs, kept.canaries], [[], [], [canary], [canary]]);
  assert.deepEqual(
    [kept.events.map(({ metadata }) => metadata.name), kept.journals.map(({ metadata }) => metadata.name)],
    [["Pod"], ["canary.shop.web"]],
  );
});
