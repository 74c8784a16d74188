import { jsonEqualWithoutNulls } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { restartTime, type FieldEntry } from "../decide/index.ts";
import { valueAt, type ObjectAccess } from "./object-access.ts";
import type { UndoResult } from "./undo-play.ts";
import type { UndoContext, UndoSurroundings } from "./undo-context.ts";

/**
 * Whether the object was deleted, and another one has got its name. The rollout has not changed that one, and its maker
 * has decided on its values.
 */
export function isRemade({ uid }: FieldEntry, { metadata }: UntypedObject): boolean {
  return uid !== undefined && metadata.uid !== undefined && uid !== metadata.uid;
}

/**
 * Restarts the workload again, by the time of the undo. The journal keeps this time as the prior value, so that the
 * workload restarts only once.
 */
export async function undoRestart(
  objects: ObjectAccess,
  entry: FieldEntry,
  context: UndoContext,
  { current, found }: { readonly current: UntypedObject; readonly found: unknown },
): Promise<UndoResult> {
  if (timeOf(found) >= timeOf(entry.prior) && timeOf(entry.prior) > timeOf(entry.written))
    return await whenReplaced(entry, context, String(found));
  const heldBack = await context.heldBack(entry, current, found);
  if (heldBack !== undefined) return { state: "waiting", detail: heldBack };
  // A later restart may have happened before or after undo restored the template. An unnecessary restart is harmless,
  // but without a necessary one, pods would keep the wrong template.
  // The clock may be behind the one by which the rollout has restarted it, of another leader or before a jump. An
  // earlier time would not tell this restart from that one, and each pass would restart the workload again.
  const laterMs = timeOf(entry.written) + 1000;
  const restartedAt = restartTime(Number.isNaN(laterMs) ? context.nowMs : Math.max(context.nowMs, laterMs));
  await objects.setField(entry.object, entry.pointer, restartedAt, found);
  await context.keepRestored(entry, restartedAt);
  return await whenReplaced(entry, context, restartedAt);
}

function timeOf(value: unknown): number {
  return typeof value === "string" ? Date.parse(value) : Number.NaN;
}

const restartPointer = "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt";

/**
 * Whether somebody has deleted the workload and made it again without the mark of its restart. Its new pods started
 * with what the rollout had written into their namespace, and restoring its template replaces none of them.
 */
export function isRemadeAsBefore(entry: FieldEntry, current: UntypedObject, found: unknown): boolean {
  const { restart, pointer, prior } = entry;
  return (
    restart === "template" &&
    isRemade(entry, current) &&
    pointer.startsWith("/spec/template/metadata/annotations/") &&
    jsonEqualWithoutNulls(found, prior)
  );
}

/** Restarts such a workload once, as kubectl does. */
export async function restartRemade(
  objects: ObjectAccess,
  entry: FieldEntry,
  context: UndoContext,
  current: UntypedObject,
): Promise<UndoResult> {
  const before = valueAt(current, restartPointer);
  const heldBack = await context.heldBack(entry, current, before);
  if (heldBack !== undefined) return { state: "waiting", detail: heldBack };
  await objects.setField(entry.object, restartPointer, restartTime(context.nowMs), before);
  await context.keepRemade(entry, current.metadata.uid ?? "");
  return await whenReplaced(entry, context, undefined);
}

/** The result for a workload with the restored template, or that undo has restarted. */
export async function whenReplaced(
  { object, lacked }: FieldEntry,
  { notReplaced }: Pick<UndoSurroundings, "notReplaced">,
  restartedAt: string | undefined,
): Promise<UndoResult> {
  const missing = await notReplaced(object, restartedAt, lacked);
  return missing === undefined ? { state: "undone" } : { state: "settling", ...missing };
}
