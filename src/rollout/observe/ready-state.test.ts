import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../../api/index.ts";
import { reference } from "../plan/index.ts";
import { readyState } from "./ready-state.ts";

const web = reference("apps/v1", "Deployment", "web", "shop");

function stateWith(status: object): ReturnType<typeof readyState> {
  const object = {
    metadata: { name: "web", generation: 2 },
    spec: { replicas: 1 },
    status,
  } as unknown as UntypedObject;
  return readyState(object, web);
}

test("a Deployment is ready when its only pods are new and available", () => {
  const new1 = { observedGeneration: 2, replicas: 1, updatedReplicas: 1, availableReplicas: 1 };
  assert.deepEqual(stateWith(new1), { state: "met" });
  assert.equal(stateWith({ ...new1, observedGeneration: 1 }).state, "waiting");
});

test("the message speaks of old pods only when every pod is available, because otherwise a new one may be missing", () => {
  const both = { observedGeneration: 2, replicas: 2, updatedReplicas: 1 };
  assert.deepEqual(stateWith({ ...both, availableReplicas: 2 }), {
    state: "waiting",
    detail: "Deployment web: 1 old pods are leaving",
    left: 1,
  });
  assert.deepEqual(stateWith({ ...both, availableReplicas: 1 }), {
    state: "waiting",
    detail: "Deployment web: 1 of 2 pods are available",
    left: 1,
  });
});

test("a Deployment whose pods the API server refuses reports the refusal, with the same text for every attempt", () => {
  const message = (pod: string): string =>
    `pods "${pod}" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2`;
  const refused = (pod: string): ReturnType<typeof readyState> =>
    stateWith({
      observedGeneration: 2,
      conditions: [
        { type: "Available", status: "True", message: "no" },
        { type: "ReplicaFailure", status: "True", message: message(pod) },
      ],
    });
  assert.deepEqual(refused("web-a"), {
    state: "waiting",
    detail:
      "Deployment web: 0 of 1 ready (its pods are refused: forbidden: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2)",
    left: 1,
  });
  assert.deepEqual(refused("web-a"), refused("web-b"));
  const named = (pod: string): string => `create of Pod shop/${pod}: ${message(pod)}`;
  const told = (text: string): unknown =>
    stateWith({ observedGeneration: 2, conditions: [{ type: "ReplicaFailure", status: "True", message: text }] });
  assert.deepEqual(told(named("web-a")), told(message("web-b")));
});

test("pods that are ready and must stay so for minReadySeconds are counted apart from pods that are not ready", () => {
  const status = { observedGeneration: 2, replicas: 1, updatedReplicas: 1, availableReplicas: 0 };
  const detailWith = (readyReplicas: number): string => {
    const object = {
      metadata: { name: "web", generation: 2 },
      spec: { replicas: 1, minReadySeconds: 60 },
      status: { ...status, readyReplicas },
    };
    const state = readyState(object, web);
    return state.state === "waiting" ? state.detail : state.state;
  };
  assert.equal(detailWith(1), "Deployment web: 0 of 1 ready (each pod counts after its minReadySeconds: 60 s)");
  assert.equal(detailWith(0), "Deployment web: 0 of 1 ready");
});

test("a DaemonSet whose pods do not exist says where the API server's reason is", () => {
  const agent = reference("apps/v1", "DaemonSet", "ztunnel-next", "istio-system");
  const detail = (currentNumberScheduled: number): unknown => {
    const status = { observedGeneration: 1, desiredNumberScheduled: 2, currentNumberScheduled };
    const object = { metadata: { name: "ztunnel-next", generation: 1 }, spec: {}, status } as unknown as UntypedObject;
    const state = readyState(object, agent);
    return state.state === "waiting" ? state.detail : state.state;
  };
  assert.equal(
    detail(0),
    "DaemonSet ztunnel-next: 0 of 2 ready (2 of its pods do not exist; the API server's reason: kubectl describe daemonset -n istio-system ztunnel-next)",
  );
  assert.equal(detail(2), "DaemonSet ztunnel-next: 0 of 2 ready");
});

test("the pods of a held Deployment count although it has another template, if pods of any template do", () => {
  const held = {
    metadata: { name: "web", generation: 2 },
    spec: { replicas: 3, paused: true },
    // The controller of a paused Deployment makes no ReplicaSet for a changed template, so no pod counts as updated.
    status: { observedGeneration: 2, replicas: 3, readyReplicas: 3, availableReplicas: 3 },
  } as unknown as UntypedObject;
  assert.equal(readyState(held, web).state, "waiting");
  assert.deepEqual(readyState(held, web, { ofAnyTemplate: true }), { state: "met" });
  const fewer = { ...held, status: { observedGeneration: 2, replicas: 2, availableReplicas: 2 } };
  const state = readyState(fewer, web, { ofAnyTemplate: true });
  assert.equal(state.state === "waiting" ? state.detail : "", "Deployment web: 2 of 3 ready");
});
