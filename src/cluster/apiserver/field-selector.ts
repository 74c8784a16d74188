import { isTree, ownField } from "../../base/index.ts";
import type { ResourceType } from "../schema/contract.ts";
import type { StoredRecord } from "../store/index.ts";
import { badRequest } from "./status.ts";

export type RecordTest = (record: StoredRecord) => boolean;

/** A parsed field selector. `namespace` is the namespace that it requires of objects. */
export interface FieldSelector {
  readonly namespace: string | undefined;
  readonly test: RecordTest | undefined;
}

/** The selectable fields of built-in kinds, in addition to `metadata.name` and `metadata.namespace`. */
const selectableFields: Readonly<Record<string, readonly string[]>> = {
  "/pods": [
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.podIPs",
    "status.nominatedNodeName",
  ],
  "/events": [
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
  ],
  "/nodes": ["spec.unschedulable"],
  "/secrets": ["type"],
  "/namespaces": ["status.phase"],
  "/services": ["spec.clusterIP", "spec.type"],
  "/replicationcontrollers": ["status.replicas"],
  "apps/replicasets": ["status.replicas"],
  "batch/jobs": ["status.successful"],
  "certificates.k8s.io/certificatesigningrequests": ["spec.signerName"],
};

/** The values that selectors see for absent fields. For other absent fields, they see the empty string. */
const absentValues: Readonly<Record<string, string>> = {
  "spec.unschedulable": "false",
  "spec.hostNetwork": "false",
  "status.replicas": "0",
  "status.successful": "0",
};

interface Term {
  readonly field: string;
  readonly equal: boolean;
  readonly value: string;
}

/** Parses a field selector. Throws 400 for a field that is not selectable. */
export function parseFieldSelector(text: string | null, type: ResourceType): FieldSelector {
  let namespace: string | undefined;
  const tests: RecordTest[] = [];
  for (const { field, equal, value } of termsOf(text)) {
    const valueOf = fieldReader(field, type);
    if (valueOf === undefined) throw unsupportedField(field, type);
    if (equal && field === "metadata.namespace") namespace = value;
    tests.push((record) => (valueOf(record) === value) === equal);
  }
  return { namespace, test: tests.length === 0 ? undefined : (record) => tests.every((test) => test(record)) };
}

/**
 * The name that the selector requires of objects. Returns undefined if the selector requires no name, or if it is
 * invalid.
 */
export function selectedName(text: string | null): string | undefined {
  try {
    return termsOf(text).find(({ field, equal }) => equal && field === "metadata.name")?.value;
  } catch {
    // Ignore the fault: the handler reports the invalid selector after the request is authorized.
    return undefined;
  }
}

function termsOf(text: string | null): Term[] {
  const terms: Term[] = [];
  for (const part of (text ?? "").split(",")) {
    const term = part.trim();
    if (term === "") continue;
    const match = /^([^=!\s]+)\s*(==|=|!=)/.exec(term);
    if (match === null) throw badRequest(`invalid selector: '${text ?? ""}'; can't understand '${part}'`);
    const [start, field = "", operator] = match;
    terms.push({ field, equal: operator !== "!=", value: term.slice(start.length).trim() });
  }
  return terms;
}

function fieldReader(field: string, type: ResourceType): ((record: StoredRecord) => string) | undefined {
  if (field === "metadata.name") return (record) => record.name;
  if (field === "metadata.namespace" && type.namespaced) return (record) => record.namespace;
  const offered = type.builtIn ? selectableFields[type.storageKey] : type.selectableFields;
  if (offered?.includes(field) !== true) return undefined;
  const path = field.split(".");
  const absent = ownField(absentValues, field) ?? "";
  if (field === "source") path.push("component");
  return (record) => {
    const value = path.reduce<unknown>((at, key) => (isTree(at) ? ownField(at, key) : undefined), record.object);
    return typeof value === "string" || typeof value === "number" || typeof value === "boolean"
      ? String(value)
      : absent;
  };
}

/**
 * The error for an unsupported field. As in kube-apiserver, its text depends on whether the kind has selectable fields
 * of its own.
 */
function unsupportedField(field: string, type: ResourceType): Error {
  if (!type.builtIn || selectableFields[type.storageKey] !== undefined)
    return badRequest(`field label not supported: ${field}`);
  const known = type.namespaced ? '"metadata.name", "metadata.namespace"' : '"metadata.name"';
  return badRequest(`${JSON.stringify(field)} is not a known field selector: only ${known}`);
}
