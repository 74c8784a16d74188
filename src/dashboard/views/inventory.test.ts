import assert from "node:assert/strict";
import { test } from "node:test";
import { revisionOfPod } from "./inventory.ts";
import { pod } from "./testing/small-mesh.ts";

test("a pod is of the revision that injected it, that its gateway's Deployment names, or whose ztunnel has it", () => {
  const containers = ["app", "istio-proxy"];
  assert.equal(revisionOfPod(pod("shop", "a", { containers, annotations: { "istio.io/rev": "new" } })), "new");
  assert.equal(revisionOfPod(pod("shop", "a", { containers, labels: { "istio.io/rev": "old" } })), "old");
  assert.equal(revisionOfPod(pod("shop", "a", { containers })), "default");
  assert.equal(revisionOfPod(pod("shop", "a", { annotations: { "ambient.istio.io/redirection": "enabled", "serin.dev/ztunnel-owner": "new" } })), "new");
  assert.equal(revisionOfPod(pod("shop", "a", { annotations: { "istio.io/rev": "new" } })), "", "nothing was injected");
});
