import { jsonEqualWithoutNulls, pointerNames } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { isEngine, whoWrote } from "../../api/serin/field-managers/index.ts";
import type { JournalEntry, ObjectReference } from "../../api/serin/index.ts";
import { withStored } from "../act/journal-entries.ts";
import { covers, missingParentCount, templatePointer, valueAt, type ObjectAccess } from "../act/object-access.ts";
import { hasLeftMesh } from "../act/undo-order.ts";
import {
  conflictDetail,
  describeReference,
  fieldEntries,
  isOwnWrite,
  isToBeNoted,
  listDoneAnyway,
  listWrite,
  referenceKey,
  type FieldEntry,
  type Write,
  type WriteState,
} from "../decide/index.ts";
import { lackedPods } from "./ready-state.ts";

type FieldWrite = Extract<Write, { type: "field" }>;

/** How many ready pods an object lacks now. For a Gateway, the pods of its workloads are counted. */
export type LackedPods = (object: UntypedObject, reference: ObjectReference) => number;

const ownPods: LackedPods = (object, { kind }) => lackedPods(object, kind);

/** The state of a write of the step, given the object as the server has it. */
export function writeState(
  write: Write,
  current: UntypedObject | undefined,
  step: string,
  journal: readonly JournalEntry[],
  lacks: LackedPods = ownPods,
): WriteState {
  if (write.type === "create") return current === undefined ? { state: "pending" } : { state: "done" };
  if (write.type === "delete") {
    const isEnding = current?.metadata.deletionTimestamp !== undefined && write.force !== true;
    if (current === undefined || isEnding) return { state: "done" };
    return {
      state: "pending",
      prior: current,
      ...(isOwnWrite(write, journal) ? { isOwn: true } : lackedBefore(write.object, current, journal, lacks)),
    };
  }
  if (current === undefined || current.metadata.deletionTimestamp !== undefined) return { state: "gone" };
  const found = valueAt(current, write.pointer);
  if (write.adopted !== undefined)
    return fieldEntries(journal, write).some((entry) => entry.step === step)
      ? { state: "done" }
      : { state: "pending", prior: write.adopted.prior, ...lackedBefore(write.object, current, journal, lacks) };
  const { uid } = current.metadata;
  // The value from before is unknown, so the state has no prior value.
  if (isUnjournaled(write, current, journal))
    return { state: "pending", ...(uid === undefined ? {} : { uid }), isFirst: true };
  if (write.keeps !== undefined)
    return listState({ ...write, keeps: write.keeps }, storedList(write, current, step, journal));
  const isDone = covers(found, write.value) && !isToBeNoted(write, journal);
  if (isDone) return { state: "done" };
  if (write.restart === "time" && isRestarted(found, ownEntry(journal, write, step))) return { state: "done" };
  if (hasLeftMesh(write, current)) return { state: "gone" };
  if (write.own === true)
    return {
      state: "pending",
      ...(found === undefined ? {} : { prior: found }),
      ...(uid === undefined ? {} : { uid }),
      ...(isOwnWrite(write, journal) ? { isOwn: true } : lackedBefore(write.object, current, journal, lacks)),
    };
  const conflict = conflictOf(write, current, step, journal);
  if (conflict !== undefined) return { state: "conflict", detail: conflict };
  const { after } = write;
  if (after !== undefined && !covers(valueAt(current, after.pointer), after.value))
    return { state: "later", detail: laterDetail(write.object, after) };
  const own = ownEntry(journal, write, step);
  const known = {
    ...(uid === undefined ? {} : { uid }),
    ...lackedBefore(write.object, current, journal, lacks),
    ...writerOf(own, write, whoWrote(current, write.pointer) ?? "somebody"),
  };
  if (found !== undefined) return { state: "pending", prior: found, ...known };
  const madeParents = missingParentCount(current, write.pointer);
  return { state: "pending", ...(madeParents === 0 ? {} : { madeParents }), ...known };
}

/**
 * Whether the step has restarted the workload. An engine of another release may have written the step's time in another
 * form, and Argo's controller leaves out the milliseconds. Writing the time in this engine's form would restart the
 * pods again.
 */
function isRestarted(found: unknown, own: FieldEntry | undefined): boolean {
  return secondOf(found) >= secondOf(own?.written);
}

/** The full second of a time. NaN, which equals nothing, if the value is not a time. */
function secondOf(time: unknown): number {
  return typeof time === "string" ? Math.floor(Date.parse(time) / 1000) : Number.NaN;
}

/**
 * How many ready pods a workload lacked before the rollout. Its present state shows this only before the run's first
 * entry of the workload, because afterwards the rollout itself may have broken it.
 */
function lackedBefore(
  object: ObjectReference,
  current: UntypedObject,
  journal: readonly JournalEntry[],
  lacks: LackedPods,
): { readonly lacked?: number } {
  const first = journal.find((entry) => entry.setup !== true && referenceKey(entry.object) === referenceKey(object));
  const known = first?.type === "created" ? 0 : first?.lacked;
  const lacked = first === undefined ? lacks(current, object) : (known ?? 0);
  return lacked === 0 ? {} : { lacked };
}

/** A list as the server has it. */
export interface StoredList {
  readonly entries: readonly FieldEntry[];
  readonly step: string;
  readonly found: unknown;
  readonly uid: string | undefined;
  /** The last writer of the list, as `whoWrote` returns it. */
  readonly who: string | undefined;
}

/** The state of a write of a list. See `listWrite`. */
export function listState(
  write: FieldWrite & Required<Pick<FieldWrite, "keeps">>,
  { entries, step, found, uid, who }: StoredList,
): WriteState {
  const { object, pointer, value, keeps } = write;
  const [first, last] = [entries[0], entries.at(-1)];
  const isRemade = first?.uid !== undefined && first.uid !== uid;
  const due = listWrite(
    { pointer, value, ...keeps },
    { entries, step, found, isWrittenByEngine: isEngine(who), isRemade },
  );
  if (due.type === "done") return { state: "done" };
  if (due.type === "stale")
    return { state: "later", detail: `${describeReference(object)}: somebody is changing ${pointer} at this moment` };
  if (due.type === "conflict")
    return { state: "conflict", detail: listConflict(write, found, last?.written ?? last?.prior, { who, at: due.at }) };
  const own = entries.find((entry) => entry.step === step);
  return {
    state: "pending",
    merged: { value: due.value, found },
    ...(due.prior === undefined ? {} : { prior: due.prior }),
    ...(uid === undefined ? {} : { uid }),
    ...(due.isRewritten === true
      ? { isRewritten: true }
      : writerOf(own, { ...write, value: due.value }, due.isApplied ? undefined : (who ?? "somebody"))),
  };
}

/**
 * The state of a write of a list that seems to be in conflict. The journal may lack what a webhook has made of the list
 * that the rollout wrote last, because the engine ended before it could journal that. `made`: what the server now makes
 * of that list with the edits of others, see `listDoneAnyway`.
 */
export function listStateIfRewritten(
  write: Parameters<typeof listState>[0],
  list: StoredList,
  made: unknown,
): WriteState | undefined {
  const { entries, found } = list;
  const last = entries.at(-1);
  if (last === undefined || made === undefined) return undefined;
  const written = listDoneAnyway(last, found);
  const known = fieldEntries(withStored(entries, write, { written, stored: made }), write);
  const state = known.at(-1) === last ? undefined : listState(write, { ...list, entries: known });
  return state?.state === "conflict" ? undefined : state;
}

/**
 * The state of a write, as {@link writeState} returns it. For a list that seems to be in conflict, and for a pod
 * template that the server has stored differently, a dry run finds out what the server makes of the engine's value.
 */
export async function askedWriteState(
  objects: Pick<ObjectAccess, "preview">,
  write: Write,
  current: UntypedObject | undefined,
  {
    step,
    journal,
    lacks,
  }: { readonly step: string; readonly journal: readonly JournalEntry[]; readonly lacks?: LackedPods },
): Promise<WriteState> {
  const state = writeState(write, current, step, journal, lacks);
  if (write.type !== "field") return state;
  if (state.state === "pending" && state.isRewritten === true)
    return (await isTemplateOfPolicy(objects, write, current, ownEntry(journal, write, step)))
      ? { state: "done" }
      : state;
  if (state.state !== "conflict" || write.keeps === undefined) return state;
  const list = storedList(write, current, step, journal);
  const last = list.entries.at(-1);
  if (last === undefined) return state;
  const made = await objects.preview(write.object, write.pointer, listDoneAnyway(last, list.found));
  return listStateIfRewritten({ ...write, keeps: write.keeps }, list, made) ?? state;
}

/**
 * Whether the stored pod template is the one that the server always makes of the engine's template. An admission
 * webhook may take images from a mirror, or add variables and tolerations. If a webhook makes something else each time,
 * or keeps the template from before, the write never counts as done.
 */
async function isTemplateOfPolicy(
  objects: Pick<ObjectAccess, "preview">,
  { object, pointer, value }: FieldWrite,
  current: UntypedObject | undefined,
  own: FieldEntry | undefined,
): Promise<boolean> {
  if (pointer !== templatePointer || current === undefined) return false;
  const found = valueAt(current, pointer);
  if (jsonEqualWithoutNulls(found, own?.prior)) return false;
  return jsonEqualWithoutNulls(await objects.preview(object, pointer, value), found);
}

function storedList(
  write: FieldWrite,
  current: UntypedObject | undefined,
  step: string,
  journal: readonly JournalEntry[],
): StoredList {
  return {
    entries: fieldEntries(journal, write),
    step,
    found: valueAt(current, write.pointer),
    uid: current?.metadata.uid,
    who: current === undefined ? undefined : whoWrote(current, write.pointer),
  };
}

/** The step's own journal entry of the field. */
function ownEntry(journal: readonly JournalEntry[], write: FieldWrite, step: string): FieldEntry | undefined {
  return fieldEntries(journal, write).find((entry) => entry.step === step);
}

/** The message about a list. It names the place in the list if both lists have it. */
function listConflict(
  write: FieldWrite,
  found: unknown,
  expected: unknown,
  { who, at = "" }: { readonly who: string | undefined; readonly at: string | undefined },
): string {
  const [is, was] = [valueAt(found, at), valueAt(expected, at)];
  if (at === "" || jsonEqualWithoutNulls(is, was)) return conflictDetail(write, found, expected, who);
  return conflictDetail({ ...write, pointer: `${write.pointer}${at}` }, is, was, who);
}

/**
 * Whether the step writes a field for the first time, and if not, why it writes the field again. `by`: who has changed
 * the written value.
 */
function writerOf(
  own: FieldEntry | undefined,
  { value }: FieldWrite,
  by: string | undefined,
): Partial<Extract<WriteState, { state: "pending" }>> {
  if (own === undefined) return { isFirst: true };
  if (by !== undefined && !isEngine(by)) return { by };
  return by !== undefined && jsonEqualWithoutNulls(own.written, value) ? { isRewritten: true } : { isReplanned: true };
}

/**
 * Whether the engine has written the field, but the journal with its entry is gone: for example, a restored namespace
 * has no journal. If the journal has an entry of the mark, the journal is not lost, and a field without an entry has
 * its value from a person.
 */
function isUnjournaled(write: FieldWrite, current: UntypedObject, journal: readonly JournalEntry[]): boolean {
  if (write.mark === undefined || valueAt(current, write.pointer) === undefined) return false;
  const isOurs = valueAt(current, write.mark) !== undefined || isEngine(whoWrote(current, write.pointer));
  const isKnown = [write.pointer, write.mark].some(
    (pointer) => fieldEntries(journal, { object: write.object, pointer }).length > 0,
  );
  return isOurs && !isKnown;
}

/**
 * Who changed a field after the rollout had recorded it, even between two steps. Four changes do not count: the
 * engine's own last write, a restart that somebody else requested, a recreated namespace, and an object (such as a node
 * or a pod of a StatefulSet) that was recreated with the value from before the rollout.
 */
function conflictOf(
  write: FieldWrite,
  current: UntypedObject,
  step: string,
  journal: readonly JournalEntry[],
): string | undefined {
  const entries = fieldEntries(journal, write);
  const [first, known] = [entries[0], entries.at(-1)];
  if (first === undefined || known === undefined || write.restart !== undefined) return undefined;
  const found = valueAt(current, write.pointer);
  if (covers(found, known.written) || (known.step === step && jsonEqualWithoutNulls(found, known.prior)))
    return undefined;
  if (known.step === step && known.replaced !== undefined && jsonEqualWithoutNulls(found, known.replaced))
    return undefined;
  const isRemade = first.uid !== undefined && first.uid !== current.metadata.uid;
  if (isRemade && (write.object.kind === "Namespace" || jsonEqualWithoutNulls(found, first.prior))) return undefined;
  const who = whoWrote(current, write.pointer);
  return isEngine(who) ? undefined : conflictDetail(write, found, known.written ?? known.prior, who);
}

function laterDetail(object: ObjectReference, { pointer, value }: NonNullable<FieldWrite["after"]>): string {
  return `${describeReference(object)}: ${pointerNames(pointer).at(-1) ?? ""} of its pods is not ${String(value)} yet`;
}
