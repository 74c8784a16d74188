import type { RolloutStatus } from "../../api/serin/index.ts";
import type { RolloutOrders } from "../decide/index.ts";
import { hasFinalizer } from "./finalizer.ts";
import { isWatched, type Rollout } from "./rollout-object.ts";

/** How often a rollout that is under way is looked at. */
const tickMs = 150;
/** How often a rollout that waits for others is looked at. */
const waitingTickMs = 400;
/** How often one is looked at that waits for a person, or for a change. */
const idleTickMs = 1000;
/** How often one is looked at that cannot be planned. */
export const refusedTickMs = idleTickMs;

/** After how long a rollout is looked at again, whether it changes or not; undefined where only a change of the object matters. */
export function nextLookMs(rollout: Rollout, status: RolloutStatus): number | undefined {
  switch (status.phase) {
    case "Completed":
    case "RolledBack":
      return followsOthers(rollout, status) ? idleTickMs : undefined;
    case "Paused":
    case "Stuck":
    case "Watching":
      return idleTickMs;
    case "Waiting":
      return waitingTickMs;
    default:
      return tickMs;
  }
}

/** How much a look that took long puts off the next one at most. */
const longestRestMs = 2000;

/**
 * Puts off the next look by as long as this one took, so that looking takes at most half of the engine's time and of
 * what it asks, on a busy machine too.
 */
export function restAfterMs(nextMs: number | undefined, tookMs: number): number | undefined {
  return nextMs === undefined ? undefined : Math.max(nextMs, Math.min(longestRestMs, tookMs));
}

/**
 * When to look again at a rollout that would rest. Its read may be older than a change that the watch has already
 * reported, and the order in that change would be lost. Undefined when both have the same version.
 */
export function lateReadLookMs(
  readVersion: string | undefined,
  watchedVersion: string | undefined,
): number | undefined {
  return watchedVersion === undefined || watchedVersion === readVersion ? undefined : idleTickMs;
}

/** Nothing is to be done until the object, its target or its group changes. `candidate` is what its spec asks for. */
export function isAtRest(
  rollout: Rollout,
  raw: Rollout,
  status: RolloutStatus,
  orders: RolloutOrders,
  candidate: string | undefined,
): boolean {
  if (orders.deletion !== undefined) return false;
  if (status.phase !== "RolledBack" && (status.phase !== "Completed" || orders.abort)) return false;
  return !followsOthers(rollout, status) && status.candidate === candidate && !hasFinalizer(raw);
}

/** Something besides its own object may begin it again. */
function followsOthers(rollout: Rollout, { undo }: RolloutStatus): boolean {
  return isWatched(rollout) || rollout.spec.group !== undefined || undo?.next === "NewRun";
}
