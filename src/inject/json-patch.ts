import { isTree, jsonEqual, pointerName } from "../base/index.ts";

/** An operation of a JSON patch (RFC 6902). */
export type JsonPatchOperation =
  | { readonly op: "add" | "replace"; readonly path: string; readonly value: unknown }
  | { readonly op: "remove"; readonly path: string };

export function createJsonPatch(from: unknown, to: unknown): JsonPatchOperation[] {
  const operations: JsonPatchOperation[] = [];
  compare(from, to, "", operations);
  return operations;
}

function compare(from: unknown, to: unknown, path: string, operations: JsonPatchOperation[]): void {
  if (isTree(from) && isTree(to)) {
    // Treat null like an absent field.
    for (const key of Object.keys(from))
      if (to[key] === undefined && from[key] !== null) operations.push({ op: "remove", path: below(path, key) });
    for (const [key, value] of Object.entries(to)) {
      if (value === undefined) continue;
      if (from[key] === undefined) operations.push({ op: "add", path: below(path, key), value });
      else compare(from[key], value, below(path, key), operations);
    }
    return;
  }
  if (Array.isArray(from) && Array.isArray(to)) compareLists(from, to, path, operations);
  else if (!jsonEqual(from, to)) operations.push({ op: "replace", path, value: to });
}

/**
 * Patches elements in place and inserts new ones if all old elements remain in their order. Otherwise replaces the
 * list.
 */
function compareLists(
  from: readonly unknown[],
  to: readonly unknown[],
  path: string,
  operations: JsonPatchOperation[],
): void {
  const places = placesOf(from, to);
  if (places === undefined) {
    if (!jsonEqual(from, to)) operations.push({ op: "replace", path, value: to });
    return;
  }
  for (const [index, place] of places.entries()) compare(from[index], to[place], `${path}/${index}`, operations);
  const kept = new Set(places);
  for (const [index, value] of to.entries())
    if (!kept.has(index)) operations.push({ op: "add", path: `${path}/${index}`, value });
}

/**
 * Returns the position of each old element in the new list, or undefined if an element is missing or the order has
 * changed.
 */
function placesOf(from: readonly unknown[], to: readonly unknown[]): number[] | undefined {
  const places: number[] = [];
  let next = 0;
  for (const element of from) {
    // Continue from the previous position, so that a long unchanged list takes one pass.
    while (next < to.length && !isSameElement(element, to[next])) next += 1;
    if (next >= to.length) return undefined;
    places.push(next);
    next += 1;
  }
  return places;
}

function isSameElement(a: unknown, b: unknown): boolean {
  if (isTree(a) && isTree(b) && typeof a["name"] === "string") return a["name"] === b["name"];
  return jsonEqual(a, b);
}

function below(path: string, key: string): string {
  return `${path}/${pointerName(key)}`;
}
