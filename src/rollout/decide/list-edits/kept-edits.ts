import { jsonEqualWithoutNulls, pointerNames } from "../../../base/index.ts";
import type { FieldEntry } from "../field-entries.ts";
import { hasAll, mergeEdits, mergeOverEdits, withDivisionsOf } from "./merge.ts";
import { hasRemains, removedFrom, withoutSame } from "./removed.ts";

const pointers = /^\/spec\/(rules|http|tcp|tls|subsets)$/;

/**
 * Whether the field is a list of rules, routes or subsets. The engine writes such a list as a whole, but changes only a
 * part of it, and people may change the rest meanwhile.
 */
export function keepsEdits({ pointer }: { readonly pointer: string }): boolean {
  return pointers.test(pointer);
}

/** A write of a list that keeps what others have changed in it. */
export interface PlannedList {
  readonly pointer: string;
  readonly value?: unknown;
  /** The list from which the plan computes the value. */
  readonly base: unknown;
  /** The engine has made the object. If somebody has changed the same place in it, the engine's value wins. */
  readonly isMade: boolean;
}

export interface ListInCluster {
  /** The entries of the field, the oldest first. */
  readonly entries: readonly FieldEntry[];
  readonly step: string;
  readonly found: unknown;
  /** The engine was the last writer of the list, either for this rollout or for another one. */
  readonly isWrittenByEngine: boolean;
  /** The object was deleted, and another one has its name now. */
  readonly isRemade: boolean;
}

export type ListWrite =
  | { readonly type: "done" }
  | {
      readonly type: "due";
      readonly value: unknown;
      /** What undo restores, without the changes of others. */
      readonly prior: unknown;
      /** Whether the list has the rollout's changes. */
      readonly isApplied: boolean;
      /** A webhook has changed what the step wrote. */
      readonly isRewritten?: true;
    }
  /** Somebody has changed the list since it was planned, so it must be planned again. */
  | { readonly type: "stale" }
  /** Somebody has changed the same place as the rollout. `at`: the place in the list, if known. */
  | { readonly type: "conflict"; readonly at?: string };

/** What to write, so that the list has the planned changes and those of others. */
export function listWrite({ pointer, value, base: from, isMade }: PlannedList, list: ListInCluster): ListWrite {
  const { entries, step, found, isWrittenByEngine } = list;
  const role = roleOf(pointer);
  const last = entries.at(-1);
  // The first write of a run removes the division of requests that an earlier run has left.
  const start = last === undefined && isMade ? withDivisionsOf(role, from, value, found) : from;
  const base = last === undefined ? start : presentBase(role, list);
  const forced = isWrittenByEngine || (last === undefined && isMade);
  const merge = base === undefined ? { conflict: "" } : mergeEdits(role, base, value, found);
  if ("value" in merge) {
    if (jsonEqualWithoutNulls(merge.value, found)) return { type: "done" };
    const prior = last?.step === step || found === undefined ? found : base;
    const isRewritten = last?.stored !== undefined && base === last.stored && last.step === step;
    const due = { value: merge.value, prior, isApplied: base === plannedOf(last) };
    return { type: "due", ...due, ...(isRewritten ? { isRewritten } : {}) };
  }
  if (forced) {
    // Restores the base wherever the last plan changed the list, whatever the list has there now. Then makes the
    // planned changes.
    const without = last === undefined ? found : mergeOverEdits(role, plannedOf(last), from, found);
    const over = mergeOverEdits(role, start, value, without);
    return jsonEqualWithoutNulls(over, found)
      ? { type: "done" }
      : { type: "due", value: over, prior: found, isApplied: false };
  }
  if (last === undefined) return { type: "stale" };
  return { type: "conflict", ...(merge.conflict === "" ? {} : { at: merge.conflict }) };
}

/**
 * The planned list whose changes the list in the cluster contains. In the step that journaled the last write, this may
 * be the list before that write, because the write has failed or somebody has undone it.
 */
function presentBase(role: string, { entries, step, found, isRemade }: ListInCluster): unknown {
  const [first, last] = [entries[0], entries.at(-1)];
  if (first === undefined || last === undefined) return undefined;
  const applied = appliedOf(role, last, first, found);
  if (applied !== undefined) return applied;
  const known = plannedOf(last);
  if (last.step === step && isOnlyEdited(role, known, last.prior, found)) return last.prior;
  return isRemade && isOnlyEdited(role, known, first.prior, found) ? first.prior : undefined;
}

/**
 * An entry's planned list as the server has changed it, for example by a webhook, without the changes of others that
 * `written` contains. Undefined if the server has kept all planned changes, perhaps with additions such as defaults.
 * `original`: the first entry of the field.
 */
export function rewrittenList(
  entry: FieldEntry,
  original: FieldEntry,
  { written, stored }: { readonly written: unknown; readonly stored: unknown },
): unknown {
  if (hasOwnChanges(original, entry, stored)) return undefined;
  return mergeOverEdits(roleOf(entry.pointer), written, plannedOf(entry), stored);
}

/**
 * Whether the list still has the changes of the rollout, and nothing that its last write removed. `first`: the first
 * entry of the field, `last`: the last.
 */
export function hasOwnChanges(first: FieldEntry, last: FieldEntry, found: unknown): boolean {
  return hasPlan(roleOf(last.pointer), plannedOf(last), [first.prior, last.prior], found);
}

export type ListUndo =
  /** `restored`: what the server has made of the prior list, if the journal does not have it. */
  | { readonly type: "restored"; readonly restored?: unknown }
  | { readonly type: "due"; readonly value: unknown }
  | { readonly type: "conflict" };

/**
 * What undo writes, so that the list loses the changes of the entry and keeps those of others. `original`: the first
 * entry of the undone field. `between`: the field's entries between `original` and this entry. If the server refused to
 * remove the entries that an earlier pass has undone, the list already has the prior value of one of them, and counts
 * as restored.
 */
export function listUndo(
  entry: FieldEntry,
  original: FieldEntry,
  found: unknown,
  between: readonly FieldEntry[] = [],
): ListUndo {
  const undo = undoOf(entry, original, found, between);
  if (undo.type !== "conflict") return undo;
  const left = (journaled: FieldEntry): FieldEntry | undefined => withoutRemoved(journaled, plannedOf(entry), found);
  const [own, first] = [left(entry), left(original)];
  if (own === undefined || first === undefined) return undo;
  return undoOf(
    own,
    first,
    found,
    between.flatMap((journaled) => left(journaled) ?? []),
  );
}

/**
 * The entry without the rules that somebody has removed, because these need no undo. Undefined if nobody has removed a
 * rule, or if another rule may have taken the place of a removed one.
 */
function withoutRemoved(entry: FieldEntry, planned: unknown, found: unknown): FieldEntry | undefined {
  const role = roleOf(entry.pointer);
  const gone = removedFrom(role, planned, found);
  if (gone === undefined) return undefined;
  const { prior, written, planned: own = written, replaced: _replaced, replacedPlan: _plan, stored, ...rest } = entry;
  const [before, now, kept] = [prior, own, stored].map((list) => withoutSame(role, list, gone));
  return {
    ...rest,
    ...(before === undefined ? {} : { prior: before }),
    written: now,
    ...(kept === undefined ? {} : { stored: kept }),
  };
}

function undoOf(
  entry: FieldEntry,
  original: FieldEntry,
  found: unknown,
  between: readonly FieldEntry[] = [],
): ListUndo {
  const role = roleOf(entry.pointer);
  const applied = appliedOf(role, entry, original, found);
  const merge = applied === undefined ? undefined : mergeEdits(role, applied, entry.prior, found);
  if (merge !== undefined && "value" in merge)
    return jsonEqualWithoutNulls(merge.value, found) ? { type: "restored" } : { type: "due", value: merge.value };
  const known = plannedOf(entry);
  // If the plan equals an earlier list, nothing shows whether the plan is still to be undone or already undone.
  const priors = [entry, original, ...between].map(({ prior }) => prior);
  const before = priors.filter((prior) => !jsonEqualWithoutNulls(prior, known));
  const isRestored = before.some((prior) => isOnlyEdited(role, known, prior, found));
  return isRestored ? { type: "restored" } : { type: "conflict" };
}

/**
 * The list without what a rollout has changed in it. `entries`: the rollout's entries of the field, the oldest first.
 */
export function listWithout(entries: readonly FieldEntry[], found: unknown): unknown {
  const [first] = entries;
  if (first === undefined) return found;
  return entries.toReversed().reduce((list, entry, undone) => {
    const undo = listUndo(entry, first, list, entries.slice(1, -1 - undone));
    if (undo.type === "restored") return list;
    return undo.type === "due" ? undo.value : listUndoneAnyway(entry, list);
  }, found);
}

/**
 * What the server has made of the prior list of an entry, when undo has written `written`. Undefined if the server has
 * restored it.
 */
export function restoredList(entry: FieldEntry, original: FieldEntry, written: unknown, stored: unknown): unknown {
  if (stored === undefined || jsonEqualWithoutNulls(written, stored)) return undefined;
  if (undoOf(entry, original, stored).type === "restored") return undefined;
  return mergeOverEdits(roleOf(entry.pointer), written, entry.prior, stored);
}

/**
 * The list in which every place that the entry has changed gets its prior value, whatever value it has now. The rest
 * stays as it is.
 */
export function listUndoneAnyway(entry: FieldEntry, found: unknown): unknown {
  return mergeOverEdits(roleOf(entry.pointer), plannedOf(entry), entry.prior, found);
}

/**
 * The list in which every place that the entry has changed gets its planned value, whatever value it has now. The rest
 * stays as it is.
 */
export function listDoneAnyway(entry: FieldEntry, found: unknown): unknown {
  return mergeOverEdits(roleOf(entry.pointer), entry.prior, plannedOf(entry), found);
}

/**
 * What undo writes if the journal lacks what a webhook has made of a list, because the engine has ended before it could
 * journal that. `made`: what the server makes of {@link listDoneAnyway}, and of {@link listUndoneAnyway}. Undefined if
 * the server makes the found list of neither.
 */
export function listUndoIfRewritten(
  entry: FieldEntry,
  original: FieldEntry,
  found: unknown,
  made: { readonly done: unknown; readonly undone: unknown },
): ListUndo | undefined {
  const restored = restoredList(entry, original, listUndoneAnyway(entry, found), made.undone);
  const isRestored =
    restored !== undefined && undoOf({ ...entry, prior: restored }, original, found).type === "restored";
  if (isRestored) return { type: "restored", restored };
  if (made.done === undefined) return undefined;
  const lists = { written: listDoneAnyway(entry, found), stored: made.done };
  const stored = rewrittenList(entry, original, lists);
  const undo = stored === undefined ? undefined : undoOf({ ...entry, stored }, original, found);
  return undo?.type === "conflict" ? undefined : undo;
}

/**
 * The plan whose changes the list contains: the entry's present plan, the plan that it has replaced, or what a webhook
 * has made of the plan.
 */
function appliedOf(role: string, entry: FieldEntry, original: FieldEntry, found: unknown): unknown {
  const former = entry.replacedPlan ?? entry.replaced;
  const plans = [plannedOf(entry), former, entry.stored];
  const earlier = [original.prior, entry.prior, former] as const;
  return plans.find((plan) => plan !== undefined && hasPlan(role, plan, earlier, found));
}

/**
 * Whether the list has all changes from the first of the `earlier` lists to the plan, and nothing that the plan removes
 * from these lists. A plan may remove everything that the rollout wrote before, for example when a mirror ends. Such a
 * plan equals the list from before the rollout. Compared with that list alone, it has no changes, so any list would
 * seem to have them.
 */
function hasPlan(
  role: string,
  plan: unknown,
  [prior, ...later]: readonly [unknown, ...unknown[]],
  found: unknown,
): boolean {
  return isApplied(role, prior, plan, found) && !later.some((list) => hasRemains(role, list, plan, found));
}

/**
 * Whether the list has all changes from `prior` to `planned`, whatever others have changed besides. The test takes
 * these changes back and makes them again: the list must be the same afterwards.
 */
function isApplied(role: string, prior: unknown, planned: unknown, found: unknown): boolean {
  if (jsonEqualWithoutNulls(planned, found)) return true;
  if (hasRemains(role, prior, planned, found)) return false;
  const without = mergeEdits(role, planned, prior, found);
  if (!("value" in without)) return false;
  const again = mergeEdits(role, prior, planned, without.value);
  return "value" in again && lengthOf(again.value) === lengthOf(found) && hasAll(found, again.value);
}

function lengthOf(list: unknown): number {
  return Array.isArray(list) ? list.length : 0;
}

/**
 * Whether the list is `prior` with only the changes of others, and without any of the changes from `prior` to
 * `planned`.
 */
function isOnlyEdited(role: string, planned: unknown, prior: unknown, found: unknown): boolean {
  return isApplied(role, planned, prior, found);
}

function plannedOf(entry: FieldEntry | undefined): unknown {
  return entry?.planned ?? entry?.written;
}

function roleOf(pointer: string): string {
  return pointerNames(pointer).at(-1) ?? "";
}
