import type { UntypedObject } from "../../api/index.ts";
import {
  aggregatedRules,
  clusterRoles,
  rbacGroup,
  rulesNotCovered,
  rulesOf,
  type PolicyRule,
  type Authorizer,
} from "../auth/index.ts";
import type { Store } from "../store/index.ts";
import type { AdmissionPlugin } from "./chain.ts";
import { AdmissionRefusal, forbidden, type AdmissionRequest } from "./request.ts";

interface RoleRef {
  readonly kind: string;
  readonly name: string;
}

/**
 * The rights that an aggregated role counts as granting in this check. It may get any right later, when another role
 * gets a label that it selects.
 */
const fullAuthority: readonly PolicyRule[] = [
  { apiGroups: ["*"], resources: ["*"], verbs: ["*"] },
  { nonResourceURLs: ["*"], verbs: ["*"] },
];

/** Refuses roles and bindings that grant rights which the writer lacks, unless the writer may `escalate` or `bind`. */
export function roleEscalation(store: Store, authorizer: Authorizer): AdmissionPlugin {
  return {
    name: "RoleEscalation",
    validate(request) {
      const { operation, type, object, subresource } = request;
      if (
        (operation !== "CREATE" && operation !== "UPDATE") ||
        type.group !== rbacGroup ||
        subresource !== "" ||
        object === undefined
      )
        return;
      if (request.user.groups.includes("system:masters")) return;
      const isRole = type.plural === "roles" || type.plural === "clusterroles";
      const roleRef = object["roleRef"] as RoleRef | undefined;
      const named = isRole
        ? { resource: type.plural, name: object.metadata.name ?? "" }
        : { resource: roleRef?.kind === "Role" ? "roles" : "clusterroles", name: roleRef?.name ?? "" };
      const attributes = {
        verb: isRole ? "escalate" : "bind",
        group: rbacGroup,
        ...named,
        subresource: "",
        namespace: request.namespace,
      };
      if (authorizer.authorize(request.user, attributes).allowed) return;
      const wanted = isRole ? rulesOf(object) : rulesOfReference(store, roleRef, request.namespace);
      // Refuse a binding to a role that does not exist: it would grant the rights with which somebody creates the role
      // later.
      if (wanted === undefined) throw missingRole(named);
      const held = authorizer.rulesFor(request.user, request.namespace);
      const missing = rulesNotCovered(held, wanted);
      if (missing.length > 0) throw refusal(request, missing);
      if ([object, request.oldObject].some(isAggregated) && rulesNotCovered(held, fullAuthority).length > 0)
        throw forbidden(request, "must have cluster-admin privileges to use the aggregationRule");
    },
  };
}

function isAggregated(role: UntypedObject | undefined): boolean {
  const aggregation = role?.["aggregationRule"] as
    | { readonly clusterRoleSelectors?: readonly unknown[] }
    | null
    | undefined;
  return (aggregation?.clusterRoleSelectors ?? []).length > 0;
}

/** The rules of the referenced role, or undefined if it does not exist. */
function rulesOfReference(
  store: Store,
  roleRef: RoleRef | undefined,
  namespace: string,
): readonly PolicyRule[] | undefined {
  if (roleRef === undefined) return [];
  const record =
    roleRef.kind === "Role"
      ? store.get(`${rbacGroup}/roles`, namespace, roleRef.name)
      : store.get(clusterRoles, "", roleRef.name);
  if (record === undefined) return undefined;
  const all = store
    .collection(clusterRoles)
    .list()
    .map((role) => role.object);
  return aggregatedRules(record.object, all) ?? rulesOf(record.object);
}

/** The maximum number of rights in a refusal's message. A role of a few kilobytes may grant billions of rights. */
const maxListed = 100;

function refusal(request: AdmissionRequest, missing: readonly PolicyRule[]): AdmissionRefusal {
  const { user } = request;
  const texts = missing.slice(0, maxListed).map((rule) => {
    const fields = Object.entries({
      APIGroups: rule.apiGroups,
      Resources: rule.resources,
      ResourceNames: rule.resourceNames,
      NonResourceURLs: rule.nonResourceURLs,
      Verbs: rule.verbs,
    });
    return `{${fields.flatMap(([name, values]) => (values === undefined ? [] : [`${name}:${JSON.stringify(values)}`])).join(", ")}}`;
  });
  const groups = user.groups.map((group) => JSON.stringify(group)).join(" ");
  const message = `user "${user.name}" (groups=[${groups}]) is attempting to grant RBAC permissions not currently held:`;
  return forbidden(request, [message, ...texts].join("\n"));
}

function missingRole({ resource, name }: { readonly resource: string; readonly name: string }): AdmissionRefusal {
  const message = `${resource}.${rbacGroup} "${name}" not found`;
  return new AdmissionRefusal(404, "NotFound", message, [], { name, group: rbacGroup, kind: resource });
}
