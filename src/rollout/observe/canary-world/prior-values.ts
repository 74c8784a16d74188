import type { JournalEntry, ObjectReference } from "../../../api/serin/index.ts";
import { referenceKey } from "../../decide/index.ts";

type FieldEntry = Extract<JournalEntry, { type: "field" }>;

/** The first write of this run to a field, with the value before it. Writes of the setup do not belong to a run. */
export function firstWrite(
  journal: readonly JournalEntry[],
  object: ObjectReference,
  pointer: string,
): FieldEntry | undefined {
  return writesTo(journal, object, pointer).find(({ setup }) => setup !== true);
}

/** The same as {@link firstWrite}, for writes of the setup. */
export function setupWrite(
  journal: readonly JournalEntry[],
  object: ObjectReference,
  pointer: string,
): FieldEntry | undefined {
  return writesTo(journal, object, pointer).find(({ setup }) => setup === true);
}

/** The last write to a field, of this run or of the setup. */
export function lastWrite(
  journal: readonly JournalEntry[],
  object: ObjectReference,
  pointer: string,
): FieldEntry | undefined {
  return writesTo(journal, object, pointer).at(-1);
}

function writesTo(journal: readonly JournalEntry[], object: ObjectReference, pointer: string): readonly FieldEntry[] {
  const key = referenceKey(object);
  return journal.filter(
    (entry): entry is FieldEntry =>
      entry.type === "field" && entry.pointer === pointer && referenceKey(entry.object) === key,
  );
}
