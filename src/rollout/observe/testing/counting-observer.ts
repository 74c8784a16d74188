import type { UntypedObject } from "../../../api/index.ts";
import { checkDefaults } from "../../../api/serin/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import type { ObjectAccess } from "../../act/object-access.ts";
import type { Step } from "../../decide/index.ts";
import { fakePod, fakeView, standingClock } from "../checks/testing/fake-mesh.ts";
import { Observer } from "../observer.ts";

export const step: Step = {
  id: "step-1",
  title: "step 1",
  writes: [],
  settle: [
    { type: "podReady", object: { apiVersion: "v1", kind: "Pod", plural: "pods", namespace: "shop", name: "next-0" } },
  ],
  checks: [{ spec: { ...checkDefaults, type: "pod-health" }, subject: { type: "mesh" } }],
};

export const route = { apiVersion: "v1", kind: "Service", plural: "services", namespace: "shop", name: "shop" };
export const origin = { rollout: "Canary shop/shop" };

/**
 * An observer of a cluster in which every object has the content `stored`. Counts how often the observer has read an
 * object.
 */
export function counting(
  stored: () => UntypedObject,
  isReady: () => boolean,
): { look: typeof look; reads: () => number } {
  let reads = 0;
  let nowMs = 0;
  const status = { conditions: [{ type: "Ready", status: "False" }] };
  const pod = fakePod({ name: "next-0", status: status as never });
  const objects = { get: async () => ((reads += 1), stored()) } as unknown as ObjectAccess;
  const clock = { ...standingClock(), steadyMs: () => nowMs };
  const observer = new Observer({} as KubeClient, objects, fakeView([pod]), clock);
  const look = async (moving: Step, atMs: number, hasSettled = false) => {
    nowMs = atMs;
    (status.conditions[0] as { status: string }).status = isReady() ? "True" : "False";
    return await observer.observe(moving, [], origin, {
      hasSettled,
      settlingMs: 0,
      doneSteps: new Set(),
      passed: new Set(),
    });
  };
  return { look, reads: () => reads };
}
