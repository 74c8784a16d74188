import { defineKind } from "../../kind.ts";
import type { KubernetesObject, LabelSelector } from "../../meta.ts";
import type { Parsed } from "../../parsed.ts";
import type { Reader } from "../../reader.ts";
import {
  conditionFault,
  conditionValueFault,
  fieldFault,
  operationDoubt,
  operationFields,
  pathTemplateFault,
  sourceFields,
  type OperationField,
  type SourceField,
} from "./authorization-values.ts";
import { checkEach, emptyFault } from "../checks.ts";
import { dryRunAnnotation, openObject, readText, refuseUnknown, type OpenedObject } from "../fields.ts";
import { readPolicyTarget, securityGroup, type PolicyTargetReference } from "../policy-target.ts";

const authorizationActions = ["ALLOW", "DENY", "AUDIT", "CUSTOM"] as const;
export type AuthorizationAction = (typeof authorizationActions)[number];

/**
 * security.istio.io AuthorizationPolicy. Without `rules`, nothing matches, so an ALLOW policy without rules denies
 * everything.
 */
export interface AuthorizationPolicy extends KubernetesObject {
  spec: {
    selector?: LabelSelector | undefined;
    targetRefs: PolicyTargetReference[];
    action: AuthorizationAction;
    /** The name of one of the mesh's extension providers, for the action CUSTOM. */
    provider?: string | undefined;
    rules: AuthorizationRule[];
  };
}

/**
 * A rule of a policy. Sources are OR-ed, operations are OR-ed, and conditions are AND-ed. The three results are AND-ed.
 */
export interface AuthorizationRule {
  from: AuthorizationSource[];
  to: AuthorizationOperation[];
  when: AuthorizationCondition[];
}

/** The values of one field are OR-ed, and the fields are AND-ed. */
export type AuthorizationSource = Readonly<Record<SourceField, readonly string[]>>;
export type AuthorizationOperation = Readonly<Record<OperationField, readonly string[]>>;

export interface AuthorizationCondition {
  key: string;
  values: readonly string[];
  notValues: readonly string[];
}

/**
 * The fields that a CUSTOM policy may use. External authorizers run before identities and tokens are verified, so only
 * addresses are reliable.
 */
const addressFields = new Set<string>(["ipBlocks", "notIpBlocks", "remoteIpBlocks", "notRemoteIpBlocks"]);
const identityFields = ["principals", "notPrincipals", "namespaces", "notNamespaces"] as const;
const accountFields = ["serviceAccounts", "notServiceAccounts"] as const;
const requestFields = new Set<string>(["requestPrincipals", "notRequestPrincipals", "trustDomains", "notTrustDomains"]);
const maxRules = 512;

export function parseAuthorizationPolicy(raw: unknown): Parsed<AuthorizationPolicy> {
  const opened = openObject(raw);
  const { object, spec: reader } = opened;
  const { selector, targetRefs } = readPolicyTarget(reader);
  const action = reader.oneOf("action", authorizationActions) ?? "ALLOW";
  const providerReader = reader.object("provider");
  const provider = providerReader === undefined ? undefined : readText(providerReader, "name");
  const rules = reader.objects("rules").map((rule) => readRule(rule, action));
  refuseUnknown(providerReader);
  if (rules.length > maxRules) reader.error(`must have at most ${maxRules}, got ${rules.length}`, "rules");
  checkAction(reader, action, provider, rules);
  checkDryRun(opened, action);
  refuseUnknown(reader);
  return object.finish(() => ({
    ...(raw as AuthorizationPolicy),
    spec: { selector, targetRefs, action, provider, rules },
  }));
}

function checkAction(
  reader: Reader,
  action: AuthorizationAction,
  provider: string | undefined,
  rules: readonly AuthorizationRule[],
): void {
  if (action === "CUSTOM" && provider === undefined)
    reader.error("is required when the action is CUSTOM: the name of an extension provider", "provider");
  if (action !== "CUSTOM" && reader.has("provider"))
    reader.error(`must not be set when the action is ${action}; it is for CUSTOM`, "provider");
  if ((action === "CUSTOM" || action === "DENY") && rules.length === 0)
    reader.error(`must have a rule when the action is ${action}; write {} for one that every request matches`, "rules");
}

function checkDryRun({ object, annotations }: OpenedObject, action: AuthorizationAction): void {
  const value = annotations[dryRunAnnotation];
  if (value === undefined) return;
  const field = `metadata.annotations.${dryRunAnnotation}`;
  if (action !== "ALLOW" && action !== "DENY")
    object.error(`is for the actions ALLOW and DENY only, got ${action}`, field);
  else if (!/^(1|0|t|f|true|false)$/i.test(value)) object.error(`must be "true" or "false", got "${value}"`, field);
}

function readRule(reader: Reader, action: AuthorizationAction): AuthorizationRule {
  const rule: AuthorizationRule = {
    from: reader.objects("from").map((entry) => readSource(entry, action)),
    to: reader.objects("to").map(readOperation),
    when: reader.objects("when").map((entry) => readCondition(entry, action)),
  };
  for (const field of ["from", "to"] as const)
    if (reader.has(field) && rule[field].length === 0) reader.error("must not be empty; remove it to match all", field);
  if (action === "DENY" && matchesOnlyRequests(rule)) {
    reader.warn(
      "has HTTP conditions only, so the policy denies all traffic to TCP ports; list the HTTP ports in to.operation.ports",
    );
  }
  refuseUnknown(reader);
  return rule;
}

/**
 * Whether the rule uses only properties of HTTP requests. A DENY rule ignores them on a connection without HTTP, so
 * such a rule denies every connection without HTTP.
 */
function matchesOnlyRequests(rule: AuthorizationRule): boolean {
  const hasConnectionSource = rule.from.some((source) =>
    sourceFields.some((field) => !requestFields.has(field) && source[field].length > 0),
  );
  const hasPorts = rule.to.some((operation) => operation.ports.length > 0 || operation.notPorts.length > 0);
  return rule.to.length > 0 ? !hasPorts : rule.from.length > 0 && !hasConnectionSource;
}

function readSource(entry: Reader, action: AuthorizationAction): AuthorizationSource {
  const source = readPart(entry, "source", sourceFields);
  for (const field of sourceFields) {
    if (action === "CUSTOM" && !addressFields.has(field) && source[field].length > 0)
      entry.error("is not supported when the action is CUSTOM", `source.${field}`);
    checkEach(entry, `source.${field}`, source[field], (value) => fieldFault(field, value));
  }
  const accounts = accountFields.filter((field) => source[field].length > 0);
  const identities = identityFields.filter((field) => source[field].length > 0);
  if (identities.length > 0)
    for (const field of accounts) entry.error(`cannot be combined with ${identities.join(" and ")}`, `source.${field}`);
  return source;
}

function readOperation(entry: Reader): AuthorizationOperation {
  const operation = readPart(entry, "operation", operationFields);
  for (const field of operationFields) {
    checkEach(entry, `operation.${field}`, operation[field], (value) => fieldFault(field, value));
    for (const [index, value] of operation[field].entries()) {
      const doubt = value === "" ? undefined : operationDoubt(field, value);
      if (doubt !== undefined) entry.warn(doubt, `operation.${field}[${index}]`);
    }
  }
  for (const field of ["paths", "notPaths"] as const)
    checkEach(entry, `operation.${field}`, operation[field], (path) =>
      path === "" ? undefined : pathTemplateFault(path),
    );
  return operation;
}

function readPart<Field extends string>(
  entry: Reader,
  name: string,
  fields: readonly Field[],
): Readonly<Record<Field, readonly string[]>> {
  const reader = entry.object(name);
  if (reader === undefined) entry.required(name, undefined);
  const part = Object.fromEntries(fields.map((field) => [field, reader?.strings(field) ?? []])) as unknown as Record<
    Field,
    readonly string[]
  >;
  if (reader !== undefined && fields.every((field) => part[field].length === 0))
    reader.error(`must have at least one of ${fields.join(", ")}`);
  refuseUnknown(reader);
  refuseUnknown(entry);
  return part;
}

function readCondition(reader: Reader, action: AuthorizationAction): AuthorizationCondition {
  const condition = {
    key: reader.string("key") ?? "",
    values: reader.strings("values"),
    notValues: reader.strings("notValues"),
  };
  const { key } = condition;
  if (condition.values.length === 0 && condition.notValues.length === 0) reader.error("must have values or notValues");
  const fault = conditionFault(key, action === "CUSTOM");
  if (fault !== undefined) reader.error(fault, "key");
  else {
    for (const field of ["values", "notValues"] as const)
      checkEach(reader, field, condition[field], (value) => emptyFault(value) ?? conditionValueFault(key, value));
  }
  refuseUnknown(reader);
  return condition;
}

/**
 * The strictest reading of a policy that was rejected, so that a fault in the policy admits nobody. An ALLOW then
 * allows nothing, and other actions deny all requests to the workloads that they select. Undefined for AUDIT, which
 * decides nothing.
 */
export function closedPolicySpec(raw: unknown): AuthorizationPolicy["spec"] | undefined {
  const { spec: reader } = openObject(raw);
  const action = reader.has("action") ? (reader.oneOf("action", authorizationActions) ?? "DENY") : "ALLOW";
  if (action === "AUDIT") return undefined;
  const isAllow = action === "ALLOW";
  return {
    ...readPolicyTarget(reader),
    action: isAllow ? "ALLOW" : "DENY",
    provider: undefined,
    rules: isAllow ? [] : [{ from: [], to: [], when: [] }],
  };
}

export const authorizationPolicyKind = defineKind<AuthorizationPolicy>({
  group: securityGroup,
  versions: ["v1", "v1beta1"],
  kind: "AuthorizationPolicy",
  plural: "authorizationpolicies",
  namespaced: true,
  parse: parseAuthorizationPolicy,
});
