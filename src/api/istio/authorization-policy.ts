import { defineKind } from "../kind.ts";
import type { KubernetesObject, LabelSelector } from "../meta.ts";
import type { Parsed } from "../parsed.ts";
import { Reader } from "../reader.ts";
import { readTargetReferences, readWorkloadSelector, securityGroup, warnOfUnknown, type PolicyTargetReference } from "./policy-target.ts";

export const authorizationActions = ["ALLOW", "DENY", "AUDIT", "CUSTOM"] as const;
export type AuthorizationAction = (typeof authorizationActions)[number];

/** security.istio.io/v1. Absent `rules` match nothing: an ALLOW without rules denies all. */
export interface AuthorizationPolicy extends KubernetesObject {
  spec: {
    selector?: LabelSelector | undefined;
    targetRefs: PolicyTargetReference[];
    action: AuthorizationAction;
    provider?: string | undefined;
    rules: AuthorizationRule[];
  };
}

/** Sources are OR-ed, operations are OR-ed, conditions are AND-ed; the three are AND-ed. */
export interface AuthorizationRule {
  from: AuthorizationSource[];
  to: AuthorizationOperation[];
  when: AuthorizationCondition[];
}

/** Values of one field are OR-ed, fields AND-ed. */
export type AuthorizationSource = Readonly<Record<SourceField, readonly string[]>>;
export type AuthorizationOperation = Readonly<Record<OperationField, readonly string[]>>;

export interface AuthorizationCondition {
  key: string;
  values: readonly string[];
  notValues: readonly string[];
}

const sourceFields = [
  "principals",
  "notPrincipals",
  "requestPrincipals",
  "notRequestPrincipals",
  "namespaces",
  "notNamespaces",
  "serviceAccounts",
  "notServiceAccounts",
  "trustDomains",
  "notTrustDomains",
  "ipBlocks",
  "notIpBlocks",
  "remoteIpBlocks",
  "notRemoteIpBlocks",
] as const;
type SourceField = (typeof sourceFields)[number];

const operationFields = ["hosts", "notHosts", "ports", "notPorts", "methods", "notMethods", "paths", "notPaths"] as const;
type OperationField = (typeof operationFields)[number];

const maxPort = 65_535;

export function parseAuthorizationPolicy(raw: unknown): Parsed<AuthorizationPolicy> {
  const object = new Reader(raw);
  const spec = object.object("spec");
  const selector = spec === undefined ? undefined : readWorkloadSelector(spec);
  const targetRefs = spec === undefined ? [] : readTargetReferences(spec);
  const action = spec?.oneOf("action", authorizationActions) ?? "ALLOW";
  const provider = spec?.object("provider")?.string("name");
  const rules = (spec?.list("rules") ?? []).map(readRule);
  if (selector !== undefined && targetRefs.length > 0) spec?.error("must not be set beside targetRefs", "selector");
  if (action === "CUSTOM" && provider === undefined) spec?.error("is required when the action is CUSTOM", "provider");
  if (action === "DENY" && rules.length === 0) spec?.warn("is empty, so this policy denies nothing", "rules");
  if (spec !== undefined) warnOfUnknown(spec);
  return object.finish(() => ({ ...(raw as AuthorizationPolicy), spec: { selector, targetRefs, action, provider, rules } }));
}

function readRule(reader: Reader): AuthorizationRule {
  const rule: AuthorizationRule = {
    from: reader.list("from").map((entry) => readPart(entry, "source", sourceFields)),
    to: reader.list("to").map((entry) => readOperation(entry)),
    when: reader.list("when").map((condition) => ({
      key: condition.required("key", condition.string("key")) ?? "",
      values: condition.strings("values"),
      notValues: condition.strings("notValues"),
    })),
  };
  for (const [index, condition] of rule.when.entries()) {
    if (condition.values.length === 0 && condition.notValues.length === 0) reader.error("must have values or notValues", `when[${index}]`);
  }
  warnOfUnknown(reader);
  return rule;
}

function readOperation(entry: Reader): AuthorizationOperation {
  const operation = readPart(entry, "operation", operationFields);
  for (const field of ["ports", "notPorts"] as const) {
    for (const [index, port] of operation[field].entries()) {
      if (!/^\d+$/.test(port) || Number(port) < 1 || Number(port) > maxPort) entry.error(`must be a port number, got "${port}"`, `operation.${field}[${index}]`);
    }
  }
  return operation;
}

function readPart<Field extends string>(entry: Reader, name: string, fields: readonly Field[]): Readonly<Record<Field, readonly string[]>> {
  const reader = entry.object(name);
  if (reader === undefined) entry.error("is required", name);
  const part = Object.fromEntries(fields.map((field) => [field, reader?.strings(field) ?? []])) as unknown as Record<Field, readonly string[]>;
  if (reader !== undefined && fields.every((field) => part[field].length === 0)) reader.error("must have at least one field");
  if (reader !== undefined) warnOfUnknown(reader);
  return part;
}

export const authorizationPolicyKind = defineKind<AuthorizationPolicy>({
  group: securityGroup,
  versions: ["v1", "v1beta1"],
  kind: "AuthorizationPolicy",
  plural: "authorizationpolicies",
  namespaced: true,
  parse: parseAuthorizationPolicy,
});
