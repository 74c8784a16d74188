import { pointerName, pointerNames } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import type { ObjectReference } from "../../api/serin/index.ts";

export const engineWriter = "engine";

/** An object of the model, with the fields that rollouts read or write. */
export interface ModelObject {
  readonly reference: ObjectReference;
  readonly fields: Map<string, unknown>;
  readonly writers: Map<string, string>;
  /** Objects with the same name have different uids. */
  readonly uid: number;
  /** Increases with each change of a field, as a resourceVersion does. */
  version: number;
  readyAtMs: number;
  /** When its pods last began to start. */
  startedAtMs: number;
  /** How many of its pods are ready before `readyAtMs`: when a Deployment grows, its present pods stay ready. */
  readyBefore?: number;
  /** The pods of a Gateway's canary are ready from this time on. */
  canaryReadyAtMs?: number;
  running?: unknown;
  /** The versions whose pods the Deployment has made. Each has a ReplicaSet. */
  ran?: Set<string>;
}

export function copyOfObject(object: ModelObject): ModelObject {
  return {
    ...object,
    fields: new Map(object.fields),
    writers: new Map(object.writers),
    ...(object.ran === undefined ? {} : { ran: new Set(object.ran) }),
  };
}

/** Maps whose members are separate fields, because others may write a single member. */
const divided: ReadonlySet<string> = new Set(["", "/metadata", "/metadata/labels", "/metadata/annotations", "/spec"]);
/** Members of a body that are not fields, because the reference has them. */
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

/** The opposite of {@link fieldsOfBody}. */
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
