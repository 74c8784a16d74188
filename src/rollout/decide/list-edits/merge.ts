import { isTree, jsonEqualWithoutNulls, ownField, type Tree } from "../../../base/index.ts";
import { aligned, backendRoles, identityOf, type Role } from "./align.ts";
import { defaultWeights } from "./server-defaults.ts";

export type Merge =
  | { readonly value: unknown }
  /** Both sides have changed this place differently. The place is a JSON pointer below the merged value. */
  | { readonly conflict: string };

/** A place in the value that is merged. All places share the list of conflicts. */
interface Place {
  readonly path: string;
  /** The name of the field, or of the list if this is one of its elements. */
  readonly role: Role;
  readonly conflicts: string[];
}

/**
 * Merges two changes of one list: the engine's, from `base` to `ours`, and somebody else's, from `base` to `theirs`.
 * The result has the order of `theirs`. `role`: the name of the list's field, such as `rules` or `http`.
 */
export function mergeEdits(role: Role, base: unknown, ours: unknown, theirs: unknown): Merge {
  const conflicts: string[] = [];
  const value = merged({ path: "", role, conflicts }, base, ours, theirs);
  const [conflict] = conflicts;
  return conflict === undefined ? { value } : { conflict };
}

/** The same as {@link mergeEdits}. If both sides have changed the same place, the engine's change wins. */
export function mergeOverEdits(role: Role, base: unknown, ours: unknown, theirs: unknown): unknown {
  return merged({ path: "", role, conflicts: [] }, base, ours, theirs);
}

function merged(place: Place, base: unknown, ours: unknown, theirs: unknown): unknown {
  if (isSame(ours, theirs) || isSame(base, ours)) return theirs;
  if (isSame(base, theirs)) return ours;
  const isRemoved = (theirs ?? undefined) === undefined;
  if (!isRemoved && [base, ours, theirs].every((value) => isAbsent(value) || isListOfTrees(value)))
    return unlessEmpty(mergedLists(place, listOf(base), listOf(ours), listOf(theirs)), ours);
  if (!isRemoved && [base, ours, theirs].every((value) => isAbsent(value) || isTree(value)))
    return unlessEmpty(mergedFields(place, base ?? {}, ours ?? {}, theirs ?? {}), ours);
  place.conflicts.push(place.path);
  return ours;
}

function mergedFields(place: Place, base: object, ours: object, theirs: object): Tree {
  const [before, own, other] = [base as Tree, ours as Tree, theirs as Tree];
  const keys = new Set([...Object.keys(other), ...Object.keys(own)]);
  return Object.fromEntries(
    [...keys].flatMap((key) => {
      const inner = { ...place, path: `${place.path}/${key}`, role: key };
      const values = [before, own, other].map((fields) => ownField(fields, key)) as [unknown, unknown, unknown];
      const value = key === "weight" ? mergedWeight(inner, place.role, values) : merged(inner, ...values);
      return value === undefined ? [] : [[key, value] as const];
    }),
  );
}

/**
 * Merges a weight. The API server stores the default weight of a backend without one, so a list as the engine made it
 * may lack a weight that the stored list has.
 */
function mergedWeight(place: Place, role: Role, values: readonly [unknown, unknown, unknown]): unknown {
  const [base, ours, theirs] = values.map((value) => (isAbsent(value) ? defaultWeights.get(role) : value));
  if (ours === theirs) return values[2];
  return base === theirs ? values[1] : merged(place, ...values);
}

interface Merged {
  readonly value: Tree;
  /** The index of the element in the engine's list. */
  readonly own?: number;
}

function mergedLists(
  place: Place,
  base: readonly Tree[],
  ours: readonly Tree[],
  theirs: readonly Tree[],
): readonly Tree[] {
  const { role, conflicts } = place;
  const isShared = backendRoles.has(role) && isDividedByBoth(role, base, ours, theirs);
  if (isShared) conflicts.push(place.path);
  const [toOurs, toTheirs] = [aligned(role, base, ours), aligned(role, base, theirs)];
  const [baseOfOurs, baseOfTheirs] = [inverse(toOurs), inverse(toTheirs)];
  const ownAdded = [...ours.keys()].filter((index) => !baseOfOurs.has(index));
  const otherAdded = [...theirs.keys()].filter((index) => !baseOfTheirs.has(index));
  const pairs = aligned(
    role,
    otherAdded.map((index) => theirs[index] ?? {}),
    ownAdded.map((index) => ours[index] ?? {}),
  );
  /** The index in the engine's list of each element that both sides have added, by its index in the other list. */
  const addedByBoth = new Map(otherAdded.map((index, at) => [index, ownAdded[pairs[at] ?? -1] ?? -1]));
  const result: Merged[] = [];
  for (const [index, element] of theirs.entries()) {
    const known = baseOfTheirs.get(index) ?? -1;
    const own = (known === -1 ? addedByBoth.get(index) : toOurs[known]) ?? -1;
    const inner = { ...place, path: `${place.path}/${index}`, role };
    const before = base[known];
    if (own !== -1) result.push({ value: merged(inner, before, ours[own], element) as Tree, own });
    else if (before === undefined) result.push(...(isShared ? [] : [{ value: element }]));
    else if (!hasAll(element, before)) conflicts.push(inner.path);
  }
  const removed = [...base.keys()].filter((index) => toTheirs[index] === -1 && toOurs[index] !== -1);
  const lost = removed.filter((index) => !jsonEqualWithoutNulls(base[index], ours[toOurs[index] ?? -1]));
  if (lost.length > 0) conflicts.push(place.path);
  return withAdded(result, ours, new Set([...ownAdded, ...lost.map((index) => toOurs[index] ?? -1)]));
}

/** The reverse of an alignment: for each aligned element of the right list, its index in the left list. */
function inverse(aligned: readonly number[]): ReadonlyMap<number, number> {
  return new Map(aligned.flatMap((right, left) => (right === -1 ? [] : [[right, left] as const])));
}

/**
 * The merged list with the elements that only the engine has added, each before its successor in the engine's list: the
 * rule of matching requests must come before the rule from which it was copied. An element whose successor is gone
 * comes before all later ones.
 */
function withAdded(result: readonly Merged[], ours: readonly Tree[], added: ReadonlySet<number>): readonly Tree[] {
  /**
   * For each index in the engine's list: the index in the result of the element itself, or of the element that it must
   * precede.
   */
  const places = new Map<number, number>();
  for (const [place, { own }] of result.entries()) if (own !== undefined) places.set(own, place);
  const missing = [...ours.keys()].filter((index) => added.has(index) && !places.has(index));
  let firstLater = result.length;
  for (const index of [...ours.keys()].toReversed()) {
    if (!places.has(index) && added.has(index)) places.set(index, places.get(index + 1) ?? firstLater);
    firstLater = Math.min(firstLater, places.get(index) ?? firstLater);
  }
  const byPlace = Map.groupBy(missing, (index) => places.get(index) ?? result.length);
  const addedBefore = (place: number): readonly Tree[] => (byPlace.get(place) ?? []).map((index) => ours[index] ?? {});
  return [...result.flatMap(({ value }, place) => [...addedBefore(place), value]), ...addedBefore(result.length)];
}

/** Whether both sides have changed how requests are divided. This depends on all backends of the list together. */
function isDividedByBoth(role: Role, base: readonly Tree[], ours: readonly Tree[], theirs: readonly Tree[]): boolean {
  const [before, own, other] = [base, ours, theirs].map((list) => divisionOf(role, list));
  return own !== before && other !== before && own !== other;
}

/**
 * The base of a plan, but with the backends that its rules have in `found` where the two divide requests differently.
 * An earlier run may have left such a division. Backends that the plan has too get only the fields that the plan gives
 * them.
 */
export function withDivisionsOf(role: Role, base: unknown, planned: unknown, found: unknown): unknown {
  if (!isListOfTrees(base) || !isListOfTrees(found)) return base;
  const ours = listOf(planned);
  const [toOurs, toFound] = [aligned(role, base, ours), aligned(role, base, found)];
  return base.map((rule, index) => {
    const [own, now] = [ours[toOurs[index] ?? -1] ?? {}, found[toFound[index] ?? -1] ?? {}];
    const fields = [...backendRoles].flatMap((field): (readonly [string, unknown])[] => {
      const [before, other] = [listOf(rule[field]), listOf(now[field])];
      if (other.length === 0 || divisionOf(field, before) === divisionOf(field, other)) return [];
      const known = new Map([...before, ...listOf(own[field])].map((backend) => [identityOf(field, backend), backend]));
      return [[field, other.map((backend) => withFieldsOf(backend, known.get(identityOf(field, backend))))]];
    });
    return fields.length === 0 ? rule : { ...rule, ...Object.fromEntries(fields) };
  });
}

/** The backend with only its weight and those fields that the backend `known` has too. */
function withFieldsOf(backend: Tree, known: Tree = backend): Tree {
  return Object.fromEntries(Object.entries(backend).filter(([key]) => key === "weight" || key in known));
}

export function divisionOf(role: Role, list: readonly Tree[]): string {
  const missing = defaultWeights.get(role) ?? 0;
  const parts = list.map((backend) => {
    // A backend that is alone in its list gets all requests, whatever its weight is.
    const weight = list.length === 1 ? 1 : (backend["weight"] ?? missing);
    return JSON.stringify([identityOf(role, backend), weight]);
  });
  return parts.toSorted().join(" ");
}

/**
 * Whether the value contains everything that the wanted value has. The order of lists does not matter. Elements may
 * have more fields, because the API server adds defaults.
 */
export function hasAll(value: unknown, wanted: unknown): boolean {
  if (isAbsent(wanted)) return true;
  if (isTree(wanted))
    return isTree(value) && Object.entries(wanted).every(([key, inner]) => hasAll(ownField(value, key), inner));
  if (!Array.isArray(wanted)) return value === wanted;
  return Array.isArray(value) && wanted.every((element) => value.some((other) => hasAll(other, element)));
}

export function isSame(left: unknown, right: unknown): boolean {
  return jsonEqualWithoutNulls(left, right) || (isEmptyList(left) && isEmptyList(right));
}

function isEmptyList(value: unknown): boolean {
  return isAbsent(value) || (Array.isArray(value) && value.length === 0);
}

/** The value. Undefined if it is empty and the engine's own element lacks the field. */
function unlessEmpty(value: object, ours: unknown): unknown {
  return isAbsent(ours) && Object.keys(value).length === 0 ? undefined : value;
}

export function isAbsent(value: unknown): value is undefined | null {
  return value === undefined || value === null;
}

export function isListOfTrees(value: unknown): value is readonly Tree[] {
  return Array.isArray(value) && value.every(isTree);
}

export function listOf(value: unknown): readonly Tree[] {
  return isListOfTrees(value) ? value : [];
}
