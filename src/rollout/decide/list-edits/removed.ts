import { isTree, ownField, type Tree } from "../../../base/index.ts";
import { aligned, backendRoles, sharesBackend, type Role } from "./align.ts";
import { divisionOf, hasAll, isAbsent, isListOfTrees, isSame, listOf } from "./merge.ts";
import { isServerDefault } from "./server-defaults.ts";

/**
 * The elements of `before` that the list `now` no longer has. Undefined if there are none, or if a new or changed
 * element sends to a backend of a missing one: it may be the missing element with other fields.
 */
export function removedFrom(role: Role, before: unknown, now: unknown): readonly Tree[] | undefined {
  const [known, found] = [before, now].map(treesOf);
  if (known === undefined || found === undefined) return undefined;
  const places = aligned(role, known, found);
  const removed = known.filter((_element, index) => places[index] === -1);
  const others = found.filter((element, index) => {
    const place = places.indexOf(index);
    return place === -1 || !hasAll(element, known[place]);
  });
  const isClear = !removed.some((element) => others.some((other) => sharesBackend(element, other)));
  return removed.length > 0 && isClear ? removed : undefined;
}

/** The list without the elements that are the same as one of `gone`. */
export function withoutSame(role: Role, list: unknown, gone: readonly Tree[]): unknown {
  const elements = treesOf(list);
  if (elements === undefined) return list;
  const places = aligned(role, gone, elements);
  return elements.filter((_element, index) => !places.includes(index));
}

function treesOf(list: unknown): readonly Tree[] | undefined {
  return Array.isArray(list) && list.every(isTree) ? list : undefined;
}

/**
 * Whether the list still has something of `before` that `planned` removes or changes. `before` may lack what the server
 * has added to the list, such as defaults.
 */
export function hasRemains(role: Role, before: unknown, planned: unknown, found: unknown): boolean {
  if (isAbsent(before) || isSame(before, planned) || isSame(planned, found)) return false;
  const all = [before, planned, found];
  if (all.every((value) => isAbsent(value) || isListOfTrees(value)))
    return listHasRemains(role, listOf(before), listOf(planned), listOf(found));
  if (!all.every((value) => isAbsent(value) || isTree(value))) return isSame(before, found);
  const [former = {}, own = {}, now = {}] = all.map((value) => (isTree(value) ? value : {}));
  return Object.entries(former).some(([key, value]) => {
    const wanted = ownField(own, key);
    const isLeftOut = isAbsent(wanted) && isServerDefault(key, value);
    return !isLeftOut && hasRemains(key, value, wanted, ownField(now, key));
  });
}

function listHasRemains(
  role: Role,
  before: readonly Tree[],
  planned: readonly Tree[],
  found: readonly Tree[],
): boolean {
  const [toPlanned, toFound] = [aligned(role, before, planned), aligned(role, before, found)];
  // The server gives a backend its default weight if the plan leaves the weight out.
  const isDivided = backendRoles.has(role) && divisionOf(role, planned) === divisionOf(role, found);
  return before.some((element, index) => {
    const [own, now] = [planned[toPlanned[index] ?? -1], found[toFound[index] ?? -1]];
    if (now === undefined) return false;
    // Rules are paired by their backends too, so a new rule of somebody else may be paired with the removed one.
    if (own === undefined) return hasAll(now, element);
    const { weight: _weight, ...rest } = element;
    return hasRemains("", isDivided ? rest : element, own, now);
  });
}
