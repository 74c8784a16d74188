import { httpMethods } from "../../base/index.ts";
import { defineKind } from "../kind.ts";
import type { KubernetesObject } from "../meta.ts";
import type { Parsed } from "../parsed.ts";
import { Reader } from "../reader.ts";
import { maxInt32 } from "../istio/fields.ts";
import { checkText, parameterNameFault } from "../istio/expressions/http-headers.ts";
import { checkRegex } from "../istio/expressions/regular-expressions.ts";
import { durationMs } from "./duration.ts";
import {
  checkHostname,
  gatewayGroup,
  readParentReference,
  readStrings,
  readWeightedReference,
  warnOfUnknown,
  warnOfUnused,
  type ParentReference,
  type RouteParentStatus,
  type WeightedBackendReference,
} from "./references.ts";
import { readFilters, readHeaderName, type HttpRouteFilter } from "./route-filters.ts";

export interface HttpRoute extends KubernetesObject {
  spec: { parentRefs: ParentReference[]; hostnames: string[]; rules: HttpRouteRule[] };
  status?: { parents?: RouteParentStatus[] };
}

export interface HttpRouteRule {
  name?: string | undefined;
  /** At least one match, because the parser adds a match of every path to an empty list. */
  matches: HttpRouteMatch[];
  filters: HttpRouteFilter[];
  backendRefs: HttpBackendRef[];
  timeouts?: { requestMs?: number | undefined; backendRequestMs?: number | undefined } | undefined;
  retry?: { codes: number[]; attempts?: number | undefined; backoffMs?: number | undefined } | undefined;
}

export interface HttpRouteMatch {
  path: { type: "Exact" | "PathPrefix" | "RegularExpression"; value: string };
  headers: NamedMatch[];
  queryParams: NamedMatch[];
  method?: string | undefined;
}

export interface NamedMatch {
  type: "Exact" | "RegularExpression";
  name: string;
  value: string;
}

export interface HttpBackendRef extends WeightedBackendReference {
  filters: HttpRouteFilter[];
}

const minRetryCode = 400;
const maxRetryCode = 599;

export function parseHttpRoute(raw: unknown): Parsed<HttpRoute> {
  const object = new Reader(raw);
  const spec = object.object("spec");
  const parentRefs = spec?.objects("parentRefs").map(readParentReference) ?? [];
  const hostnames = spec === undefined ? [] : readStrings(spec, "hostnames");
  for (const [index, hostname] of hostnames.entries())
    checkHostname(hostname, (message) => spec?.error(message, `hostnames[${index}]`));
  const rules = spec?.has("rules") === true ? spec.objects("rules").map(readRule) : [emptyRule()];
  if (spec !== undefined) {
    warnOfUnused(spec, "useDefaultGateways");
    warnOfUnknown(spec);
  }
  return object.finish(() => ({ ...(raw as HttpRoute), spec: { parentRefs, hostnames, rules } }));
}

function emptyRule(): HttpRouteRule {
  return { matches: [defaultMatch()], filters: [], backendRefs: [] };
}

function defaultMatch(): HttpRouteMatch {
  return { path: { type: "PathPrefix", value: "/" }, headers: [], queryParams: [] };
}

function readRule(reader: Reader): HttpRouteRule {
  const matches = reader.objects("matches").map(readMatch);
  const rule: HttpRouteRule = {
    name: reader.string("name"),
    matches: matches.length === 0 ? [defaultMatch()] : matches,
    filters: readFilters(reader),
    backendRefs: reader.objects("backendRefs").map(readBackendRef),
    timeouts: readTimeouts(reader.object("timeouts")),
    retry: readRetry(reader.object("retry")),
  };
  warnOfUnused(reader, "sessionPersistence");
  if (rule.filters.some((filter) => filter.type === "RequestRedirect") && rule.backendRefs.length > 0) {
    reader.error("must be empty beside a RequestRedirect filter", "backendRefs");
  }
  if (usesPrefixReplacement(rule) && !rule.matches.every((match) => match.path.type === "PathPrefix")) {
    reader.error("must all be PathPrefix beside a filter with ReplacePrefixMatch", "matches");
  }
  warnOfUnknown(reader);
  return rule;
}

function usesPrefixReplacement(rule: HttpRouteRule): boolean {
  return rule.filters.some((filter) => {
    if (filter.type === "URLRewrite") return filter.urlRewrite.path?.type === "ReplacePrefixMatch";
    return filter.type === "RequestRedirect" && filter.requestRedirect.path?.type === "ReplacePrefixMatch";
  });
}

function readMatch(reader: Reader): HttpRouteMatch {
  const path = reader.object("path");
  const match: HttpRouteMatch = {
    path: {
      type: path?.oneOf("type", ["Exact", "PathPrefix", "RegularExpression"]) ?? "PathPrefix",
      value: path?.string("value") ?? "/",
    },
    headers: readHeaderMatches(reader),
    queryParams: firstOfEachName(reader.objects("queryParams").map(readParameterMatch), (name) => name),
    method: reader.oneOf("method", httpMethods),
  };
  if (path !== undefined)
    if (match.path.type === "RegularExpression") checkRegex(path, "value", match.path.value);
    else checkPath(path, match.path);
  warnOfUnknown(reader);
  return match;
}

function checkPath(reader: Reader, { type, value }: HttpRouteMatch["path"]): void {
  if (!value.startsWith("/")) reader.error(`must begin with "/", got "${value}"`, "value");
  // An Envoy rejects the routes of the whole port if a prefix contains a question mark.
  for (const part of ["//", "/./", "/../", "%2f", "%2F", "#", ...(type === "PathPrefix" ? ["?"] : [])])
    if (value.includes(part)) reader.error(`must not contain "${part}", got "${value}"`, "value");
}

/** Reads matches of headers. Names that differ only in case count as the same name. */
export function readHeaderMatches(reader: Reader): NamedMatch[] {
  return firstOfEachName(reader.objects("headers").map(readNamedMatch), (name) => name.toLowerCase());
}

function readNamedMatch(reader: Reader): NamedMatch {
  const type = reader.oneOf("type", ["Exact", "RegularExpression"]) ?? "Exact";
  const value = reader.required("value", reader.string("value")) ?? "";
  if (type === "RegularExpression" && reader.has("value")) checkRegex(reader, "value", value);
  return { type, name: readHeaderName(reader), value };
}

function readParameterMatch(reader: Reader): NamedMatch {
  const match = readNamedMatch(reader);
  checkText(reader, "name", match.name, parameterNameFault);
  return match;
}

/**
 * Keeps the first match of each name, as the Gateway API requires. `fold` converts a name to the form that is compared.
 */
function firstOfEachName(matches: readonly NamedMatch[], fold: (name: string) => string): NamedMatch[] {
  const seen = new Set<string>();
  return matches.filter((match) => {
    const name = fold(match.name);
    if (seen.has(name)) return false;
    seen.add(name);
    return true;
  });
}

function readBackendRef(reader: Reader): HttpBackendRef {
  const backend = { ...readWeightedReference(reader), filters: readFilters(reader) };
  warnOfUnknown(reader);
  return backend;
}

function readTimeouts(reader: Reader | undefined): HttpRouteRule["timeouts"] {
  if (reader === undefined) return undefined;
  const timeouts = {
    requestMs: readDuration(reader, "request"),
    backendRequestMs: readDuration(reader, "backendRequest"),
  };
  const { requestMs = 0, backendRequestMs = 0 } = timeouts;
  if (requestMs !== 0 && backendRequestMs > requestMs)
    reader.error("must not be longer than request", "backendRequest");
  return timeouts;
}

function readRetry(reader: Reader | undefined): HttpRouteRule["retry"] {
  if (reader === undefined) return undefined;
  const codes = reader.list("codes").flatMap((code) => {
    if (typeof code.raw === "number" && code.raw >= minRetryCode && code.raw <= maxRetryCode) return code.raw;
    code.error(`must be from ${minRetryCode} to ${maxRetryCode}`);
    return [];
  });
  return { codes, attempts: reader.integer("attempts", 0, maxInt32), backoffMs: readDuration(reader, "backoff") };
}

function readDuration(reader: Reader, field: string): number | undefined {
  const text = reader.string(field);
  if (text === undefined) return undefined;
  const value = durationMs(text);
  if (value === undefined) reader.error(`must be a duration such as 1h, 10m, 5s or 100ms, got "${text}"`, field);
  return value;
}

export const httpRouteKind = defineKind<HttpRoute>({
  group: gatewayGroup,
  versions: ["v1", "v1beta1", "v1alpha2"],
  kind: "HTTPRoute",
  plural: "httproutes",
  namespaced: true,
  parse: parseHttpRoute,
});
