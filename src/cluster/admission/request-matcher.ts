import { matchesLabelSelector, type LabelSelector, type UntypedObject } from "../../api/index.ts";
import type { ResourceType, SchemaRegistry } from "../schema/contract.ts";
import type { Store } from "../store/index.ts";
import type { AdmissionRequest } from "./request.ts";

/** A rule (admissionregistration.k8s.io/v1), as stored: the server has applied the defaults. */
export interface MatchRule {
  readonly operations?: readonly string[];
  readonly apiGroups?: readonly string[];
  readonly apiVersions?: readonly string[];
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly scope?: "Cluster" | "Namespaced" | "*";
}

export type MatchPolicy = "Exact" | "Equivalent";

export class RequestMatcher {
  readonly #store: Store;
  readonly #registry: SchemaRegistry;

  constructor(store: Store, registry: SchemaRegistry) {
    this.#store = store;
    this.#registry = registry;
  }

  /**
   * The type in which a webhook or policy gets the request. This is the request's own type, or, with `matchPolicy:
   * Equivalent`, another version of the resource that a rule names. Returns undefined if no rule matches.
   */
  typeFor(
    rules: readonly MatchRule[],
    policy: MatchPolicy | undefined,
    request: AdmissionRequest,
  ): ResourceType | undefined {
    if (rules.some((rule) => ruleMatches(rule, request, request.type))) return request.type;
    if (policy === "Exact") return undefined;
    return this.#registry
      .versions(request.type.storageKey)
      .find((type) => type !== request.type && rules.some((rule) => ruleMatches(rule, request, type)));
  }

  selects(
    {
      objectSelector,
      namespaceSelector,
    }: { readonly objectSelector?: LabelSelector; readonly namespaceSelector?: LabelSelector },
    request: AdmissionRequest,
  ): boolean {
    const { type } = request;
    // A cluster-scoped object is in no namespace, so a namespaceSelector cannot exclude it. kube-apiserver does the
    // same.
    const isInNamespace = type.namespaced || type.storageKey === "/namespaces";
    if (
      isInNamespace &&
      !isEmpty(namespaceSelector) &&
      !matchesLabelSelector(namespaceSelector, this.#namespaceLabels(request))
    )
      return false;
    if (isEmpty(objectSelector)) return true;
    const matches = (object: UntypedObject | undefined): boolean =>
      object !== undefined && matchesLabelSelector(objectSelector, object.metadata.labels);
    return matches(request.object) || matches(request.oldObject);
  }

  #namespaceLabels({ type, object, oldObject, namespace }: AdmissionRequest): Record<string, string> {
    if (type.storageKey === "/namespaces") return (object ?? oldObject)?.metadata.labels ?? {};
    return { ...this.#store.latest("/namespaces", "", namespace)?.labels };
  }
}

function isEmpty(selector: LabelSelector | undefined): boolean {
  return (
    selector === undefined ||
    (Object.keys(selector.matchLabels ?? {}).length === 0 && (selector.matchExpressions ?? []).length === 0)
  );
}

function ruleMatches(rule: MatchRule, request: AdmissionRequest, type: ResourceType): boolean {
  const has = (list: readonly string[] | undefined, word: string): boolean =>
    list !== undefined && (list.includes("*") || list.includes(word));
  if (
    !has(rule.operations, request.operation) ||
    !has(rule.apiGroups, type.group) ||
    !has(rule.apiVersions, type.version)
  )
    return false;
  if ((rule.resourceNames ?? []).length > 0 && rule.resourceNames?.includes(request.name) !== true) return false;
  if (rule.scope === "Cluster" && type.namespaced) return false;
  if (rule.scope === "Namespaced" && !type.namespaced) return false;
  return (rule.resources ?? []).some((resource) => {
    const [plural = "", subresource = ""] = resource.split("/");
    const pluralMatches = plural === "*" || plural === type.plural;
    return pluralMatches && (subresource === request.subresource || (resource.includes("/") && subresource === "*"));
  });
}
