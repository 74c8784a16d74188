import type { JournalEntry, ObjectReference } from "../../../api/serin/index.ts";
import { fieldEntries, type FieldEntry } from "../../decide/index.ts";

/**
 * The first write of this run to a field, which contains the value from before the run. Writes of the preparation
 * ("setup") do not belong to a run.
 */
export function firstWrite(
  journal: readonly JournalEntry[],
  object: ObjectReference,
  pointer: string,
): FieldEntry | undefined {
  return fieldEntries(journal, { object, pointer }).find(({ setup }) => setup !== true);
}

export function setupWrite(
  journal: readonly JournalEntry[],
  object: ObjectReference,
  pointer: string,
): FieldEntry | undefined {
  return fieldEntries(journal, { object, pointer }).find(({ setup }) => setup === true);
}

/** The last write to a field, of this run or of the setup. */
export function lastWrite(
  journal: readonly JournalEntry[],
  object: ObjectReference,
  pointer: string,
): FieldEntry | undefined {
  return fieldEntries(journal, { object, pointer }).at(-1);
}
