import { RouteMatchSchema, type RouteMatch } from "../../../wire/envoy/index.ts";
import {
  allOf,
  exactly,
  matchingRegex,
  pathIs,
  startingWith,
  underPath,
  type PathCondition,
  type RequestMatcher,
} from "../../routing/matchers.ts";
import type { RequestView } from "../../routing/request-view.ts";
import { checkFields, invalid, type ConfigNotes } from "../config-check.ts";
import { fractionOf } from "../fraction.ts";
import { compileHeader, compileQueryParameter } from "./matcher-config.ts";
import { compileMetadata } from "./metadata-matcher-config.ts";
import { compileRegex } from "./regex.ts";

/** Compiles a condition on requests. A request matches if everything that the message names holds. */
export function compileMatch(match: RouteMatch, where: string, notes: ConfigNotes): RequestMatcher {
  checkFields(RouteMatchSchema, match, where, notes, {
    used: [
      "prefix",
      "path",
      "safeRegex",
      "connectMatcher",
      "pathSeparatedPrefix",
      "caseSensitive",
      "headers",
      "queryParameters",
      "runtimeFraction",
      "dynamicMetadata",
    ],
  });
  const matchers: RequestMatcher[] = [];
  const ignoreCase = match.caseSensitive === false;
  const path = match.pathSpecifier;
  if (path.case === "path") matchers.push(pathIs(exactly(path.value, ignoreCase)));
  else if (path.case === "prefix") {
    // Also check the prefix "/", because the target `*` of OPTIONS begins with no path.
    if (path.value !== "") matchers.push(pathIs(startingWith(path.value, ignoreCase)));
  } else if (path.case === "pathSeparatedPrefix") matchers.push(pathIs(underPath(path.value, ignoreCase)));
  else if (path.case === "safeRegex") matchers.push(pathIs(matchingRegex(compileRegex(path.value.regex, where))));
  else if (path.case === undefined) throw invalid(where, "match has no path");
  for (const header of match.headers) matchers.push(compileHeader(header, where, notes));
  for (const parameter of match.queryParameters) matchers.push(compileQueryParameter(parameter, where, notes));
  for (const metadata of match.dynamicMetadata) {
    const matches = compileMetadata(metadata, where);
    matchers.push((request) => matches(metadataOf(request)));
  }
  if (match.runtimeFraction !== undefined) {
    const fraction = fractionOf(match.runtimeFraction.defaultValue, 1);
    const { random } = notes.services;
    if (fraction < 1) matchers.push(() => random() < fraction);
  }
  return allOf(matchers);
}

/**
 * The path that a request must have to match. Undefined if the condition is of a kind that the index of paths cannot
 * use.
 */
export function pathConditionOf({ pathSpecifier: path, caseSensitive }: RouteMatch): PathCondition | undefined {
  if (caseSensitive === false) return undefined;
  if (path.case === "path") return { kind: "exact", text: path.value };
  if (path.case === "prefix" || path.case === "pathSeparatedPrefix") return { kind: "prefix", text: path.value };
  return undefined;
}

const nothingSaid: ReadonlyMap<string, unknown> = new Map();

/** The metadata that filters have set for a request. Empty before the first filter has run. */
function metadataOf(request: RequestView): ReadonlyMap<string, unknown> {
  return "metadata" in request && request.metadata instanceof Map
    ? (request.metadata as ReadonlyMap<string, unknown>)
    : nothingSaid;
}
