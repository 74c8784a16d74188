import { isTree, ownField, type Tree } from "../json.ts";

/** The rules in which formats differ that lay one tree over another. */
export interface MergeRules {
  /**
   * What a null of the upper tree does to a field of the lower one. `remove`: the result lacks the field. `keep`: null is a value like any other, so that a later merge can still remove
   * the field from a third tree.
   */
  readonly nulls: "remove" | "keep";
  /**
   * `replace`: a list of the upper tree replaces the lower one. `byName`: if each element of both lists has a `name`,
   * elements with the same name are merged, and the others are appended.
   */
  readonly lists: "replace" | "byName";
}

/**
 * Lays `over` on `base`: objects field by field at any depth, lists by the rules, and everything else by replacement. A
 * field that is undefined in `over` keeps its value. Neither tree changes. The result takes an object that `base` lacks
 * as it is, with its nulls.
 */
export function mergeTrees(base: Tree, over: Tree, rules: MergeRules): Tree;
export function mergeTrees(base: unknown, over: unknown, rules: MergeRules): unknown;
export function mergeTrees(base: unknown, over: unknown, rules: MergeRules): unknown {
  if (over === undefined) return base;
  if (!isTree(base) || !isTree(over))
    return rules.lists === "byName" && areNamed(base) && areNamed(over) ? mergeLists(base, over, rules) : over;
  const merged = new Map(Object.entries(base));
  for (const [key, value] of Object.entries(over)) {
    if (value === null && rules.nulls === "remove") merged.delete(key);
    else merged.set(key, mergeTrees(ownField(base, key), value, rules));
  }
  return Object.fromEntries(merged);
}

interface Named {
  readonly name: string;
}

function mergeLists(base: readonly Named[], over: readonly Named[], rules: MergeRules): unknown[] {
  const withName = (list: readonly Named[], name: string): Named | undefined => list.find((one) => one.name === name);
  return [
    ...base.map((element) => mergeTrees(element, withName(over, element.name), rules)),
    ...over.filter(({ name }) => withName(base, name) === undefined),
  ];
}

function areNamed(value: unknown): value is readonly Named[] {
  return Array.isArray(value) && value.every((element) => isTree(element) && typeof element["name"] === "string");
}
