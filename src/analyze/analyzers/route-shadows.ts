import { jsonEqual } from "../../base/index.ts";
import {
  httpRouteKind,
  type HttpRoute,
  type HttpRouteMatch,
  type HttpRouteRule,
  type NamedMatch,
} from "../../api/gateway/index.ts";
import { listed, type Analyzer } from "../analyzer.ts";
import type { Entry, Inventory } from "../inventory.ts";
import { messageTypes } from "../message-types.ts";

/** A rule with what decides its order among rules that match the same requests. */
interface PlacedRule {
  readonly entry: Entry<HttpRoute>;
  readonly rule: HttpRouteRule;
  readonly index: number;
}

/**
 * The Gateway API prefers the longest path, and compares headers only between equal paths. So a rule with a header and
 * a short path loses to any rule with a longer path, whatever their order is.
 */
export const routeShadowAnalyzer: Analyzer = {
  name: "httproute.ShadowedRuleAnalyzer",
  description: "no rule of an HTTPRoute is shadowed by another rule",
  analyze(inventory, report) {
    const rules = rulesOf(inventory);
    for (const own of rules) {
      const { entry, index } = own;
      for (const other of rules) {
        if (other === own || !sharesRequests(own.entry, other.entry) || sameBackends(own.rule, other.rule)) continue;
        const where =
          other.entry === entry
            ? `spec.rules[${other.index}]`
            : `rule ${other.index} of HTTPRoute ${fullName(other.entry)}`;
        const repeated = own.rule.matches.findIndex(
          (match) => isEarlier(other, own) && other.rule.matches.some((theirs) => textOf(theirs) === textOf(match)),
        );
        if (repeated !== -1) {
          report(
            messageTypes.routeRuleShadowed,
            entry.resource,
            `spec.rules[${index}].matches[${repeated}]`,
            `match ${repeated} (${conditionsText(own.rule.matches[repeated])}) is never used: ${where} has the same one and comes first; change or remove one of them`,
          );
          continue;
        }
        const lost = lostPaths(own.rule, other.rule);
        const [first] = lost;
        if (first === undefined) continue;
        const { path } = first.winner;
        report(
          messageTypes.routeRuleShadowed,
          entry.resource,
          `spec.rules[${index}].matches[${first.matchIndex}]`,
          `requests with ${headersText(first.match)} for ${listed(lost.map(({ winner }) => pathText(winner)))} go to ${where} instead of this rule: a longer or exact path takes precedence over headers, whatever the order of the rules. Add the paths to this rule's matches, each with the ${first.match.headers.length > 0 ? "header" : "same condition"}, such as {path: {type: ${path.type}, value: ${path.value}}, ${first.match.headers.length > 0 ? "headers" : first.match.queryParams.length > 0 ? "queryParams" : "method"}: …}`,
        );
      }
    }
  },
};

function rulesOf(inventory: Inventory): readonly PlacedRule[] {
  return inventory
    .of(httpRouteKind)
    .flatMap((entry) => entry.object.spec.rules.map((rule, index) => ({ entry, rule, index })));
}

function fullName({ object: { metadata } }: Entry<HttpRoute>): string {
  return `${metadata.namespace ?? ""}/${metadata.name ?? ""}`;
}

/**
 * Whether two routes compete for the same requests: they have a parent and the hostnames in common. Of different
 * hostnames, the more specific one always wins.
 */
function sharesRequests(left: Entry<HttpRoute>, right: Entry<HttpRoute>): boolean {
  if (left === right) return true;
  const parents = ({ object: { metadata, spec } }: Entry<HttpRoute>): readonly string[] =>
    spec.parentRefs.map(
      ({ kind, namespace = metadata.namespace, name, sectionName = "", port = "" }) =>
        `${kind} ${namespace ?? ""}/${name} ${sectionName} ${port}`,
    );
  const names = ({ object: { spec } }: Entry<HttpRoute>): string => spec.hostnames.toSorted().join();
  return names(left) === names(right) && parents(left).some((parent) => parents(right).includes(parent));
}

/**
 * Whether the left rule wins between equal matches: the older route does, then the smaller name, then the earlier rule.
 */
function isEarlier(left: PlacedRule, right: PlacedRule): boolean {
  if (left.entry === right.entry) return left.index < right.index;
  const [ofLeft = "", ofRight = ""] = [left, right].map(({ entry }) => entry.object.metadata.creationTimestamp ?? "");
  return ofLeft === ofRight || ofLeft === "" || ofRight === ""
    ? fullName(left.entry) < fullName(right.entry)
    : ofLeft < ofRight;
}

function sameBackends(left: HttpRouteRule, right: HttpRouteRule): boolean {
  return jsonEqual([left.backendRefs, left.filters], [right.backendRefs, right.filters]);
}

interface LostPath {
  readonly match: HttpRouteMatch;
  readonly matchIndex: number;
  readonly winner: HttpRouteMatch;
}

/** The paths on which the other rule takes requests that fulfil all conditions of this rule. */
function lostPaths(own: HttpRouteRule, other: HttpRouteRule): readonly LostPath[] {
  return other.matches.flatMap((winner) => {
    const matchIndex = own.matches.findIndex((match) => isWithin(winner, match) && hasMoreConditions(match, winner));
    const match = own.matches[matchIndex];
    if (match === undefined) return [];
    // The rule keeps the path if another of its matches has both the path and the conditions.
    const isKept = own.matches.some(
      (also) => hasMoreConditions(also, winner) && rank(also) >= rank(winner) && isWithin(winner, also),
    );
    return isKept ? [] : [{ match, matchIndex, winner }];
  });
}

/** Whether the narrow path lies within the wide one and wins over it. */
function isWithin({ path: narrow }: HttpRouteMatch, { path: wide }: HttpRouteMatch): boolean {
  if (narrow.type === "RegularExpression" || wide.type === "RegularExpression") return false;
  if (wide.type === "Exact") return narrow.type === "Exact" && narrow.value === wide.value;
  const prefix = wide.value.replace(/\/$/, "");
  return narrow.value === prefix || narrow.value.startsWith(`${prefix}/`) || narrow.value === wide.value;
}

const exactRank = 100_000;

function rank({ path }: HttpRouteMatch): number {
  return path.type === "Exact" ? exactRank : path.value.length;
}

/** Whether the narrow match has all conditions of the wide one, apart from the path, and at least one more. */
function hasMoreConditions(narrow: HttpRouteMatch, wide: HttpRouteMatch): boolean {
  if (rank(narrow) > rank(wide)) return false;
  const holdsAll =
    contains(narrow.headers, wide.headers) &&
    contains(narrow.queryParams, wide.queryParams) &&
    (wide.method === undefined || wide.method === narrow.method);
  const count = ({ headers, queryParams, method }: HttpRouteMatch): number =>
    headers.length + queryParams.length + (method === undefined ? 0 : 1);
  return holdsAll && count(narrow) > count(wide);
}

function contains(all: readonly NamedMatch[], some: readonly NamedMatch[]): boolean {
  return some.every(({ name, type, value }) =>
    all.some(
      (other) => other.name.toLowerCase() === name.toLowerCase() && other.type === type && other.value === value,
    ),
  );
}

function textOf({ path, headers, queryParams, method }: HttpRouteMatch): string {
  const texts = (matches: readonly NamedMatch[]): string =>
    matches
      .map(({ name, type, value }) => `${name.toLowerCase()} ${type} ${value}`)
      .toSorted()
      .join();
  return JSON.stringify([path.type, path.value, texts(headers), texts(queryParams), method]);
}

function pathText({ path }: HttpRouteMatch): string {
  return path.type === "PathPrefix" ? `${path.value} and below` : path.value;
}

function headersText({ headers, queryParams, method }: HttpRouteMatch): string {
  return listed([
    ...headers.map(({ name, value }) => `header ${name}: ${value}`),
    ...queryParams.map(({ name, value }) => `parameter ${name}=${value}`),
    ...(method === undefined ? [] : [`method ${method}`]),
  ]);
}

function conditionsText(match: HttpRouteMatch | undefined): string {
  if (match === undefined) return "";
  const others = headersText(match);
  return others === "" ? pathText(match) : `${pathText(match)}, ${others}`;
}
