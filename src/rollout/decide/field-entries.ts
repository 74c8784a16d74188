import { jsonEqualWithoutNulls } from "../../base/index.ts";
import type { JournalEntry } from "../../api/serin/index.ts";
import { referenceKey } from "./step.ts";

export type FieldEntry = Extract<JournalEntry, { type: "field" }>;

export type FieldOfObject = Pick<FieldEntry, "object" | "pointer">;

export function fieldKey({ object, pointer }: FieldOfObject): string {
  return `${referenceKey(object)} ${pointer}`;
}

export function isOfField(entry: JournalEntry, { object, pointer }: FieldOfObject): entry is FieldEntry {
  return entry.type === "field" && entry.pointer === pointer && referenceKey(entry.object) === referenceKey(object);
}

/** The journal's entries of the field, the oldest first. */
export function fieldEntries(journal: readonly JournalEntry[], field: FieldOfObject): readonly FieldEntry[] {
  return journal.filter((entry): entry is FieldEntry => isOfField(entry, field));
}

export function isPrior(value: unknown, entries: readonly JournalEntry[]): boolean {
  return entries.some((entry) => entry.type === "field" && jsonEqualWithoutNulls(value, entry.prior));
}
