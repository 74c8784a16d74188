import type { PathMatchType } from "../../../api/serin/index.ts";

export interface PathPattern {
  readonly type: PathMatchType;
  readonly value: string;
}

/** How a kind of route reads a prefix: HTTPRoutes by whole segments, VirtualServices letter by letter. */
export type PrefixRule = (prefix: string, path: string) => boolean;

export const bySegment: PrefixRule = (prefix, path) => {
  const bare = prefix.endsWith("/") ? prefix.slice(0, -1) : prefix;
  return path === bare || path.startsWith(`${bare}/`);
};
export const byLetter: PrefixRule = (prefix, path) => path.startsWith(prefix);

/** Paths that both patterns take; `none` when there is no such path, `unclear` when a regular expression hides whether there is. */
export function intersectPaths(
  a: PathPattern | undefined,
  b: PathPattern | undefined,
  within: PrefixRule,
): PathPattern | "none" | "unclear" | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  if (a.type === b.type && a.value === b.value) return a;
  if (a.type === "Regex" || b.type === "Regex") return isAll(a) ? b : isAll(b) ? a : "unclear";
  if (a.type === "Exact" && b.type === "Exact") return "none";
  if (a.type === "Exact") return within(b.value, a.value) ? a : "none";
  if (b.type === "Exact") return within(a.value, b.value) ? b : "none";
  if (within(a.value, b.value)) return b;
  return within(b.value, a.value) ? a : "none";
}

function isAll({ type, value }: PathPattern): boolean {
  return type === "Prefix" && value === "/";
}

/** Text as a regular expression that matches it and nothing else (RE2). */
export function literal(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`);
}

/** A `cookie` header that holds all of the pairs, in whatever order. */
export function cookieExpression(cookies: readonly { readonly name: string; readonly value: string }[]): string {
  const pairs = cookies.map(({ name, value }) => `${literal(name)}=${literal(value)}`);
  const orders = permutations(pairs).map((order) => order.join(String.raw`;(?:.*;)?\s*`));
  return String.raw`(?:.*;\s*)?(?:${orders.join("|")})(?:;.*)?`;
}

function permutations(items: readonly string[]): string[][] {
  if (items.length <= 1) return [[...items]];
  return items.flatMap((item, index) =>
    permutations(items.filter((_, other) => other !== index)).map((rest) => [item, ...rest]),
  );
}
