import { stringOf } from "../../../base/index.ts";
import { ageOf } from "../human-duration.ts";
import { objectOf, type JsonObject } from "../json.ts";
import { at, count, none, objectsAt, textOr } from "./cell-text.ts";
import { columns, type TableForm } from "./column.ts";

interface PodSummary {
  reason: string;
  ready: number;
  total: number;
  restarts: number;
  lastRestart: string;
}

function later(a: string, b: unknown): string {
  const text = stringOf(b);
  return text > a ? text : a;
}

function finishedAt(status: JsonObject): unknown {
  return at(status, "lastState", "terminated", "finishedAt");
}

function terminationReason(terminated: JsonObject): string {
  const reason = stringOf(terminated.reason);
  if (reason !== "") return reason;
  const signal = count(terminated.signal);
  return signal === 0 ? `ExitCode:${count(terminated.exitCode)}` : `Signal:${signal}`;
}

function hasCondition(pod: unknown, type: string): boolean {
  return objectsAt(pod, "status", "conditions").some(
    (condition) => condition.type === type && condition.status === "True",
  );
}

/**
 * Adds the init containers up to the first unfinished one to the summary. Returns whether an unfinished init container
 * blocks the pod.
 */
function summarizeInit(
  pod: unknown,
  summary: PodSummary,
  sidecars: { restarts: number; lastRestart: string },
): boolean {
  const specs = objectsAt(pod, "spec", "initContainers");
  const restartable = new Set(
    specs.filter((container) => container.restartPolicy === "Always").map((container) => container.name),
  );
  summary.total += restartable.size;
  for (const [index, status] of objectsAt(pod, "status", "initContainerStatuses").entries()) {
    const sidecar = restartable.has(status.name);
    summary.restarts += count(status.restartCount);
    summary.lastRestart = later(summary.lastRestart, finishedAt(status));
    if (sidecar) {
      sidecars.restarts += count(status.restartCount);
      sidecars.lastRestart = later(sidecars.lastRestart, finishedAt(status));
    }
    const state = objectOf(status.state);
    const terminated = state.terminated === undefined ? undefined : objectOf(state.terminated);
    if (terminated !== undefined && count(terminated.exitCode) === 0) continue;
    if (sidecar && status.started === true) {
      if (status.ready === true) summary.ready++;
      continue;
    }
    const waiting = stringOf(at(state, "waiting", "reason"));
    if (terminated !== undefined) summary.reason = `Init:${terminationReason(terminated)}`;
    else if (waiting !== "" && waiting !== "PodInitializing") summary.reason = `Init:${waiting}`;
    else summary.reason = `Init:${index}/${specs.length}`;
    return true;
  }
  return false;
}

function summarizeContainers(pod: unknown, summary: PodSummary): void {
  let running = false;
  let failure = "";
  for (const status of objectsAt(pod, "status", "containerStatuses").reverse()) {
    summary.restarts += count(status.restartCount);
    summary.lastRestart = later(summary.lastRestart, finishedAt(status));
    const state = objectOf(status.state);
    const waiting = stringOf(at(state, "waiting", "reason"));
    if (waiting !== "") summary.reason = waiting;
    else if (state.terminated !== undefined) {
      const terminated = objectOf(state.terminated);
      summary.reason = terminationReason(terminated);
      if (count(terminated.exitCode) !== 0) failure = summary.reason;
    } else if (status.ready === true && state.running !== undefined) {
      running = true;
      summary.ready++;
    }
  }
  if (summary.reason !== "Completed") return;
  if (running && hasCondition(pod, "Ready")) summary.reason = "Running";
  else if (failure !== "") summary.reason = failure;
  else if (running) summary.reason = "NotReady";
}

function summarize(pod: unknown): PodSummary {
  const phase = stringOf(at(pod, "status", "phase"));
  const summary: PodSummary = {
    reason: textOr(at(pod, "status", "reason"), phase),
    ready: 0,
    total: objectsAt(pod, "spec", "containers").length,
    restarts: 0,
    lastRestart: "",
  };
  if (
    objectsAt(pod, "status", "conditions").some(
      (condition) => condition.type === "PodScheduled" && condition.reason === "SchedulingGated",
    )
  )
    summary.reason = "SchedulingGated";
  const sidecars = { restarts: 0, lastRestart: "" };
  if (!summarizeInit(pod, summary, sidecars) || hasCondition(pod, "Initialized")) {
    Object.assign(summary, sidecars);
    summarizeContainers(pod, summary);
  }
  if (at(pod, "metadata", "deletionTimestamp") !== undefined) {
    if (at(pod, "status", "reason") === "NodeLost") summary.reason = "Unknown";
    else if (phase !== "Succeeded" && phase !== "Failed") summary.reason = "Terminating";
  }
  return summary;
}

function readinessGates(pod: unknown): string {
  const gates = objectsAt(pod, "spec", "readinessGates");
  if (gates.length === 0) return none;
  return `${gates.filter((gate) => hasCondition(pod, stringOf(gate.conditionType))).length}/${gates.length}`;
}

export const podTable: TableForm = {
  columns: columns("Name|Ready|Status|Restarts|Age|IP*|Node*|Nominated Node*|Readiness Gates*"),
  cells: (pod, nowMs) => {
    const { reason, ready, total, restarts, lastRestart } = summarize(pod);
    const restartText =
      restarts !== 0 && lastRestart !== "" ? `${restarts} (${ageOf(lastRestart, nowMs)} ago)` : String(restarts);
    const ip = textOr(objectsAt(pod, "status", "podIPs")[0]?.ip, none);
    return [
      pod.metadata.name,
      `${ready}/${total}`,
      reason,
      restartText,
      ageOf(pod.metadata.creationTimestamp, nowMs),
      ip,
      textOr(at(pod, "spec", "nodeName"), none),
      textOr(at(pod, "status", "nominatedNodeName"), none),
      readinessGates(pod),
    ];
  },
};
