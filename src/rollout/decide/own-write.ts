import type { JournalEntry, ObjectReference } from "../../api/serin/index.ts";
import { fieldEntries } from "./field-entries.ts";
import { referenceKey, type Write } from "./step.ts";

/**
 * Whether the write needs no entry in the journal: it deletes a probe for good, or it changes or deletes an object that
 * this run has made, and that undo deletes. An object that existed before the run, for example one that an earlier
 * rollout has left, needs an entry: the run takes the object over, and undo must restore it.
 */
export function isOwnWrite(write: Write, journal: readonly JournalEntry[]): boolean {
  if (write.type === "create") return false;
  if (write.type === "delete" && write.forGood === true) return true;
  return write.own === true && isMadeByRun(write.object, journal);
}

/**
 * Whether a write with `noted` still needs its entry in the journal, although the field already has the value to write.
 */
export function isToBeNoted(write: Write, journal: readonly JournalEntry[]): boolean {
  if (write.type !== "field" || write.noted !== true) return false;
  return fieldEntries(journal, write).length === 0 && !isMadeByRun(write.object, journal);
}

function isMadeByRun(object: ObjectReference, journal: readonly JournalEntry[]): boolean {
  const key = referenceKey(object);
  return journal.some((entry) => entry.type === "created" && referenceKey(entry.object) === key);
}
