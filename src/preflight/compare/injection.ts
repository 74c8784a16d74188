import { canonicalJson } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { maxNamed, type InjectionGroup } from "../report.ts";
import { withoutServerFields } from "./installed-fields.ts";
import { neutral, type Side } from "./neutral.ts";
import { fieldChanges, mapStrings, type FieldChange, type Json } from "../tree-diff.ts";

/**
 * The address of an istiod without a revision. `PROXY_CONFIG` omits it, because it is the default, but contains the
 * address of a named revision. In neutral texts both addresses are this one, so it is removed before the comparison.
 */
const defaultAddress =
  /,"discoveryAddress":"istiod\.istio-system\.svc:15012"(?=\})|"discoveryAddress":"istiod\.istio-system\.svc:15012",?/;

/**
 * Compares what two releases inject into the same workloads, given in the same order. Reports equal changes once, the
 * most frequent first. Neutral words replace the revisions' names on both sides, because the live templates contain
 * names of the old revision.
 */
export function compareInjection(
  before: readonly UntypedObject[],
  after: readonly UntypedObject[],
  from: Side,
  to: Side,
): InjectionGroup[] {
  const neutralOfBoth = (object: UntypedObject): Json =>
    mapStrings(neutral(neutral(withoutServerFields(object), to), from), (text) => text.replace(defaultAddress, ""));
  const groups = new Map<string, { readonly changes: readonly FieldChange[]; readonly workloads: string[] }>();
  for (const [index, object] of before.entries()) {
    const next = after[index];
    if (next === undefined) continue;
    const changes = fieldChanges(neutralOfBoth(object), neutralOfBoth(next));
    if (changes.length === 0) continue;
    const key = canonicalJson(
      changes.map(({ path, before: old, after: changed }) => [path, old ?? null, changed ?? null]),
    );
    const group = groups.get(key) ?? { changes, workloads: [] };
    group.workloads.push(`${object.metadata.namespace ?? ""}/${object.kind ?? ""} ${object.metadata.name ?? ""}`);
    groups.set(key, group);
  }
  return [...groups.values()]
    .toSorted((left, right) => right.workloads.length - left.workloads.length)
    .map(({ changes, workloads }) => ({
      changes,
      workloads: workloads.slice(0, maxNamed),
      workloadCount: workloads.length,
    }));
}
