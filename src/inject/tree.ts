import { isTree, valueAt } from "../base/index.ts";

/** Reads a boolean, also from the strings `true` and `false` and from `{ value: true }`. */
export function flagAt(tree: unknown, ...path: readonly string[]): boolean | undefined {
  const found = valueAt(tree, ...path);
  const value = isTree(found) ? found["value"] : found;
  if (typeof value === "boolean") return value;
  return value === "true" ? true : value === "false" ? false : undefined;
}

/** Reads a number, also a whole number that is written as a string. */
export function numberAt(tree: unknown, ...path: readonly string[]): number | undefined {
  const value = valueAt(tree, ...path);
  if (typeof value === "number") return value;
  return typeof value === "string" && /^\d+$/.test(value) ? Number(value) : undefined;
}

/** Returns the list at the path, or an empty list. */
export function listAt(tree: unknown, ...path: readonly string[]): readonly unknown[] {
  const value = valueAt(tree, ...path);
  return Array.isArray(value) ? value : [];
}
