import { headerNameFault } from "../istio/expressions/http-headers.ts";
import type { Reader } from "../reader.ts";

/**
 * The requests that a step sends to the canary. A request must meet all parts, and one of the paths if there are any.
 */
export interface TrafficMatch {
  readonly headers: readonly ValueMatch[];
  readonly cookies: readonly { readonly name: string; readonly value: string }[];
  readonly queryParams: readonly ValueMatch[];
  readonly paths: readonly { readonly type: PathMatchType; readonly value: string }[];
  /** Labels of the client's pod. Only a VirtualService supports them, but in http, tcp and tls routes. */
  readonly sourceLabels: Readonly<Record<string, string>>;
}

export interface ValueMatch {
  readonly name: string;
  readonly type: "Exact" | "Prefix" | "Regex";
  readonly value: string;
}

export type PathMatchType = "Exact" | "Prefix" | "Regex";

const maxMatches = 16;
/**
 * The maximum number of cookies. Cookies may come in any order, and each order is an alternative in one regular
 * expression.
 */
const maxCookies = 3;
const valueTypes = ["Exact", "Prefix", "Regex"] as const;

/** Reads the field `match` of a step, in which at least one part must be set. Undefined if it is absent. */
export function parseTrafficMatch(step: Reader): TrafficMatch | undefined {
  const match = step.object("match");
  if (match === undefined) return undefined;
  const result: TrafficMatch = {
    headers: valueMatches(match, "headers", headerNameFault),
    cookies: bounded(match, "cookies").map((cookie) => {
      const pair = {
        name: named(cookie, cookieNameFault),
        value: cookie.required("value", cookie.string("value")) ?? "",
      };
      cookie.unknownFields();
      return pair;
    }),
    queryParams: valueMatches(match, "queryParams"),
    paths: bounded(match, "paths").map((path) => {
      const value = path.required("value", path.string("value")) ?? "";
      const type = path.oneOf("type", valueTypes) ?? "Prefix";
      if (type !== "Regex" && value !== "" && !value.startsWith("/"))
        path.error(`must begin with /, got "${value}"`, "value");
      path.unknownFields();
      return { type, value };
    }),
    sourceLabels: match.stringMap("sourceLabels"),
  };
  if (result.cookies.length > maxCookies)
    match.error(`must have at most ${maxCookies} entries, got ${result.cookies.length}`, "cookies");
  if (result.cookies.length > 0 && result.headers.some(({ name }) => name.toLowerCase() === "cookie"))
    match.error("cannot be combined with a match of the header cookie", "cookies");
  match.unknownFields();
  const { headers, cookies, queryParams, paths, sourceLabels } = result;
  if (headers.length + cookies.length + queryParams.length + paths.length + Object.keys(sourceLabels).length === 0) {
    match.error("must match something: headers, cookies, queryParams, paths or sourceLabels");
  }
  return result;
}

function bounded(match: Reader, field: string): readonly Reader[] {
  const found = match.objects(field);
  if (found.length > maxMatches) match.error(`must have at most ${maxMatches} entries, got ${found.length}`, field);
  return found;
}

function valueMatches(
  match: Reader,
  field: string,
  nameFault: (name: string) => string | undefined = () => undefined,
): ValueMatch[] {
  return bounded(match, field).map((entry) => {
    const result: ValueMatch = {
      name: named(entry, nameFault),
      type: entry.oneOf("type", valueTypes) ?? "Exact",
      value: entry.required("value", entry.string("value")) ?? "",
    };
    entry.unknownFields();
    return result;
  });
}

function named(entry: Reader, faultOf: (name: string) => string | undefined): string {
  const name = entry.string("name");
  const fault = name === undefined ? undefined : faultOf(name);
  if (fault !== undefined) entry.error(fault, "name");
  return entry.required("name", name) ?? "";
}

/** The fault of a cookie's name. It must be a token, like a header's name. */
export function cookieNameFault(name: string): string | undefined {
  return headerNameFault(name) === undefined ? undefined : `must be the name of a cookie, got ${JSON.stringify(name)}`;
}
