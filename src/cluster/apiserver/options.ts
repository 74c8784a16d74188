// The options of a request besides its object: those of meta.k8s.io that come as query parameters. Invalid ones are
// refused as by the real server.
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

/** An optional number. 400 for an invalid one. */
export function numberOption(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === "") return undefined;
  if (!/^[+-]?\d+$/.test(text)) throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  return Number(text);
}

/** Checks the options of a list or a watch: which version is requested, and whether it must match exactly. */
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

/** Checks the options of a create, update or patch. `kind` is the kind of the options. */
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

/** Checks the options of a deletion, in its body or its query. */
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
