import { treesOf, treeOf, type Tree } from "../../../base/index.ts";
import type { TrafficMatch, ValueMatch } from "../../../api/serin/index.ts";
import { bySegment, cookieExpression, intersectPaths, literal, type PathPattern } from "./paths.ts";
import { targetError } from "./target-error.ts";
import {
  canaryRules,
  onlyCanaries,
  setCookieValue,
  splitBackends,
  type Affinity,
  type Pairing,
  type Traffic,
} from "./traffic.ts";

const maxRules = 16;

/**
 * Computes the rules of an HTTPRoute or a GRPCRoute for the given traffic. A rule without a pairing stays unchanged.
 * `title` names the route in errors.
 */
export function gatewayRules(
  original: readonly Tree[],
  pairingOf: (index: number) => Pairing | undefined,
  traffic: Traffic,
  title: string,
): Tree[] {
  const rules = original.flatMap((rule, index) => {
    const pairing = pairingOf(index);
    return pairing === undefined ? [rule] : movedRule(rule, pairing, traffic, `${title} rule ${index}`);
  });
  if (rules.length > maxRules)
    throw targetError(
      "target-unclear",
      `${title} would have ${rules.length} rules, and at most ${maxRules} are allowed`,
      "use fewer steps with match, or split the route",
    );
  return rules;
}

function movedRule(rule: Tree, pairing: Pairing, traffic: Traffic, title: string): Tree[] {
  const backends = treesOf(rule["backendRefs"]);
  // The canary's rule keeps the matches of the original rule. If it had only the step's headers, an exact path in
  // another rule would take precedence.
  const special = canaryRules(traffic, (match) => ({
    ...rule,
    matches: withMatch(rule["matches"], match, title),
    backendRefs: onlyCanaries(backends, pairing),
  }));
  const { affinity } = traffic;
  const dress = (backend: Tree): Tree =>
    affinity === undefined ? backend : { ...backend, filters: withCookie(treesOf(backend["filters"]), affinity) };
  const main = { ...rule, backendRefs: splitBackends(backends, pairing, traffic.weight, dress) };
  return [...special, withMirrors(main, backends, pairing, traffic)];
}

function withMirrors(rule: Tree, backends: readonly Tree[], pairing: Pairing, { mirrors }: Traffic): Tree {
  const stable = backends.find((backend) => pairing.isStable(backend));
  const filters = mirrors.flatMap(({ to, percent }) => {
    const backend = stable === undefined ? undefined : pairing.mirrorOf(stable, to);
    if (backend === undefined) return [];
    const { weight: _weight, filters: _filters, ...backendRef } = backend;
    return [{ type: "RequestMirror", requestMirror: { backendRef, ...(percent === 100 ? {} : { percent }) } }];
  });
  return filters.length === 0 ? rule : { ...rule, filters: [...treesOf(rule["filters"]), ...filters] };
}

/** Adds the cookie to an existing header filter, because a rule may have only one filter of that type. */
function withCookie(filters: readonly Tree[], affinity: Affinity): Tree[] {
  const header = { name: "Set-Cookie", value: setCookieValue(affinity) };
  const existing = filters.find(({ type }) => type === "ResponseHeaderModifier");
  const modifier = treeOf(existing?.["responseHeaderModifier"]);
  const filter = {
    type: "ResponseHeaderModifier",
    responseHeaderModifier: { ...modifier, add: [...treesOf(modifier["add"]), header] },
  };
  return [...filters.filter((other) => other !== existing), filter];
}

function withMatch(matches: unknown, wanted: TrafficMatch, title: string): Tree[] {
  const own = treesOf(matches);
  const found = (own.length === 0 ? [{}] : own).flatMap((match) => {
    const paths = wanted.paths.length === 0 ? [undefined] : wanted.paths;
    return paths.flatMap((path) => joined(match, wanted, path, title));
  });
  if (found.length === 0)
    throw targetError(
      "target-missing",
      `${title}: none of the paths of the step's match is among those that it matches`,
      "name paths within the rule's own, or another rule",
    );
  return found;
}

const pathTypes = { Exact: "Exact", Prefix: "PathPrefix", Regex: "RegularExpression" } as const;

function joined(match: Tree, wanted: TrafficMatch, path: PathPattern | undefined, title: string): Tree[] {
  const both = intersectPaths(pathOf(match["path"]), path, bySegment);
  if (both === "none") return [];
  if (both === "unclear")
    throw targetError(
      "target-unclear",
      `${title}: a regular expression of a path cannot be combined with the rule's own path`,
      "use a rule with the prefix /, or a match of type Exact or Prefix",
    );
  const cookies =
    wanted.cookies.length === 0
      ? []
      : [{ type: "RegularExpression", name: "cookie", value: cookieExpression(wanted.cookies) }];
  const headers = merged(treesOf(match["headers"]), [...wanted.headers.map(valueMatch), ...cookies], title, "header");
  const queryParams = merged(
    treesOf(match["queryParams"]),
    wanted.queryParams.map(valueMatch),
    title,
    "query parameter",
  );
  return [
    {
      ...match,
      ...(both === undefined || path === undefined ? {} : { path: { type: pathTypes[both.type], value: both.value } }),
      ...(headers.length === 0 ? {} : { headers }),
      ...(queryParams.length === 0 ? {} : { queryParams }),
    },
  ];
}

function pathOf(path: unknown): PathPattern | undefined {
  const { type = "PathPrefix", value = "/" } = treeOf(path) as { type?: string; value?: string };
  if (path === undefined || path === null) return undefined;
  return { type: type === "Exact" ? "Exact" : type === "RegularExpression" ? "Regex" : "Prefix", value };
}

/** The Gateway API has no prefix matches of header values, so they become regular expressions. */
function valueMatch({ name, type, value }: ValueMatch): Tree {
  if (type === "Exact") return { type: "Exact", name, value };
  return { type: "RegularExpression", name, value: type === "Prefix" ? `${literal(value)}.*` : value };
}

function merged(own: readonly Tree[], added: readonly Tree[], title: string, kind: string): Tree[] {
  const twice = added.find(({ name }) =>
    own.some((entry) => String(entry["name"]).toLowerCase() === String(name).toLowerCase()),
  );
  if (twice !== undefined)
    throw targetError(
      "target-unclear",
      `${title} already matches the ${kind} ${String(twice["name"])}, and a match may name it only once`,
      `match another ${kind}`,
    );
  return [...own, ...added];
}
