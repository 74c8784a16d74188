import { matchesLabels } from "../../api/index.ts";
import type { CollectionIndex, CollectionReader } from "../../kube/index.ts";
import type { Labels } from "./facts.ts";

/** Whether a policy applies to some workloads only. */
export function hasSelector({
  spec,
}: {
  readonly spec: { readonly selector?: { readonly matchLabels?: Labels | undefined } | undefined };
}): boolean {
  return Object.keys(spec.selector?.matchLabels ?? {}).length > 0;
}

/**
 * Index keys for objects with label selectors: the first pair of each selector. A pod looks up candidates by its own
 * labels, and depends only on those keys.
 */
export function selectorKeys(scope: string, selector: Labels): readonly string[] {
  const first = Object.keys(selector).sort()[0];
  return first === undefined ? [] : [`${scope}/${first}=${selector[first] ?? ""}`];
}

/** The objects of the scope whose selector matches the labels. */
export function selecting<Item>(
  index: CollectionIndex<Item>,
  scope: string,
  labels: Labels,
  selectorOf: (item: Item) => Labels,
  reader: CollectionReader,
): readonly Item[] {
  return Object.entries(labels).flatMap(([key, value]) =>
    reader.lookup(index, `${scope}/${key}=${value}`).filter((item) => matchesLabels(selectorOf(item), labels)),
  );
}
