import { treesOf, isTree, type Tree } from "../../base/index.ts";
import type { ObjectReference } from "../../api/serin/index.ts";

/**
 * The rules of a route of the Gateway API as the API server stores them: with the defaults of its schema. A value of
 * another field stays as it is.
 */
export function withServerDefaults({ kind }: ObjectReference, pointer: string, value: unknown): unknown {
  if (pointer !== "/spec/rules" || !Array.isArray(value)) return value;
  return (value as readonly Tree[]).map((rule) => (kind === "HTTPRoute" ? httpRule(rule) : commonRule(rule)));
}

const anyPath = { path: { type: "PathPrefix", value: "/" } };

function httpRule(rule: Tree): Tree {
  const { matches } = rule;
  return {
    ...commonRule(rule),
    matches: Array.isArray(matches) ? treesOf(matches).map(httpMatch) : [anyPath],
  };
}

function httpMatch(match: Tree): Tree {
  const { path, headers } = match;
  return {
    ...match,
    path: { ...anyPath.path, ...(isTree(path) ? path : {}) },
    ...(headers === undefined ? {} : { headers: treesOf(headers).map((header) => ({ type: "Exact", ...header })) }),
  };
}

function commonRule(rule: Tree): Tree {
  const { backendRefs, filters } = rule;
  return {
    ...rule,
    ...(backendRefs === undefined
      ? {}
      : { backendRefs: treesOf(backendRefs).map((backend) => ({ ...ofService, weight: 1, ...backend })) }),
    ...(filters === undefined ? {} : { filters: treesOf(filters).map(mirrorFilter) }),
  };
}

const ofService = { group: "", kind: "Service" };

function mirrorFilter(filter: Tree): Tree {
  const { requestMirror } = filter;
  if (!isTree(requestMirror) || !isTree(requestMirror["backendRef"])) return filter;
  return {
    ...filter,
    requestMirror: { ...requestMirror, backendRef: { ...ofService, ...requestMirror["backendRef"] } },
  };
}
