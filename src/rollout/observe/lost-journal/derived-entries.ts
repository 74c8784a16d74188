import { groupVersionOf, type UntypedObject } from "../../../api/index.ts";
import { fieldManager } from "../../../api/serin/field-managers/index.ts";
import type { JournalEntry, ObjectReference } from "../../../api/serin/index.ts";
import { valueAt } from "../../act/object-access.ts";
import { derivedStep, describeReference } from "../../decide/index.ts";

/** The entries that the objects of a lost journal show, and descriptions of the changes that a person must undo. */
export interface DerivedValues {
  readonly entries: readonly JournalEntry[];
  readonly left: readonly string[];
}

type OptionalMarks = Partial<Pick<Extract<JournalEntry, { type: "field" }>, "setup" | "adopted">>;

/** Field managers that only write what they observe, and never create an object of the kinds here. */
const controllers = /^(kube-controller-manager|kubelet|kube-scheduler|istiod|pilot-discovery)/;

/** Whether only the engine has written the object. An object that a person made has that person's field manager. */
export function isMadeByEngine({ metadata: { managedFields = [] } }: UntypedObject): boolean {
  const writers = managedFields.filter(
    ({ manager = "", subresource = "" }) => subresource === "" && !controllers.test(manager),
  );
  return writers.length > 0 && writers.every(({ manager }) => manager === fieldManager);
}

export function createdEntry(object: ObjectReference, setup?: boolean): JournalEntry {
  return { type: "created", step: derivedStep, object, ...(setup === true ? { setup } : {}) };
}

/** The entry of a field. Takes the field's present value for the one that the rollout has written. */
export function fieldEntry(
  { object, pointer }: { readonly object: ObjectReference; readonly pointer: string },
  found: UntypedObject,
  prior: unknown,
  { setup, adopted }: OptionalMarks = {},
): JournalEntry {
  const { uid } = found.metadata;
  const written = valueAt(found, pointer);
  const isRestart = pointer.startsWith("/spec/template/metadata/");
  const isLabel = object.kind === "Namespace" && pointer.startsWith("/metadata/labels/");
  const group = isLabel ? object.name : isRestart ? object.namespace : undefined;
  return {
    type: "field",
    step: derivedStep,
    object,
    pointer,
    ...(written === undefined ? {} : { written }),
    ...(uid === undefined ? {} : { uid }),
    ...(prior === undefined ? {} : { prior }),
    ...(isRestart ? { restart: "template" } : {}),
    ...(setup === true ? { setup } : {}),
    ...(adopted === true ? { adopted } : {}),
    ...(group === undefined ? {} : { undoGroup: `derived of ${group}` }),
  };
}

/** Describes a field whose prior value is unknown, so that a person must decide about it. */
export function leftField(object: ObjectReference, pointer: string): string {
  return `${describeReference(object)} ${pointer} (${command("edit", object)})`;
}

export function command(verb: "edit" | "delete", { apiVersion, plural, name, namespace }: ObjectReference): string {
  const { group } = groupVersionOf(apiVersion);
  const kind = group === "" ? plural : `${plural}.${group}`;
  return `kubectl ${verb} ${kind} ${name}${namespace === undefined ? "" : ` -n ${namespace}`}`;
}
