import type { RolloutStatus } from "../../../api/serin/index.ts";
import { invariant } from "../../../base/index.ts";
import { describeReference, referenceKey } from "../../decide/index.ts";
import { journalNameOf } from "../../engine/journal-name.ts";
import type { SimRollout } from "../scenario.ts";
import { keyOf, rolloutObject } from "../sim-plan.ts";
import type { SimStore } from "../sim-store.ts";

/**
 * The keys of the objects that the engine need not restore, because a person has agreed to end the rollout without its
 * journal. Checks that the status names them.
 */
export function unrestoredKeys(
  store: SimStore,
  sim: SimRollout,
  { lostJournal }: Pick<RolloutStatus, "lostJournal">,
): ReadonlySet<string> {
  if (lostJournal?.accepted !== true) return new Set();
  const { entries = [] } = store.lostJournals.get(journalNameOf(rolloutObject(sim, ""))) ?? {};
  const { objects, more = 0 } = lostJournal;
  for (const { object } of entries)
    invariant(
      more > 0 || objects.includes(describeReference(object)),
      `${keyOf(sim)} does not say that it has not put back ${describeReference(object)}`,
    );
  return new Set(entries.map(({ object }) => referenceKey(object)));
}
