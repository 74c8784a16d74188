import type { UntypedObject } from "../../api/index.ts";
import type { JournalEntry } from "../../api/serin/index.ts";
import {
  listDoneAnyway,
  listUndo,
  listUndoIfRewritten,
  listUndoneAnyway,
  restoredList,
  type FieldEntry,
} from "../decide/index.ts";
import { valueAt, type ObjectAccess } from "./object-access.ts";
import type { UndoResult } from "./undo-play.ts";
import { conflictOf } from "./undo-conflict.ts";
import type { UndoContext } from "./undo-context.ts";
import { whenItServes } from "./when-it-serves.ts";

/** The object of a list that undo restores, and the other entries of the list. See {@link listUndo}. */
interface UndoneList {
  readonly current: UntypedObject;
  readonly original: JournalEntry;
  readonly between: readonly FieldEntry[];
}

/**
 * Restores the part of a list that the entry has changed. Changes by others stay, including those by other rollouts.
 */
export async function undoList(
  objects: ObjectAccess,
  entry: FieldEntry,
  context: UndoContext,
  { current, original, between }: UndoneList,
): Promise<UndoResult> {
  const first = original.type === "field" ? original : entry;
  const found = valueAt(current, entry.pointer);
  const known = listUndo(entry, first, found, between);
  const conflict = known.type === "conflict" ? await conflictOf(current, entry, first, context, found) : undefined;
  const undo = conflict === undefined ? known : await undoIfRewritten(objects, entry, first, found);
  if (conflict !== undefined && undo === undefined) return conflict;
  if (undo?.type === "restored") {
    if (undo.restored !== undefined) await context.keepRestored(entry, undo.restored);
  } else {
    const value = undo?.type === "due" ? undo.value : listUndoneAnyway(entry, found);
    const detail = await context.notServedYet(current, { object: entry.object, before: found, after: value });
    if (detail !== undefined) return { state: "waiting", detail };
    const stored = await objects.setField(entry.object, entry.pointer, value, found, entry.madeParents);
    const restored = restoredList(entry, first, value, stored);
    if (restored !== undefined) await context.keepRestored(entry, restored);
  }
  return await whenItServes(entry, context);
}

/**
 * How to undo a list that seems to be in conflict, after dry runs have shown what the server makes of the lists that
 * the rollout and its undo write. See `listUndoIfRewritten`.
 */
async function undoIfRewritten(
  objects: ObjectAccess,
  entry: FieldEntry,
  first: FieldEntry,
  found: unknown,
): Promise<ReturnType<typeof listUndoIfRewritten>> {
  const { object, pointer } = entry;
  const done = await objects.preview(object, pointer, listDoneAnyway(entry, found));
  const undone = await objects.preview(object, pointer, listUndoneAnyway(entry, found));
  return listUndoIfRewritten(entry, first, found, { done, undone });
}
