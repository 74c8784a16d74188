import type { Condition } from "../../api/index.ts";
import type { RolloutStatus } from "../../api/serin/index.ts";

/** The status with the time of its phase, and with its conditions. */
export function dated(status: RolloutStatus, before: RolloutStatus, nowMs: number): RolloutStatus {
  const now = new Date(nowMs).toISOString();
  const phaseSince = status.phase === before.phase ? (status.phaseSince ?? now) : now;
  return { ...status, phaseSince, conditions: conditionsOf(status, nowMs) };
}

/**
 * The status of a rollout at rest after a change of its spec that leaves nothing to do. Undefined if the status knows
 * of the change already. Clients that wait for the rollout's end compare the generations.
 */
export function noticed(status: RolloutStatus, generation: number, nowMs: number): RolloutStatus | undefined {
  if (status.observedGeneration >= generation) return undefined;
  return dated({ ...status, observedGeneration: generation }, status, nowMs);
}

/** The conditions of the status, for example for `kubectl wait --for=condition=Completed`. */
function conditionsOf(status: RolloutStatus, nowMs: number): readonly Condition[] {
  const { phase, message, cause } = status;
  const wanted: [type: string, on: boolean, reason: string, text: string][] = [
    ["Completed", phase === "Completed", phase, message],
    ["RolledBack", phase === "RolledBack", phase, cause ?? ""],
    ["Stuck", phase === "Stuck", phase, cause ?? ""],
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
