import { hasUndoFinalizer, type RolloutStatus } from "../../api/serin/index.ts";
import { completedMessage, type RolloutOrders } from "../decide/index.ts";
import { isWatched, type Rollout } from "./rollout-object.ts";

/** The interval of rounds of a running rollout. */
const tickMs = 150;
/**
 * The interval of rounds while a step is judged. Probes report after 200 to 500 ms, and metrics are scraped once a
 * second, so that more rounds would read the same numbers again from every proxy.
 */
const judgingTickMs = 300;
/** The interval of rounds of a rollout that waits for others. */
const waitingTickMs = 400;
/** The interval of rounds of a rollout that waits for a person or for a change. */
const idleTickMs = 1000;
/** The interval of rounds of a rollout that cannot be planned. */
export const refusedTickMs = idleTickMs;

/** The time until the next round of a rollout if nothing changes. Undefined if only a change of the object matters. */
export function nextRoundMs(rollout: Rollout, status: RolloutStatus): number | undefined {
  switch (status.phase) {
    case "Completed":
    case "RolledBack":
      // A deleted rollout ends only after its journal is cleared, which the server may refuse for a while.
      return followsOthers(rollout, status) || rollout.metadata.deletionTimestamp !== undefined
        ? idleTickMs
        : undefined;
    case "Paused":
    case "Stuck":
    case "Watching":
      return idleTickMs;
    case "Waiting":
      return waitingTickMs;
    case "Judging":
      return judgingTickMs;
    default:
      return tickMs;
  }
}

/** The maximum delay of the next round after a slow one. */
const longestRestMs = 2000;

/**
 * Delays the next round by the duration of this one, up to {@link longestRestMs}. So on a busy machine too, rounds use
 * at most about half of the engine's time, and half of the capacity of the servers that it calls.
 */
export function restAfterMs(nextMs: number | undefined, tookMs: number): number | undefined {
  return nextMs === undefined ? undefined : Math.max(nextMs, Math.min(longestRestMs, tookMs));
}

/**
 * The time until the next round of a rollout that would otherwise be idle. The round may have read an older object than
 * the watch has already reported, and would miss an order in the newer one. Undefined if both have the same version, or
 * if the watch does not know the object.
 */
export function lateReadRoundMs(
  readVersion: string | undefined,
  watchedVersion: string | undefined,
): number | undefined {
  return watchedVersion === undefined || watchedVersion === readVersion ? undefined : idleTickMs;
}

/**
 * Whether there is nothing to do until the object, its target or its group changes. `candidate` is the digest of what
 * to roll out.
 */
export function isAtRest(
  rollout: Rollout,
  raw: Rollout,
  status: RolloutStatus,
  orders: RolloutOrders,
  candidate: string | undefined,
): boolean {
  if (orders.deletion !== undefined) return false;
  if (status.phase !== "RolledBack" && (status.phase !== "Completed" || orders.abort)) return false;
  // The message still states a fault of the spec that somebody has corrected, so a round must replace it.
  if (status.message !== (status.phase === "Completed" ? completedMessage : (status.cause ?? ""))) return false;
  return !followsOthers(rollout, status) && status.candidate === candidate && !hasUndoFinalizer(raw);
}

/** Whether a change of another object may give this rollout something to do. */
function followsOthers(rollout: Rollout, { undo }: RolloutStatus): boolean {
  return isWatched(rollout) || rollout.spec.group !== undefined || undo?.next === "NewRun";
}
