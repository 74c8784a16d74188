import type { JournalEntry, ObjectReference } from "../../../api/serin/index.ts";
import { fieldEntries, type FieldEntry } from "../../decide/index.ts";

/**
 * The first write of this run to a field, with the value before it. Writes of the preparation ("setup") do not belong
 * to a run.
 */
export function firstWrite(
  journal: readonly JournalEntry[],
  object: ObjectReference,
  pointer: string,
): FieldEntry | undefined {
  return fieldEntries(journal, { object, pointer }).find(({ setup }) => setup !== true);
}

/** The same as {@link firstWrite}, for writes of the setup. */
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
