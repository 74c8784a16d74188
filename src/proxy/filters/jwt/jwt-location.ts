import { cookieValue } from "../../routing/hash-policy.ts";
import type { FilterRequest } from "../http-filter.ts";
import { editQuery } from "../query-edits.ts";

export type JwtLocation =
  /** In a header, whose `name` is in lower case. The token is what follows the first occurrence of the prefix. */
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
      return tokenInQuery(request.query, location.name);
    case "cookie":
      return cookieValue(request.header("cookie"), location.name);
  }
}

/** Removes the token, so that the upstream does not see it. A token in a cookie stays. */
export function removeToken(location: JwtLocation, request: FilterRequest): void {
  if (location.kind === "header") request.removeHeader(location.name);
  if (location.kind === "query") editQuery(request, { set: [], remove: [location.name] });
}

export function locationKey(location: JwtLocation): string {
  return `${location.kind} ${location.name} ${location.kind === "header" ? location.prefix : ""}`;
}

function afterPrefix(value: string | undefined, prefix: string): string | undefined {
  if (value === undefined) return undefined;
  const at = value.indexOf(prefix);
  if (at < 0) return undefined;
  // The token must be the end of the value. Otherwise another reader could find another token in it.
  return value.slice(at + prefix.length).trim();
}

function tokenInQuery(query: string, name: string): string | undefined {
  const values = query === "" ? [] : new URLSearchParams(query).getAll(name);
  // Join several values by commas, which makes an invalid token: servers differ in which of several values they use.
  // Header fields are treated in the same way.
  return values.length === 0 ? undefined : values.join(",");
}
