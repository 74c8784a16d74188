import { canonicalJson, jsonEqual, ownField } from "../../../base/index.ts";
import { SchemaFault } from "../contract.ts";
import { cloneJson, isObject, setOwn, type JsonObject } from "../json.ts";
import { canonicalQuantity } from "../quantity.ts";
import { granularAnyShape, type FieldShape, type ListShape, type ScalarCode, type Shape } from "../shape.ts";
import { FieldSet, formatFieldPath, type PathElement } from "./field-set.ts";

/** The changes between two objects. Each path is in only one of the sets. */
export interface Comparison {
  readonly removed: FieldSet;
  readonly modified: FieldSet;
  readonly added: FieldSet;
}

/** A list that is merged by item: a set or a list map. */
interface GranularList extends ListShape {
  readonly listType: "set" | "map";
}

/** How a value is compared: as one leaf, by item, or by field. For granular values, the value itself decides. */
type View =
  | { readonly kind: "leaf" }
  | { readonly kind: "items"; readonly list: GranularList }
  | { readonly kind: "fields"; readonly shape: Shape };

const leaf: View = { kind: "leaf" };

function viewOf(shape: Shape, sample: unknown): View {
  switch (shape.kind) {
    case "scalar":
      return leaf;
    case "struct":
    case "map":
      return shape.atomic ? leaf : { kind: "fields", shape };
    case "list":
      return isGranular(shape) ? { kind: "items", list: shape } : leaf;
    case "any":
      return shape.granular && isObject(sample) ? { kind: "fields", shape } : leaf;
  }
}

function isGranular(list: ListShape): list is GranularList {
  return list.listType !== "atomic";
}

/** The shape of a field. Undefined for an unknown field, whose form is then deduced from its value. */
export function fieldShape(shape: Shape, key: string): Shape | undefined {
  switch (shape.kind) {
    case "struct":
      return shape.fields.get(key)?.shape ?? shape.rest;
    case "map":
      return shape.value;
    case "any":
      return shape.granular ? granularAnyShape : undefined;
    case "scalar":
    case "list":
      return undefined;
  }
}

function below(shape: Shape, key: string): Shape {
  return fieldShape(shape, key) ?? granularAnyShape;
}

function keyField(list: ListShape, key: string): FieldShape | undefined {
  return list.item.kind === "struct" ? list.item.fields.get(key) : undefined;
}

/** The path element of an item. Throws 400 if the item has none of its keys. */
function itemElement(list: GranularList, item: unknown, path: readonly PathElement[]): PathElement {
  if (list.listType === "set") return `v:${canonicalJson(item)}`;
  if (!isObject(item))
    throw new SchemaFault(
      400,
      "BadRequest",
      `${formatFieldPath(path)}: associative list with keys may not have non-map elements`,
    );
  const keys: JsonObject = {};
  for (const key of list.keys) {
    const value = ownField(item, key) ?? keyField(list, key)?.default;
    if (value !== undefined) keys[key] = value;
  }
  if (Object.keys(keys).length === 0) {
    const names = list.keys.map((key) => JSON.stringify(key)).join(" ");
    throw new SchemaFault(
      400,
      "BadRequest",
      `${formatFieldPath(path)}: associative list with keys has an element that omits all key fields [${names}] (and doesn't have default values for any key fields)`,
    );
  }
  return `k:${canonicalJson(keys)}`;
}

function isEmptyContainer(value: unknown): boolean {
  return (
    value === undefined ||
    value === null ||
    (Array.isArray(value) ? value.length === 0 : isObject(value) && Object.keys(value).length === 0)
  );
}

/** The fields that an object's applier owns: all leaf fields, including list items and unnamed map keys. */
export function toFieldSet(shape: Shape, value: unknown): FieldSet {
  const set = new FieldSet();
  collect(shape, value, [], set);
  return set;
}

function collect(shape: Shape, value: unknown, path: PathElement[], set: FieldSet): void {
  const view = viewOf(shape, value);
  if (view.kind === "leaf") set.insert(path);
  else if (view.kind === "items") collectItems(view.list, Array.isArray(value) ? value : [], path, set);
  else if (isObject(value)) collectFields(view.shape, value, path, set);
}

function collectFields(shape: Shape, value: JsonObject, path: PathElement[], set: FieldSet): void {
  for (const [key, item] of Object.entries(value)) {
    if (item === undefined) continue;
    const child = [...path, `f:${key}`];
    collect(below(shape, key), item, child, set);
    const named = shape.kind === "struct" && shape.fields.has(key);
    if (!named || item === null || (isObject(item) && Object.keys(item).length === 0)) set.insert(child);
  }
}

function collectItems(list: GranularList, items: readonly unknown[], path: PathElement[], set: FieldSet): void {
  const elements = items.map((item) => itemElement(list, item, path));
  const duplicates = new Set(repeated(elements));
  for (const [index, element] of elements.entries()) {
    const child = [...path, element];
    set.insert(child);
    if (!duplicates.has(element)) collect(list.item, items[index], child, set);
  }
}

/** Returns each repeated element once for each repetition. */
function repeated(elements: readonly PathElement[]): PathElement[] {
  const seen = new Set<PathElement>();
  return elements.filter((element) => {
    const isRepeated = seen.has(element);
    seen.add(element);
    return isRepeated;
  });
}

/** Compares two values of a shape. `undefined` on either side means that it is absent there. */
export function compareValues(shape: Shape, before: unknown, after: unknown): Comparison {
  const comparison: Comparison = { removed: new FieldSet(), modified: new FieldSet(), added: new FieldSet() };
  compareAt(shape, before, after, [], comparison);
  return comparison;
}

function compareAt(shape: Shape, before: unknown, after: unknown, path: PathElement[], comparison: Comparison): void {
  const left = viewOf(shape, before);
  const right = viewOf(shape, after);
  const otherKind = before !== undefined && after !== undefined && left.kind !== right.kind;
  if (otherKind) compareAs(left, before, after, path, comparison);
  const leafLike = compareAs(after === undefined ? left : right, before, after, path, comparison);
  if (leafLike) return;
  if (before === undefined) comparison.added.insert(path);
  else if (after === undefined) comparison.removed.insert(path);
}

/** Returns whether the value was compared as one unit. */
function compareAs(view: View, before: unknown, after: unknown, path: PathElement[], comparison: Comparison): boolean {
  const [items, fields] = [view.kind === "items", view.kind === "fields"];
  const empty = (value: unknown): boolean =>
    isEmptyContainer(value) || (items && !Array.isArray(value)) || (fields && !isObject(value));
  if (view.kind === "leaf" || (empty(before) && empty(after))) {
    compareLeaf(before, after, path, comparison);
    return true;
  }
  if (view.kind === "items") compareItems(view.list, listOrEmpty(before), listOrEmpty(after), path, comparison);
  else compareFields(view.shape, before, after, path, comparison);
  return false;
}

function listOrEmpty(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function compareLeaf(before: unknown, after: unknown, path: PathElement[], comparison: Comparison): void {
  if (before === undefined) comparison.added.insert(path);
  else if (after === undefined) comparison.removed.insert(path);
  else if (!jsonEqual(before, after)) comparison.modified.insert(path);
}

function compareFields(
  shape: Shape,
  before: unknown,
  after: unknown,
  path: PathElement[],
  comparison: Comparison,
): void {
  const left: JsonObject = isObject(before) ? before : {};
  const right: JsonObject = isObject(after) ? after : {};
  for (const key of new Set([...Object.keys(left), ...Object.keys(right)])) {
    const [old, next] = [ownField(left, key), ownField(right, key)];
    if (old === next && typeof old !== "object") continue;
    compareAt(below(shape, key), old, next, [...path, `f:${key}`], comparison);
  }
}

function group(list: GranularList, items: readonly unknown[], path: PathElement[]): Map<PathElement, unknown[]> {
  const groups = new Map<PathElement, unknown[]>();
  for (const item of items) {
    const element = itemElement(list, item, path);
    const known = groups.get(element);
    if (known === undefined) groups.set(element, [item]);
    else known.push(item);
  }
  return groups;
}

/** Compares items. Items with equal keys are compared as one unit, because they cannot be distinguished. */
function compareItems(
  list: GranularList,
  before: readonly unknown[],
  after: readonly unknown[],
  path: PathElement[],
  comparison: Comparison,
): void {
  const left = group(list, before, path);
  const right = group(list, after, path);
  for (const element of new Set([...left.keys(), ...right.keys()])) {
    const [old = [], next = []] = [left.get(element), right.get(element)];
    const child = [...path, element];
    if (old.length <= 1 && next.length <= 1) compareAt(list.item, old[0], next[0], child, comparison);
    else if (old.length >= 2 && next.length >= 2) {
      if (!jsonEqual(old, next)) comparison.modified.insert(child);
    } else if (old.length >= 2) {
      if (next.length > 0) compareAt(list.item, undefined, next[0], child, comparison);
      comparison.removed.insert(child);
    } else {
      if (old.length > 0) compareAt(list.item, old[0], undefined, child, comparison);
      comparison.added.insert(child);
    }
  }
}

/** Merges the applied configuration into the live object. The result shares no mutable part with the arguments. */
export function mergeValues(shape: Shape, live: unknown, applied: unknown): unknown {
  return cloneJson(mergeAt(shape, live, applied, []));
}

function mergeAt(shape: Shape, live: unknown, applied: unknown, path: PathElement[]): unknown {
  if (applied === undefined) return live;
  if (live === undefined && viewOf(shape, applied).kind === "leaf") return applied;
  const view = viewOf(shape, applied);
  const liveView = viewOf(shape, live);
  if (view.kind === "leaf" || (live !== undefined && live !== null && liveView.kind !== view.kind)) return applied;
  if (isEmptyContainer(live) && isEmptyContainer(applied)) return applied;
  if (view.kind === "items") return mergeItems(view.list, listOrEmpty(live), listOrEmpty(applied), path);
  return mergeFields(view.shape, live, applied, path);
}

function mergeFields(shape: Shape, live: unknown, applied: unknown, path: PathElement[]): JsonObject {
  const left: JsonObject = isObject(live) ? live : {};
  const right: JsonObject = isObject(applied) ? applied : {};
  const result: JsonObject = {};
  for (const key of new Set([...Object.keys(left), ...Object.keys(right)])) {
    const value = mergeAt(below(shape, key), ownField(left, key), ownField(right, key), [...path, `f:${key}`]);
    if (value !== undefined) setOwn(result, key, value);
  }
  return result;
}

/** Applied items keep their order. Other live items keep their position as far as that order allows. */
function mergeItems(
  list: GranularList,
  live: readonly unknown[],
  applied: readonly unknown[],
  path: PathElement[],
): unknown[] {
  const right = group(list, applied, path);
  for (const [element, items] of right) {
    if (items.length > 1)
      throw new SchemaFault(
        400,
        "BadRequest",
        `${formatFieldPath(path)}: duplicate entries for key ${formatFieldPath([element])}`,
      );
  }
  const left = group(list, live, path);
  const liveOrder = live.map((item) => itemElement(list, item, path));
  const appliedOrder = [...right.keys()];
  const shared = appliedOrder.filter((element) => left.has(element));
  const merged = new Set<PathElement>();
  const result: unknown[] = [];
  const take = (element: PathElement): void => {
    merged.add(element);
    const old = left.get(element) ?? [];
    result.push(mergeAt(list.item, old.length === 1 ? old[0] : undefined, right.get(element)?.[0], [...path, element]));
  };
  let [l, r, s] = [0, 0, 0];
  while (l < liveOrder.length || r < appliedOrder.length) {
    const [leftElement, rightElement] = [liveOrder[l], appliedOrder[r]];
    while (merged.has(shared[s] ?? "")) s++;
    const next = shared[s];
    if (leftElement !== undefined && !right.has(leftElement)) {
      result.push(live[l]);
      l++;
    } else if (
      leftElement !== undefined &&
      (merged.has(leftElement) || (leftElement !== rightElement && rightElement !== undefined && leftElement !== next))
    )
      l++;
    else if (rightElement !== undefined) {
      if (leftElement === rightElement) l++;
      take(rightElement);
      r++;
    } else l++;
  }
  return result;
}

/** Removes the paths of the set from a value. Containers that become empty stay. */
export function removeFields(shape: Shape, value: unknown, paths: FieldSet): unknown {
  if (paths.empty) return value;
  const view = viewOf(shape, value);
  if (view.kind === "items" && Array.isArray(value)) return removeItems(view.list, value, paths);
  if (view.kind !== "fields" || !isObject(value)) return value;
  const result: JsonObject = {};
  for (const [key, item] of Object.entries(value)) {
    const element = `f:${key}`;
    if (paths.members.has(element)) continue;
    const child = paths.children.get(element);
    setOwn(result, key, child === undefined ? item : removeFields(below(view.shape, key), item, child));
  }
  return result;
}

function removeItems(list: GranularList, items: readonly unknown[], paths: FieldSet): unknown[] {
  const result: unknown[] = [];
  for (const item of items) {
    const element = itemElement(list, item, []);
    if (paths.members.has(element)) continue;
    const child = paths.children.get(element);
    result.push(child === undefined ? item : removeFields(list.item, item, child));
  }
  return result;
}

/** Adds the named parent fields of each path. The owner of `spec.replicas` then also owns `spec`. */
export function withNamedFields(shape: Shape, set: FieldSet): FieldSet {
  const result = new FieldSet();
  for (const member of set.members) result.members.add(member);
  for (const [element, child] of set.children) {
    const key = element.slice(2);
    if (element.startsWith("f:") && shape.kind === "struct" && shape.fields.has(key)) result.members.add(element);
    const inner = element.startsWith("f:") ? below(shape, key) : shape.kind === "list" ? shape.item : granularAnyShape;
    result.children.set(element, withNamedFields(inner, child));
  }
  return result;
}

/**
 * The faults of an applied configuration, with the server's texts: unknown fields, values of another type, and
 * duplicate items.
 */
export function configurationFaults(shape: Shape, value: unknown, path: readonly PathElement[] = []): string[] {
  if (value === null || value === undefined || shape.kind === "any") return [];
  const mismatch = (expected: string): string[] => [
    `${formatFieldPath(path)}: expected ${expected}, got ${nameOf(value)}`,
  ];
  if (shape.kind === "scalar") {
    const expected = scalarTypes[shape.code];
    return expected === undefined || expected.type === typeof value ? [] : mismatch(expected.words);
  }
  if (shape.kind === "list") {
    if (!Array.isArray(value)) return mismatch("list");
    const elements = isGranular(shape) ? value.map((item) => itemElement(shape, item, path)) : [];
    const [again] = repeated(elements);
    if (again !== undefined) return [`${formatFieldPath(path)}: duplicate entries for key ${formatFieldPath([again])}`];
    return value.flatMap((item, index) =>
      configurationFaults(shape.item, item, [...path, elements[index] ?? `i:${index}`]),
    );
  }
  if (!isObject(value)) return mismatch("map");
  return Object.entries(value).flatMap(([key, item]) => {
    const child = [...path, `f:${key}`];
    const inner = fieldShape(shape, key);
    return inner === undefined
      ? [`${formatFieldPath(child)}: field not declared in schema`]
      : configurationFaults(inner, item, child);
  });
}

function nameOf(value: unknown): string {
  if (Array.isArray(value)) return "list";
  return typeof value === "object" ? "map" : typeof value;
}

const text = { type: "string", words: "string" } as const;
const number = { type: "number", words: "numeric (int or float)" } as const;

/** Scalars with their accepted types. Quantities, for example, may be numbers or strings. */
const scalarTypes: Partial<Readonly<Record<ScalarCode, { readonly type: string; readonly words: string }>>> = {
  s: text,
  y: text,
  T: text,
  M: text,
  D: text,
  b: { type: "boolean", words: "boolean" },
  i: number,
  l: number,
  d: number,
};

/** Converts quantities to the server's form, so that `0.5` does not count as a change from a stored `500m`. */
export function canonicalConfiguration(shape: Shape, value: unknown): unknown {
  if (shape.kind === "scalar" && shape.code === "Q")
    return typeof value === "string" || typeof value === "number" ? canonicalQuantity(String(value)) : value;
  if (shape.kind === "list" && Array.isArray(value))
    return value.map((item) => canonicalConfiguration(shape.item, item));
  if (!isObject(value) || (shape.kind !== "struct" && shape.kind !== "map")) return value;
  const result: JsonObject = {};
  for (const [key, item] of Object.entries(value)) {
    const inner = fieldShape(shape, key);
    setOwn(result, key, inner === undefined ? item : canonicalConfiguration(inner, item));
  }
  return result;
}
