import type { MeshUpgrade } from "../../api/serin/index.ts";
import type { StoredJournal } from "../act/journal-store.ts";
import { changedJournal, earlierRunOfEntries, journalOfEarlierRun, replacementOfEntries } from "../act/journal-sum.ts";
import type { LostMove, LostValues } from "../observe/lost-journal/lost-values.ts";
import { journalNameOf } from "./journal-name.ts";
import { isMeshUpgrade, isWatched, type Rollout } from "./rollout-object.ts";
import type { RoundServices, SeenRollout } from "./round.ts";

/**
 * Reads the rollout's journal. If somebody has deleted it, this engine writes it again from its memory. Throws a user
 * error if somebody has put an older one in its place. The engine does not remember the older one: if a person deletes
 * it, the engine writes the newer journal again.
 */
export async function roundJournal(
  { journals, actions }: Pick<RoundServices, "journals" | "actions">,
  raw: Rollout,
): Promise<StoredJournal> {
  const name = journalNameOf(raw);
  const journal = await journals.read(name);
  const refusal = refusalOf(name, journal, raw);
  if (refusal !== undefined) {
    journals.refuse(name);
    throw refusal;
  }
  if (journal.missing !== true || raw.status === undefined) return journal;
  actions.fence();
  await journals.writeAgain(name, raw.metadata.uid);
  return await journals.read(name);
}

function refusalOf(name: string, journal: StoredJournal, { status }: Rollout): Error | undefined {
  const earlier = status === undefined ? undefined : earlierRunOfEntries(journal, status);
  if (earlier !== undefined) return journalOfEarlierRun(name, earlier, { hasEntries: status?.journaled !== undefined });
  const replaced = replacementOfEntries(journal, status?.journaled?.sum);
  return replaced === undefined ? undefined : changedJournal(name, replaced);
}

/**
 * Stores the entries that the objects of a lost journal show, once the status says that it is lost. A watched Canary of
 * a Deployment is restored completely or not at all, because its routes need the objects that the run has made. So if
 * the Deployment's prior template is unknown, nothing is derived.
 */
export async function derivedValues(
  services: Pick<RoundServices, "actions" | "journals" | "lostValues" | "planner">,
  { raw, rollout, problem, status: { lostJournal } }: SeenRollout,
): Promise<Pick<LostValues, "back" | "left"> | undefined> {
  if (lostJournal === undefined || lostJournal.left !== undefined) return undefined;
  const move = await lostMove(services.planner, rollout, problem);
  if (move === undefined) return undefined;
  const { entries, back, left } = await services.lostValues(lostJournal, move);
  services.actions.fence();
  await services.journals.append(journalNameOf(raw), entries, [], raw.metadata.uid);
  return { back, left };
}

/** What the spec shows about the changes of a rollout whose journal is lost. Undefined if nothing can be derived. */
async function lostMove(
  planner: RoundServices["planner"],
  rollout: Rollout,
  problem: SeenRollout["problem"],
): Promise<LostMove | undefined> {
  if (isMeshUpgrade(rollout)) {
    const { from, to } = (rollout.spec ?? {}) as Partial<MeshUpgrade["spec"]>;
    return from === undefined || to === undefined ? {} : { from: from.revision, to: to.revision };
  }
  if (!isWatched(rollout)) return {};
  return problem === undefined ? await planner.lostRun(rollout) : undefined;
}
