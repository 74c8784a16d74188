import assert from "node:assert/strict";
import { test } from "node:test";
import { podTable } from "./pods.ts";

const nowMs = Date.parse("2026-01-01T12:00:00Z");
const container = (name: string, more: object = {}): object => ({ name, image: "i", ...more });
const sidecar = (name: string): object => container(name, { restartPolicy: "Always" });
const running = { state: { running: { startedAt: "2026-01-01T11:00:00Z" } } };
const waiting = (reason: string): object => ({ state: { waiting: { reason } } });
const ended = (exitCode: number, more: object = {}): object => ({ state: { terminated: { exitCode, ...more } } });
const status = (name: string, more: object): object => ({ name, ready: false, restartCount: 0, ...more });
const condition = (type: string, value: string, more: object = {}): object => ({ type, status: value, ...more });

/** The cells Ready, Status and Restarts of a pod's row, as one text. */
function cellsOf(spec: object, podStatus: object, metadata: object = {}): string {
  const pod = { metadata: { name: "web", ...metadata }, spec, status: podStatus };
  return podTable.cells(pod, nowMs).slice(1, 4).join(" | ");
}

const one = { containers: [container("app")] };
const two = { containers: [container("app"), container("more")] };

test("a pod shows its phase until a container says more", () => {
  assert.equal(cellsOf(one, { phase: "Pending" }), "0/1 | Pending | 0");
  const creating = { phase: "Pending", containerStatuses: [status("app", waiting("ContainerCreating"))] };
  assert.equal(cellsOf(one, creating), "0/1 | ContainerCreating | 0");
  const runs = { phase: "Running", containerStatuses: [status("app", { ...running, ready: true })] };
  assert.equal(cellsOf(one, runs), "1/1 | Running | 0");
  assert.equal(cellsOf(two, runs), "1/2 | Running | 0");
  assert.equal(cellsOf(one, { phase: "Failed", reason: "Evicted" }), "0/1 | Evicted | 0");
});

test("a pod that waits for its scheduling gates says so", () => {
  const conditions = [condition("PodScheduled", "False", { reason: "SchedulingGated" })];
  assert.equal(cellsOf(one, { phase: "Pending", conditions }), "0/1 | SchedulingGated | 0");
});

test("a crashing container shows why it waits, how often it was restarted, and when it last ended", () => {
  const lastState = { terminated: { exitCode: 1, finishedAt: "2026-01-01T11:57:00Z" } };
  const crashing = status("app", { ...waiting("CrashLoopBackOff"), restartCount: 4, lastState });
  assert.equal(
    cellsOf(one, { phase: "Running", containerStatuses: [crashing] }),
    "0/1 | CrashLoopBackOff | 4 (3m ago)",
  );
  const second = status("more", {
    ...running,
    ready: true,
    restartCount: 1,
    lastState: { terminated: { exitCode: 0 } },
  });
  assert.equal(
    cellsOf(two, { phase: "Running", containerStatuses: [crashing, second] }),
    "1/2 | CrashLoopBackOff | 5 (3m ago)",
  );
});

test("an ended container shows its reason, or its signal or exit code without one", () => {
  const withEnd = (end: object): string => cellsOf(one, { phase: "Failed", containerStatuses: [status("app", end)] });
  assert.equal(withEnd(ended(1, { reason: "Error" })), "0/1 | Error | 0");
  assert.equal(withEnd(ended(3)), "0/1 | ExitCode:3 | 0");
  assert.equal(withEnd(ended(137, { signal: 9 })), "0/1 | Signal:9 | 0");
});

test("a pod of which one container is done and another runs is Running if it is ready, and otherwise NotReady", () => {
  const containerStatuses = [
    status("app", ended(0, { reason: "Completed" })),
    status("more", { ...running, ready: true }),
  ];
  const withReady = (value: string): string =>
    cellsOf(two, { phase: "Running", conditions: [condition("Ready", value)], containerStatuses });
  assert.equal(withReady("True"), "1/2 | Running | 0");
  assert.equal(withReady("False"), "1/2 | NotReady | 0");
});

test("a pod shows its first unfinished init container, and how many of them are done", () => {
  const spec = { ...one, initContainers: [container("first"), container("second")] };
  const withSecond = (second: object): string =>
    cellsOf(spec, {
      phase: "Pending",
      initContainerStatuses: [status("first", ended(0)), status("second", second)],
      containerStatuses: [status("app", waiting("PodInitializing"))],
    });
  assert.equal(withSecond(running), "0/1 | Init:1/2 | 0");
  assert.equal(withSecond(waiting("PodInitializing")), "0/1 | Init:1/2 | 0");
  assert.equal(withSecond(waiting("CrashLoopBackOff")), "0/1 | Init:CrashLoopBackOff | 0");
  assert.equal(withSecond(ended(1, { reason: "Error" })), "0/1 | Init:Error | 0");
  assert.equal(withSecond(ended(2)), "0/1 | Init:ExitCode:2 | 0");
  assert.equal(withSecond(ended(0)), "0/1 | PodInitializing | 0");
});

test("a sidecar counts as a container of the pod, and its restarts count also after the initialisation", () => {
  const spec = { ...one, initContainers: [sidecar("istio-proxy"), container("init")] };
  const lastState = { terminated: { exitCode: 1, finishedAt: "2026-01-01T11:59:30Z" } };
  const proxy = status("istio-proxy", { ...running, started: true, ready: true, restartCount: 2, lastState });
  const starting = {
    phase: "Pending",
    initContainerStatuses: [proxy, status("init", { ...running, restartCount: 1 })],
  };
  assert.equal(cellsOf(spec, starting), "1/2 | Init:1/2 | 3 (30s ago)");
  const started = {
    phase: "Running",
    initContainerStatuses: [proxy, status("init", { ...ended(0), restartCount: 1 })],
    containerStatuses: [status("app", { ...running, ready: true })],
  };
  assert.equal(cellsOf(spec, started), "2/2 | Running | 2 (30s ago)");
  const notStarted = status("istio-proxy", { ...running, started: false });
  assert.equal(cellsOf(spec, { phase: "Pending", initContainerStatuses: [notStarted] }), "0/2 | Init:0/2 | 0");
});

test("a pod that is being deleted is Terminating, unless it has ended, or its node is lost", () => {
  const metadata = { deletionTimestamp: "2026-01-01T12:00:10Z" };
  const runs = { phase: "Running", containerStatuses: [status("app", { ...running, ready: true })] };
  assert.equal(cellsOf(one, runs, metadata), "1/1 | Terminating | 0");
  assert.equal(cellsOf(one, { ...runs, reason: "NodeLost" }, metadata), "1/1 | Unknown | 0");
  const done = { phase: "Succeeded", containerStatuses: [status("app", ended(0, { reason: "Completed" }))] };
  assert.equal(cellsOf(one, done, metadata), "0/1 | Completed | 0");
});

test("the wide columns show the address, the nodes, and how many readiness gates are met", () => {
  const pod = {
    metadata: { name: "web", creationTimestamp: "2026-01-01T10:00:00Z" },
    spec: { ...one, nodeName: "worker", readinessGates: [{ conditionType: "a" }, { conditionType: "b" }] },
    status: {
      phase: "Running",
      podIPs: [{ ip: "10.244.1.2" }],
      nominatedNodeName: "other",
      conditions: [condition("a", "True"), condition("b", "False")],
    },
  };
  assert.deepEqual(podTable.cells(pod, nowMs).slice(4), ["120m", "10.244.1.2", "worker", "other", "1/2"]);
  const bare = { metadata: { name: "web" }, spec: one, status: {} };
  assert.deepEqual(podTable.cells(bare as never, nowMs).slice(5), ["<none>", "<none>", "<none>", "<none>"]);
});
