import { jsonEqual } from "../../base/index.ts";
import { groupVersionOf, matchesLabelSelector, type LabelSelector, type UntypedObject } from "../../api/index.ts";
import type { Authorizer } from "../auth/index.ts";
import type { ResourceType, SchemaRegistry } from "../schema/contract.ts";
import type { Store } from "../store/index.ts";
import type { AdmissionPlugin } from "./chain.ts";
import { AdmissionRefusal, subjectOf, type AdmissionRequest } from "./request.ts";

export const policyGroup = "admissionregistration.k8s.io";
export const policies = `${policyGroup}/validatingadmissionpolicies`;

export interface ParamKind {
  readonly apiVersion?: string;
  readonly kind?: string;
}

export interface ParamRef {
  readonly name?: string;
  readonly namespace?: string;
  readonly selector?: LabelSelector;
  readonly parameterNotFoundAction?: string;
}

interface ParameterParts {
  readonly store: Store;
  readonly registry: SchemaRegistry;
}

/**
 * The parameter objects of a policy. The server evaluates the policy once for each of them. For a policy without
 * parameters, returns one `null`. Returns an empty list if no object matches and the binding allows that. Throws if the
 * binding is misconfigured, or if it requires an object and none matches.
 */
export function parametersOf(
  { store, registry }: ParameterParts,
  kind: ParamKind | undefined,
  reference: ParamRef | undefined,
  requestNamespace: string,
): readonly (UntypedObject | null)[] {
  if (kind === undefined || reference === undefined) return [null];
  const type = typeOf(registry, kind);
  if (type === undefined)
    throw new Error(`paramKind kind \`${kind.apiVersion ?? ""}, Kind=${kind.kind ?? ""}\` not known`);
  const namespace = namespaceOf(type, reference, requestNamespace);
  const { name = "", selector, parameterNotFoundAction } = reference;
  if (name === "" && selector === undefined) throw new Error("one of name or selector must be provided");
  if (name !== "" && selector !== undefined)
    throw new Error("paramRef.name and paramRef.selector are mutually exclusive");
  const found =
    name === ""
      ? store
          .collection(type.storageKey)
          .list(namespace)
          .filter(({ labels }) => matchesLabelSelector(selector ?? {}, labels))
      : [store.latest(type.storageKey, namespace, name)].filter((record) => record !== undefined);
  if (found.length === 0 && parameterNotFoundAction === "Deny")
    throw new Error("no params found for policy binding with `Deny` parameterNotFoundAction");
  return found.map(({ object }) => registry.convert(object, type));
}

/**
 * The namespace of the parameters: the namespace that the binding names, or else the request's. Returns the empty text
 * for cluster-scoped parameters.
 */
function namespaceOf(type: ResourceType, { namespace = "" }: ParamRef, requestNamespace: string): string {
  if (!type.namespaced) {
    if (namespace !== "") throw new Error("paramRef.namespace must not be provided for a cluster-scoped `paramKind`");
    return "";
  }
  const place = namespace === "" ? requestNamespace : namespace;
  if (place === "")
    throw new Error("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources");
  return place;
}

/**
 * Refuses a policy or a binding if its author may not read the parameters, because a policy can reveal what they
 * contain.
 */
export function policyParameterRights(parts: ParameterParts, authorizer: Authorizer): AdmissionPlugin {
  return {
    name: "PolicyParameterRights",
    validate(request) {
      const { operation, type, subresource } = request;
      const isWrite = operation === "CREATE" || operation === "UPDATE";
      if (!isWrite || type.group !== policyGroup || subresource !== "") return;
      if (type.plural === "validatingadmissionpolicies") checkPolicy(parts, authorizer, request);
      if (type.plural === "validatingadmissionpolicybindings") checkBinding(parts, authorizer, request);
    },
  };
}

function checkPolicy(parts: ParameterParts, authorizer: Authorizer, request: AdmissionRequest): void {
  const kind = specOf(request.object).paramKind;
  if (kind === undefined || jsonEqual(kind, specOf(request.oldObject).paramKind)) return;
  if (mayRead(parts, authorizer, request, kind, { name: "*", namespace: "*" })) return;
  const named = `(kind=${kind.kind ?? ""}, apiVersion=${kind.apiVersion ?? ""})`;
  throw refusal(request, "paramKind", `must have "get" permission on all objects of the referenced paramKind ${named}`);
}

function checkBinding(parts: ParameterParts, authorizer: Authorizer, request: AdmissionRequest): void {
  const { paramRef, policyName = "" } = specOf(request.object);
  const before = specOf(request.oldObject);
  if (paramRef === undefined) return;
  if (policyName === before.policyName && jsonEqual(paramRef, before.paramRef)) return;
  const kind = specOf(parts.store.latest(policies, "", policyName)?.object).paramKind;
  if (mayRead(parts, authorizer, request, kind, paramRef)) return;
  throw refusal(request, "paramRef", 'does not have "get" permission on the object referenced by paramRef');
}

interface ParameterSpec {
  readonly paramKind?: ParamKind;
  readonly paramRef?: ParamRef;
  readonly policyName?: string;
}

function specOf(object: UntypedObject | undefined): ParameterSpec {
  return object?.["spec"] ?? {};
}

function typeOf(registry: SchemaRegistry, { apiVersion = "", kind }: ParamKind): ResourceType | undefined {
  const { group, version } = groupVersionOf(apiVersion);
  return registry.resources().find((type) => type.group === group && type.version === version && type.kind === kind);
}

/** Whether the author may read the parameters. If their kind is unknown, only the right to read everything suffices. */
function mayRead(
  { registry }: ParameterParts,
  authorizer: Authorizer,
  { user }: AdmissionRequest,
  kind: ParamKind | undefined,
  { name = "", namespace = "" }: ParamRef,
): boolean {
  const group = kind === undefined ? "*" : groupVersionOf(kind.apiVersion ?? "").group;
  const resource = (kind && typeOf(registry, kind))?.plural ?? "*";
  return authorizer.authorize(user, { verb: "get", group, resource, subresource: "", name, namespace }).allowed;
}

function refusal(request: AdmissionRequest, field: string, why: string): AdmissionRefusal {
  const { type, object, user } = request;
  const cause = `Forbidden: user "${user.name}" ${why}`;
  return new AdmissionRefusal(
    422,
    "Invalid",
    `${type.kind}.${type.group} "${object?.metadata.name ?? ""}" is invalid: spec.${field}: ${cause}`,
    [{ reason: "FieldValueForbidden", message: cause, field: `spec.${field}` }],
    subjectOf(request),
  );
}
