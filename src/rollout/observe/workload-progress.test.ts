import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../../api/index.ts";
import type { Pod } from "../../api/kubernetes/index.ts";
import { reference } from "../plan/index.ts";
import { fieldManager } from "../../api/serin/field-managers/index.ts";
import { sidecarPod, standingClock } from "./checks/testing/fake-mesh.ts";
import { EventAges } from "./event-ages.ts";
import { progressOf } from "./workload-progress.ts";

const restartedMs = Date.parse("2026-06-01T00:00:00Z");
const withinMs = 60_000;
const time = (ms: number): string => new Date(restartedMs + ms).toISOString();

const found: UntypedObject = {
  metadata: {
    name: "web",
    namespace: "shop",
    generation: 2,
    managedFields: [{ manager: fieldManager, time: time(0) }],
  },
  spec: { replicas: 3, template: { metadata: { labels: { "istio.io/rev": "new" } } } },
  status: { observedGeneration: 2, updatedReplicas: 2, availableReplicas: 2, replicas: 3 },
};

function ready(name: string, atMs: number, restartCount = 0): Pod {
  const pod = sidecarPod(name, "new", "web");
  const conditions = [{ type: "Ready", status: "True", lastTransitionTime: time(atMs) }];
  return { ...pod, status: { ...pod.status, conditions, containerStatuses: [{ name: "app", restartCount }] } } as Pod;
}

function failsAt(atMs: number, pods: readonly Pod[]): boolean {
  const workload = { object: reference("apps/v1", "Deployment", "web", "shop"), pods, found };
  const ageMs = (_key: string, eventMs: number): number => restartedMs + atMs - eventMs;
  const query = { revision: "new", mark: "m", connected: new Set<string>(), ageMs, withinMs };
  return progressOf(workload, query).failed === true;
}

test("each pod that becomes ready extends a restarted workload's time limit, up to ten times", () => {
  assert.equal(failsAt(61_000, []), true, "nothing came");
  assert.equal(failsAt(100_000, [ready("a", 50_000)]), false, "one came");
  assert.equal(failsAt(111_000, [ready("a", 50_000)]), true, "and then none");
  assert.equal(failsAt(601_000, [ready("a", 600_000)]), true, "for ten times as long");
  assert.equal(failsAt(100_000, [ready("a", 50_000, 1)]), true, "one that crashed is no progress");
});

/** Returns a function that watches a workload with these pods: the state at a time, with a number of available pods. */
function watchedStates(pods: readonly Pod[]): (atMs: number, availableReplicas: number) => string {
  let steadyMs = 0;
  const clock = { ...standingClock(), steadyMs: () => steadyMs, nowMs: () => restartedMs + steadyMs };
  const ages = new EventAges(clock);
  return (atMs, availableReplicas) => {
    steadyMs = atMs;
    const status = { observedGeneration: 2, updatedReplicas: 2, availableReplicas, replicas: 2 };
    const spec = { ...(found["spec"] as object), replicas: 2 };
    const workload = {
      object: reference("apps/v1", "Deployment", "web", "shop"),
      pods,
      found: { ...found, spec, status },
    };
    const query = {
      revision: "new",
      mark: "m",
      connected: new Set(pods.map(({ metadata }) => `${metadata.name ?? ""}.${metadata.namespace ?? ""}`)),
      ageMs: (key: string, eventMs: number) => ages.ageMs(key, eventMs, steadyMs),
      notice: (key: string, isFirst?: boolean) => ages.notice(key, isFirst),
      withinMs,
    };
    const { state, failed } = progressOf(workload, query);
    return failed === true ? "failed" : state;
  };
}

test("a workload that was at the revision has the whole time limit for pods that come later, such as an autoscaler's", () => {
  const stateAt = watchedStates([ready("a", 20_000), ready("b", 30_000)]);
  assert.equal(stateAt(20_000, 1), "moving");
  assert.equal(stateAt(700_000, 2), "moved", "longer ago than ten times the limit");
  assert.equal(stateAt(701_000, 1), "moving");
  assert.equal(stateAt(760_000, 1), "moving");
  assert.equal(stateAt(760_001, 1), "failed");
  assert.equal(stateAt(761_000, 2), "moved");
});

test("a workload that is complete only now and then fails, soon if its pods crash, and else after ten time limits", () => {
  const failsAtSeconds = (restartCount: number, stepSeconds: number, completeSeconds: number): number | undefined => {
    const stateAt = watchedStates([ready("a", 0, restartCount), ready("b", 0, restartCount)]);
    for (let second = 1; second < 3600; second += 1)
      if (stateAt(second * 1000, second % stepSeconds < completeSeconds ? 2 : 1) === "failed") return second;
    return undefined;
  };
  assert.equal(failsAtSeconds(3, 50, 10), 61);
  assert.equal(failsAtSeconds(0, 50, 10), 610, "its pods lose their readiness again and again");
  assert.equal(failsAtSeconds(3, 100, 70), undefined, "it is complete for longer than the limit");
});
