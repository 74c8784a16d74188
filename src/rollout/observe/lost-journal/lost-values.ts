import { isTree, jsonEqualWithoutNulls, messageOf, pointerName } from "../../../base/index.ts";
import type { UntypedObject } from "../../../api/index.ts";
import { fieldManager } from "../../../api/serin/field-managers/index.ts";
import type { JournaledObjects, JournalEntry, ObjectReference } from "../../../api/serin/index.ts";
import { valueAt, type ObjectAccess } from "../../act/object-access.ts";
import { describeReference, type Step } from "../../decide/index.ts";
import {
  annotationPointer,
  injectionLabel,
  labelPointer,
  restartedForAnnotation,
  revisionLabel,
} from "../../plan/index.ts";
import { command, createdEntry, fieldEntry, isMadeByEngine, leftField, type DerivedValues } from "./derived-entries.ts";
import { describedReference } from "./described-reference.ts";
import { valuesOfSteps } from "./values-of-steps.ts";

/** What the spec of a rollout with a lost journal shows about its changes. */
export interface LostMove {
  readonly from?: string;
  readonly to?: string;
  /** The steps of a Canary of a Deployment that may have written something. */
  readonly steps?: readonly Step[];
  /** The names of the objects that such a Canary makes for one run, and deletes at its end. */
  readonly copies?: readonly string[];
}

export interface LostValues extends DerivedValues {
  /** Describes the fields and objects that the engine can restore by the entries. */
  readonly back: readonly string[];
}

/**
 * Derives the changes of a rollout with a lost journal, and the values from before them. The sources are the engine's
 * marks and field managers on the objects, the revisions of an upgrade, the plan of a Canary of a Deployment, and the
 * configuration that kubectl applied last.
 */
export async function lostValues(
  objects: Pick<ObjectAccess, "get">,
  { objects: names }: JournaledObjects,
  move: LostMove,
): Promise<LostValues> {
  const planned = await valuesOfSteps(objects, move.steps ?? []);
  const others = names.filter((name) => !planned.known.has(name));
  const found = [planned, ...(await Promise.all(others.map(async (name) => await valuesOf(objects, name, move))))];
  const [entries, left] = [found.flatMap((values) => values.entries), found.flatMap((values) => values.left)];
  const made = entries.filter(({ type }) => type === "created");
  // While a person still has to undo something, that change may need objects that the rollout made, such as a grant or
  // a Service. So a person deletes these last.
  const kept = left.length === 0 ? entries : entries.filter((entry) => !made.includes(entry));
  const toDelete = left.length === 0 ? [] : made.map(({ object }) => deletedLast(object));
  return { entries: kept, back: kept.map(nameOf), left: [...left, ...toDelete] };
}

function nameOf(entry: JournalEntry): string {
  const name = describeReference(entry.object);
  return entry.type === "field" ? `${name} ${entry.pointer}` : `${name} (made by the rollout)`;
}

function deletedLast(object: ObjectReference): string {
  return `${describeReference(object)} (made by the rollout; when nothing needs it: ${command("delete", object)})`;
}

async function valuesOf(objects: Pick<ObjectAccess, "get">, name: string, move: LostMove): Promise<DerivedValues> {
  const object = describedReference(name);
  if (object === undefined) return onlyLeft(name);
  try {
    const found = await objects.get(object);
    if (found === undefined && move.copies?.includes(name) === true) return { entries: [], left: [] };
    if (found === undefined) return onlyLeft(`${name} (it does not exist; the rollout may have deleted it)`);
    return derivedValues(object, found, move);
  } catch (error) {
    return onlyLeft(`${name} (it cannot be read: ${messageOf(error)})`);
  }
}

function onlyLeft(text: string): DerivedValues {
  return { entries: [], left: [text] };
}

function derivedValues(object: ObjectReference, found: UntypedObject, move: LostMove): DerivedValues {
  if (isMadeByEngine(found)) return { entries: [createdEntry(object)], left: [] };
  const pointers = ownedPointers(found);
  const entries: JournalEntry[] = [];
  const left: string[] = [];
  for (const pointer of [...pointers, ...removedBy(pointers, found)]) {
    const prior = priorOf(pointer, found, move);
    if (prior === undefined) left.push(leftField(object, pointer));
    else if (!jsonEqualWithoutNulls(prior.value, valueAt(found, pointer)))
      entries.push(fieldEntry({ object, pointer }, found, prior.value));
  }
  if (entries.length + left.length === 0) left.push(`${describeReference(object)} (${command("edit", object)})`);
  return { entries, left };
}

/** The pointers of the fields that the engine owns. A list whose elements have separate owners counts as one field. */
function ownedPointers({ metadata: { managedFields = [] } }: UntypedObject): string[] {
  const own = managedFields.filter(({ manager, subresource = "" }) => manager === fieldManager && subresource === "");
  return [...new Set(own.flatMap(({ fieldsV1 }) => pointersIn(fieldsV1, "")))];
}

function pointersIn(fields: unknown, pointer: string): string[] {
  const names = Object.keys(isTree(fields) ? fields : {}).filter((name) => name !== ".");
  if (names.length === 0 || names.some((name) => !name.startsWith("f:"))) return pointer === "" ? [] : [pointer];
  return names.flatMap((name) =>
    pointersIn((fields as Readonly<Record<string, unknown>>)[name], `${pointer}/${pointerName(name.slice(2))}`),
  );
}

/**
 * The label `istio-injection` if an upgrade removed it when it wrote `istio.io/rev`. A removed label no longer has a
 * field manager.
 */
function removedBy(pointers: readonly string[], found: UntypedObject): string[] {
  const injection = labelPointer(injectionLabel);
  const wasRemoved = valueAt(found, injection) === undefined && valueAt(appliedLast(found), injection) !== undefined;
  return pointers.includes(labelPointer(revisionLabel)) && wasRemoved ? [injection] : [];
}

/** The configuration that kubectl applied last. Undefined if nobody has used kubectl apply for the object. */
function appliedLast({ metadata: { annotations } }: UntypedObject): unknown {
  const text = annotations?.["kubectl.kubernetes.io/last-applied-configuration"];
  try {
    return text === undefined ? undefined : (JSON.parse(text) as unknown);
  } catch {
    return undefined;
  }
}

const restartedFor = `/spec/template${annotationPointer(restartedForAnnotation)}`;
const revisionPointers = [labelPointer(revisionLabel), `/spec/template${labelPointer(revisionLabel)}`];
const ownAnnotations = annotationPointer("rollout.serin.dev/");

function priorOf(
  pointer: string,
  found: UntypedObject,
  { from, to }: LostMove,
): { readonly value: unknown } | undefined {
  if (pointer.startsWith(ownAnnotations) || pointer === restartedFor) return { value: undefined };
  const applied = appliedLast(found);
  const value = valueAt(applied, pointer);
  const isInFile = applied !== undefined && (value !== undefined || pointer.startsWith("/metadata/labels/"));
  if (isInFile) return { value };
  const isMoved = revisionPointers.includes(pointer) && to !== undefined && valueAt(found, pointer) === to;
  return isMoved ? { value: from } : undefined;
}
