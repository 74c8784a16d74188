import { firstNames } from "../../base/index.ts";
import {
  maxJournaledObjects,
  withoutJournalAnnotation,
  type JournaledObjects,
  type LostJournal,
  type RolloutStatus,
} from "../../api/serin/index.ts";
import { isPuttingBack, isRefusedAfterEnd, isUnderWay } from "./contender.ts";
import { saysTheSame, withHold, withoutHold } from "./hold.ts";
import { at, type DecideInput, type Decision, type JournalCounts, type RolloutOrders } from "./input.ts";
import { startRollback } from "./rollback.ts";
import { describeReference } from "./step.ts";

const namesShown = 20;

/**
 * The status with a summary of the journal's entries, including those that the decision adds. While there is no
 * journal, the summary stays: the engine may have crashed before it wrote the journal of its decision.
 */
export function withJournaled(
  { status, actions }: Pick<Decision, "status" | "actions">,
  { missing, objects, setup, sum }: JournalCounts,
): RolloutStatus {
  if (missing === true || objects === undefined) return status;
  if (status.lostJournal !== undefined && status.lostJournal.accepted !== true) return status;
  const { journaled: _, ...rest } = status;
  const added = actions.flatMap((action) => (action.type === "journal" ? action.entries : []));
  const all = [...new Set([...objects, ...added.map(({ object }) => describeReference(object))])];
  if (all.length === 0) return rest;
  const more = all.length - maxJournaledObjects;
  const journaled: JournaledObjects = {
    objects: all.slice(0, maxJournaledObjects),
    ...(more > 0 ? { more } : {}),
    ...(setup > 0 || added.some((entry) => entry.setup === true) ? { setup: true } : {}),
    // The next round computes the sum with the added entries.
    ...(sum === undefined ? {} : { sum }),
  };
  return { ...rest, journaled };
}

/**
 * Whether the rollout needs entries of a journal that somebody has deleted. Without them, an undo would find nothing to
 * do, and a step would record values that the rollout itself has written as those from before the run. `mustPutBack`: a
 * person, or the group of the rollout, asks for its undo.
 */
export function isJournalLost(
  status: RolloutStatus,
  { missing }: Pick<JournalCounts, "missing">,
  { mustPutBack, deletion }: Pick<RolloutOrders, "deletion"> & { readonly mustPutBack: boolean },
): boolean {
  const { journaled, lostJournal } = status;
  if (lostJournal !== undefined) return lostJournal.accepted !== true;
  if (missing !== true || journaled === undefined) return false;
  if (isPuttingBack(status)) return true;
  const hasSetup = journaled.setup === true;
  if (deletion !== undefined) return hasSetup || (isUnderWay(status) && deletion !== "Leave");
  if (isUnderWay(status)) return true;
  return hasSetup || (mustPutBack && (status.phase === "Completed" || isRefusedAfterEnd(status)));
}

/** The decision about a rollout that has lost its journal: a person restores it, or lets the rollout end without it. */
export function decideWithoutJournal(input: DecideInput): Decision {
  const { status, orders, journal, nowMs } = input;
  const { lostJournal, ...rest } = status;
  const { sum: _sum, ...journaled } = status.journaled ?? { objects: [] };
  const known: LostJournal = lostJournal ?? { at: at(nowMs), ...journaled };
  const lost = { ...known, ...input.derived };
  const found = new Set(journal.objects);
  if (journal.missing !== true && found.size > 0 && lost.objects.every((object) => found.has(object))) {
    const message = "its journal is back, and the rollout continues";
    // The rollout was already rolled back, and only holds its target.
    const back: RolloutStatus =
      rest.rolledBackInMs === undefined
        ? rest
        : { ...withoutHold(rest), phase: "RolledBack", message: rest.cause ?? "" };
    return { status: back, actions: [{ type: "event", reason: "Resumed", message, warning: false }] };
  }
  if (orders.withoutJournal === lost.at) return endWithout(input, lost);
  const message = `its journal ${orders.commands.journal} is gone, which had the values from before the rollout of ${namesOf(lost)}. Restore this RolloutJournal from a backup, and the rollout continues by itself. Or ${withoutText(lost)}: ${orders.commands.annotate} ${withoutJournalAnnotation}=${lost.at}`;
  const told = status.phase === "Stuck" && saysTheSame(status.message, message);
  return {
    status: { ...withHold(status, { phase: "Stuck", reason: "undo", message }), lostJournal: lost },
    actions: told ? [] : [{ type: "event", reason: "Stuck", message, warning: true }],
  };
}

/** Ends the rollout. The cause in the status says which changes the engine has not undone. */
function endWithout(input: DecideInput, lost: LostJournal): Decision {
  const { status, orders } = input;
  const { journaled: _, ...rest } = status;
  const accepted: RolloutStatus = { ...rest, lostJournal: { ...lost, accepted: true } };
  const unrestored = `its journal was gone, so the engine has not put back ${unrestoredText(lost)}`;
  if (isPuttingBack(status)) {
    const cause = status.cause === undefined ? unrestored : `${status.cause}; ${unrestored}`;
    const message = `the undo ends without the journal: ${unrestored}`;
    return {
      status: { ...accepted, phase: "RollingBack", cause, message: cause },
      actions: [{ type: "event", reason: "Resumed", message, warning: true }],
    };
  }
  const isDeleted = orders.deletion !== undefined;
  return startRollback(
    { ...input, status: accepted },
    { because: isDeleted ? "deletion" : "order", cause: unrestored },
    isDeleted ? "Deleted" : "RolledBack",
    orders.orderedBy,
  );
}

function withoutText({ back = [], left }: LostJournal): string {
  if (back.length === 0 && left === undefined)
    return "look at each of these objects, put it back by hand, and end the rollout without its journal";
  const shows = `the engine can put back what the objects themselves show: ${firstNames(back, namesShown)}`;
  const byHand = `look at these, and put them back by hand: ${firstNames(left ?? [], namesShown)}`;
  const parts = [...(back.length === 0 ? [] : [shows]), ...((left ?? []).length === 0 ? [] : [byHand])];
  return `${parts.join("; ")}. Then end the rollout without its journal`;
}

function unrestoredText(lost: LostJournal): string {
  const { back = [], left } = lost;
  if (left === undefined || back.length === 0) return namesOf(lost);
  const rest = left.length === 0 ? "anything that the objects do not show" : firstNames(left, namesShown);
  return `${rest}, but what the objects themselves showed: ${firstNames(back, namesShown)}`;
}

function namesOf({ objects, more = 0 }: LostJournal): string {
  const others = more === 0 ? "" : `, and ${more} more objects`;
  return `${firstNames(objects, namesShown)}${others}`;
}
