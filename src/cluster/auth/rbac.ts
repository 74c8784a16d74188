import { matchesLabelSelector, type LabelSelector, type UntypedObject } from "../../api/index.ts";
import type { Store } from "../store/index.ts";
import type { AccessAttributes, User } from "./user.ts";

/** A PolicyRule of rbac.authorization.k8s.io. */
export interface PolicyRule {
  readonly verbs: readonly string[];
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly nonResourceURLs?: readonly string[];
}

interface Subject {
  readonly kind: "User" | "Group" | "ServiceAccount";
  readonly name: string;
  readonly namespace?: string;
}

interface Binding {
  readonly namespace: string;
  readonly name: string;
  readonly roleKind: string;
  readonly roleName: string;
  /** The subject, as the reason in a decision names it. */
  readonly subject: string;
  /** The place in the order in which Kubernetes checks bindings: those of the whole cluster come first. */
  readonly position: number;
}

export interface Decision {
  readonly allowed: boolean;
  readonly reason: string;
  /** Whether the rule that allows the request lists object names. */
  readonly byName?: boolean;
}

export interface Authorizer {
  authorize(user: User, attributes: AccessAttributes): Decision;
  /** The rules that the user's roles grant, cluster-wide and in the namespace. */
  rulesFor(user: User, namespace: string): readonly PolicyRule[];
}

export const rbacGroup = "rbac.authorization.k8s.io";
export const clusterRoles = `${rbacGroup}/clusterroles`;
const roles = `${rbacGroup}/roles`;
const clusterRoleBindings = `${rbacGroup}/clusterrolebindings`;
const roleBindings = `${rbacGroup}/rolebindings`;

/** The RBAC authorizer. It uses the stored roles and bindings, indexed by subject. */
export class RbacAuthorizer implements Authorizer {
  readonly #store: Store;
  #bySubject = new Map<string, Binding[]>();
  #indexed = "";

  constructor(store: Store) {
    this.#store = store;
  }

  authorize(user: User, attributes: AccessAttributes): Decision {
    if (user.groups.includes("system:masters")) return { allowed: true, reason: "" };
    for (const { binding, rule } of this.#rules(user, attributes.namespace)) {
      if (!ruleAllows(rule, attributes)) continue;
      const byName = (rule.resourceNames ?? []).length > 0;
      return { allowed: true, reason: `RBAC: allowed by ${describe(binding)}`, byName };
    }
    return { allowed: false, reason: "" };
  }

  rulesFor(user: User, namespace: string): readonly PolicyRule[] {
    if (user.groups.includes("system:masters")) {
      return [
        { verbs: ["*"], apiGroups: ["*"], resources: ["*"] },
        { verbs: ["*"], nonResourceURLs: ["*"] },
      ];
    }
    return [...this.#rules(user, namespace)].map(({ rule }) => rule);
  }

  *#rules(user: User, namespace: string): Iterable<{ binding: Binding; rule: PolicyRule }> {
    this.#index();
    const bindings = [...subjectKeys(user)]
      .flatMap((key) => this.#bySubject.get(key) ?? [])
      .filter((binding) => binding.namespace === "" || binding.namespace === namespace)
      .sort((a, b) => a.position - b.position);
    for (const binding of bindings) for (const rule of this.#roleRules(binding)) yield { binding, rule };
  }

  #roleRules(binding: Binding): readonly PolicyRule[] {
    const role =
      binding.roleKind === "ClusterRole"
        ? this.#store.get(clusterRoles, "", binding.roleName)
        : this.#store.get(roles, binding.namespace, binding.roleName);
    return role === undefined ? [] : rulesOf(role.object);
  }

  #index(): void {
    const state = `${this.#store.collection(clusterRoleBindings).revision}/${this.#store.collection(roleBindings).revision}`;
    if (state === this.#indexed) return;
    this.#indexed = state;
    this.#bySubject = new Map();
    let position = 0;
    for (const collection of [clusterRoleBindings, roleBindings]) {
      for (const record of this.#store.collection(collection).list()) {
        const { roleRef, subjects = [] } = record.object as {
          roleRef?: { kind: string; name: string };
          subjects?: Subject[];
        };
        if (roleRef === undefined) continue;
        for (const subject of subjects) {
          const key = subjectKey(subject, record.namespace);
          const binding: Binding = {
            namespace: record.namespace,
            name: record.name,
            roleKind: roleRef.kind,
            roleName: roleRef.name,
            subject: subjectText(subject, record.namespace),
            position: position++,
          };
          const found = this.#bySubject.get(key);
          if (found === undefined) this.#bySubject.set(key, [binding]);
          else found.push(binding);
        }
      }
    }
  }
}

function subjectKey(subject: Subject, bindingNamespace: string): string {
  if (subject.kind === "ServiceAccount")
    return `User:system:serviceaccount:${subject.namespace ?? bindingNamespace}:${subject.name}`;
  return `${subject.kind}:${subject.name}`;
}

function* subjectKeys(user: User): Iterable<string> {
  yield `User:${user.name}`;
  for (const group of user.groups) yield `Group:${group}`;
}

function subjectText({ kind, name, namespace }: Subject, bindingNamespace: string): string {
  return `${kind} "${kind === "ServiceAccount" ? `${name}/${namespace ?? bindingNamespace}` : name}"`;
}

function describe(binding: Binding): string {
  const kind = binding.namespace === "" ? "ClusterRoleBinding" : "RoleBinding";
  const name = binding.namespace === "" ? binding.name : `${binding.name}/${binding.namespace}`;
  return `${kind} "${name}" of ${binding.roleKind} "${binding.roleName}" to ${binding.subject}`;
}

export function rulesOf(role: UntypedObject): readonly PolicyRule[] {
  return (role["rules"] as PolicyRule[] | null | undefined) ?? [];
}

export function ruleAllows(rule: PolicyRule, attributes: AccessAttributes): boolean {
  if (!rule.verbs.includes("*") && !rule.verbs.includes(attributes.verb)) return false;
  if (attributes.path !== undefined) return pathMatches(rule.nonResourceURLs ?? [], attributes.path);
  const { apiGroups = [], resources = [], resourceNames = [] } = rule;
  if (!apiGroups.includes("*") && !apiGroups.includes(attributes.group)) return false;
  if (resourceNames.length > 0 && !resourceNames.includes(attributes.name)) return false;
  const { resource, subresource } = attributes;
  const wanted = subresource === "" ? resource : `${resource}/${subresource}`;
  return resources.some(
    (entry) => entry === "*" || entry === wanted || (subresource !== "" && entry === `*/${subresource}`),
  );
}

function pathMatches(patterns: readonly string[], path: string): boolean {
  return patterns.some(
    (pattern) =>
      pattern === "*" || pattern === path || (pattern.endsWith("*") && path.startsWith(pattern.slice(0, -1))),
  );
}

/** The rules of all roles that a ClusterRole with an aggregationRule selects. Returns undefined for other roles. */
export function aggregatedRules(role: UntypedObject, all: Iterable<UntypedObject>): readonly PolicyRule[] | undefined {
  const aggregation = role["aggregationRule"] as { clusterRoleSelectors?: LabelSelector[] } | null | undefined;
  if (aggregation === undefined || aggregation === null) return undefined;
  const rules: PolicyRule[] = [];
  const seen = new Set<string>();
  for (const other of all) {
    if (other.metadata.name === role.metadata.name) continue;
    const selected = (aggregation.clusterRoleSelectors ?? []).some((selector) =>
      matchesLabelSelector(selector, other.metadata.labels),
    );
    if (!selected) continue;
    for (const rule of rulesOf(other)) {
      const text = JSON.stringify(rule);
      if (!seen.has(text)) rules.push(rule);
      seen.add(text);
    }
  }
  return rules;
}
