import { isTree, treeAt, valueAt } from "../base/index.ts";

/** Reads a boolean, which may also be written as a string or wrapped as `{ value: true }`. */
export function flagAt(tree: unknown, ...path: readonly string[]): boolean | undefined {
  const found = valueAt(tree, ...path);
  const value = isTree(found) ? found["value"] : found;
  if (typeof value === "boolean") return value;
  return value === "true" ? true : value === "false" ? false : undefined;
}

/** Reads a number. A whole one may also be written as a string. */
export function numberAt(tree: unknown, ...path: readonly string[]): number | undefined {
  const value = valueAt(tree, ...path);
  if (typeof value === "number") return value;
  return typeof value === "string" && /^\d+$/.test(value) ? Number(value) : undefined;
}

/** The list at the path. Empty if there is none. */
export function listAt(tree: unknown, ...path: readonly string[]): readonly unknown[] {
  const value = valueAt(tree, ...path);
  return Array.isArray(value) ? value : [];
}

/** The texts of an object by their names. Numbers and booleans become texts, and other values are left out. */
export function textMapAt(tree: unknown, ...path: readonly string[]): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const [key, value] of Object.entries(treeAt(tree, ...path) ?? {})) {
    if (typeof value === "string" || typeof value === "number" || typeof value === "boolean")
      found[key] = String(value);
  }
  return found;
}
