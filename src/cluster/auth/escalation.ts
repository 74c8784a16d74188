import { ruleAllows, type PolicyRule } from "./rbac.ts";

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

/**
 * The maximum number of comparisons in one check, which take some tenths of a second. A rule of a few kilobytes may
 * contain billions of combinations.
 */
const maxComparisons = 20_000_000;

/**
 * The parts of the rules `wanted` that `held` does not grant. If comparing the parts of a rule would take too long, the
 * whole rule counts as not granted.
 */
export function rulesNotCovered(held: readonly PolicyRule[], wanted: readonly PolicyRule[]): PolicyRule[] {
  const missing: PolicyRule[] = [];
  const heldSets = held.map(setsOf);
  const heldEntries = held.reduce((sum, rule) => sum + sizeOf(rule).entries, 0);
  let left = maxComparisons;
  for (const rule of wanted) {
    const { entries, rights } = sizeOf(rule);
    left -= heldEntries + entries * held.length;
    if (left >= 0 && heldSets.some((sets) => coversWhole(sets, rule))) continue;
    left -= rights * heldEntries;
    if (left < 0) missing.push(rule);
    else for (const single of singleRules(rule)) if (!held.some((own) => covers(own, single))) missing.push(single);
  }
  return missing;
}

/** The number of entries in a rule's lists, and the number of rights that their combinations grant. */
function sizeOf(rule: PolicyRule): { readonly entries: number; readonly rights: number } {
  const { verbs, apiGroups = [], resources = [], resourceNames = [], nonResourceURLs = [] } = rule;
  const onResources = apiGroups.length * resources.length * Math.max(1, resourceNames.length);
  return {
    entries: verbs.length + apiGroups.length + resources.length + resourceNames.length + nonResourceURLs.length,
    rights: verbs.length * (nonResourceURLs.length + onResources),
  };
}

interface RuleSets {
  readonly verbs: ReadonlySet<string>;
  readonly groups: ReadonlySet<string>;
  readonly resources: ReadonlySet<string>;
  readonly names: ReadonlySet<string>;
}

function setsOf({ verbs, apiGroups, resources, resourceNames }: PolicyRule): RuleSets {
  return {
    verbs: new Set(verbs),
    groups: new Set(apiGroups),
    resources: new Set(resources),
    names: new Set(resourceNames),
  };
}

/** Whether a single held rule grants all rights of another rule about resources. */
function coversWhole({ verbs, groups, resources, names }: RuleSets, rule: PolicyRule): boolean {
  if ((rule.nonResourceURLs ?? []).length > 0) return false;
  const all = (own: ReadonlySet<string>, entries: readonly string[]): boolean =>
    own.has("*") || entries.every((entry) => own.has(entry));
  const isResourceHeld = (entry: string): boolean =>
    resources.has(entry) || (entry.includes("/") && resources.has(`*/${entry.slice(entry.indexOf("/") + 1)}`));
  const wantedNames = rule.resourceNames ?? [];
  return (
    all(verbs, rule.verbs) &&
    all(groups, rule.apiGroups ?? []) &&
    (resources.has("*") || (rule.resources ?? []).every(isResourceHeld)) &&
    (names.size === 0 || (wantedNames.length > 0 && wantedNames.every((name) => names.has(name))))
  );
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
