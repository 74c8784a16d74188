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

/** How many ready pods an object lacks now. A Gateway lacks those that its workloads lack. */
export type LackedPods = (object: UntypedObject, reference: ObjectReference) => number;

const ownPods: LackedPods = (object, { kind }) => lackedPods(object, kind);

/** The state of a write of the step. `current` is the object as the API server has it. */
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
  // The engine changed the value without a journal entry, so the value from before is unknown, and the state has no
  // `prior`.
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
 * Whether the step has restarted the workload. Compares whole seconds: an engine of another release may have written
 * the step's time in another form, and Argo's controller leaves out the milliseconds. If this engine wrote the time
 * again in its own form, the pods would restart again.
 */
function isRestarted(found: unknown, own: FieldEntry | undefined): boolean {
  return secondOf(found) >= secondOf(own?.written);
}

/** The time in whole seconds. NaN, for which every comparison is false, if the value is not a time. */
function secondOf(time: unknown): number {
  return typeof time === "string" ? Math.floor(Date.parse(time) / 1000) : Number.NaN;
}

/**
 * How many ready pods a workload lacked before the rollout. Later the rollout itself may be the cause, so after the
 * run's first entry of the workload, the number comes from that entry.
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

export interface StoredList {
  readonly entries: readonly FieldEntry[];
  readonly step: string;
  readonly found: unknown;
  readonly uid: string | undefined;
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
 * The state of a write of a list that seems to be in conflict. The conflict may be a webhook's change to the list that
 * the rollout wrote last: the engine may have ended before it could journal that change. Undefined if the conflict
 * remains. `made`: what the server now makes of that list with the edits of others, see `listDoneAnyway`.
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
 * template that the server has stored differently, a dry run shows what the server makes of the engine's value.
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
 * Whether the server stores this pod template whenever the engine writes its own. An admission webhook may take images
 * from a mirror, or add variables and tolerations. If a webhook makes something else each time, or keeps the template
 * from before, the write never counts as done.
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

function ownEntry(journal: readonly JournalEntry[], write: FieldWrite, step: string): FieldEntry | undefined {
  return fieldEntries(journal, write).find((entry) => entry.step === step);
}

/** The text about a conflict in a list. It names the place in the list if the lists differ there. */
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
 * The state's fields that tell why the step writes: for the first time, because somebody has changed the written value
 * (`by`), because the server stored another value, or because the plan has another value now.
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
 * Whether the engine has written the field, but the journal with its entry is gone. For example, a restored namespace
 * has no journal. If the journal has an entry for the field or its mark, the journal is not lost, and a value without
 * an entry is a person's.
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
 * Describes the conflict if somebody changed a field after the rollout had recorded it, even between two steps. Four
 * changes are no conflict: the engine's own last write, a restart that somebody else requested, a recreated namespace,
 * and an object (such as a node or a pod of a StatefulSet) that was recreated with the value from before the rollout.
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
