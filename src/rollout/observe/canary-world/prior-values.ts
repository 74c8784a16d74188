import type { JournalEntry, ObjectReference } from "../../../api/serin/index.ts";
import { referenceKey } from "../../decide/index.ts";

type FieldEntry = Extract<JournalEntry, { type: "field" }>;

/** The first thing that this run wrote there, with what stood there before; what was set up before all runs is not of a run. */
export function firstWrite(
  journal: readonly JournalEntry[],
  object: ObjectReference,
  pointer: string,
): FieldEntry | undefined {
  const key = referenceKey(object);
  return journal.find(
    (entry): entry is FieldEntry =>
      entry.type === "field" && entry.setup !== true && entry.pointer === pointer && referenceKey(entry.object) === key,
  );
}

/** As {@link firstWrite}, of the setup. */
export function setupWrite(
  journal: readonly JournalEntry[],
  object: ObjectReference,
  pointer: string,
): FieldEntry | undefined {
  const key = referenceKey(object);
  return journal.find(
    (entry): entry is FieldEntry =>
      entry.type === "field" && entry.setup === true && entry.pointer === pointer && referenceKey(entry.object) === key,
  );
}
