import { isTree, ownField } from "../base/index.ts";

/**
 * Merges `over` onto `base`: objects field by field, lists of named elements by name, and everything else by
 * replacement.
 */
export function mergeTrees(base: unknown, over: unknown): unknown {
  if (over === undefined) return base;
  if (isTree(base) && isTree(over)) {
    const merged = new Map(Object.entries(base));
    for (const [key, value] of Object.entries(over)) {
      if (value === null) merged.delete(key);
      else merged.set(key, mergeTrees(ownField(base, key), value));
    }
    return Object.fromEntries(merged);
  }
  if (Array.isArray(base) && Array.isArray(over) && over.every(isNamed) && base.every(isNamed)) {
    const merged: unknown[] = base.map((element) =>
      mergeTrees(
        element,
        over.find((other) => other.name === element.name),
      ),
    );
    for (const element of over) if (!base.some((other) => other.name === element.name)) merged.push(element);
    return merged;
  }
  return over;
}

function isNamed(value: unknown): value is { name: string } {
  return isTree(value) && typeof value["name"] === "string";
}
