import { matchesLabels } from "../../api/index.ts";
import type { CollectionIndex, CollectionReader } from "../../kube/index.ts";
import type { Labels } from "./facts.ts";

/** Whether a policy is for some workloads only. */
export function hasSelector({
  spec,
}: {
  readonly spec: { readonly selector?: { readonly matchLabels?: Labels | undefined } | undefined };
}): boolean {
  return Object.keys(spec.selector?.matchLabels ?? {}).length > 0;
}

/**
 * An index of objects with label selectors, under the first pair of each selector. A pod finds its candidates by its
 * own labels and depends only on those.
 */
export function selectorKeys(scope: string, selector: Labels): readonly string[] {
  const first = Object.keys(selector).sort()[0];
  return first === undefined ? [] : [`${scope}/${first}=${selector[first] ?? ""}`];
}

/** Those in the scope whose selector the labels satisfy. */
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
