import { jsonEqualWithoutNulls, messageOf, SerinError } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { isEngine, isOurs, lastWriter, whoWrote } from "../../api/serin/field-managers/index.ts";
import type { JournalEntry, ObjectReference } from "../../api/serin/index.ts";
import {
  describeReference,
  keepsEdits,
  listDoneAnyway,
  listUndo,
  listUndoIfRewritten,
  listUndoneAnyway,
  restartTime,
  restoredList,
  shown,
  type Write,
  type FieldEntry,
} from "../decide/index.ts";
import { covers, valueAt, type ObjectAccess } from "./object-access.ts";
import { givesBackRevision, hasLeftMesh, isCopy, isWorkload, movesTraffic, mustRun } from "./undo-order.ts";
import type { UndoResult } from "./undo-play.ts";

/** Performs one write of a step. Repeating it changes nothing. Returns the value of a field as the server stored it. */
export async function performWrite(objects: ObjectAccess, write: Write, prior: unknown): Promise<unknown> {
  if (write.type === "field") return await objects.setField(write.object, write.pointer, write.value, prior);
  if (write.type === "create") await objects.create(write.object, write.body);
  else await objects.delete(write.object, (prior as UntypedObject | undefined)?.metadata.uid, write.force);
  return undefined;
}

/** One pass of an undo over the entries of a journal. `passOver`: it has waited long enough, see `UndoPlay`. */
export interface UndoPass {
  readonly entries: readonly JournalEntry[];
  readonly passOver: boolean;
}

/** Why an object must stay. `isEnding`: only pods that are ending need it, at most until a known time. */
export interface StillServes {
  readonly detail: string;
  readonly isEnding?: boolean;
}

/** Conditions of the cluster that undo checks besides the objects. Each returns why undo must wait, or undefined. */
export interface UndoSurroundings {
  /**
   * Why an object that the rollout made must stay for now: a workload still serves requests, or a route keeps them away
   * from pods that are leaving. Undefined if it need not stay.
   */
  stillServes(entry: JournalEntry): Promise<StillServes | undefined>;
  /**
   * The pods that a workload must still replace: those of a former template, or those that are older than
   * `restartedAt`. Undefined if there are none, or if a restart does not replace its pods. `lacked`: see the journal's
   * entry.
   */
  notReplaced(
    object: ObjectReference,
    restartedAt: string | undefined,
    lacked?: number,
  ): Promise<{ readonly detail: string; readonly left: number } | undefined>;
  /** Why a recreated workload is not ready yet. Undefined if it is ready. */
  notReady(object: ObjectReference, lacked?: number): Promise<string | undefined>;
  /**
   * Why the control plane or ztunnel that an operator installs by the entry's restored object does not run yet.
   * Undefined if it runs.
   */
  notInstalled(entry: JournalEntry): Promise<string | undefined>;
  /**
   * The workload that gets the requests next is not ready yet, or proxies do not know its pods. `isScaled`: undo has
   * restored only the number of its pods. A held Deployment runs another template than it has, and its pods count.
   */
  notReached(object: ObjectReference, isScaled: boolean, lacked?: number): Promise<string | undefined>;
  /** Proxies have not acknowledged the present destinations of requests yet. */
  notAcknowledged(object: ObjectReference): Promise<string | undefined>;
  /**
   * Proxies may still send requests by a route that is gone. Undefined if they do not. `isNow`: undo has just deleted
   * it.
   */
  notForgotten(object: ObjectReference, isNow: boolean): Promise<string | undefined>;
  /**
   * Why an entry must wait: a gateway or waypoint would lose pods that have no replacement yet, or pods would come back
   * without a sidecar. Undefined if it need not wait.
   */
  heldBack(
    entry: Extract<JournalEntry, { type: "field" }>,
    current: UntypedObject,
    found: unknown,
  ): Promise<string | undefined>;
  /**
   * Why a route's list cannot be restored yet: a version that would get more requests has no ready pod or no subset.
   * Undefined if it can.
   */
  notServedYet(route: UntypedObject, change: ListChange): Promise<string | undefined>;
  readonly nowMs: number;
}

/** The list of a route as it is, and as the engine is about to write it. */
export interface ListChange {
  readonly object: ObjectReference;
  readonly before: unknown;
  readonly after: unknown;
}

/** What undo needs besides the objects. */
export interface UndoContext extends UndoSurroundings {
  /** Stores the `later` value of an entry in the journal. */
  keepLater(entry: FieldEntry, later: unknown): Promise<void>;
  /**
   * Replaces the prior value by the one that the server stored for it, in all entries of the field with that prior
   * value.
   */
  keepRestored(entry: FieldEntry, restored: unknown): Promise<void>;
  /** Stores the uid of the object that somebody has made again, when undo has given it new pods. */
  keepRemade(entry: FieldEntry, uid: string): Promise<void>;
  /**
   * Another rollout that has written the field's present value since. Undefined if there is none. `first`: this
   * rollout's first entry of the field.
   */
  otherRollout(first: FieldEntry, found: unknown): Promise<OtherRollout | undefined>;
}

/** A rollout that has changed a field after this one. */
export interface OtherRollout {
  /** The rollout's kind and name, such as `Canary shop/web`. */
  readonly name: string;
  /** The command that undoes it. */
  readonly undo: string;
}

/**
 * Undoes one entry: restores the field's prior value, creates the deleted object again, or deletes the created one. A
 * failure is repeated later. `original`: the first entry of the same field.
 */
export async function undoEntry(
  objects: ObjectAccess,
  entry: JournalEntry,
  context: UndoContext,
  original: JournalEntry = entry,
): Promise<UndoResult> {
  try {
    if (entry.type === "deleted") return await undoDeleted(objects, entry, context);
    if (entry.type === "created") return await undoCreated(objects, entry, context);
    const result =
      entry.adopted === true
        ? await undoAdopted(objects, entry, context, original)
        : await undoField(objects, entry, context, original);
    // The first entry of a field is undone last. Until then the engine must recognise its own values.
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

/** The result for an entry whose value is restored. The next entries may rely on it only when it serves. */
async function whenItServes(
  entry: Exclude<JournalEntry, { type: "created" }>,
  surroundings: UndoSurroundings,
): Promise<UndoResult> {
  const detail = await notServing(entry, surroundings);
  return detail === undefined ? { state: "undone" } : { state: "waiting", detail };
}

async function notServing(
  entry: Exclude<JournalEntry, { type: "created" }>,
  surroundings: UndoSurroundings,
): Promise<string | undefined> {
  const { object, lacked } = entry;
  if (isCopy(entry) || mustRun(entry)) return await surroundings.notReached(object, isScaled(entry), lacked);
  if (givesBackRevision(entry)) return await surroundings.notInstalled(entry);
  if (entry.type === "deleted") return isWorkload(entry) ? await surroundings.notReady(object, lacked) : undefined;
  return movesTraffic(entry) ? await surroundings.notAcknowledged(object) : undefined;
}

function isScaled(entry: JournalEntry): boolean {
  return entry.type === "field" && entry.pointer === "/spec/replicas";
}

/**
 * Whether the object could be recreated. Nothing can be made in a namespace that is gone or being deleted, and a Canary
 * that waited for it would keep its own namespace from ending.
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

/** The result for a deleted object. What a route sent requests to may leave only when no proxy uses the route. */
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
  original: JournalEntry,
): Promise<UndoResult> {
  const current = await objects.get(entry.object);
  if (current === undefined) return { state: "undone", isGone: true };
  const found = valueAt(current, entry.pointer);
  if (hasLeftMesh(entry, current)) return { state: "undone" };
  if (isLabelOfRemade(entry, current) && !covers(found, entry.written)) return { state: "undone" };
  if (entry.restart === "time") return await undoRestart(objects, entry, surroundings, { current, found });
  if (keepsEdits(entry)) return await undoList(objects, entry, surroundings, { current, original });
  if (isRemadeAsBefore(entry, current, found)) return await restartRemade(objects, entry, surroundings, current);
  // Somebody may have restored what was there before the run, such as a GitOps controller.
  const isRestored =
    !covers(found, entry.written) && original.type === "field" && jsonEqualWithoutNulls(found, original.prior);
  if (!isRestored && !jsonEqualWithoutNulls(found, entry.prior)) {
    const isReplaced = entry.replaced !== undefined && jsonEqualWithoutNulls(found, entry.replaced);
    if (!covers(found, entry.written) && !isReplaced) {
      if (isRemade(entry, current)) return await whenUndone(entry, surroundings);
      const first = original.type === "field" ? original : entry;
      const conflict = await conflictOf(current, first, surroundings, found);
      if (conflict !== undefined) {
        const { who, undoFirst } = conflict;
        return { state: "conflict", detail: fieldConflict({ ...entry, prior: first.prior }, found, who, undoFirst) };
      }
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
 * Whether the object was deleted, and another one has got its name. The rollout has not changed that one, and its maker
 * has decided on its values.
 */
function isRemade({ uid }: FieldEntry, { metadata }: UntypedObject): boolean {
  return uid !== undefined && metadata.uid !== undefined && uid !== metadata.uid;
}

/**
 * Restarts the workload again, by the time of the undo. The journal keeps this time as the prior value, so that the
 * workload restarts only once.
 */
async function undoRestart(
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
function isRemadeAsBefore(entry: FieldEntry, current: UntypedObject, found: unknown): boolean {
  const { restart, pointer, prior } = entry;
  return (
    restart === "template" &&
    isRemade(entry, current) &&
    pointer.startsWith("/spec/template/metadata/annotations/") &&
    jsonEqualWithoutNulls(found, prior)
  );
}

/** Restarts such a workload once, as kubectl does. */
async function restartRemade(
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
async function whenReplaced(
  { object, lacked }: FieldEntry,
  { notReplaced }: Pick<UndoSurroundings, "notReplaced">,
  restartedAt: string | undefined,
): Promise<UndoResult> {
  const missing = await notReplaced(object, restartedAt, lacked);
  return missing === undefined ? { state: "undone" } : { state: "settling", ...missing };
}

/** Restores the entry's part of a list. The changes of others stay, and those of other rollouts in the same list. */
async function undoList(
  objects: ObjectAccess,
  entry: FieldEntry,
  context: UndoContext,
  { current, original }: { readonly current: UntypedObject; readonly original: JournalEntry },
): Promise<UndoResult> {
  const first = original.type === "field" ? original : entry;
  const found = valueAt(current, entry.pointer);
  const known = listUndo(entry, first, found);
  const conflict = known.type === "conflict" ? await conflictOf(current, first, context, found) : undefined;
  const undo = conflict === undefined ? known : await undoIfRewritten(objects, entry, first, found);
  if (conflict !== undefined && undo === undefined) {
    const { who, undoFirst } = conflict;
    return { state: "conflict", detail: fieldConflict({ ...entry, prior: first.prior }, found, who, undoFirst) };
  }
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

/** Asks the server what it makes of the lists that the rollout and its undo write. See `listUndoIfRewritten`. */
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

/**
 * Who has changed a field since, and what must be undone first. Undefined if it is the engine for this rollout: if its
 * plan has changed since, the journal may record another value. `first`: the rollout's first entry of the field.
 */
async function conflictOf(
  current: UntypedObject,
  first: FieldEntry,
  context: UndoContext,
  found: unknown,
): Promise<{ readonly who: string; readonly undoFirst?: string } | undefined> {
  const who = whoWrote(current, first.pointer);
  if (!isEngine(who)) return { who: who ?? lastWriter(current) ?? "somebody else" };
  const other = await context.otherRollout(first, found);
  return other === undefined
    ? undefined
    : { who: other.name, undoFirst: `undo ${other.name} first (${other.undo}), or ` };
}

/**
 * Undoes a value that a user wrote, a pod template. If the user has written another one since, it stays. But where the
 * entry replaces pods, requests are about to return to pods with the prior value. Then the journal keeps the user's
 * value, and the first entry of the field, which is undone last, restores it. A new run begins with it.
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
  // Any added field makes it the user's own new template.
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
    // A webhook that changes each template would change it again and again, and replace the pods each time.
    if (restored !== undefined && !jsonEqualWithoutNulls(restored, entry.prior))
      await context.keepRestored(entry, restored);
    // This pass has read the journal before the value was kept.
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

function fieldConflict(
  { object, pointer, step, written, prior }: Extract<JournalEntry, { type: "field" }>,
  found: unknown,
  who: string,
  undoFirst = "",
): string {
  return `${describeReference(object)} ${pointer} was changed by ${who} since step ${step}: found ${shown(found)}, the rollout wrote ${shown(written)}; ${undoFirst}set it to ${shown(prior)} (as it was before) or to what the rollout wrote, and the undo continues`;
}
