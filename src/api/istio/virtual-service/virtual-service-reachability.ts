import { canonicalJson, jsonEqual } from "../../../base/index.ts";
import type { Reader } from "../../reader.ts";
import type { PresenceMatch, StringMatch } from "./string-match.ts";
import type { HttpMatch, VirtualServiceHttpRoute } from "./virtual-service-http.ts";

interface Routes {
  readonly http: readonly VirtualServiceHttpRoute[];
  readonly tls: readonly { readonly match: readonly object[] }[];
  readonly tcp: readonly { readonly match: readonly object[] }[];
}

/** Warns of routes and matches that no request can reach, because earlier ones match all of their requests. */
export function warnOfUnreachable(reader: Reader, routes: Routes): void {
  for (const field of ["http", "tls", "tcp"] as const) warnOfTaken(reader, field, routes[field]);
  warnOfCovered(reader, routes.http);
}

function warnOfTaken(reader: Reader, field: string, routes: readonly { readonly match: readonly object[] }[]): void {
  const seen = new Map<string, number>();
  let matchesAll: number | undefined;
  for (const [index, route] of routes.entries()) {
    const at = `${field}[${index}]`;
    if (matchesAll !== undefined) {
      reader.warn(`is never used: ${field}[${matchesAll}] has no match and gets all requests`, at, "never-used");
      continue;
    }
    if (route.match.length === 0) matchesAll = index;
    let duplicates = 0;
    for (const [matchIndex, match] of route.match.entries()) {
      const text = canonicalJson({ ...match, name: undefined });
      const earlier = seen.get(text);
      if (earlier === undefined) seen.set(text, index);
      else {
        reader.warn(
          `is never used: ${field}[${earlier}] has the same match before it`,
          `${at}.match[${matchIndex}]`,
          "never-used",
        );
        duplicates += 1;
      }
    }
    if (route.match.length > 0 && duplicates === route.match.length)
      reader.warn("is never used: earlier routes already have all of its matches", at, "never-used");
  }
}

interface PrefixMatch {
  readonly order: number;
  readonly path: string;
  readonly prefix: string;
  readonly match: HttpMatch;
}

/**
 * Of the matches with the same prefix, the first 8 are compared with later ones, and of each prefix the first 256
 * characters. The limits save time. The warnings need not be complete.
 */
const maxAlike = 8;
const maxComparedLength = 256;

/** The earlier matches whose prefix is a shorter beginning of this one, in the order in which they were written. */
function earlierShorter(known: ReadonlyMap<string, readonly PrefixMatch[]>, prefix: string): readonly PrefixMatch[] {
  const found: PrefixMatch[] = [];
  for (let length = 0; length < prefix.length && length <= maxComparedLength; length += 1)
    found.push(...(known.get(prefix.slice(0, length)) ?? []));
  return found.sort((a, b) => a.order - b.order);
}

/**
 * Warns of prefixes that an earlier, shorter prefix covers. Regular expressions are not compared, so every warning is
 * certain.
 */
function warnOfCovered(reader: Reader, routes: readonly VirtualServiceHttpRoute[]): void {
  let order = 0;
  const prefixes = routes.flatMap((route, index) =>
    route.match.flatMap((match, matchIndex): PrefixMatch[] =>
      match.uri?.kind === "prefix"
        ? [
            {
              order: (order += 1),
              path: `http[${index}].match[${matchIndex}]`,
              prefix: match.uri.value,
              match,
            },
          ]
        : [],
    ),
  );
  const known = new Map<string, PrefixMatch[]>();
  for (const later of prefixes) {
    const earlier = earlierShorter(known, later.prefix).find((other) => covers(other.match, later.match));
    const alike = known.get(later.prefix) ?? [];
    if (alike.length < maxAlike) known.set(later.prefix, [...alike, later]);
    if (earlier !== undefined)
      reader.warn(
        `is never used: ${earlier.path} matches the prefix "${earlier.prefix}" before it; put the longer prefix first`,
        later.path,
        "never-used",
      );
  }
}

/** Whether the wider match accepts all requests of the narrower one, apart from the path. */
function covers(wider: HttpMatch, narrower: HttpMatch): boolean {
  return (
    wider.ignoreUriCase === narrower.ignoreUriCase &&
    coversText(wider.scheme, narrower.scheme) &&
    (wider.port === undefined || wider.port === narrower.port) &&
    (wider.sourceNamespace === undefined || wider.sourceNamespace === narrower.sourceNamespace) &&
    Object.entries(wider.sourceLabels).every(([key, value]) => narrower.sourceLabels[key] === value) &&
    (wider.gateways.length === 0 || wider.gateways.join() === narrower.gateways.join()) &&
    coversText(wider.method, narrower.method) &&
    coversText(wider.authority, narrower.authority) &&
    coversAll(wider.headers, narrower.headers) &&
    coversAll(wider.queryParams, narrower.queryParams) &&
    jsonEqual(wider.withoutHeaders, narrower.withoutHeaders)
  );
}

function coversAll(
  wider: Readonly<Record<string, PresenceMatch>>,
  narrower: Readonly<Record<string, PresenceMatch>>,
): boolean {
  return Object.entries(wider).every(([name, match]) => {
    const other = narrower[name];
    if (other === undefined) return false;
    return match.kind === "present" || (other.kind !== "present" && coversText(match, other));
  });
}

function coversText(wider: StringMatch | undefined, narrower: StringMatch | undefined): boolean {
  if (wider === undefined) return true;
  if (narrower === undefined || wider.kind === "regex" || narrower.kind === "regex") return jsonEqual(wider, narrower);
  return wider.kind === "prefix"
    ? narrower.value.startsWith(wider.value)
    : narrower.kind === "exact" && narrower.value === wider.value;
}
