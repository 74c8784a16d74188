import { isTree, ownField } from "../../../base/index.ts";
import { aligned, backendRoles, type Role } from "./align.ts";
import { divisionOf, hasAll, isAbsent, isListOfTrees, isSame, listOf } from "./merge.ts";
import { isServerDefault } from "./server-defaults.ts";

type Fields = Readonly<Record<string, unknown>>;

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
  before: readonly Fields[],
  planned: readonly Fields[],
  found: readonly Fields[],
): boolean {
  const [toPlanned, toFound] = [aligned(role, before, planned), aligned(role, before, found)];
  // The server gives a backend its default weight if the plan leaves the weight out.
  const isDivided = backendRoles.has(role) && divisionOf(role, planned) === divisionOf(role, found);
  return before.some((element, index) => {
    const [own, now] = [planned[toPlanned[index] ?? -1], found[toFound[index] ?? -1]];
    if (now === undefined) return false;
    // Rules are paired by their backends too, so somebody's new rule may be paired with the removed one.
    if (own === undefined) return hasAll(now, element);
    const { weight: _weight, ...rest } = element;
    return hasRemains("", isDivided ? rest : element, own, now);
  });
}
