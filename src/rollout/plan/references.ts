import { ownField, pointerName } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import type { ObjectReference } from "../../api/serin/index.ts";

/** The plurals that differ from the lower-case kind with an s. */
const irregular: Readonly<Record<string, string>> = {
  AuthorizationPolicy: "authorizationpolicies",
  NetworkPolicy: "networkpolicies",
  Ingress: "ingresses",
  EndpointSlice: "endpointslices",
  ValidatingAdmissionPolicy: "validatingadmissionpolicies",
};

export function pluralOf(kind: string): string {
  return ownField(irregular, kind) ?? `${kind.toLowerCase()}s`;
}

export function referenceTo(object: UntypedObject): ObjectReference {
  const { apiVersion = "", kind = "", metadata } = object;
  return reference(apiVersion, kind, metadata.name ?? "", metadata.namespace);
}

export function reference(apiVersion: string, kind: string, name: string, namespace?: string): ObjectReference {
  return { apiVersion, kind, plural: pluralOf(kind), name, ...(namespace === undefined ? {} : { namespace }) };
}

export function labelPointer(key: string): string {
  return `/metadata/labels/${pointerName(key)}`;
}

export function annotationPointer(key: string): string {
  return `/metadata/annotations/${pointerName(key)}`;
}
