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
 * The known entries with the added ones. There is one entry for each step and field. So repeating a step after a crash
 * adds no entry, and only updates the written value of the known one. If a later step makes an object again, because
 * somebody has deleted it, only the first entry stays: undo then deletes the object after it has undone the later
 * steps.
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
    // What a webhook made of the former plan's list says nothing about the list of the new plan.
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
 * gets the run's last value. Otherwise the engine would take that value for a change by somebody else.
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
 * The entry of a deletion that the engine repeats because the server refused the first one. If somebody has changed the
 * object meanwhile, the entry gets the present object. If another object has its name now, the known entry stays, and
 * undo restores the first object.
 */
function lastBody(known: DeletedEntry, again: DeletedEntry): DeletedEntry {
  const isSame = known.body.metadata.uid === again.body.metadata.uid;
  const [before, now] = [withoutServerFields(known.body), withoutServerFields(again.body)];
  return isSame && !jsonEqualWithoutNulls(before, now) ? again : known;
}

function madeObjects(entries: readonly JournalEntry[]): ReadonlySet<string> {
  const made = new Set<string>();
  for (const { type, object } of entries)
    if (type === "created") made.add(referenceKey(object));
    else if (type === "deleted") made.delete(referenceKey(object));
  return made;
}

/** The entries. The given one gets the value `later`. */
export function withLater(entries: readonly JournalEntry[], entry: JournalEntry, later: unknown): JournalEntry[] {
  const key = entryKey(entry);
  return entries.map((held) => (held.type === "field" && entryKey(held) === key ? { ...held, later } : held));
}

/**
 * The entries. The last one of the field gets the list that the server stored instead of the planned one. `written` is
 * the list that the engine has sent, which includes the edits of others, and `stored` is what the server made of it. If
 * both are equal, the entry loses the list that the server stored at an earlier write: if the object has that list
 * again, another writer wrote it.
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
 * The entries. Those of the same field with the same prior value as `entry` get the new prior value. If the value is a
 * list, the entry that wrote it also records the new value as what the server stored.
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

/** The entries. The given one gets another uid for its object. */
export function withUid(entries: readonly JournalEntry[], entry: JournalEntry, uid: string): JournalEntry[] {
  const key = entryKey(entry);
  return entries.map((held) => (held.type === "field" && entryKey(held) === key ? { ...held, uid } : held));
}

function isBeforeIn(held: JournalEntry, entry: JournalEntry): held is FieldEntry {
  if (entry.type !== "field" || !isOfField(held, entry) || !keepsEdits(held)) return false;
  return [held.planned ?? held.written, held.stored].some(
    (list) => list !== undefined && jsonEqualWithoutNulls(list, entry.prior),
  );
}

/** The keys of entries. Each write of a step needs the keys of all entries, which remain the same objects. */
const keys = new WeakMap<JournalEntry, string>();

export function entryKey(entry: JournalEntry): string {
  let key = keys.get(entry);
  if (key === undefined) {
    key = `${entry.step} ${entry.type} ${referenceKey(entry.object)} ${entry.type === "field" ? entry.pointer : ""}`;
    keys.set(entry, key);
  }
  return key;
}
