import { jsonEqualWithoutNulls, messageOf, SerinError } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { isOurs, lastWriter } from "../../api/serin/field-managers/index.ts";
import type { JournalEntry } from "../../api/serin/index.ts";
import { describeReference, isPrior, keepsEdits, type FieldEntry } from "../decide/index.ts";
import { covers, valueAt, type ObjectAccess } from "./object-access.ts";
import { hasLeftMesh, movesTraffic } from "./undo-order.ts";
import type { UndoResult } from "./undo-play.ts";
import { conflictOf } from "./undo-conflict.ts";
import type { UndoContext, UndoSurroundings } from "./undo-context.ts";
import { undoList } from "./undo-list.ts";
import { isRemade, isRemadeAsBefore, restartRemade, undoRestart, whenReplaced } from "./undo-restart.ts";
import { whenItServes } from "./when-it-serves.ts";

/**
 * Undoes one entry: restores the field's prior value, creates the deleted object again, or deletes the created one. A
 * failure is `waiting`, so a later pass tries again. `original`: the first entry of the same field. `between`: the
 * field's entries between that one and this one.
 */
export async function undoEntry(
  objects: ObjectAccess,
  entry: JournalEntry,
  context: UndoContext,
  original: JournalEntry = entry,
  between: readonly FieldEntry[] = [],
): Promise<UndoResult> {
  try {
    if (entry.type === "deleted") return await undoDeleted(objects, entry, context);
    if (entry.type === "created") return await undoCreated(objects, entry, context);
    const result =
      entry.adopted === true
        ? await undoAdopted(objects, entry, context, original)
        : await undoField(objects, entry, context, { original, between });
    // Until the first entry of a field is undone, which comes last, the engine must still recognise its own values by
    // their field manager.
    if (result.state === "undone" && entry === original && isApplied(entry))
      await objects.release(entry.object, entry.pointer);
    return result;
  } catch (error) {
    if (error instanceof SerinError && error.kind === "internal") throw error;
    return { state: "waiting", detail: messageOf(error) };
  }
}

/** Whether people apply manifests with this field. Nobody applies pods, or the time of a restart. */
function isApplied({ object, restart }: FieldEntry): boolean {
  return object.kind !== "Pod" && restart !== "time";
}

async function undoDeleted(
  objects: ObjectAccess,
  entry: Extract<JournalEntry, { type: "deleted" }>,
  surroundings: UndoSurroundings,
): Promise<UndoResult> {
  const found = await objects.get(entry.object);
  if (found?.metadata.deletionTimestamp !== undefined)
    return { state: "waiting", detail: "the old object is still being deleted" };
  if (found === undefined && !(await createAgain(objects, entry))) return { state: "undone" };
  return await whenItServes(entry, surroundings);
}

/**
 * Creates the object again. Returns false if its namespace is gone or being deleted: a Canary that waited for the
 * object would block the deletion of its own namespace.
 */
async function createAgain(
  objects: ObjectAccess,
  { object, body }: Extract<JournalEntry, { type: "deleted" }>,
): Promise<boolean> {
  try {
    await objects.create(object, body);
    return true;
  } catch (error) {
    const { namespace } = object;
    if (namespace === undefined) throw error;
    const home = await objects.get({ apiVersion: "v1", kind: "Namespace", plural: "namespaces", name: namespace });
    if (home !== undefined && home.metadata.deletionTimestamp === undefined) throw error;
    return false;
  }
}

async function undoCreated(
  objects: ObjectAccess,
  entry: Extract<JournalEntry, { type: "created" }>,
  surroundings: UndoSurroundings,
): Promise<UndoResult> {
  const found = await objects.get(entry.object);
  if (found === undefined || found.metadata.deletionTimestamp !== undefined)
    return await whenForgotten(entry, surroundings, false);
  if (!isOurs(found)) {
    const detail = `${describeReference(entry.object)}, made in step ${entry.step}, was deleted and created again by ${lastWriter(found) ?? "somebody else"}; delete or rename it, and the undo continues`;
    return { state: "conflict", detail };
  }
  const serves = await surroundings.stillServes(entry);
  if (serves !== undefined) return { state: "waiting", ...serves };
  await objects.delete(entry.object, found.metadata.uid);
  return await whenForgotten(entry, surroundings, true);
}

/**
 * The result for an object that undo has deleted. If it was a route, the destinations of its requests may leave only
 * when no proxy uses it any more.
 */
async function whenForgotten(
  entry: Extract<JournalEntry, { type: "created" }>,
  surroundings: UndoSurroundings,
  isNow: boolean,
): Promise<UndoResult> {
  const detail = movesTraffic(entry) ? await surroundings.notForgotten(entry.object, isNow) : undefined;
  return detail === undefined ? { state: "undone" } : { state: "waiting", detail };
}

async function undoField(
  objects: ObjectAccess,
  entry: FieldEntry,
  surroundings: UndoContext,
  { original, between }: { readonly original: JournalEntry; readonly between: readonly FieldEntry[] },
): Promise<UndoResult> {
  const current = await objects.get(entry.object);
  if (current === undefined) return { state: "undone", isGone: true };
  const found = valueAt(current, entry.pointer);
  if (hasLeftMesh(entry, current)) return { state: "undone" };
  if (isLabelOfRemade(entry, current) && !covers(found, entry.written)) return { state: "undone" };
  if (entry.restart === "time") return await undoRestart(objects, entry, surroundings, { current, found });
  if (keepsEdits(entry)) return await undoList(objects, entry, surroundings, { current, original, between });
  if (isRemadeAsBefore(entry, current, found)) return await restartRemade(objects, entry, surroundings, current);
  // The field may have the prior value of an earlier entry: somebody, such as a GitOps controller, has restored it. Or
  // undo itself has, and then could not remove its entry from the journal.
  const isRestored = isPrior(found, [original, ...between]) && !covers(found, entry.written);
  if (!isRestored && !jsonEqualWithoutNulls(found, entry.prior)) {
    const isReplaced = entry.replaced !== undefined && jsonEqualWithoutNulls(found, entry.replaced);
    if (!covers(found, entry.written) && !isReplaced) {
      if (isRemade(entry, current)) return await whenUndone(entry, surroundings);
      const first = original.type === "field" ? original : entry;
      const conflict = entry.own === true ? undefined : await conflictOf(current, entry, first, surroundings, found);
      if (conflict !== undefined) return conflict;
    }
    const heldBack = await surroundings.heldBack(entry, current, found);
    if (heldBack !== undefined) return { state: "waiting", detail: heldBack };
    await objects.setField(entry.object, entry.pointer, entry.prior, found, entry.madeParents);
  }
  return await whenUndone(entry, surroundings);
}

async function whenUndone(entry: FieldEntry, surroundings: UndoSurroundings): Promise<UndoResult> {
  return entry.restart === undefined
    ? await whenItServes(entry, surroundings)
    : await whenReplaced(entry, surroundings, undefined);
}

/**
 * Undoes an entry for a pod template that a user wrote. A newer template of the user stays, with one exception. If
 * undoing the entry replaces pods, requests return to pods with the prior template first. Then the journal keeps the
 * user's newer template until the field's first entry is undone, which comes last and restores the newer template. A
 * new run begins with it.
 */
async function undoAdopted(
  objects: ObjectAccess,
  entry: FieldEntry,
  context: UndoContext,
  original: JournalEntry,
): Promise<UndoResult> {
  const current = await objects.get(entry.object);
  if (current === undefined) return { state: "undone", isGone: true };
  const found = valueAt(current, entry.pointer);
  const isPrior = jsonEqualWithoutNulls(found, entry.prior);
  // An exact comparison: a template with any added field is a new template of the user.
  const isWritten = jsonEqualWithoutNulls(found, entry.written);
  if (entry.restart === undefined) {
    const value = isPrior && entry.later !== undefined ? entry.later : isWritten ? entry.prior : found;
    await objects.setField(entry.object, entry.pointer, value, found);
    return { state: "undone" };
  }
  if (!isPrior) {
    const isLater = !isWritten && original.type === "field" && original !== entry;
    if (isLater) await context.keepLater(original, found);
    const restored = await objects.setField(entry.object, entry.pointer, entry.prior, found);
    // A webhook that changes each template would change this one again at every write, and each change would replace
    // the pods. The journal keeps its result, so that undo writes only once.
    if (restored !== undefined && !jsonEqualWithoutNulls(restored, entry.prior))
      await context.keepRestored(entry, restored);
    // This pass read the journal before the newer template was stored there, so the next pass restores it.
    if (isLater) return { state: "waiting", detail: "a newer pod template was written; it follows after the undo" };
  }
  return await whenItServes(entry, context);
}

/** Whether the field is a label of a namespace or a pod that was deleted and recreated under its name. */
function isLabelOfRemade(entry: FieldEntry, current: UntypedObject): boolean {
  const { object, pointer } = entry;
  const isLabelled = object.kind === "Namespace" || object.kind === "Pod";
  return isLabelled && pointer.startsWith("/metadata/labels/") && isRemade(entry, current);
}
