import type { UntypedObject } from "../../api/index.ts";
import { podSpecOf } from "../schema/pod-amounts.ts";
import { qosClassOf } from "../schema/qos-class.ts";
import { podsKey } from "./quota-usage.ts";

export interface QuotaSpec {
  readonly hard?: Readonly<Record<string, string>>;
  readonly scopes?: readonly string[];
  readonly scopeSelector?: { readonly matchExpressions?: readonly ScopeExpression[] };
}

interface ScopeExpression {
  readonly scopeName: string;
  readonly operator: string;
  readonly values?: readonly string[];
}

interface AffinityTerm {
  readonly namespaces?: readonly string[];
  readonly namespaceSelector?: unknown;
}

interface AffinityTerms {
  readonly requiredDuringSchedulingIgnoredDuringExecution?: readonly AffinityTerm[];
  readonly preferredDuringSchedulingIgnoredDuringExecution?: readonly { readonly podAffinityTerm?: AffinityTerm }[];
}

interface ScopedSpec {
  readonly activeDeadlineSeconds?: number;
  readonly priorityClassName?: string;
  readonly affinity?: { readonly podAffinity?: AffinityTerms; readonly podAntiAffinity?: AffinityTerms };
}

/** Whether a quota counts an object. A quota with scopes counts only pods. */
export function isInScopes(
  { scopes = [], scopeSelector }: QuotaSpec,
  storageKey: string,
  object: UntypedObject,
): boolean {
  const expressions = [
    ...scopes.map((scopeName): ScopeExpression => ({ scopeName, operator: "Exists" })),
    ...(scopeSelector?.matchExpressions ?? []),
  ];
  if (expressions.length === 0) return true;
  return storageKey === podsKey && expressions.every((expression) => matches(expression, object));
}

function matches({ scopeName, operator, values = [] }: ScopeExpression, pod: UntypedObject): boolean {
  const spec = (pod["spec"] ?? {}) as ScopedSpec;
  switch (scopeName) {
    case "Terminating":
      return spec.activeDeadlineSeconds !== undefined;
    case "NotTerminating":
      return spec.activeDeadlineSeconds === undefined;
    case "BestEffort":
      return isBestEffort(pod);
    case "NotBestEffort":
      return !isBestEffort(pod);
    case "CrossNamespacePodAffinity":
      return [spec.affinity?.podAffinity, spec.affinity?.podAntiAffinity].some(namesNamespaces);
    case "PriorityClass":
      return matchesClass(spec.priorityClassName ?? "", operator, values);
    default:
      return false;
  }
}

function matchesClass(name: string, operator: string, values: readonly string[]): boolean {
  if (operator === "In") return values.includes(name);
  if (operator === "NotIn") return !values.includes(name);
  return (operator === "Exists") === (name !== "");
}

function isBestEffort(pod: UntypedObject): boolean {
  const { qosClass = qosClassOf(podSpecOf(pod)) } = (pod["status"] ?? {}) as { readonly qosClass?: string };
  return qosClass === "BestEffort";
}

function namesNamespaces(terms: AffinityTerms | undefined): boolean {
  return [
    ...(terms?.requiredDuringSchedulingIgnoredDuringExecution ?? []),
    ...(terms?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(({ podAffinityTerm }) => podAffinityTerm),
  ].some((term) => (term?.namespaces ?? []).length > 0 || term?.namespaceSelector !== undefined);
}
