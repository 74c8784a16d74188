import { isTree } from "../base/index.ts";

/**
 * Merges `over` onto `base`: objects field by field, lists of named elements by name, and everything else by
 * replacement.
 */
export function mergeTrees(base: unknown, over: unknown): unknown {
  if (over === undefined) return base;
  if (isTree(base) && isTree(over)) {
    const merged: Record<string, unknown> = { ...base };
    for (const [key, value] of Object.entries(over)) {
      if (value === null) delete merged[key];
      else merged[key] = mergeTrees(base[key], value);
    }
    return merged;
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
