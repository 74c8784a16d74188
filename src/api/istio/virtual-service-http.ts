import type { Reader } from "../reader.ts";
import { readDestination, requireDestination, type Destination, type RouteDestination } from "./destination.ts";
import { readDurationMs, readObjects, readPortNumber, readText, refuseUnknown, requireText, warnOfUnknown } from "./fields.ts";
import { readFault, readPercentage, type HttpFault } from "./http-fault.ts";
import { readStringMatch, readStringMatchIn, type PresenceMatch, type StringMatch } from "./string-match.ts";

/** One HTTP route: of route, redirect, directResponse and delegate, exactly one is meant (an empty route list is absence). */
export interface VirtualServiceHttpRoute {
  readonly name?: string | undefined;
  /** One must match; empty matches all. */
  readonly match: readonly HttpMatch[];
  readonly route: readonly HttpRouteDestination[];
  readonly redirect?: HttpRedirect | undefined;
  readonly directResponse?: HttpDirectResponse | undefined;
  readonly delegate?: { readonly name: string; readonly namespace?: string | undefined } | undefined;
  readonly rewrite?: HttpRewrite | undefined;
  /** Absent: none. */
  readonly timeoutMs?: number | undefined;
  /** Absent: the mesh's default. */
  readonly retries?: HttpRetry | undefined;
  readonly fault?: HttpFault | undefined;
  /** `mirror` with its percentage, and `mirrors`. */
  readonly mirrors: readonly HttpMirror[];
  readonly corsPolicy?: HttpCorsPolicy | undefined;
  readonly headers: HttpHeaderChanges;
}

/** All parts that are there must hold. */
export interface HttpMatch {
  readonly name?: string | undefined;
  readonly uri?: StringMatch | undefined;
  readonly scheme?: StringMatch | undefined;
  readonly method?: StringMatch | undefined;
  readonly authority?: StringMatch | undefined;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, PresenceMatch>>;
  readonly withoutHeaders: Readonly<Record<string, PresenceMatch>>;
  readonly queryParams: Readonly<Record<string, PresenceMatch>>;
  /** Of exact and prefix matches of the path. */
  readonly ignoreUriCase: boolean;
  readonly port?: number | undefined;
  readonly sourceLabels: Readonly<Record<string, string>>;
  readonly sourceNamespace?: string | undefined;
  /** Overrides those of the VirtualService; empty: those. */
  readonly gateways: readonly string[];
  readonly statPrefix?: string | undefined;
}

export interface HttpRouteDestination extends RouteDestination {
  readonly headers: HttpHeaderChanges;
}

export interface HttpHeaderChanges {
  readonly request: HeaderOperations;
  readonly response: HeaderOperations;
}

export interface HeaderOperations {
  readonly set: Readonly<Record<string, string>>;
  readonly add: Readonly<Record<string, string>>;
  readonly remove: readonly string[];
}

export interface HttpRedirect {
  readonly uri?: string | undefined;
  /** Replaces the matched prefix, instead of the whole path. */
  readonly prefixRewrite?: string | undefined;
  readonly authority?: string | undefined;
  readonly port?: { readonly kind: "number"; readonly number: number } | { readonly kind: "derived"; readonly derivePort: "FROM_PROTOCOL_DEFAULT" | "FROM_REQUEST_PORT" } | undefined;
  readonly scheme?: string | undefined;
  /** 301, 302, 303, 307 or 308. */
  readonly redirectCode: number;
}

export interface HttpDirectResponse {
  readonly status: number;
  /** `bytes` are in base64. */
  readonly body?: { readonly kind: "string" | "bytes"; readonly value: string } | undefined;
}

export interface HttpRewrite {
  readonly uri?: string | undefined;
  readonly authority?: string | undefined;
  readonly uriRegexRewrite?: { readonly match: string; readonly rewrite: string } | undefined;
}

export interface HttpRetry {
  /** 0: none. */
  readonly attempts: number;
  readonly perTryTimeoutMs?: number | undefined;
  /** Comma-separated conditions and status codes; absent: the default ones. */
  readonly retryOn?: string | undefined;
  readonly retryRemoteLocalities?: boolean | undefined;
  readonly retryIgnorePreviousHosts?: boolean | undefined;
  readonly backoffMs?: number | undefined;
}

export interface HttpMirror {
  readonly destination: Destination;
  /** 0 to 100. */
  readonly percentage: number;
}

export interface HttpCorsPolicy {
  readonly allowOrigins: readonly StringMatch[];
  readonly allowMethods: readonly string[];
  readonly allowHeaders: readonly string[];
  readonly exposeHeaders: readonly string[];
  readonly maxAgeMs?: number | undefined;
  readonly allowCredentials?: boolean | undefined;
  readonly unmatchedPreflights: "UNSPECIFIED" | "FORWARD" | "IGNORE";
}

const movedPermanently = 301;
const allPercent = 100;

export function readHttpRoute(reader: Reader): VirtualServiceHttpRoute {
  const delegate = reader.object("delegate");
  const route: VirtualServiceHttpRoute = {
    name: readText(reader, "name"),
    match: reader.list("match").map(readMatch),
    route: reader.list("route").map(readRouteDestination),
    redirect: readRedirect(reader.object("redirect")),
    directResponse: readDirectResponse(reader.object("directResponse")),
    delegate: delegate === undefined ? undefined : { name: requireText(delegate, "name"), namespace: readText(delegate, "namespace") },
    rewrite: readRewrite(reader.object("rewrite")),
    timeoutMs: readDurationMs(reader, "timeout"),
    retries: readRetries(reader.object("retries")),
    fault: readFault(reader.object("fault")),
    mirrors: readMirrors(reader),
    corsPolicy: readCors(reader.object("corsPolicy")),
    headers: readHeaders(reader),
  };
  refuseUnknown(delegate);
  refuseUnknown(reader);
  return route;
}

function readMatch(reader: Reader): HttpMatch {
  const presence = (field: string, lowerCase: boolean): Readonly<Record<string, PresenceMatch>> =>
    Object.fromEntries(Object.entries(readObjects(reader, field, readPresence)).map(([name, match]) => [lowerCase ? name.toLowerCase() : name, match]));
  const match: HttpMatch = {
    name: readText(reader, "name"),
    uri: readStringMatch(reader, "uri"),
    scheme: readStringMatch(reader, "scheme"),
    method: readStringMatch(reader, "method"),
    authority: readStringMatch(reader, "authority"),
    headers: presence("headers", true),
    withoutHeaders: presence("withoutHeaders", true),
    queryParams: presence("queryParams", false),
    ignoreUriCase: reader.boolean("ignoreUriCase") ?? false,
    port: readPortNumber(reader, "port"),
    sourceLabels: reader.stringMap("sourceLabels"),
    sourceNamespace: readText(reader, "sourceNamespace"),
    gateways: reader.strings("gateways"),
    statPrefix: readText(reader, "statPrefix"),
  };
  refuseUnknown(reader);
  return match;
}

function readPresence(reader: Reader): PresenceMatch {
  return readStringMatchIn(reader) ?? { kind: "present" };
}

function readRouteDestination(reader: Reader): HttpRouteDestination {
  const destination = { destination: requireDestination(reader), weight: reader.integer("weight", 0) ?? 0, headers: readHeaders(reader) };
  refuseUnknown(reader);
  return destination;
}

function readHeaders(reader: Reader): HttpHeaderChanges {
  const headers = reader.object("headers");
  const changes = { request: readOperations(headers?.object("request")), response: readOperations(headers?.object("response")) };
  warnOfUnknown(headers);
  return changes;
}

function readOperations(reader: Reader | undefined): HeaderOperations {
  const operations = { set: reader?.stringMap("set") ?? {}, add: reader?.stringMap("add") ?? {}, remove: reader?.strings("remove") ?? [] };
  warnOfUnknown(reader);
  return operations;
}

function readRedirect(reader: Reader | undefined): HttpRedirect | undefined {
  if (reader === undefined) return undefined;
  const number = readPortNumber(reader, "port");
  const derivePort = reader.oneOf("derivePort", ["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"]);
  if (reader.has("port") && reader.has("derivePort")) reader.error("must not be set beside port", "derivePort");
  const redirect: HttpRedirect = {
    uri: readText(reader, "uri"),
    prefixRewrite: readText(reader, "prefixRewrite"),
    authority: readText(reader, "authority"),
    port: number !== undefined ? { kind: "number", number } : derivePort !== undefined ? { kind: "derived", derivePort } : undefined,
    scheme: readText(reader, "scheme"),
    redirectCode: reader.integer("redirectCode", 0) || movedPermanently,
  };
  refuseUnknown(reader);
  return redirect;
}

function readDirectResponse(reader: Reader | undefined): HttpDirectResponse | undefined {
  if (reader === undefined) return undefined;
  const body = reader.object("body");
  const string = body?.string("string");
  const bytes = body?.string("bytes");
  if (string !== undefined && bytes !== undefined) body?.error("must not be set beside string", "bytes");
  const response: HttpDirectResponse = {
    status: reader.required("status", reader.integer("status", 0)) ?? 0,
    body: string !== undefined ? { kind: "string", value: string } : bytes !== undefined ? { kind: "bytes", value: bytes } : undefined,
  };
  warnOfUnknown(body);
  refuseUnknown(reader);
  return response;
}

function readRewrite(reader: Reader | undefined): HttpRewrite | undefined {
  if (reader === undefined) return undefined;
  const regex = reader.object("uriRegexRewrite");
  const rewrite: HttpRewrite = {
    uri: readText(reader, "uri"),
    authority: readText(reader, "authority"),
    uriRegexRewrite: regex === undefined ? undefined : { match: regex.string("match") ?? "", rewrite: regex.string("rewrite") ?? "" },
  };
  refuseUnknown(regex);
  refuseUnknown(reader);
  return rewrite;
}

function readRetries(reader: Reader | undefined): HttpRetry | undefined {
  if (reader === undefined) return undefined;
  const retries: HttpRetry = {
    attempts: reader.integer("attempts", 0) ?? 0,
    perTryTimeoutMs: readDurationMs(reader, "perTryTimeout"),
    retryOn: readText(reader, "retryOn"),
    retryRemoteLocalities: reader.boolean("retryRemoteLocalities"),
    retryIgnorePreviousHosts: reader.boolean("retryIgnorePreviousHosts"),
    backoffMs: readDurationMs(reader, "backoff"),
  };
  warnOfUnknown(reader);
  return retries;
}

function readMirrors(reader: Reader): readonly HttpMirror[] {
  const single = readDestination(reader, "mirror");
  const percent = readPercentage(reader, "mirrorPercentage") ?? reader.integer("mirrorPercent", 0, allPercent) ?? reader.integer("mirror_percent", 0, allPercent);
  const mirrors = reader.list("mirrors").map((entry) => {
    const mirror = { destination: requireDestination(entry), percentage: readPercentage(entry, "percentage") ?? allPercent };
    refuseUnknown(entry);
    return mirror;
  });
  return single === undefined ? mirrors : [{ destination: single, percentage: percent ?? allPercent }, ...mirrors];
}

function readCors(reader: Reader | undefined): HttpCorsPolicy | undefined {
  if (reader === undefined) return undefined;
  const exact = reader.strings("allowOrigin").map((value) => ({ kind: "exact", value }) as const);
  const cors: HttpCorsPolicy = {
    allowOrigins: [...reader.list("allowOrigins").flatMap((entry) => readStringMatchIn(entry) ?? []), ...exact],
    allowMethods: reader.strings("allowMethods"),
    allowHeaders: reader.strings("allowHeaders"),
    exposeHeaders: reader.strings("exposeHeaders"),
    maxAgeMs: readDurationMs(reader, "maxAge"),
    allowCredentials: reader.boolean("allowCredentials"),
    unmatchedPreflights: reader.oneOf("unmatchedPreflights", ["UNSPECIFIED", "FORWARD", "IGNORE"]) ?? "UNSPECIFIED",
  };
  refuseUnknown(reader);
  return cors;
}
