// What the lab's components asked of the API server, by its audit log, beside what their roles allow.
import { readFileSync } from "node:fs";
import { join } from "node:path";

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
  readonly annotations: Readonly<Record<string, string>>;
}

interface PolicyRule {
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly verbs: readonly string[];
}

interface Role {
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

export interface RightsReport {
  /** Who asked for anything. */
  readonly users: readonly string[];
  /** `istiod may not list secrets in shop`. */
  readonly refused: readonly string[];
  /** `istiod-clusterrole-istio-system: nodes`: of roles of the users that asked for anything. */
  readonly unused: readonly string[];
}

/** Compares for the service accounts of these namespaces. */
export function auditedRights(stateDirectory: string, rbac: RbacObjects, namespaces: readonly string[]): RightsReport {
  const events = readEvents(stateDirectory).filter(({ user }) =>
    namespaces.some((namespace) => user.username.startsWith(`system:serviceaccount:${namespace}:`)),
  );
  const refused = events
    .filter(({ annotations }) => annotations["authorization.k8s.io/decision"] !== "allow")
    .map(({ user, verb, objectRef }) => {
      const name = user.username.replace("system:serviceaccount:", "");
      const where = (objectRef?.namespace ?? "") === "" ? "" : ` in ${objectRef?.namespace ?? ""}`;
      return `${name} may not ${verb} ${objectRef === undefined ? "a path" : resourceOf(objectRef)} ${objectRef?.name ?? ""}${where}`;
    });
  const users = new Set(events.map(({ user }) => user.username));
  const unused = bindingsOf(rbac).flatMap((binding) =>
    accountsOf(binding)
      .filter((account) => users.has(account))
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

/** Resources of a role that no request of the account was for. */
function unusedOf(binding: Binding, role: Role | undefined, events: readonly AuditEvent[]): string[] {
  const { namespace } = binding.metadata;
  const asked = events.flatMap(({ objectRef }) =>
    objectRef !== undefined && (namespace === undefined || objectRef.namespace === namespace) ? [objectRef] : [],
  );
  const isAsked = (group: string, resource: string): boolean =>
    asked.some(
      ({ apiGroup, resource: name, subresource }) =>
        apiGroup === group && (resource === "*" || resource === (subresource === "" ? name : `${name}/${subresource}`)),
    );
  return (role?.rules ?? []).flatMap(({ apiGroups = [], resources = [] }) =>
    apiGroups.flatMap((group) =>
      resources
        .filter((resource) => !isAsked(group, resource))
        .map((resource) => `${nameOf(binding)}: ${resource}${group === "" ? "" : `.${group}`}`),
    ),
  );
}

function nameOf({ roleRef, metadata }: Binding): string {
  return `${roleRef.name}${metadata.namespace === undefined ? "" : ` of ${metadata.namespace}`}`;
}
