/** Untyped JSON. */
export type Tree = Readonly<Record<string, unknown>>;

export function isTree(value: unknown): value is Tree {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The value at a path. Undefined if anything on the way is missing. */
export function valueAt(tree: unknown, ...path: readonly string[]): unknown {
  return path.reduce((value, field) => (isTree(value) ? value[field] : undefined), tree);
}

/** A string, or a number or boolean as a string. Undefined if it is empty or of another type. */
export function textAt(tree: unknown, ...path: readonly string[]): string | undefined {
  const value = valueAt(tree, ...path);
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** A boolean, also one that is written as a string or wrapped as `{ value: true }`. */
export function flagAt(tree: unknown, ...path: readonly string[]): boolean | undefined {
  const found = valueAt(tree, ...path);
  const value = isTree(found) ? found["value"] : found;
  if (typeof value === "boolean") return value;
  return value === "true" ? true : value === "false" ? false : undefined;
}

export function numberAt(tree: unknown, ...path: readonly string[]): number | undefined {
  const value = valueAt(tree, ...path);
  if (typeof value === "number") return value;
  return typeof value === "string" && /^\d+$/.test(value) ? Number(value) : undefined;
}

export function treeAt(tree: unknown, ...path: readonly string[]): Tree | undefined {
  const value = valueAt(tree, ...path);
  return isTree(value) ? value : undefined;
}

export function listAt(tree: unknown, ...path: readonly string[]): readonly unknown[] {
  const value = valueAt(tree, ...path);
  return Array.isArray(value) ? value : [];
}

export function textMapAt(tree: unknown, ...path: readonly string[]): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const [key, value] of Object.entries(treeAt(tree, ...path) ?? {})) {
    if (typeof value === "string" || typeof value === "number" || typeof value === "boolean")
      found[key] = String(value);
  }
  return found;
}
