import { isTree } from "../../../base/index.ts";
import { aligned, sharesBackend, type Role } from "./align.ts";
import { hasAll } from "./merge.ts";

type Fields = Readonly<Record<string, unknown>>;

/**
 * The elements of `before` that the list `now` does not have any more. Undefined if there are none, or if a new or
 * changed element sends to one of their backends, because it may be one of them with other fields.
 */
export function removedFrom(role: Role, before: unknown, now: unknown): readonly Fields[] | undefined {
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

/** The list without the elements that are the same as one of these. */
export function withoutSame(role: Role, list: unknown, gone: readonly Fields[]): unknown {
  const elements = treesOf(list);
  if (elements === undefined) return list;
  const places = aligned(role, gone, elements);
  return elements.filter((_element, index) => !places.includes(index));
}

function treesOf(list: unknown): readonly Fields[] | undefined {
  return Array.isArray(list) && list.every(isTree) ? list : undefined;
}
