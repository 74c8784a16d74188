import type { UntypedObject } from "../../../api/index.ts";
import { holderAnnotation, type ObjectReference } from "../../../api/serin/index.ts";
import type { Write } from "../../decide/index.ts";
import { annotationPointer, referenceTo } from "../references.ts";

/** A write of a field. Without a value, it removes the field. */
export function field(object: ObjectReference, pointer: string, value: unknown): Extract<Write, { type: "field" }> {
  return { type: "field", object, pointer, ...(value === undefined ? {} : { value }) };
}

export function created(body: UntypedObject): Write {
  return { type: "create", object: referenceTo(body), body };
}

const holderPointer = annotationPointer(holderAnnotation);

/** Holds the Deployment: it replaces no pods while its pod template changes. */
export function holding(object: ObjectReference): Extract<Write, { type: "field" }> {
  return { ...field(object, "/spec/paused", true), mark: holderPointer };
}

/** Names the Canary that holds the Deployment, so that the engine recognises its own pause without a journal. */
export function heldBy(object: ObjectReference, canary: string): Extract<Write, { type: "field" }> {
  return { ...field(object, holderPointer, canary), mark: holderPointer };
}
