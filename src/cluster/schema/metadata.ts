import { jsonEqual, stringOf } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import type { FieldError, ResourceType } from "./contract.ts";
import { fieldErrors } from "./field-error.ts";
import { childPath, isObject, objectOf } from "./json.ts";
import {
  checkLabelName,
  checkLabelValue,
  checkPathSegment,
  checkQualifiedName,
  checkSubdomain,
  type NameCheck,
} from "./names.ts";

const annotationsMaxBytes = 256 * 1024;

/** The finalizers without a domain. Objects of built-in kinds may have no others without a domain. */
const standardFinalizers: ReadonlySet<string> = new Set(["kubernetes", "orphan", "foregroundDeletion"]);

/** The checks of names, by `group/plural`. A name of any other kind must be a DNS subdomain. */
const nameChecks: Readonly<Record<string, NameCheck>> = {
  "/namespaces": checkLabelName,
  "/services": checkLabelName,
  "rbac.authorization.k8s.io/roles": checkPathSegment,
  "rbac.authorization.k8s.io/clusterroles": checkPathSegment,
  "rbac.authorization.k8s.io/rolebindings": checkPathSegment,
  "rbac.authorization.k8s.io/clusterrolebindings": checkPathSegment,
};

/**
 * Checks an object's metadata: name, namespace, labels, annotations, owners and finalizers. For an update, also checks
 * that immutable fields have not changed.
 */
export function validateMetadata(
  type: ResourceType,
  object: UntypedObject,
  old: UntypedObject | undefined,
): FieldError[] {
  const { metadata } = object;
  const errors: FieldError[] = [];
  const check = nameChecks[`${type.group}/${type.plural}`] ?? checkSubdomain;
  const { name = "", generateName = "", namespace = "" } = metadata;
  if (name === "" && generateName === "")
    errors.push(fieldErrors.required("metadata.name", "name or generateName is required"));
  if (name !== "") for (const problem of check(name)) errors.push(fieldErrors.invalid("metadata.name", name, problem));
  if (name === "" && generateName !== "")
    for (const problem of check(`${generateName.replace(/-$/, "")}x`))
      errors.push(fieldErrors.invalid("metadata.generateName", generateName, problem));
  if (type.namespaced && namespace === "") errors.push(fieldErrors.required("metadata.namespace"));
  if (type.namespaced && namespace !== "")
    for (const problem of checkLabelName(namespace))
      errors.push(fieldErrors.invalid("metadata.namespace", namespace, problem));
  if (!type.namespaced && namespace !== "")
    errors.push(fieldErrors.forbidden("metadata.namespace", "not allowed on this type"));
  errors.push(
    ...validateLabels(metadata.labels, "metadata.labels"),
    ...validateAnnotations(metadata.annotations),
    ...validateOwners(metadata.ownerReferences),
  );
  for (const [index, finalizer] of (metadata.finalizers ?? []).entries()) {
    const path = childPath("metadata.finalizers", index);
    for (const problem of checkQualifiedName(finalizer))
      errors.push(fieldErrors.invalid("metadata.finalizers", finalizer, problem));
    if (
      type.builtIn &&
      type.group !== "apiextensions.k8s.io" &&
      !finalizer.includes("/") &&
      !standardFinalizers.has(finalizer)
    )
      errors.push(
        fieldErrors.invalid(path, finalizer, "name is neither a standard finalizer name nor is it fully qualified"),
      );
  }
  if (old !== undefined) errors.push(...validateMetadataUpdate(object, old));
  return errors;
}

export function validateLabels(labels: unknown, path: string): FieldError[] {
  return Object.entries(objectOf(labels)).flatMap(([key, value]) => [
    ...checkQualifiedName(key).map((problem) => fieldErrors.invalid(path, key, problem)),
    ...checkLabelValue(stringOf(value)).map((problem) => fieldErrors.invalid(path, value, problem)),
  ]);
}

export function validateAnnotations(
  annotations: Readonly<Record<string, unknown>> | undefined,
  path = "metadata.annotations",
): FieldError[] {
  const errors: FieldError[] = [];
  let bytes = 0;
  for (const [key, value] of Object.entries(annotations ?? {})) {
    for (const problem of checkQualifiedName(key.toLowerCase())) errors.push(fieldErrors.invalid(path, key, problem));
    bytes += Buffer.byteLength(key) + Buffer.byteLength(stringOf(value));
  }
  if (bytes > annotationsMaxBytes) errors.push(fieldErrors.tooLong(path, annotationsMaxBytes));
  return errors;
}

function validateOwners(owners: UntypedObject["metadata"]["ownerReferences"]): FieldError[] {
  const errors: FieldError[] = [];
  let controller: string | undefined;
  for (const owner of owners ?? []) {
    for (const field of ["apiVersion", "kind", "name", "uid"] as const) {
      const isMissing = stringOf(owner[field]) === "";
      if (isMissing || (field === "apiVersion" && owner.apiVersion.split("/").length > 2))
        errors.push(
          fieldErrors.invalid(
            `metadata.ownerReferences.${field}`,
            owner[field] ?? "",
            field === "apiVersion" ? "version must not be empty" : "must not be empty",
          ),
        );
    }
    if (owner.kind === "Event" && (owner.apiVersion === "v1" || owner.apiVersion === "events.k8s.io/v1")) {
      const group = owner.apiVersion === "v1" ? "/v1" : owner.apiVersion;
      errors.push(
        fieldErrors.invalid(
          "metadata.ownerReferences",
          owner,
          `${group}, Kind=Event is disallowed from being an owner`,
        ),
      );
    }
    if (owner.controller !== true) continue;
    if (controller !== undefined)
      errors.push(
        fieldErrors.invalid(
          "metadata.ownerReferences",
          owners,
          `Only one reference can have Controller set to true. Found "true" in references for ${controller} and ${owner.kind}/${owner.name}`,
        ),
      );
    controller = `${owner.kind}/${owner.name}`;
  }
  return errors;
}

function validateMetadataUpdate(object: UntypedObject, old: UntypedObject): FieldError[] {
  const errors: FieldError[] = [];
  const [next, previous] = [objectOf(object.metadata), objectOf(old.metadata)];
  for (const field of [
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
  ]) {
    if (
      next[field] !== undefined &&
      next[field] !== "" &&
      previous[field] !== undefined &&
      !jsonEqual(next[field], previous[field])
    ) {
      errors.push(fieldErrors.invalid(`metadata.${field}`, next[field], "field is immutable"));
    }
  }
  if (previous.deletionTimestamp !== undefined) {
    const kept = new Set(old.metadata.finalizers);
    const added = (object.metadata.finalizers ?? []).filter((finalizer) => !kept.has(finalizer));
    if (added.length > 0)
      errors.push(
        fieldErrors.forbidden(
          "metadata.finalizers",
          `no new finalizers can be added if the object is being deleted, found new finalizers []string{${added.map((finalizer) => JSON.stringify(finalizer)).join(", ")}}`,
        ),
      );
  }
  return errors;
}

export function validateLabelSelector(selector: unknown, path: string): FieldError[] {
  if (!isObject(selector)) return [];
  const errors = validateLabels(selector.matchLabels, `${path}.matchLabels`);
  const expressions: unknown = selector.matchExpressions;
  for (const [index, raw] of (Array.isArray(expressions) ? expressions : []).entries()) {
    const expression = objectOf(raw);
    const at = childPath(`${path}.matchExpressions`, index);
    const values = Array.isArray(expression.values) ? expression.values : [];
    const operator = stringOf(expression.operator);
    if (operator === "In" || operator === "NotIn") {
      if (values.length === 0)
        errors.push(fieldErrors.required(`${at}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
    } else if (operator === "Exists" || operator === "DoesNotExist") {
      if (values.length > 0)
        errors.push(
          fieldErrors.forbidden(`${at}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
        );
    } else errors.push(fieldErrors.invalid(`${at}.operator`, operator, "not a valid selector operator"));
    for (const problem of checkQualifiedName(stringOf(expression.key)))
      errors.push(fieldErrors.invalid(`${at}.key`, expression.key, problem));
  }
  return errors;
}
