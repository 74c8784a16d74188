import type { Condition } from "../../api/index.ts";
import type { RolloutStatus } from "../../api/serin/index.ts";

export function dated(status: RolloutStatus, before: RolloutStatus, nowMs: number): RolloutStatus {
  const now = new Date(nowMs).toISOString();
  const phaseSince = status.phase === before.phase ? (status.phaseSince ?? now) : now;
  return { ...status, phaseSince, conditions: conditionsOf(status, nowMs) };
}

/**
 * The status of a rollout at rest after a change of its spec that leaves nothing to do. Undefined if the status is
 * complete and its generation is already the changed one. Clients that wait for the rollout's end compare the
 * generations.
 */
export function noticed(status: RolloutStatus, generation: number, nowMs: number): RolloutStatus | undefined {
  // The status of an earlier release lacks the conditions that other tools wait for.
  const isComplete = status.conditions.some(({ type }) => type === "Ready");
  if (status.observedGeneration >= generation && isComplete) return undefined;
  return dated({ ...status, observedGeneration: generation }, status, nowMs);
}

/**
 * The conditions of the status, for example for `kubectl wait --for=condition=Completed`. Ready, Reconciling and
 * Stalled are those of kstatus, by which Flux and Helm wait: Stalled makes their wait fail, because the rollout does
 * not go on by itself.
 */
function conditionsOf(status: RolloutStatus, nowMs: number): readonly Condition[] {
  const { phase, message, cause } = status;
  const isReady = phase === "Completed" || phase === "Watching";
  const isStalled = phase === "RolledBack" || phase === "Stuck" || status.pauseReason === "group-failed";
  // The message of a stuck rollout says who must do what. Its cause only says what failed before, if anything has.
  const stalled = phase === "RolledBack" ? (cause ?? message) : message;
  const wanted: [type: string, on: boolean, reason: string, text: string][] = [
    ["Ready", isReady, phase, message],
    ["Reconciling", !isReady && !isStalled, phase, message],
    ["Stalled", isStalled, phase, stalled],
    ["Completed", phase === "Completed", phase, message],
    ["RolledBack", phase === "RolledBack", phase, cause ?? ""],
    ["Stuck", phase === "Stuck", phase, message],
    ["Progressing", !["Completed", "RolledBack", "Stuck"].includes(phase), phase, message],
  ];
  return wanted.map(([type, on, reason, text]) => {
    const value = on ? "True" : "False";
    const before = status.conditions.find((condition) => condition.type === type);
    const kept = before?.status === value;
    return {
      type,
      status: value,
      reason,
      message: on ? text : "",
      lastTransitionTime: kept ? before.lastTransitionTime : new Date(nowMs).toISOString(),
      observedGeneration: status.observedGeneration,
    };
  });
}
