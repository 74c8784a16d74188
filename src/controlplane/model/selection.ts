import { matchesLabels } from "../../api/index.ts";
import type { CollectionIndex, CollectionReader } from "../../kube/index.ts";
import type { Labels } from "./facts.ts";

export function hasSelector({
  spec,
}: {
  readonly spec: { readonly selector?: { readonly matchLabels?: Labels | undefined } | undefined };
}): boolean {
  return Object.keys(spec.selector?.matchLabels ?? {}).length > 0;
}

/**
 * Labels whose values usually differ between the workloads of a namespace. Other labels, such as
 * `app.kubernetes.io/instance`, often have one value in a whole namespace.
 */
const distinctiveLabels: readonly string[] = ["app.kubernetes.io/name", "app", "k8s-app", "name"];

/**
 * The index keys of an object with a label selector: one of the selector's labels with its value. A pod finds
 * candidates by its own labels, and depends only on these keys.
 */
export function selectorKeys(scope: string, selector: Labels): readonly string[] {
  const key = distinctiveLabels.find((name) => Object.hasOwn(selector, name)) ?? Object.keys(selector).sort()[0];
  return key === undefined ? [] : [`${scope}/${key}=${selector[key] ?? ""}`];
}

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

/** The keys of an item in an index by labels: `scope/label=value` for each label. See {@link selectedBy}. */
export function labelKeys(scope: string, labels: Labels): readonly string[] {
  return Object.entries(labels).map(([key, value]) => `${scope}/${key}=${value}`);
}

/**
 * The items of an index by labels that have all labels of the selector. An empty selector matches none. The result
 * depends only on the selector's label with the fewest items, because any item that matches later has this label, too.
 */
export function selectedBy<Item>(
  index: CollectionIndex<Item>,
  scope: string,
  selector: Labels,
  labelsOf: (item: Item) => Labels,
  reader: CollectionReader,
): readonly Item[] {
  const rarest = rarestKey(index, labelKeys(scope, selector));
  return rarest === undefined
    ? []
    : reader.lookup(index, rarest).filter((item) => matchesLabels(selector, labelsOf(item)));
}

/**
 * The key with the fewest items. It reads the index without a reader, so that the caller's result does not depend on
 * the items of each key. Any of the keys would lead to the same selection.
 */
export function rarestKey(index: CollectionIndex<unknown>, keys: readonly string[]): string | undefined {
  const [first] = keys;
  if (keys.length < 2) return first;
  return keys.reduce((best, key) => (index.lookup(key).length < index.lookup(best).length ? key : best));
}
