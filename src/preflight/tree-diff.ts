import { canonicalJson, isTree } from "../base/index.ts";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [field: string]: Json };

/** One field that differs. `before` or `after` is absent if the object on that side lacks the field. */
export interface FieldChange {
  /**
   * For example `spec.template.spec.containers[discovery].image`. Elements of a list appear by their names if all have
   * one, else by their position, or as `[]` if the lists differ in length.
   */
  readonly path: string;
  readonly before?: Json;
  readonly after?: Json;
}

type Tree = Readonly<Record<string, Json>>;

/** Every field that differs, in the order of the document. A subtree that only one side has is one change. */
export function fieldChanges(before: Json, after: Json): FieldChange[] {
  const changes: FieldChange[] = [];
  compare(before, after, "", changes);
  return changes;
}

function compare(before: Json, after: Json, path: string, changes: FieldChange[]): void {
  if (before === after) return;
  if (isList(before) && isList(after)) return compareLists(before, after, path, changes);
  if (isTree(before) && isTree(after)) return compareTrees(before, after, path, changes);
  if (canonicalJson(before) !== canonicalJson(after)) changes.push({ path, before, after });
}

function compareTrees(before: Tree, after: Tree, path: string, changes: FieldChange[]): void {
  for (const field of new Set([...Object.keys(before), ...Object.keys(after)])) {
    compareField(before[field], after[field], join(path, field), changes);
  }
}

function compareField(before: Json | undefined, after: Json | undefined, path: string, changes: FieldChange[]): void {
  if (before === undefined && after === undefined) return;
  if (before === undefined) changes.push({ path, after: after ?? null });
  else if (after === undefined) changes.push({ path, before });
  else compare(before, after, path, changes);
}

function compareLists(before: readonly Json[], after: readonly Json[], path: string, changes: FieldChange[]): void {
  const [left, right] = [byName(before), byName(after)];
  if (left !== undefined && right !== undefined) {
    for (const name of new Set([...left.keys(), ...right.keys()]))
      compareField(left.get(name), right.get(name), `${path}[${name}]`, changes);
    // The order of filters and routes matters, so another order of the same names is a change too.
    const [oldOrder, newOrder] = [
      [...left.keys()].filter((name) => right.has(name)),
      [...right.keys()].filter((name) => left.has(name)),
    ];
    if (oldOrder.join("\n") !== newOrder.join("\n"))
      changes.push({ path: `${path}(order)`, before: oldOrder, after: newOrder });
    return;
  }
  if (before.length === after.length) {
    for (const [index, element] of before.entries()) compareField(element, after[index], `${path}[${index}]`, changes);
    return;
  }
  compareByContent(before, after, path, changes);
}

/** Reports the elements that only one of the lists has, as removed or added. */
function compareByContent(before: readonly Json[], after: readonly Json[], path: string, changes: FieldChange[]): void {
  const left = new Map<string, number>();
  for (const element of before) left.set(canonicalJson(element), (left.get(canonicalJson(element)) ?? 0) + 1);
  const came: Json[] = [];
  for (const element of after) {
    const key = canonicalJson(element);
    const count = left.get(key) ?? 0;
    if (count > 0) left.set(key, count - 1);
    else came.push(element);
  }
  const removed = before.filter((element) => {
    const key = canonicalJson(element);
    const count = left.get(key) ?? 0;
    left.set(key, count - 1);
    return count > 0;
  });
  for (const element of removed) changes.push({ path: `${path}[]`, before: element });
  for (const element of came) changes.push({ path: `${path}[]`, after: element });
}

/** The elements by their names. Undefined if one has no name, or if two have the same name. */
function byName(list: readonly Json[]): ReadonlyMap<string, Json> | undefined {
  const named = new Map<string, Json>();
  for (const element of list) {
    const name = isTree(element) ? element["name"] : undefined;
    if (typeof name !== "string" || name === "" || named.has(name)) return undefined;
    named.set(name, element);
  }
  return named;
}

export function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}

/** Appends a field to a path. Quotes a name that would be ambiguous: `labels["app.kubernetes.io/name"]`. */
function join(path: string, field: string): string {
  if (!/^[\w-]+$/.test(field)) return `${path}[${JSON.stringify(field)}]`;
  return path === "" ? field : `${path}.${field}`;
}

/** Applies `change` to every string in a value, and to the names of fields. */
export function mapStrings(value: Json, change: (text: string) => string): Json {
  if (typeof value === "string") return change(value);
  if (isList(value)) return value.map((element) => mapStrings(element, change));
  if (!isTree(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([field, inner]) => [change(field), mapStrings(inner, change)]));
}
