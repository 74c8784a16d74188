import type { JournalEntry, RolloutStatus } from "../../api/serin/index.ts";
import { withoutRun } from "../act/journal-entries.ts";
import { isOfEndedRun, isPuttingBack, isRefusedAfterEnd, type JournalCounts } from "../decide/index.ts";
import { asksForRun, isWatched, type Rollout } from "./rollout-object.ts";

/**
 * The journal entries that count for the plan. The entries of an ended run stay in the journal until the next run makes
 * the engine forget them. The plan of the next run must not use them. Their prior values are out of date, because the
 * changes of the ended run stay, and others may have changed the objects since then.
 */
export function entriesForPlan(
  rollout: Rollout,
  status: RolloutStatus,
  { entries, counts }: { readonly entries: readonly JournalEntry[]; readonly counts: JournalCounts },
): readonly JournalEntry[] {
  if (isPuttingBack(status)) return entries;
  const hasCompleted = status.phase === "Completed" || isRefusedAfterEnd(status);
  const isNextDue = hasCompleted && asksForRun(rollout, status);
  const run = status.run ?? (isWatched(rollout) ? 0 : 1);
  return isNextDue || isOfEndedRun(counts, { ...status, run }) ? withoutRun(entries) : entries;
}
