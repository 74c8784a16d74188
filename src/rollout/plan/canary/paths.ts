import type { PathMatchType } from "../../../api/serin/index.ts";

export interface PathPattern {
  readonly type: PathMatchType;
  readonly value: string;
}

/** Whether a path has a prefix. HTTPRoutes compare whole segments, VirtualServices compare characters. */
export type PrefixRule = (prefix: string, path: string) => boolean;

export const bySegment: PrefixRule = (prefix, path) => {
  const bare = prefix.endsWith("/") ? prefix.slice(0, -1) : prefix;
  return path === bare || path.startsWith(`${bare}/`);
};
export const byLetter: PrefixRule = (prefix, path) => path.startsWith(prefix);

/**
 * The paths that match both patterns. Undefined means all paths, here and in the arguments. `none`: no path matches
 * both. `unclear`: a pattern is a regular expression, so this function cannot decide.
 */
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

/** Escapes a text for a regular expression (RE2). */
export function literal(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`);
}

/** Matches a `cookie` header that contains all pairs in any order. */
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
