import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../../api/kubernetes/index.ts";
import { systemClock } from "../../base/index.ts";
import { RuntimeCalls, type SeenPod } from "./runtime-calls.ts";

const installedAtMs = 1_000;

/**
 * A `RuntimeCalls` whose clock is a minute after the plugin's installation. `saw` reports a change of the pod
 * `shop/web`.
 */
class Watched {
  nowMs = installedAtMs + 60_000;
  readonly calls = new RuntimeCalls({ ...systemClock, steadyMs: () => this.nowMs });

  saw(change: SeenPod["change"], pod: Partial<Pod>, atMs: number | undefined = installedAtMs): void {
    this.calls.saw({ key: "shop/web", pod: { metadata: { uid: "u" }, ...pod }, change }, atMs);
  }
}

const addressed: Partial<Pod> = { status: { podIP: "10.0.0.9" } };

test("a pod that appears and gets an address without a call shows that the runtime does not call the plugin", () => {
  const watched = new Watched();
  watched.saw("appeared", {});
  assert.equal(watched.calls.missed, undefined);
  watched.saw("changed", addressed);
  assert.equal(watched.calls.missed, "shop/web");
  watched.calls.called();
  assert.equal(watched.calls.missed, undefined, "the runtime calls the plugin after all");
  watched.saw("appeared", {});
  watched.saw("changed", addressed);
  assert.equal(watched.calls.missed, undefined, "a runtime that has called the plugin knows it");
});

test("pods that say nothing about the runtime are not counted", () => {
  const cases: Readonly<Record<string, (watched: Watched) => void>> = {
    "an earlier agent may have been called": (watched) => watched.saw("appeared", addressed),
    "the plugin was not installed": (watched) =>
      watched.calls.saw({ key: "a", pod: { metadata: { uid: "u" } }, change: "appeared" }, undefined),
    "the runtime may not have read the new configuration": (watched) => {
      watched.nowMs = installedAtMs + 4_999;
      watched.saw("appeared", {});
    },
    "a pod on the node's network needs no plugin": (watched) =>
      watched.saw("appeared", { spec: { hostNetwork: true, containers: [] } }),
    "a kubelet makes the object of a running static pod again": (watched) =>
      watched.saw("appeared", { metadata: { uid: "u", annotations: { "kubernetes.io/config.mirror": "hash" } } }),
    "the runtime called the plugin first": (watched) => {
      watched.saw("appeared", {});
      watched.calls.called();
    },
    "the pod was gone before it had an address": (watched) => {
      watched.saw("appeared", {});
      watched.saw("gone", {});
    },
  };
  for (const [why, begin] of Object.entries(cases)) {
    const watched = new Watched();
    begin(watched);
    watched.saw("changed", addressed);
    assert.equal(watched.calls.missed, undefined, why);
  }
});
