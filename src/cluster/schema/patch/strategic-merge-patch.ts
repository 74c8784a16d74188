import { canonicalJson, ownField } from "../../../base/index.ts";
import { SchemaFault } from "../contract.ts";
import { cloneJson, isObject, setOwn, type JsonObject } from "../json.ts";
import type { FieldShape, Shape, StructShape } from "../shape.ts";

const directive = "$patch";
const retainKeys = "$retainKeys";
const deletePrefix = "$deleteFromPrimitiveList/";
const orderPrefix = "$setElementOrder/";

/**
 * Applies a strategic merge patch, by the merge keys that the Go types declare. The result shares no part with the
 * arguments.
 */
export function applyStrategicMergePatch(shape: StructShape, original: JsonObject, patch: unknown): JsonObject {
  if (!isObject(patch)) throw new SchemaFault(400, "BadRequest", "the strategic merge patch must be an object");
  return mergeObject(shape, cloneJson(original), cloneJson(patch)) ?? {};
}

/** Merges the patch into the object. Returns undefined if the patch deletes the object. */
function mergeObject(shape: Shape | undefined, target: JsonObject, patch: JsonObject): JsonObject | undefined {
  const action = patch[directive];
  delete patch[directive];
  if (action === "replace") return withoutDirectives(patch) as JsonObject;
  if (action === "delete") return undefined;
  if (action !== undefined && action !== "merge")
    throw new SchemaFault(400, "BadRequest", `Unknown patch type found: ${JSON.stringify(action)}`);
  applyRetainKeys(target, patch);
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith(deletePrefix)) deletePrimitives(target, key.slice(deletePrefix.length), value);
  }
  for (const [key, value] of Object.entries(patch)) {
    if (!key.startsWith("$")) mergeField(shape, target, key, value, patch[orderPrefix + key]);
  }
  for (const [key, order] of Object.entries(patch)) {
    const field = key.startsWith(orderPrefix) ? key.slice(orderPrefix.length) : undefined;
    if (field !== undefined && !Object.hasOwn(patch, field)) orderOnly(shape, target, field, order);
  }
  return target;
}

function fieldOf(shape: Shape | undefined, key: string): FieldShape | undefined {
  return shape?.kind === "struct" ? shape.fields.get(key) : undefined;
}

function valueShape(shape: Shape | undefined, key: string): Shape | undefined {
  return shape?.kind === "map" ? shape.value : fieldOf(shape, key)?.shape;
}

function applyRetainKeys(target: JsonObject, patch: JsonObject): void {
  const retained = patch[retainKeys];
  if (retained === undefined) return;
  if (!Array.isArray(retained)) throw new SchemaFault(400, "BadRequest", `${retainKeys} must be a list of field names`);
  const names = new Set<unknown>(retained);
  for (const key of Object.keys(target)) if (!names.has(key)) delete target[key];
}

function deletePrimitives(target: JsonObject, key: string, values: unknown): void {
  const present = ownField(target, key);
  if (!Array.isArray(values)) throw new SchemaFault(400, "BadRequest", `${deletePrefix}${key} must be a list`);
  const deleted = new Set(values.map(identityOf));
  if (Array.isArray(present)) target[key] = present.filter((item) => !deleted.has(identityOf(item)));
}

function mergeField(shape: Shape | undefined, target: JsonObject, key: string, value: unknown, order: unknown): void {
  const present = ownField(target, key);
  if (value === null) delete target[key];
  else if (Array.isArray(value)) setOwn(target, key, mergeList(fieldOf(shape, key), present, value, order, key));
  else if (isObject(value)) {
    const merged = mergeObject(valueShape(shape, key), isObject(present) ? present : {}, value);
    if (merged === undefined) delete target[key];
    else setOwn(target, key, merged);
  } else setOwn(target, key, value);
}

function mergeList(
  field: FieldShape | undefined,
  present: unknown,
  patch: unknown[],
  order: unknown,
  key: string,
): unknown[] {
  if (field === undefined || !field.strategy.includes("merge")) return patch.map(withoutDirectives);
  const target: unknown[] = Array.isArray(present) ? present : [];
  const { mergeKey } = field;
  if (mergeKey === undefined) {
    const merged = [...target];
    const present = new Set(target.map(identityOf));
    for (const item of patch) {
      const identity = identityOf(item);
      if (!present.has(identity)) merged.push(item);
      present.add(identity);
    }
    return ordered(merged, target, orderOf(order, patch), undefined);
  }
  const itemShape = field.shape.kind === "list" ? field.shape.item : undefined;
  const entries = patch.map((item) => {
    if (!isObject(item))
      throw new SchemaFault(
        400,
        "BadRequest",
        `${key}: a strategic merge patch of this list must contain only objects`,
      );
    return item;
  });
  const replacing = entries.some((item) => item[directive] === "replace");
  const base = replacing ? [] : target;
  const rest = replacing ? entries.filter((item) => item[directive] !== "replace") : entries;
  const names = rest.filter((item) => item[directive] !== "delete");
  return ordered(mergeEntries(itemShape, base, rest, mergeKey, key), base, orderOf(order, names), mergeKey);
}

function orderOf(order: unknown, patch: readonly unknown[]): readonly unknown[] {
  return Array.isArray(order) ? order : patch;
}

function mergeEntries(
  shape: Shape | undefined,
  target: unknown[],
  patch: JsonObject[],
  mergeKey: string,
  key: string,
): unknown[] {
  const merged: unknown[] = [...target];
  // The positions of each key. If a key occurs several times, a patch is merged into the first occurrence, and a
  // deletion removes all of them.
  const places = new Map<string, number[]>();
  for (const [index, each] of target.entries())
    if (isObject(each)) getOrAdd(places, identityOf(each[mergeKey])).push(index);
  for (const item of patch) {
    const id = item[mergeKey];
    if (id === undefined)
      throw new SchemaFault(
        400,
        "BadRequest",
        `map: ${JSON.stringify(item)} does not contain declared merge key: ${mergeKey}`,
      );
    const found = getOrAdd(places, identityOf(id));
    if (item[directive] === "delete") {
      for (const index of found.splice(0)) merged[index] = gone;
      continue;
    }
    const [index = merged.length] = found;
    const base = merged[index];
    const next = mergeObject(shape, isObject(base) ? base : {}, item);
    if (next === undefined) throw new SchemaFault(400, "BadRequest", `${key}: unexpected delete directive`);
    if (index === merged.length) found.push(index);
    merged[index] = next;
  }
  return merged.filter((element) => element !== gone);
}

const gone = Symbol("gone");

function getOrAdd(places: Map<string, number[]>, identity: string): number[] {
  let found = places.get(identity);
  if (found === undefined) {
    found = [];
    places.set(identity, found);
  }
  return found;
}

/** The same text for equal JSON values, and different texts for different ones. */
function identityOf(value: unknown): string {
  return value === undefined ? "undefined" : canonicalJson(value);
}

function positionsOf(identities: readonly string[]): ReadonlyMap<string, number> {
  const positions = new Map<string, number>();
  for (const [index, identity] of identities.entries()) if (!positions.has(identity)) positions.set(identity, index);
  return positions;
}

/**
 * Sorts merged items. The items of the patch have the order of its `$setElementOrder` directive, or else the order in
 * the patch. Each of the other items comes before the first patch item that it preceded in the original list.
 */
function ordered(
  merged: unknown[],
  original: readonly unknown[],
  order: readonly unknown[],
  mergeKey: string | undefined,
): unknown[] {
  const identity = (item: unknown): string =>
    identityOf(mergeKey !== undefined && isObject(item) ? item[mergeKey] : item);
  const positions = positionsOf(original.map(identity));
  const wanted = positionsOf(order.map(identity));
  const entries = merged.map((item) => {
    const key = identity(item);
    return { item, from: positions.get(key), to: wanted.get(key) };
  });
  const named = entries.filter(({ to }) => to !== undefined).sort((a, b) => (a.to ?? 0) - (b.to ?? 0));
  const rest = entries.filter(({ to }) => to === undefined);
  const result: unknown[] = [];
  let [n, r] = [0, 0];
  for (let left = named[n], right = rest[r]; left !== undefined && right !== undefined;) {
    const precedes = right.from !== undefined && left.from !== undefined && right.from < left.from;
    result.push(precedes ? right.item : left.item);
    if (precedes) right = rest[++r];
    else left = named[++n];
  }
  return [...result, ...rest.slice(r).map(({ item }) => item), ...named.slice(n).map(({ item }) => item)];
}

function orderOnly(shape: Shape | undefined, target: JsonObject, key: string, order: unknown): void {
  const present = ownField(target, key);
  const field = fieldOf(shape, key);
  if (!Array.isArray(present) || field === undefined || !field.strategy.includes("merge")) return;
  target[key] = ordered(present, present, orderOf(order, []), field.mergeKey);
}

/** Removes directives from a value that is new or replaces another one, so that they do not get into the object. */
function withoutDirectives(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutDirectives);
  if (!isObject(value)) return value;
  const result: JsonObject = {};
  for (const [key, item] of Object.entries(value)) {
    if (key === directive || key === retainKeys || key.startsWith(deletePrefix) || key.startsWith(orderPrefix))
      continue;
    setOwn(result, key, withoutDirectives(item));
  }
  return result;
}
