// Compares the requests of the lab's components, as the audit log has them, with the rights in their roles.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { rarelyUsedRights } from "./rarely-used-rights.ts";

interface AuditEvent {
  readonly verb: string;
  readonly user: { readonly username: string };
  readonly objectRef?: {
    readonly apiGroup: string;
    readonly resource: string;
    readonly subresource: string;
    readonly namespace: string;
    readonly name: string;
  };
  /** Needed for requests that name no resource. */
  readonly requestURI?: string;
  readonly annotations: Readonly<Record<string, string>>;
}

interface PolicyRule {
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly nonResourceURLs?: readonly string[];
  readonly verbs: readonly string[];
}

export interface Role {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly rules?: readonly PolicyRule[] | null;
}

interface Binding {
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly roleRef: { readonly kind: string; readonly name: string };
  readonly subjects?: readonly { readonly kind: string; readonly name: string; readonly namespace?: string }[];
}

/** Roles and bindings of both kinds, as `kubectl get -A -o json` lists them. */
export interface RbacObjects {
  readonly items: readonly (Role | Binding)[];
}

interface RightsReport {
  readonly users: readonly string[];
  /** For example `istiod may not list secrets in shop`. */
  readonly refused: readonly string[];
  /**
   * Rights in these users' roles that no request has needed, for example `istiod-clusterrole-istio-system: get nodes`.
   */
  readonly unused: readonly string[];
}

/**
 * Compares the requests and the rights of all service accounts in these namespaces. Looks for unused rights only of the
 * accounts in `compared`.
 */
function auditedRights(
  stateDirectory: string,
  rbac: RbacObjects,
  namespaces: readonly string[],
  compared: readonly string[],
): RightsReport {
  const events = readEvents(stateDirectory).filter(({ user }) =>
    namespaces.some((namespace) => user.username.startsWith(`system:serviceaccount:${namespace}:`)),
  );
  const refused = events
    .filter(({ annotations }) => annotations["authorization.k8s.io/decision"] !== "allow")
    .map(({ user, verb, objectRef, requestURI }) => {
      const name = user.username.replace("system:serviceaccount:", "");
      const where = (objectRef?.namespace ?? "") === "" ? "" : ` in ${objectRef?.namespace ?? ""}`;
      return `${name} may not ${verb} ${objectRef === undefined ? (requestURI ?? "a path") : resourceOf(objectRef)} ${objectRef?.name ?? ""}${where}`;
    });
  const users = new Set(events.map(({ user }) => user.username));
  const unused = bindingsOf(rbac).flatMap((binding) =>
    accountsOf(binding)
      .filter((account) => users.has(account) && compared.includes(account))
      .flatMap((account) =>
        unusedOf(
          binding,
          roleOf(rbac, binding),
          events.filter(({ user }) => user.username === account),
        ),
      ),
  );
  return {
    users: [...users].toSorted(),
    refused: [...new Set(refused)].toSorted(),
    unused: [...new Set(unused)].toSorted(),
  };
}

function readEvents(stateDirectory: string): AuditEvent[] {
  return readFileSync(join(stateDirectory, "audit.log"), "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as AuditEvent);
}

function bindingsOf({ items }: RbacObjects): Binding[] {
  return items.filter((item): item is Binding => "roleRef" in item);
}

function accountsOf({ subjects = [], metadata }: Binding): string[] {
  return subjects
    .filter(({ kind }) => kind === "ServiceAccount")
    .map(({ name, namespace }) => `system:serviceaccount:${namespace ?? metadata.namespace ?? ""}:${name}`);
}

function roleOf({ items }: RbacObjects, { roleRef, metadata }: Binding): Role | undefined {
  const namespace = roleRef.kind === "Role" ? metadata.namespace : undefined;
  return items.find(
    (item): item is Role =>
      !("roleRef" in item) &&
      item.kind === roleRef.kind &&
      item.metadata.name === roleRef.name &&
      item.metadata.namespace === namespace,
  );
}

function resourceOf({ apiGroup, resource, subresource }: NonNullable<AuditEvent["objectRef"]>): string {
  return `${resource}${subresource === "" ? "" : `/${subresource}`}${apiGroup === "" ? "" : `.${apiGroup}`}`;
}

function unusedOf(binding: Binding, role: Role | undefined, events: readonly AuditEvent[]): string[] {
  const { namespace } = binding.metadata;
  const usedRights = events.flatMap(({ verb, objectRef }) =>
    objectRef !== undefined && (namespace === undefined || objectRef.namespace === namespace)
      ? [{ verb, ...objectRef }]
      : [],
  );
  const isAsked = ({ verb, group, resource, path }: Right): boolean =>
    events.some((event) => path !== undefined && event.verb === verb && event.requestURI === path) ||
    usedRights.some(
      ({ verb: askedVerb, apiGroup, resource: name, subresource }) =>
        (verb === "*" || verb === askedVerb) &&
        (group === "*" || group === apiGroup) &&
        (resource === "*" ||
          (subresource === ""
            ? resource === name
            : resource === `${name}/${subresource}` || resource === `*/${subresource}`)),
    );
  return role === undefined
    ? []
    : rightsOf(role)
        .filter((right) => !isAsked(right))
        .map((right) => `${nameOf(binding.roleRef.name, namespace)}: ${textOf(right)}`);
}

interface Right {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  /** A path that belongs to no resource, such as `/metrics`. */
  readonly path?: string;
}

/** One right for each verb on each resource or path. */
function rightsOf({ rules }: Role): Right[] {
  return (rules ?? []).flatMap(({ apiGroups = [], resources = [], nonResourceURLs = [], verbs }) => [
    ...apiGroups.flatMap((group) =>
      resources.flatMap((resource) => verbs.map((verb): Right => ({ verb, group, resource }))),
    ),
    ...nonResourceURLs.flatMap((path) => verbs.map((verb): Right => ({ verb, group: "", resource: path, path }))),
  ]);
}

/** For example `istiod-clusterrole-istio-system: get nodes`. */
export function rightsByName(role: Role): string[] {
  return rightsOf(role).map((right) => `${nameOf(role.metadata.name, role.metadata.namespace)}: ${textOf(right)}`);
}

function textOf({ verb, group, resource }: Right): string {
  return `${verb} ${resource}${group === "" ? "" : `.${group}`}`;
}

function nameOf(role: string, namespace: string | undefined): string {
  return `${role}${namespace === undefined ? "" : ` of ${namespace}`}`;
}

export interface ExpectedRights {
  /** All accounts that send requests, sorted, such as `istio-system:istiod`. No request of theirs may be refused. */
  readonly accounts: readonly string[];
  /** The accounts that have done all their work, apart from rare work. */
  readonly compared: readonly string[];
}

/** Throws for a request that was refused, and for a right that neither a request nor rare work needs. */
export function requireLeastRights(
  stateDirectory: string,
  rbac: RbacObjects,
  { accounts, compared }: ExpectedRights,
): void {
  const namespaces = [...new Set(accounts.map((account) => account.split(":")[0] ?? ""))];
  const named = (list: readonly string[]): string[] => list.map((account) => `system:serviceaccount:${account}`);
  const { users, refused, unused } = auditedRights(stateDirectory, rbac, namespaces, named(compared));
  assert.deepEqual(users, named(accounts));
  assert.deepEqual(refused, [], "what roles refused");
  const needed = new Set(rarelyUsedRights.flatMap(({ rights }) => rights));
  assert.deepEqual(
    unused.filter((right) => !needed.has(right)),
    [],
    "rights that nothing used",
  );
}
