import { jsonEqualWithoutNulls } from "../../base/index.ts";
import type { JournalEntry } from "../../api/serin/index.ts";
import {
  fieldEntries,
  isOfField,
  keepsEdits,
  referenceKey,
  rewrittenList,
  type FieldEntry,
  type FieldOfObject,
} from "../decide/index.ts";
import { withoutServerFields } from "./object-access.ts";

/**
 * The known entries with the added ones. There is one entry for each step and field, so repeating a step after a crash
 * adds no entry: the known one only gets the new written value. If a later step makes an object again, because somebody
 * has deleted it, only the first entry stays: undo then deletes the object after it has undone the later steps.
 */
export function withEntries(known: readonly JournalEntry[], added: readonly JournalEntry[]): readonly JournalEntry[] {
  const made = madeObjects(known);
  const byKey = new Map(
    added.flatMap((entry) =>
      entry.type === "created" && made.has(referenceKey(entry.object)) ? [] : [[entryKey(entry), entry] as const],
    ),
  );
  const kept = known.map((entry) => {
    const again = byKey.get(entryKey(entry));
    byKey.delete(entryKey(entry));
    if (entry.type === "deleted" && again?.type === "deleted") return lastBody(entry, again);
    if (entry.type !== "field" || again?.type !== "field") return entry;
    const isSamePlan = jsonEqualWithoutNulls(entry.planned, again.planned);
    if (isSamePlan && jsonEqualWithoutNulls(entry.written, again.written)) return entry;
    const { written, planned = written, replaced: _replaced, replacedPlan: _plan, stored, ...rest } = entry;
    // A server's webhook may have changed the list of the former plan. This says nothing about the list of the new
    // plan.
    const present = stored ?? planned;
    const isReplanned = !jsonEqualWithoutNulls(planned, again.planned ?? again.written);
    const isEdited = keepsEdits(entry) && !jsonEqualWithoutNulls(present, again.prior);
    return {
      ...rest,
      ...(isReplanned || stored === undefined ? {} : { stored }),
      ...(again.written === undefined ? {} : { written: again.written }),
      ...(again.planned === undefined ? {} : { planned: again.planned }),
      ...(again.prior === undefined ? {} : { replaced: again.prior }),
      ...(isEdited && present !== undefined ? { replacedPlan: present } : {}),
    };
  });
  return [...kept, ...byKey.values()];
}

/**
 * The entries that prepared the target, without those of the run. If the run has written such a field too, the entry
 * gets the run's last value, so that the engine recognises when somebody else changes the field.
 */
export function withoutRun(entries: readonly JournalEntry[]): readonly JournalEntry[] {
  return entries.flatMap((entry): JournalEntry[] => {
    if (entry.setup !== true) return [];
    if (entry.type !== "field") return [entry];
    const last = fieldEntries(entries, entry).findLast(({ setup }) => setup !== true);
    if (last === undefined) return [entry];
    const {
      written: _written,
      planned: _planned,
      replaced: _replaced,
      replacedPlan: _plan,
      stored: _,
      ...rest
    } = entry;
    const { written, planned, stored } = last;
    return [
      {
        ...rest,
        ...(written === undefined ? {} : { written }),
        ...(planned === undefined ? {} : { planned }),
        ...(stored === undefined ? {} : { stored }),
      },
    ];
  });
}

type DeletedEntry = Extract<JournalEntry, { type: "deleted" }>;

/**
 * The entry of an object whose deletion is repeated because the server has refused it. Somebody may have changed the
 * object meanwhile. If another object has its name now, the known entry stays: undo restores the first object.
 */
function lastBody(known: DeletedEntry, again: DeletedEntry): DeletedEntry {
  const isSame = known.body.metadata.uid === again.body.metadata.uid;
  const [before, now] = [withoutServerFields(known.body), withoutServerFields(again.body)];
  return isSame && !jsonEqualWithoutNulls(before, now) ? again : known;
}

/** The objects that the rollout has made and has not deleted itself since then. */
function madeObjects(entries: readonly JournalEntry[]): ReadonlySet<string> {
  const made = new Set<string>();
  for (const { type, object } of entries)
    if (type === "created") made.add(referenceKey(object));
    else if (type === "deleted") made.delete(referenceKey(object));
  return made;
}

/** The entries, with the value `later` added to the given entry. */
export function withLater(entries: readonly JournalEntry[], entry: JournalEntry, later: unknown): JournalEntry[] {
  const key = entryKey(entry);
  return entries.map((held) => (held.type === "field" && entryKey(held) === key ? { ...held, later } : held));
}

/**
 * The entries, with the list that the server has stored instead of the planned one. `written` is the list that the
 * engine has sent, which includes the edits of others, and `stored` is what the server has made of it. If both are
 * equal, the entry loses the list that the server stored at an earlier write: should the object have that list again,
 * then another writer wrote it.
 */
export function withStored(
  entries: readonly JournalEntry[],
  field: FieldOfObject,
  { written, stored }: { readonly written: unknown; readonly stored: unknown },
): readonly JournalEntry[] {
  const own = fieldEntries(entries, field);
  const [first, last] = [own[0], own.at(-1)];
  if (first === undefined || last === undefined) return entries;
  const rewritten = jsonEqualWithoutNulls(written, stored)
    ? undefined
    : rewrittenList(last, first, { written, stored });
  if (jsonEqualWithoutNulls(rewritten, last.stored)) return entries;
  const { stored: _, ...rest } = last;
  const known = rewritten === undefined ? rest : { ...rest, stored: rewritten };
  return entries.map((entry) => (entry === last ? known : entry));
}

/**
 * The entries, with a new prior value for those that have the same field and the same prior value as `entry`. If the
 * value is a list, the entry before also records it as the list that the server has stored.
 */
export function withPrior(entries: readonly JournalEntry[], entry: JournalEntry, prior: unknown): JournalEntry[] {
  return entries.map((held) =>
    entry.type === "field" && isOfField(held, entry) && jsonEqualWithoutNulls(held.prior, entry.prior)
      ? { ...held, prior }
      : isBeforeIn(held, entry)
        ? { ...held, stored: prior }
        : held,
  );
}

/** The entries, with another uid for the object of the given entry. */
export function withUid(entries: readonly JournalEntry[], entry: JournalEntry, uid: string): JournalEntry[] {
  const key = entryKey(entry);
  return entries.map((held) => (held.type === "field" && entryKey(held) === key ? { ...held, uid } : held));
}

/** Whether entry `held` has written the list that `entry` has found. */
function isBeforeIn(held: JournalEntry, entry: JournalEntry): held is FieldEntry {
  if (entry.type !== "field" || !isOfField(held, entry) || !keepsEdits(held)) return false;
  return [held.planned ?? held.written, held.stored].some(
    (list) => list !== undefined && jsonEqualWithoutNulls(list, entry.prior),
  );
}

/**
 * Each write of a step needs the keys of all entries. The entries stay the same objects, so their keys can be cached.
 */
const keys = new WeakMap<JournalEntry, string>();

export function entryKey(entry: JournalEntry): string {
  let key = keys.get(entry);
  if (key === undefined) {
    key = `${entry.step} ${entry.type} ${referenceKey(entry.object)} ${entry.type === "field" ? entry.pointer : ""}`;
    keys.set(entry, key);
  }
  return key;
}
