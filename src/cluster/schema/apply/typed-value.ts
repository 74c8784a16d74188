import { canonicalJson, jsonEqual, ownField } from "../../../base/index.ts";
import { SchemaFault } from "../contract.ts";
import { cloneJson, isObject, setOwn, type JsonObject } from "../json.ts";
import { canonicalQuantity } from "../quantity.ts";
import { granularAnyShape, type FieldShape, type ListShape, type ScalarCode, type Shape } from "../shape.ts";
import { FieldSet, formatFieldPath, Place, type PathElement } from "./field-set.ts";

/** The changes between two objects. Each path is in only one of the sets. */
export interface Comparison {
  readonly removed: FieldSet;
  readonly modified: FieldSet;
  readonly added: FieldSet;
}

type Change = keyof Comparison;

/** A place with three sets of changed paths below it. A set is created when it gets its first path. */
class ChangedPlace extends Place {
  declare readonly parent: ChangedPlace | undefined;
  #removed: FieldSet | undefined;
  #modified: FieldSet | undefined;
  #added: FieldSet | undefined;

  constructor(parent: ChangedPlace | Comparison, element?: PathElement) {
    if (parent instanceof ChangedPlace) super(parent, element);
    else {
      super();
      this.#removed = parent.removed;
      this.#modified = parent.modified;
      this.#added = parent.added;
    }
  }

  /** Adds the path of this place to a set. Ignores the root, because no manager owns the whole object. */
  insertInto(change: Change): void {
    if (this.parent !== undefined) this.parent.#below(change).members.add(this.element);
  }

  #below(change: Change): FieldSet {
    switch (change) {
      case "removed":
        return (this.#removed ??= this.#childOf(change));
      case "modified":
        return (this.#modified ??= this.#childOf(change));
      case "added":
        return (this.#added ??= this.#childOf(change));
    }
  }

  #childOf(change: Change): FieldSet {
    return this.parent === undefined ? new FieldSet() : this.parent.#below(change).child(this.element);
  }
}

interface GranularList extends ListShape {
  readonly listType: "set" | "map";
}

/**
 * How values are compared: as one unit, item by item, or field by field. For a field that the schema does not describe,
 * the value's type decides.
 */
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

/** The shape of a field. Returns undefined for an unknown field. */
function fieldShape(shape: Shape, key: string): Shape | undefined {
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
function itemElement(list: GranularList, item: unknown, place: Place): PathElement {
  if (list.listType === "set") return `v:${canonicalJson(item)}`;
  if (!isObject(item))
    throw new SchemaFault(
      400,
      "BadRequest",
      `${formatFieldPath(place.path)}: associative list with keys may not have non-map elements`,
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
      `${formatFieldPath(place.path)}: associative list with keys has an element that omits all key fields [${names}] (and doesn't have default values for any key fields)`,
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
  const comparison = noChanges();
  collect(shape, value, new ChangedPlace(comparison));
  return comparison.added;
}

function noChanges(): Comparison {
  return { removed: new FieldSet(), modified: new FieldSet(), added: new FieldSet() };
}

function collect(shape: Shape, value: unknown, place: ChangedPlace): void {
  const view = viewOf(shape, value);
  if (view.kind === "leaf") place.insertInto("added");
  else if (view.kind === "items") collectItems(view.list, Array.isArray(value) ? value : [], place);
  else if (isObject(value)) collectFields(view.shape, value, place);
}

function collectFields(shape: Shape, value: JsonObject, place: ChangedPlace): void {
  for (const [key, item] of Object.entries(value)) {
    if (item === undefined) continue;
    const child = new ChangedPlace(place, `f:${key}`);
    collect(below(shape, key), item, child);
    const named = shape.kind === "struct" && shape.fields.has(key);
    if (!named || item === null || (isObject(item) && Object.keys(item).length === 0)) child.insertInto("added");
  }
}

function collectItems(list: GranularList, items: readonly unknown[], place: ChangedPlace): void {
  const elements = items.map((item) => itemElement(list, item, place));
  const duplicates = new Set(repeated(elements));
  for (const [index, element] of elements.entries()) {
    const child = new ChangedPlace(place, element);
    child.insertInto("added");
    if (!duplicates.has(element)) collect(list.item, items[index], child);
  }
}

/** The elements that have occurred before, once for each repetition. */
function repeated(elements: readonly PathElement[]): PathElement[] {
  const seen = new Set<PathElement>();
  return elements.filter((element) => {
    const isRepeated = seen.has(element);
    seen.add(element);
    return isRepeated;
  });
}

/** Compares two values of the same shape. `undefined` means that the value is absent on that side. */
export function compareValues(shape: Shape, before: unknown, after: unknown): Comparison {
  const comparison = noChanges();
  compareAt(shape, before, after, new ChangedPlace(comparison));
  return comparison;
}

function compareAt(shape: Shape, before: unknown, after: unknown, place: ChangedPlace): void {
  const left = viewOf(shape, before);
  const right = viewOf(shape, after);
  const otherKind = before !== undefined && after !== undefined && left.kind !== right.kind;
  if (otherKind) compareAs(left, before, after, place);
  const leafLike = compareAs(after === undefined ? left : right, before, after, place);
  if (leafLike) return;
  if (before === undefined) place.insertInto("added");
  else if (after === undefined) place.insertInto("removed");
}

/** Compares two values. Returns whether it compared them as one unit. */
function compareAs(view: View, before: unknown, after: unknown, place: ChangedPlace): boolean {
  const [items, fields] = [view.kind === "items", view.kind === "fields"];
  const empty = (value: unknown): boolean =>
    isEmptyContainer(value) || (items && !Array.isArray(value)) || (fields && !isObject(value));
  if (view.kind === "leaf" || (empty(before) && empty(after))) {
    compareLeaf(before, after, place);
    return true;
  }
  if (view.kind === "items") compareItems(view.list, listOrEmpty(before), listOrEmpty(after), place);
  else compareFields(view.shape, before, after, place);
  return false;
}

function listOrEmpty(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function compareLeaf(before: unknown, after: unknown, place: ChangedPlace): void {
  if (before === undefined) place.insertInto("added");
  else if (after === undefined) place.insertInto("removed");
  else if (!jsonEqual(before, after)) place.insertInto("modified");
}

function compareFields(shape: Shape, before: unknown, after: unknown, place: ChangedPlace): void {
  const left: JsonObject = isObject(before) ? before : {};
  const right: JsonObject = isObject(after) ? after : {};
  for (const key of keysOf(left, right)) {
    const [old, next] = [ownField(left, key), ownField(right, key)];
    if (old === next && typeof old !== "object") continue;
    compareAt(below(shape, key), old, next, new ChangedPlace(place, `f:${key}`));
  }
}

function keysOf(left: JsonObject, right: JsonObject): readonly string[] {
  const keys = Object.keys(left);
  if (keys.length === 0) return Object.keys(right);
  for (const key of Object.keys(right)) if (!Object.hasOwn(left, key)) keys.push(key);
  return keys;
}

function group(list: GranularList, items: readonly unknown[], place: Place): Map<PathElement, unknown[]> {
  const groups = new Map<PathElement, unknown[]>();
  for (const item of items) {
    const element = itemElement(list, item, place);
    const known = groups.get(element);
    if (known === undefined) groups.set(element, [item]);
    else known.push(item);
  }
  return groups;
}

/**
 * Compares the items of two lists. Items with equal keys are compared together as one unit, because nothing
 * distinguishes them.
 */
function compareItems(
  list: GranularList,
  before: readonly unknown[],
  after: readonly unknown[],
  place: ChangedPlace,
): void {
  const left = group(list, before, place);
  const right = group(list, after, place);
  for (const element of new Set([...left.keys(), ...right.keys()])) {
    const [old = [], next = []] = [left.get(element), right.get(element)];
    const child = new ChangedPlace(place, element);
    if (old.length <= 1 && next.length <= 1) compareAt(list.item, old[0], next[0], child);
    else if (old.length >= 2 && next.length >= 2) {
      if (!jsonEqual(old, next)) child.insertInto("modified");
    } else if (old.length >= 2) {
      if (next.length > 0) compareAt(list.item, undefined, next[0], child);
      child.insertInto("removed");
    } else {
      if (old.length > 0) compareAt(list.item, old[0], undefined, child);
      child.insertInto("added");
    }
  }
}

/** Merges the applied configuration into the live object. The result shares no part with the arguments. */
export function mergeValues(shape: Shape, live: unknown, applied: unknown): unknown {
  return cloneJson(mergeAt(shape, live, applied, new Place()));
}

function mergeAt(shape: Shape, live: unknown, applied: unknown, place: Place): unknown {
  if (applied === undefined) return live;
  // Without a live list, the applied one is the result. `configurationFaults` has already refused duplicate items in
  // the applied list.
  if (live === undefined) return applied;
  const view = viewOf(shape, applied);
  const liveView = viewOf(shape, live);
  if (view.kind === "leaf" || (live !== null && liveView.kind !== view.kind)) return applied;
  if (isEmptyContainer(live) && isEmptyContainer(applied)) return applied;
  if (view.kind === "items") return mergeItems(view.list, listOrEmpty(live), listOrEmpty(applied), place);
  return mergeFields(view.shape, live, applied, place);
}

function mergeFields(shape: Shape, live: unknown, applied: unknown, place: Place): JsonObject {
  const left: JsonObject = isObject(live) ? live : {};
  const right: JsonObject = isObject(applied) ? applied : {};
  const result: JsonObject = {};
  for (const key of keysOf(left, right)) {
    const child = new Place(place, `f:${key}`);
    const value = mergeAt(below(shape, key), ownField(left, key), ownField(right, key), child);
    if (value !== undefined) setOwn(result, key, value);
  }
  return result;
}

/**
 * Merges the items of two lists. Applied items keep their order. Other live items keep their position among them as far
 * as the order of the applied items allows.
 */
function mergeItems(
  list: GranularList,
  live: readonly unknown[],
  applied: readonly unknown[],
  place: Place,
): unknown[] {
  const right = group(list, applied, place);
  for (const [element, items] of right) {
    if (items.length > 1)
      throw new SchemaFault(
        400,
        "BadRequest",
        `${formatFieldPath(place.path)}: duplicate entries for key ${formatFieldPath([element])}`,
      );
  }
  const left = group(list, live, place);
  const liveOrder = live.map((item) => itemElement(list, item, place));
  const appliedOrder = [...right.keys()];
  const shared = appliedOrder.filter((element) => left.has(element));
  const merged = new Set<PathElement>();
  const result: unknown[] = [];
  const take = (element: PathElement): void => {
    merged.add(element);
    const old = left.get(element) ?? [];
    const child = new Place(place, element);
    result.push(mergeAt(list.item, old.length === 1 ? old[0] : undefined, right.get(element)?.[0], child));
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

/** Removes the paths of the set from a value. Keeps containers that become empty. */
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
    const element = itemElement(list, item, new Place());
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
 * The faults of an applied configuration, with kube-apiserver's texts: unknown fields, values of another type, and
 * duplicate items.
 */
export function configurationFaults(shape: Shape, value: unknown): string[] {
  const faults: string[] = [];
  collectFaults(shape, value, new Place(), faults);
  return faults;
}

function collectFaults(shape: Shape, value: unknown, place: Place, faults: string[]): void {
  if (value === null || value === undefined || shape.kind === "any") return;
  const add = (fault: string): void => void faults.push(`${formatFieldPath(place.path)}: ${fault}`);
  const mismatch = (expected: string): void => add(`expected ${expected}, got ${nameOf(value)}`);
  if (shape.kind === "scalar") {
    const expected = scalarTypes[shape.code];
    if (expected !== undefined && expected.type !== typeof value) mismatch(expected.words);
  } else if (shape.kind === "list") {
    if (!Array.isArray(value)) return mismatch("list");
    const elements = isGranular(shape) ? value.map((item) => itemElement(shape, item, place)) : [];
    const [again] = repeated(elements);
    if (again !== undefined) return add(`duplicate entries for key ${formatFieldPath([again])}`);
    for (const [index, item] of value.entries())
      collectFaults(shape.item, item, new Place(place, elements[index] ?? `i:${index}`), faults);
  } else if (!isObject(value)) mismatch("map");
  else {
    for (const [key, item] of Object.entries(value)) {
      const child = new Place(place, `f:${key}`);
      const inner = fieldShape(shape, key);
      if (inner === undefined) faults.push(`${formatFieldPath(child.path)}: field not declared in schema`);
      else collectFaults(inner, item, child, faults);
    }
  }
}

function nameOf(value: unknown): string {
  if (Array.isArray(value)) return "list";
  return typeof value === "object" ? "map" : typeof value;
}

const text = { type: "string", words: "string" } as const;
const number = { type: "number", words: "numeric (int or float)" } as const;

/**
 * The type of each scalar whose values have only one type in JSON. A quantity, for example, may be a number or a
 * string, so it is absent here.
 */
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

/**
 * Converts quantities to the server's form, so that `0.5` is not a change of a stored `500m`. Copies only the parts
 * that contain such quantities.
 */
export function canonicalConfiguration(shape: Shape, value: unknown): unknown {
  if (shape.kind === "scalar" && shape.code === "Q")
    return typeof value === "string" || typeof value === "number" ? canonicalQuantity(String(value)) : value;
  if (shape.kind === "list" && Array.isArray(value)) {
    const items = value.map((item) => canonicalConfiguration(shape.item, item));
    return items.some((item, index) => item !== value[index]) ? items : value;
  }
  if (!isObject(value) || (shape.kind !== "struct" && shape.kind !== "map")) return value;
  let result = value;
  for (const [key, item] of Object.entries(value)) {
    const inner = fieldShape(shape, key);
    const canonical = inner === undefined ? item : canonicalConfiguration(inner, item);
    if (canonical === item) continue;
    if (result === value) result = { ...value };
    setOwn(result, key, canonical);
  }
  return result;
}
