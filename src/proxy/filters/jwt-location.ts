import { cookieValue } from "../routing/hash-policy.ts";
import type { FilterRequest } from "./http-filter.ts";

/** Where a request may carry a token. */
export type JwtLocation =
  /** `name` is in lower case. The token follows the prefix, wherever the prefix occurs in the value. */
  | { readonly kind: "header"; readonly name: string; readonly prefix: string }
  | { readonly kind: "query"; readonly name: string }
  | { readonly kind: "cookie"; readonly name: string };

/** The locations if a provider names none (RFC 6750). */
export const defaultLocations: readonly JwtLocation[] = [
  { kind: "header", name: "authorization", prefix: "Bearer " },
  { kind: "query", name: "access_token" },
];

export function tokenAt(location: JwtLocation, request: FilterRequest): string | undefined {
  switch (location.kind) {
    case "header":
      return afterPrefix(request.header(location.name), location.prefix);
    case "query":
      return queryValue(request.query, location.name);
    case "cookie":
      return cookieValue(request.header("cookie"), location.name);
  }
}

/** Removes the token, so that the upstream does not see it. A token in a cookie stays. */
export function removeToken(location: JwtLocation, request: FilterRequest): void {
  if (location.kind === "header") request.removeHeader(location.name);
  if (location.kind === "query") editQuery(request, { set: [], remove: [location.name] });
}

/** The query that the upstream gets. */
export function queryAfterEdits(request: FilterRequest): string {
  const target = request.header(":path");
  if (target === undefined) return request.query;
  const mark = target.indexOf("?");
  return mark < 0 ? "" : target.slice(mark + 1);
}

export interface QueryEdits {
  /** The parameters with their new values. A new value replaces all values of the parameter. */
  readonly set: readonly (readonly [name: string, value: string])[];
  readonly remove: readonly string[];
}

/** Edits the query. Names are compared decoded, and the rest of the target stays as the client wrote it. */
export function editQuery(request: FilterRequest, { set, remove }: QueryEdits): void {
  const target = request.header(":path") ?? request.head.target();
  const mark = target.indexOf("?");
  const pairs = mark < 0 ? [] : target.slice(mark + 1).split("&");
  const replaced = [...remove, ...set.map(([name]) => name)];
  const kept = pairs.filter((pair) => {
    const parameter = new URLSearchParams(pair);
    return !replaced.some((name) => parameter.has(name));
  });
  if (kept.length === pairs.length && set.length === 0) return;
  const written = [...kept, ...set.map(([name, value]) => `${queryText(name)}=${queryText(value)}`)].join("&");
  request.setHeader(":path", `${mark < 0 ? target : target.slice(0, mark)}${written === "" ? "" : `?${written}`}`);
}

/** A text for a query, which may be percent-encoded already. Characters that would end it are encoded. */
function queryText(text: string): string {
  return text.replaceAll(/[^\w%~!$'()*+,\-./:;?@]+/gu, (part) => encodeURIComponent(part.toWellFormed()));
}

export function locationKey(location: JwtLocation): string {
  return `${location.kind} ${location.name} ${location.kind === "header" ? location.prefix : ""}`;
}

function afterPrefix(value: string | undefined, prefix: string): string | undefined {
  if (value === undefined) return undefined;
  const at = value.indexOf(prefix);
  if (at < 0) return undefined;
  // Nothing may follow the token. Otherwise another reader could see another token.
  return value.slice(at + prefix.length).trim();
}

function queryValue(query: string, name: string): string | undefined {
  const values = query === "" ? [] : new URLSearchParams(query).getAll(name);
  // If there are several values, servers differ in which one they use. Joined by commas, they are not a valid token, as
  // with several header fields.
  return values.length === 0 ? undefined : values.join(",");
}
