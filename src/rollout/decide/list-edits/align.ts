import { canonicalJsonWithoutNulls, isTree, type Tree } from "../../../base/index.ts";
import { withDefaultPaths } from "./server-defaults.ts";

/** The name of a list's field. It determines how the elements of two versions of the list are matched. */
export type Role = string;

/** Lists of backends. Their weights together say how requests are divided. */
export const backendRoles: ReadonlySet<Role> = new Set(["route", "backendRefs"]);
const ruleRoles: ReadonlySet<Role> = new Set(["rules", "http", "tcp", "tls"]);

/**
 * The index in `right` of each element of `left`, or -1. Elements are the same if they have the same name, backend or
 * type, or are equal. Rules without a name are the same if they match the same requests or send to the same backends.
 */
export function aligned(role: Role, left: readonly Tree[], right: readonly Tree[]): readonly number[] {
  const pairs = left.map(() => -1);
  const taken = new Set<number>();
  const pair = (from: number, to: number): void => {
    pairs[from] = to;
    taken.add(to);
  };
  for (const keyOf of [(element: Tree) => identityOf(role, element), textOf]) {
    const open = new Map<string, number[]>();
    for (const [index, element] of right.entries()) {
      const key = taken.has(index) ? undefined : keyOf(element);
      if (key === undefined) continue;
      const places = open.get(key);
      if (places === undefined) open.set(key, [index]);
      else places.push(index);
    }
    const wanted = left.map((element, index) => (pairs[index] === -1 ? keyOf(element) : undefined));
    const times = new Map<string | undefined, number>();
    for (const key of wanted) times.set(key, (times.get(key) ?? 0) + 1);
    for (const [index, key] of wanted.entries()) {
      const places = key === undefined ? undefined : open.get(key);
      // Two copies of a rule may have the same key, so a key that occurs twice does not identify an element.
      const isUnclear = keyOf !== textOf && ((places?.length ?? 0) > 1 || (times.get(key) ?? 0) > 1);
      const place = isUnclear ? undefined : places?.shift();
      if (place !== undefined) pair(index, place);
    }
  }
  if (ruleRoles.has(role)) pairAlike(left, right, pairs, pair);
  return pairs;
}

/**
 * The maximum number of pairs of rules that are compared. Without a maximum, an object with ten thousand changed rules
 * would take too long.
 */
const maxComparedPairs = 100_000;

/**
 * Pairs the remaining rules, beginning with those that have the most in common. With more than {@link maxComparedPairs}
 * pairs it pairs none, so the merge reports a conflict.
 */
function pairAlike(
  left: readonly Tree[],
  right: readonly Tree[],
  pairs: readonly number[],
  pair: (from: number, to: number) => void,
): void {
  const from = [...left.keys()].filter((index) => pairs[index] === -1);
  const known = new Set(pairs);
  const to = [...right.keys()].filter((index) => !known.has(index));
  if (from.length * to.length > maxComparedPairs) return;
  const rights = to.map((place) => ({ place, traits: traitsOf(right[place] ?? {}) }));
  const candidates = from.flatMap((place) => {
    const traits = traitsOf(left[place] ?? {});
    return rights.map((rule) => ({ a: place, b: rule.place, likeness: likeness(traits, rule.traits) }));
  });
  const done = { from: new Set<number>(), to: new Set<number>() };
  for (const { a, b, likeness: found } of candidates.toSorted((x, y) => y.likeness - x.likeness)) {
    if (found === 0 || done.from.has(a) || done.to.has(b)) continue;
    done.from.add(a);
    done.to.add(b);
    pair(a, b);
  }
}

interface Traits {
  readonly name: string | undefined;
  readonly matches: string;
  readonly backends: string;
}

function traitsOf(rule: Tree): Traits {
  const { name, match, matches } = rule;
  return {
    name: typeof name === "string" ? name : undefined,
    matches: textOf([match, withDefaultPaths(matches)]),
    backends: backendsOf(rule),
  };
}

/** How much two rules have in common. 0 if nothing shows that they are the same. */
function likeness(a: Traits, b: Traits): number {
  const matches = a.matches === b.matches ? 2 : 0;
  const backends = a.backends === b.backends ? 1 : 0;
  const isRenamed = a.name !== undefined && b.name !== undefined && a.name !== b.name;
  return isRenamed && matches + backends < 3 ? 0 : matches + backends;
}

function backendsOf(rule: Tree): string {
  return backendNames(rule).toSorted().join(" ");
}

export function sharesBackend(a: Tree, b: Tree): boolean {
  const others = new Set(backendNames(b));
  return backendNames(a).some((name) => others.has(name));
}

function backendNames(rule: Tree): readonly string[] {
  return [...backendRoles].flatMap((role) => elementsOf(rule[role]).map((backend) => identityOf(role, backend) ?? ""));
}

/** The name of an element among those of its list. Undefined if it has none. */
export function identityOf(role: Role, element: Tree): string | undefined {
  if (backendRoles.has(role) || role === "mirrors") return backendIdentity(element);
  if (role === "filters") return filterIdentity(element);
  const { name } = element;
  return typeof name === "string" ? name : undefined;
}

function backendIdentity({ destination, group, kind, namespace, name, port }: Tree): string {
  if (isTree(destination)) return textOf(destination);
  return textOf({ group: group ?? "", kind: kind ?? "Service", namespace, name, port });
}

/**
 * The identity of a filter within its rule. A rule has at most one filter of most types, but may mirror to several
 * backends and have several extensions.
 */
function filterIdentity({ type, requestMirror, extensionRef }: Tree): string {
  const { backendRef } = isTree(requestMirror) ? requestMirror : {};
  return textOf([type, isTree(backendRef) ? backendIdentity(backendRef) : "", extensionRef]);
}

function textOf(value: unknown): string {
  return canonicalJsonWithoutNulls(value);
}

function elementsOf(value: unknown): readonly Tree[] {
  return Array.isArray(value) ? value.filter(isTree) : [];
}
