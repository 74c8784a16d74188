import { ruleAllows, type PolicyRule } from "./rbac.ts";

/** Splits a rule into rules that grant one right each. */
function* singleRules(rule: PolicyRule): Iterable<PolicyRule> {
  const names = (rule.resourceNames ?? []).length === 0 ? [undefined] : (rule.resourceNames ?? []);
  for (const verb of rule.verbs) {
    for (const url of rule.nonResourceURLs ?? []) yield { verbs: [verb], nonResourceURLs: [url] };
    for (const group of rule.apiGroups ?? []) {
      for (const resource of rule.resources ?? []) {
        for (const name of names)
          yield {
            verbs: [verb],
            apiGroups: [group],
            resources: [resource],
            ...(name === undefined ? {} : { resourceNames: [name] }),
          };
      }
    }
  }
}

/** The parts of `wanted` that `held` does not grant, which the writer would gain. */
export function rulesNotCovered(held: readonly PolicyRule[], wanted: readonly PolicyRule[]): PolicyRule[] {
  return wanted
    .flatMap((rule) => [...singleRules(rule)])
    .filter((single) => !held.some((rule) => covers(rule, single)));
}

function covers(held: PolicyRule, single: PolicyRule): boolean {
  const [verb = ""] = single.verbs;
  const [url] = single.nonResourceURLs ?? [];
  if (url !== undefined)
    return ruleAllows(held, { verb, path: url, group: "", resource: "", subresource: "", namespace: "", name: "" });
  const [group = ""] = single.apiGroups ?? [];
  const [whole = ""] = single.resources ?? [];
  const [name] = single.resourceNames ?? [];
  if (name === undefined && (held.resourceNames ?? []).length > 0) return false;
  const [resource = "", subresource = ""] = whole.split("/");
  return ruleAllows(held, { verb, group, resource, subresource, namespace: "", name: name ?? "" });
}
