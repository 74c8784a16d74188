import assert from "node:assert/strict";
import { test } from "node:test";
import { reference } from "../../plan/index.ts";
import { fakePod, fakeView } from "../checks/testing/fake-mesh.ts";
import { ownerState } from "./pod-conditions.ts";

test("a pod that waits for another ztunnel names its node, because a lost node never changes it", () => {
  const pod = fakePod({ name: "web", annotations: { "serin.dev/ztunnel-owner": "old" } });
  const placed = { ...pod, spec: { containers: [], nodeName: "worker" } };
  const detailOf = (revision: string): unknown =>
    ownerState(fakeView([placed]), reference("v1", "Pod", "web", "shop"), revision);
  assert.deepEqual(detailOf("new"), {
    state: "waiting",
    detail: "shop/web is owned by old (the CNI agent of its node changes that: kubectl get node worker)",
  });
  assert.deepEqual(detailOf("old"), { state: "met" });
});
