import { jsonEqualWithoutNulls } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { restartTime, type FieldEntry } from "../decide/index.ts";
import { valueAt, type ObjectAccess } from "./object-access.ts";
import type { UndoResult } from "./undo-play.ts";
import type { UndoContext, UndoSurroundings } from "./undo-context.ts";

/**
 * Whether somebody has deleted the object and made another one with its name. The rollout has not changed that object,
 * so its values are its maker's choice.
 */
export function isRemade({ uid }: FieldEntry, { metadata }: UntypedObject): boolean {
  return uid !== undefined && metadata.uid !== undefined && uid !== metadata.uid;
}

/**
 * Restarts the workload, with the time of the undo as the mark. The journal keeps this time as the prior value, so that
 * undo restarts the workload only once.
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
  // Undo restarts the workload even if somebody has restarted it meanwhile, because it is unknown whether undo had
  // restored the template by then. An unnecessary restart is harmless, but without a necessary one, pods would keep the
  // wrong template. The new time must be later than that of the rollout's restart, even if this clock is behind, for
  // example after a jump or on another leader. Otherwise the two restarts could not be told apart, and each pass would
  // restart the workload again.
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
 * Whether somebody has deleted the workload and made it again without the mark of its restart. Its pods started with
 * the labels that the rollout had written into their namespace, and restoring the template replaces none of them.
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

/** Restarts a recreated workload once, as kubectl does. */
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

/** The result for a workload whose template undo has restored, or that undo has restarted. */
export async function whenReplaced(
  { object, lacked }: FieldEntry,
  { notReplaced }: Pick<UndoSurroundings, "notReplaced">,
  restartedAt: string | undefined,
): Promise<UndoResult> {
  const missing = await notReplaced(object, restartedAt, lacked);
  return missing === undefined ? { state: "undone" } : { state: "settling", ...missing };
}
