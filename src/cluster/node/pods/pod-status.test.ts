import assert from "node:assert/strict";
import { test } from "node:test";
import type { ContainerState, Pod } from "../../../api/kubernetes/index.ts";
import { podStatus, type ContainerRole, type ContainerView, type PodView } from "./pod-status.ts";

const now = "2026-01-01T00:00:00Z";

function container(
  name: string,
  role: ContainerRole,
  state: ContainerState,
  more: Partial<ContainerView> = {},
): ContainerView {
  return {
    spec: { name, image: "i" },
    role,
    state,
    lastState: undefined,
    restartCount: 0,
    containerId: undefined,
    imageId: "",
    started: state.running !== undefined,
    ready: state.running !== undefined,
    done: false,
    ...more,
  };
}

function view(containers: ContainerView[], pod: Pod = { metadata: { name: "p" }, spec: { containers: [] } }): PodView {
  return {
    pod,
    containers,
    podIp: "10.244.1.2",
    hostIp: "172.18.0.3",
    startTime: now,
    hasSandbox: true,
    initPid: undefined,
    now,
  };
}

const running: ContainerState = { running: { startedAt: now } };
const ended = (exitCode: number): ContainerState => ({ terminated: { exitCode } });
const conditionOf = (pod: PodView, type: string): string | undefined =>
  podStatus(pod).conditions?.find((condition) => condition.type === type)?.status;

test("a pod is Pending until each container has begun, then Running, and ready when all are", () => {
  const waiting = view([
    container("a", "main", running),
    container("b", "main", { waiting: { reason: "ContainerCreating" } }),
  ]);
  assert.equal(podStatus(waiting).phase, "Pending");
  const unready = view([container("a", "main", running), container("b", "main", running, { ready: false })]);
  assert.equal(podStatus(unready).phase, "Running");
  assert.equal(conditionOf(unready, "Ready"), "False");
  assert.equal(conditionOf(view([container("a", "main", running)]), "Ready"), "True");
});

test("a pod whose containers have ended is Succeeded or Failed", () => {
  assert.equal(podStatus(view([container("a", "main", ended(0), { done: true })])).phase, "Succeeded");
  assert.equal(
    podStatus(
      view([container("a", "main", ended(0), { done: true }), container("b", "main", ended(1), { done: true })]),
    ).phase,
    "Failed",
  );
  assert.equal(
    podStatus(view([container("i", "init", ended(2), { done: true }), container("a", "main", { waiting: {} })])).phase,
    "Failed",
  );
});

test("a crashing container keeps its pod Running and unready", () => {
  const crashed = view([
    container(
      "a",
      "main",
      { waiting: { reason: "CrashLoopBackOff" } },
      { restartCount: 1, ready: false, lastState: ended(1) },
    ),
  ]);
  assert.equal(podStatus(crashed).phase, "Running");
  assert.equal(conditionOf(crashed, "ContainersReady"), "False");
});

test("a sidecar counts as started but not as done, and readiness gates and other writers' conditions are respected", () => {
  const pod: Pod = {
    metadata: { name: "p" },
    spec: { containers: [], readinessGates: [{ conditionType: "example.com/gate" }] },
    status: {
      conditions: [
        { type: "PodScheduled", status: "True", lastTransitionTime: "then" },
        { type: "Ready", status: "False", lastTransitionTime: "before" },
      ],
    },
  };
  const gated = view([container("s", "sidecar", running), container("a", "main", running)], pod);
  assert.equal(conditionOf(gated, "Initialized"), "True");
  assert.equal(conditionOf(gated, "ContainersReady"), "True");
  assert.equal(conditionOf(gated, "Ready"), "False");
  const { conditions = [] } = podStatus(gated);
  assert.equal(conditions.find(({ type }) => type === "PodScheduled")?.lastTransitionTime, "then");
  assert.equal(conditions.find(({ type }) => type === "Ready")?.lastTransitionTime, "before");
});
