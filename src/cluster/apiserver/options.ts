// The options of meta.k8s.io in query parameters and request bodies. The server refuses invalid ones like
// kube-apiserver.
import { fieldErrors } from "../schema/field-error.ts";
import type { FieldError } from "../schema/contract.ts";
import { badRequest, invalid, type ApiError } from "./status.ts";
import { isTrue } from "./request-info.ts";

const group = "meta.k8s.io";
const maximumManagerBytes = 128;
const fieldValidations = ["Ignore", "Strict", "Warn"];
const policies = ["Foreground", "Background", "Orphan"];

function refuse(kind: string, errors: readonly FieldError[]): void {
  if (errors.length > 0) throw invalidOptions(kind, errors);
}

function invalidOptions(kind: string, errors: readonly FieldError[]): ApiError {
  return invalid({ group, kind }, "", errors);
}

/** An optional query parameter as a number. Throws 400 if it is invalid. */
export function numberOption(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === "") return undefined;
  if (!/^[+-]?\d+$/.test(text)) throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  return Number(text);
}

/** Checks the query parameters of a list or a watch. Throws 400 or 422 if they are invalid or contradict each other. */
export function checkListOptions(query: URLSearchParams, verb: "list" | "watch"): void {
  for (const name of ["limit", "timeoutSeconds"]) numberOption(query, name);
  const match = query.get("resourceVersionMatch") ?? "";
  const forbidden = (field: string, detail: string): FieldError => fieldErrors.forbidden(field, detail);
  const errors: FieldError[] = [];
  const isPage = (query.get("continue") ?? "") !== "";
  if (verb === "watch") {
    if (query.has("sendInitialEvents") && match !== "NotOlderThan")
      errors.push(
        forbidden("resourceVersionMatch", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"),
      );
    if (match !== "" && !query.has("sendInitialEvents"))
      errors.push(
        forbidden(
          "resourceVersionMatch",
          "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
      );
    if (match !== "" && match !== "NotOlderThan")
      errors.push(fieldErrors.notSupported("resourceVersionMatch", match, ["NotOlderThan"]));
    if (match !== "" && isPage)
      errors.push(forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided"));
    return refuse("ListOptions", errors);
  }
  if (match !== "") {
    if ((query.get("resourceVersion") ?? "") === "")
      errors.push(
        forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided"),
      );
    if (isPage)
      errors.push(forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided"));
    if (match !== "Exact" && match !== "NotOlderThan")
      errors.push(fieldErrors.notSupported("resourceVersionMatch", match, ["Exact", "NotOlderThan", ""]));
    if (match === "Exact" && query.get("resourceVersion") === "0")
      errors.push(
        forbidden("resourceVersionMatch", 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'),
      );
  }
  if (query.has("sendInitialEvents"))
    errors.push(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
  refuse("ListOptions", errors);
  if (isPage && !["", "0", null].includes(query.get("resourceVersion")))
    throw badRequest("specifying resource version is not allowed when using continue");
}

/** Checks the options of a create, update or patch. `kind` is the kind of the options object, for messages. */
export function checkWriteOptions(query: URLSearchParams, kind: string, isApply = false): void {
  const manager = query.get("fieldManager") ?? "";
  const errors: FieldError[] = [];
  if (isApply && manager === "") errors.push(fieldErrors.required("fieldManager", "is required for apply patch"));
  if (kind === "PatchOptions" && !isApply && query.has("force"))
    errors.push(fieldErrors.forbidden("force", "may not be specified for non-apply patch"));
  if (Buffer.byteLength(manager) > maximumManagerBytes)
    errors.push(fieldErrors.tooLong("fieldManager", maximumManagerBytes));
  errors.push(...dryRunErrors(query.getAll("dryRun")));
  const validation = query.get("fieldValidation") ?? "";
  if (validation !== "" && !fieldValidations.includes(validation))
    errors.push(fieldErrors.notSupported("fieldValidation", validation, ["", ...fieldValidations]));
  refuse(kind, errors);
}

function dryRunErrors(values: readonly string[]): FieldError[] {
  const wanted = values.filter((value) => value !== "");
  return wanted.every((value) => value === "All") ? [] : [fieldErrors.notSupported("dryRun", wanted, ["All"])];
}

type FieldKind = "integer" | "text" | "boolean" | "texts" | "object" | "map of texts";

const isText = (value: unknown): boolean => typeof value === "string";
const isPlainObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const fits: Readonly<Record<FieldKind, (value: unknown) => boolean>> = {
  integer: Number.isSafeInteger,
  text: isText,
  boolean: (value) => typeof value === "boolean",
  texts: (value) => Array.isArray(value) && value.every(isText),
  object: isPlainObject,
  "map of texts": (value) => isPlainObject(value) && Object.values(value).every(isText),
};

/**
 * Checks the types of the fields of an object that has no schema, because it is not stored. Otherwise a value of a
 * wrong type could get into a stored object, and other clients could not read that object. A null counts as absent.
 * Throws 400 for a wrong type.
 */
export function checkTypes(fields: unknown, kinds: Readonly<Record<string, FieldKind>>, where: string): void {
  if (!isPlainObject(fields)) throw badRequest(`${where} is no object`);
  for (const [name, kind] of Object.entries(kinds)) {
    const value: unknown = Object.hasOwn(fields, name) ? Reflect.get(fields, name) : undefined;
    if (value !== undefined && value !== null && !fits[kind](value))
      throw badRequest(`${where}.${name} has a value of another type than ${kind}`);
  }
}

/** The DeleteOptions of a body, without fields that are null. Throws 400 for values of other types. */
export function deleteOptionsIn(options: unknown): object {
  const where = "DeleteOptions";
  checkTypes(
    options,
    {
      gracePeriodSeconds: "integer",
      propagationPolicy: "text",
      orphanDependents: "boolean",
      preconditions: "object",
      dryRun: "texts",
    },
    where,
  );
  const given = withoutNullFields(options as object);
  const { preconditions } = given as { readonly preconditions?: object };
  if (preconditions === undefined) return given;
  checkTypes(preconditions, { uid: "text", resourceVersion: "text" }, `${where}.preconditions`);
  return { ...given, preconditions: withoutNullFields(preconditions) };
}

function withoutNullFields(fields: object): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));
}

export function checkDeleteOptions(
  { propagationPolicy, orphanDependents }: { readonly propagationPolicy?: string; readonly orphanDependents?: boolean },
  query: URLSearchParams,
): void {
  const errors: FieldError[] = [];
  if (propagationPolicy !== undefined && orphanDependents !== undefined)
    errors.push(
      fieldErrors.invalid(
        "propagationPolicy",
        propagationPolicy,
        "orphanDependents and deletionPropagation cannot be both set",
      ),
    );
  if (propagationPolicy !== undefined && !policies.includes(propagationPolicy))
    errors.push(fieldErrors.notSupported("propagationPolicy", propagationPolicy, [...policies, "nil"]));
  refuse("DeleteOptions", [...errors, ...dryRunErrors(query.getAll("dryRun"))]);
}

export function wantsDryRun(query: URLSearchParams): boolean {
  return query.getAll("dryRun").includes("All");
}

export function wantsInitialEvents(query: URLSearchParams): boolean {
  return isTrue(query.get("sendInitialEvents") ?? "false");
}
