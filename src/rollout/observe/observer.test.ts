import assert from "node:assert/strict";
import { test } from "node:test";
import { checkDefaults } from "../../api/serin/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import type { ObjectAccess } from "../act/object-access.ts";
import type { Step } from "../decide/index.ts";
import { fakePod, fakeView, standingClock } from "./checks/testing/fake-mesh.ts";
import { Observer } from "./observer.ts";

const step: Step = {
  id: "step-1",
  title: "step 1",
  writes: [],
  settle: [
    { type: "podReady", object: { apiVersion: "v1", kind: "Pod", plural: "pods", namespace: "shop", name: "next-0" } },
  ],
  checks: [{ spec: { ...checkDefaults, type: "pod-health" }, subject: { type: "mesh" } }],
};

test("checks are looked at once the step has settled, and from then on", async () => {
  const looks = async (isReady: boolean, hasSettled: boolean): Promise<number> => {
    const status = { conditions: [{ type: "Ready", status: isReady ? "True" : "False" }] };
    const view = fakeView([fakePod({ name: "next-0", status: status as never })]);
    const observer = new Observer({} as KubeClient, {} as ObjectAccess, view, standingClock());
    return (await observer.observe(step, [], { rollout: "Canary shop/shop" }, { hasSettled, settlingMs: 0 })).checks
      .length;
  };
  assert.equal(await looks(false, false), 0);
  assert.equal(await looks(true, false), 1);
  assert.equal(await looks(false, true), 1);
});
