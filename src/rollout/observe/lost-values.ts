import { isTree, jsonEqualWithoutNulls, messageOf, pointerName } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { fieldManager } from "../../api/serin/field-managers/index.ts";
import type { JournalEntry, JournaledObjects, ObjectReference } from "../../api/serin/index.ts";
import { valueAt, type ObjectAccess } from "../act/object-access.ts";
import { derivedStep, describeReference } from "../decide/index.ts";
import {
  annotationPointer,
  injectionLabel,
  labelPointer,
  reference,
  restartedForAnnotation,
  revisionLabel,
} from "../plan/index.ts";

/** The revisions of a MeshUpgrade whose journal is lost. */
export interface LostMove {
  readonly from?: string;
  readonly to?: string;
}

/** The entries that the objects themselves show, and what is left to a person. */
export interface LostValues {
  readonly entries: readonly JournalEntry[];
  readonly back: readonly string[];
  readonly left: readonly string[];
}

/** The API groups of the kinds that rollouts change. */
const versions: Readonly<Record<string, string>> = {
  ConfigMap: "v1",
  DaemonSet: "apps/v1",
  Deployment: "apps/v1",
  DestinationRule: "networking.istio.io/v1",
  GRPCRoute: "gateway.networking.k8s.io/v1",
  Gateway: "gateway.networking.k8s.io/v1",
  HTTPRoute: "gateway.networking.k8s.io/v1",
  HorizontalPodAutoscaler: "autoscaling/v2",
  MutatingWebhookConfiguration: "admissionregistration.k8s.io/v1",
  Namespace: "v1",
  Node: "v1",
  Pod: "v1",
  PodDisruptionBudget: "policy/v1",
  ReferenceGrant: "gateway.networking.k8s.io/v1beta1",
  Rollout: "argoproj.io/v1alpha1",
  Service: "v1",
  ServiceAccount: "v1",
  StatefulSet: "apps/v1",
  ValidatingWebhookConfiguration: "admissionregistration.k8s.io/v1",
  VirtualService: "networking.istio.io/v1",
};

/**
 * Derives from the objects of a lost journal what the rollout has changed, and the values from before: from the
 * engine's marks and claims to fields, from the revisions of an upgrade, and from what kubectl has applied last.
 */
export async function lostValues(
  objects: Pick<ObjectAccess, "get">,
  { objects: names }: JournaledObjects,
  move: LostMove,
): Promise<LostValues> {
  const found = await Promise.all(names.map(async (name) => await valuesOf(objects, name, move)));
  const [entries, left] = [found.flatMap((values) => values.entries), found.flatMap((values) => values.left)];
  const made = entries.filter(({ type }) => type === "created");
  // What a person has not put back yet may still need what the rollout has made, such as a grant or a Service.
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

async function valuesOf(
  objects: Pick<ObjectAccess, "get">,
  name: string,
  move: LostMove,
): Promise<Omit<LostValues, "back">> {
  const object = referenceOf(name);
  if (object === undefined) return onlyLeft(name);
  try {
    const found = await objects.get(object);
    if (found === undefined) return onlyLeft(`${name} (it does not exist; the rollout may have deleted it)`);
    return derivedValues(object, found, move);
  } catch (error) {
    return onlyLeft(`${name} (it cannot be read: ${messageOf(error)})`);
  }
}

function onlyLeft(text: string): Omit<LostValues, "back"> {
  return { entries: [], left: [text] };
}

/** The reference of a description, such as `HTTPRoute shop/web`. */
function referenceOf(name: string): ObjectReference | undefined {
  const [kind = "", place = ""] = name.split(" ");
  const [first = "", second] = place.split("/");
  const version = Object.hasOwn(versions, kind) ? versions[kind] : undefined;
  if (version === undefined || first === "") return undefined;
  return second === undefined ? reference(version, kind, first) : reference(version, kind, second, first);
}

/** The entries of one object. */
function derivedValues(object: ObjectReference, found: UntypedObject, move: LostMove): Omit<LostValues, "back"> {
  const common = { step: derivedStep, object };
  if (isMadeByEngine(found)) return { entries: [{ type: "created", ...common }], left: [] };
  const pointers = ownedPointers(found);
  const entries: JournalEntry[] = [];
  const left: string[] = [];
  for (const pointer of [...pointers, ...removedBy(pointers, found)]) {
    const prior = priorOf(pointer, found, move);
    if (prior === undefined) left.push(`${describeReference(object)} ${pointer} (${command("edit", object)})`);
    else if (!jsonEqualWithoutNulls(prior.value, valueAt(found, pointer)))
      entries.push(fieldEntry(object, found, pointer, prior.value));
  }
  if (entries.length + left.length === 0) left.push(`${describeReference(object)} (${command("edit", object)})`);
  return { entries, left };
}

function fieldEntry(object: ObjectReference, found: UntypedObject, pointer: string, prior: unknown): JournalEntry {
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
    ...(group === undefined ? {} : { undoGroup: `derived of ${group}` }),
  };
}

/** Managers that write only what they have observed, and never make an object. */
const controllers = /^(kube-controller-manager|kubelet|kube-scheduler|istiod|pilot-discovery)/;

/** Whether nobody but the engine has written the object. A person's object keeps the claims of its writer. */
function isMadeByEngine({ metadata: { managedFields = [] } }: UntypedObject): boolean {
  const writers = managedFields.filter(
    ({ manager = "", subresource = "" }) => subresource === "" && !controllers.test(manager),
  );
  return writers.length > 0 && writers.every(({ manager }) => manager === fieldManager);
}

/** The fields that the engine has written last, by their pointers. A list with keys counts as one field. */
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

/** A label that an upgrade has removed beside the one that it has written, which nobody owns any more. */
function removedBy(pointers: readonly string[], found: UntypedObject): string[] {
  const injection = labelPointer(injectionLabel);
  const wasRemoved = valueAt(found, injection) === undefined && valueAt(appliedLast(found), injection) !== undefined;
  return pointers.includes(labelPointer(revisionLabel)) && wasRemoved ? [injection] : [];
}

/** What kubectl has applied last, if anybody has applied the object with it. */
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

/** The value from before the rollout. Undefined if nothing shows it. */
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

/** The command of kubectl for the object. */
function command(verb: "edit" | "delete", { apiVersion, plural, name, namespace }: ObjectReference): string {
  const [group = "", version] = apiVersion.split("/");
  const kind = version === undefined ? plural : `${plural}.${group}`;
  return `kubectl ${verb} ${kind} ${name}${namespace === undefined ? "" : ` -n ${namespace}`}`;
}
