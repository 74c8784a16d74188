import { pointerName, pointerNames } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import type { ObjectReference } from "../../api/serin/index.ts";

/** The name of the engine among the writers of fields. */
export const engineWriter = "engine";

/** An object of the model with the relevant fields. */
export interface ModelObject {
  readonly reference: ObjectReference;
  readonly fields: Map<string, unknown>;
  /** The last writer of each field. */
  readonly writers: Map<string, string>;
  /** A different number for each object that gets this name. */
  readonly uid: number;
  /** Increases with each change of a field. */
  version: number;
  readyAtMs: number;
  /** When its pods were last started. */
  startedAtMs: number;
  /** How many of its pods are ready before `readyAtMs`: when a Deployment grows, its former pods stay ready. */
  readyBefore?: number;
  /** The time when the pods of a Gateway's canary are ready. */
  canaryReadyAtMs?: number;
  /** The pod template with which the pods of an application's Deployment run. */
  running?: unknown;
  /** The versions whose pods the Deployment has made. Each has a ReplicaSet. */
  ran?: Set<string>;
}

/** An independent copy of the object. */
export function copyOfObject(object: ModelObject): ModelObject {
  return {
    ...object,
    fields: new Map(object.fields),
    writers: new Map(object.writers),
    ...(object.ran === undefined ? {} : { ran: new Set(object.ran) }),
  };
}

/** The maps of a body that are divided into their members, because others may write each member by itself. */
const divided: ReadonlySet<string> = new Set(["", "/metadata", "/metadata/labels", "/metadata/annotations", "/spec"]);
/** The fields that the model already knows or does not need. */
const left: ReadonlySet<string> = new Set(["/apiVersion", "/kind", "/metadata/name", "/metadata/namespace"]);

/** The fields of a body by their pointers. Lists and most maps are one field each. */
export function fieldsOfBody(body: UntypedObject): Record<string, unknown> {
  const isService = body.kind === "Service";
  const fields: Record<string, unknown> = {};
  const visit = (value: unknown, pointer: string): void => {
    const isDivided = divided.has(pointer) || (isService && pointer === "/spec/selector");
    if (isDivided && typeof value === "object" && value !== null)
      for (const [name, member] of Object.entries(value)) visit(member, `${pointer}/${pointerName(name)}`);
    else if (!left.has(pointer)) fields[pointer] = value;
  };
  visit(body, "");
  return fields;
}

/** The body of an object, from its fields. */
export function bodyOf({ reference, fields }: Pick<ModelObject, "reference" | "fields">): UntypedObject {
  const { apiVersion, kind, name, namespace } = reference;
  const body = { apiVersion, kind, metadata: { name, ...(namespace === undefined ? {} : { namespace }) } };
  for (const [pointer, value] of fields) {
    const names = pointerNames(pointer);
    let at: Record<string, unknown> = body;
    for (const parent of names.slice(0, -1)) at = (at[parent] ??= {}) as Record<string, unknown>;
    at[names.at(-1) ?? ""] = value;
  }
  return body;
}
