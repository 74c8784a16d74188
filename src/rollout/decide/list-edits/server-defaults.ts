import { isTree, jsonEqualWithoutNulls } from "../../../base/index.ts";

/** The default weight that the API server writes into a backend without a weight, by the name of the list's field. */
export const defaultWeights: ReadonlyMap<string, number> = new Map([["backendRefs", 1]]);

const anyPath = { type: "PathPrefix", value: "/" };

/** The fields that the API server adds to rules of the Gateway API, besides weights. */
const defaults: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ["group", ""],
  ["kind", "Service"],
  ["path", anyPath],
  ["matches", [{ path: anyPath }]],
  ["type", "Exact"],
]);

/**
 * Whether the API server adds the field with this value. The engine computes its own routes without such fields, even
 * from a stored list that has them, so a plan that lacks such a field does not remove it.
 */
export function isServerDefault(field: string, value: unknown): boolean {
  return defaults.has(field) && jsonEqualWithoutNulls(defaults.get(field), value);
}

/** The matches of a rule of the Gateway API as the API server stores them. */
export function withDefaultPaths(matches: unknown): unknown {
  if (matches === undefined || matches === null) return defaults.get("matches");
  return Array.isArray(matches)
    ? matches.map((match: unknown) => (isTree(match) ? { ...match, path: match["path"] ?? anyPath } : match))
    : matches;
}
