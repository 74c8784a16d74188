import type { JournalEntry, ObjectReference } from "../../api/serin/index.ts";
import { fieldEntries } from "./field-entries.ts";
import { referenceKey, type Write } from "./step.ts";

/**
 * Whether the write needs no entry in the journal. It changes or deletes an object that this run has made, and undo
 * deletes the object. An object that existed before the run, for example one that an earlier rollout has left, needs an
 * entry: the run takes the object over, and undo must restore it.
 */
export function isOwnWrite(write: Write, journal: readonly JournalEntry[]): boolean {
  if (write.type === "create") return false;
  if (write.type === "delete" && write.forGood === true) return true;
  return write.own === true && isMadeByRun(write.object, journal);
}

/**
 * Whether the journal still lacks the prior value of a field, although the field already has the value that the run
 * would write.
 */
export function isToBeNoted(write: Write, journal: readonly JournalEntry[]): boolean {
  if (write.type !== "field" || write.noted !== true) return false;
  return fieldEntries(journal, write).length === 0 && !isMadeByRun(write.object, journal);
}

/** Whether the journal says that the rollout has made the object. */
function isMadeByRun(object: ObjectReference, journal: readonly JournalEntry[]): boolean {
  const key = referenceKey(object);
  return journal.some((entry) => entry.type === "created" && referenceKey(entry.object) === key);
}
