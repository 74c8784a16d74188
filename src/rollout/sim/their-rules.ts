import type { Tree } from "../../base/index.ts";
import type { Addition } from "./scenario.ts";

const theirs = "theirs";
const paths: Readonly<Record<string, Tree>> = {
  VirtualService: { match: [{ uri: { prefix: "/theirs" }, port: 1 }], route: [{ destination: { host: theirs } }] },
  HTTPRoute: { matches: [{ path: { value: "/theirs" } }], backendRefs: [{ name: theirs, port: 1 }] },
};

/** The rules of a route with somebody's addition. No request of the model matches an added rule. */
export function withTheirs(list: readonly Tree[], kind: string, what: Addition): readonly Tree[] {
  const rule = paths[kind === "VirtualService" ? kind : "HTTPRoute"] ?? {};
  if (what === "rule at the end") return [...list, rule];
  if (what === "rule at the beginning") return [rule, ...list];
  return list.map((known, index) => (index === list.length - 1 ? { ...known, theirs } : known));
}

/**
 * The rules without the additions of {@link withTheirs}. An added field goes only from the last rule that has it. The
 * engine's copy of that rule comes before it and keeps the field.
 */
export function withoutTheirs(list: readonly Tree[]): readonly Tree[] {
  const last = list.findLastIndex((rule) => rule["theirs"] === theirs);
  return list.flatMap((rule, index) => (isTheirs(rule) ? [] : [index === last ? withoutField(rule) : rule]));
}

export function hasTheirs(list: unknown, what: Addition): boolean {
  if (!Array.isArray(list)) return false;
  return (list as readonly Tree[]).some((rule) => (what === "field" ? rule["theirs"] === theirs : isTheirs(rule)));
}

function isTheirs(rule: Tree): boolean {
  const text = JSON.stringify([rule["match"], rule["matches"]]);
  return text.includes("/theirs");
}

function withoutField({ theirs: _theirs, ...rule }: Tree): Tree {
  return rule;
}

/** The rules with other weights, which conflict with those of the rollout. Undefined if no rule has two backends. */
export function withTheirWeights(list: unknown): unknown {
  if (!Array.isArray(list)) return undefined;
  const rules = (list as readonly Tree[]).map((rule) => withMoreOfFirst(withMoreOfFirst(rule, "route"), "backendRefs"));
  return rules.some((rule, index) => rule !== list[index]) ? rules : undefined;
}

function withMoreOfFirst(rule: Tree, field: string): Tree {
  const [first, ...others] = (rule[field] ?? []) as readonly (Tree & { readonly weight?: number })[];
  if (first === undefined || others.length === 0) return rule;
  return { ...rule, [field]: [{ ...first, weight: (first.weight ?? 0) + 7 }, ...others] };
}
