import type { JournalEntry } from "../../api/serin/index.ts";
import { describeReference, type Write } from "../decide/index.ts";
import { covers, sameJson, valueAt, type ObjectAccess } from "./object-access.ts";

/** Does one write of a step; doing it again changes nothing. */
export async function performWrite(objects: ObjectAccess, write: Write, prior: unknown): Promise<void> {
  if (write.type === "field") await objects.setField(write.object, write.pointer, write.value, prior);
  else if (write.type === "create") await objects.create(write.object, write.body);
  else await objects.delete(write.object);
}

export type UndoResult =
  | { readonly state: "undone" }
  /** Must wait for something else to move first. */
  | { readonly state: "waiting"; readonly detail: string }
  | { readonly state: "conflict"; readonly detail: string };

/** Puts back one entry: the field's prior value, the deleted object, or the absence of the created one. */
export async function undoEntry(objects: ObjectAccess, entry: JournalEntry, stillServes: (entry: JournalEntry) => string | undefined): Promise<UndoResult> {
  if (entry.type === "deleted") {
    await objects.create(entry.object, entry.body);
    return { state: "undone" };
  }
  if (entry.type === "created") {
    const serves = stillServes(entry);
    if (serves !== undefined) return { state: "waiting", detail: serves };
    await objects.delete(entry.object);
    return { state: "undone" };
  }
  const current = await objects.get(entry.object);
  const found = valueAt(current, entry.pointer);
  if (current === undefined || sameJson(found, entry.prior)) return { state: "undone" };
  if (!covers(found, entry.written)) {
    if (entry.adopted === true) return { state: "undone" };
    return {
      state: "conflict",
      detail: `${describeReference(entry.object)} ${entry.pointer} was changed by ${lastManager(current)} since step ${entry.step}: found ${JSON.stringify(found)}, written was ${JSON.stringify(entry.written)}`,
    };
  }
  await objects.setField(entry.object, entry.pointer, entry.prior, found);
  return { state: "undone" };
}

function lastManager(object: { metadata: { managedFields?: { manager?: string; time?: string }[] } }): string {
  const [latest] = (object.metadata.managedFields ?? []).toSorted((a, b) => (b.time ?? "").localeCompare(a.time ?? ""));
  return latest?.manager ?? "somebody";
}
