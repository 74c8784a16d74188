import type { Reader } from "../../reader.ts";
import { checkGatewayNames, checkLabels } from "../checks.ts";
import {
  checkWeights,
  readDestination,
  readWeight,
  requireDestination,
  type Destination,
  type RouteDestination,
} from "./destination.ts";
import { isDnsLabel } from "../domain-names.ts";
import {
  readDurationMs,
  readObjects,
  readPortNumber,
  readText,
  refuseUnknown,
  requireText,
  warnOfUnknown,
} from "../fields.ts";
import { readCors, type HttpCorsPolicy } from "./http-cors.ts";
import { maxHttpStatus, minHttpStatus, readFault, readPercentage, type HttpFault } from "./http-fault.ts";
import { readHeaders, type HttpHeaderChanges } from "./http-header-changes.ts";
import {
  checkNames,
  checkText,
  isAuthority,
  isClaim,
  literalValueFault,
  matchedHeaderFault,
  parameterNameFault,
  readHeaderText,
} from "../expressions/http-headers.ts";
import { readRetries, type HttpRetry } from "./http-retry.ts";
import { checkRegex, checkSubstitution } from "../expressions/regular-expressions.ts";
import {
  readPresenceMatch,
  readStringMatch,
  readStringMatchIn,
  type PresenceMatch,
  type StringMatch,
} from "./string-match.ts";

/** One HTTP route. Exactly one of destinations, redirect, directResponse and delegate is set. */
export interface VirtualServiceHttpRoute {
  readonly name?: string | undefined;
  /** A request must meet at least one of these. An empty list matches all requests. */
  readonly match: readonly HttpMatch[];
  readonly route: readonly HttpRouteDestination[];
  readonly redirect?: HttpRedirect | undefined;
  readonly directResponse?: HttpDirectResponse | undefined;
  /**
   * The VirtualService without hosts whose routes apply instead. If `namespace` is absent, it is in the same namespace.
   */
  readonly delegate?: { readonly name: string; readonly namespace?: string | undefined } | undefined;
  readonly rewrite?: HttpRewrite | undefined;
  /** Absent means that there is no timeout. */
  readonly timeoutMs?: number | undefined;
  /** Absent means the mesh's default. */
  readonly retries?: HttpRetry | undefined;
  readonly fault?: HttpFault | undefined;
  /** From `mirrors`, or from `mirror` with its percentage. */
  readonly mirrors: readonly HttpMirror[];
  readonly corsPolicy?: HttpCorsPolicy | undefined;
  readonly headers: HttpHeaderChanges;
}

/** A request must meet all parts that are set. */
export interface HttpMatch {
  readonly name?: string | undefined;
  readonly uri?: StringMatch | undefined;
  readonly scheme?: StringMatch | undefined;
  readonly method?: StringMatch | undefined;
  readonly authority?: StringMatch | undefined;
  /**
   * Keyed by lower-case header name, or by a token's claim in the user's spelling (`@request.auth.claims.a.b`,
   * `@request.auth.claims[a][b]`).
   */
  readonly headers: Readonly<Record<string, PresenceMatch>>;
  readonly withoutHeaders: Readonly<Record<string, PresenceMatch>>;
  readonly queryParams: Readonly<Record<string, PresenceMatch>>;
  /** Whether exact and prefix matches of the path ignore case. */
  readonly ignoreUriCase: boolean;
  readonly port?: number | undefined;
  readonly sourceLabels: Readonly<Record<string, string>>;
  readonly sourceNamespace?: string | undefined;
  /** Overrides the gateways of the VirtualService. Empty means that those apply. */
  readonly gateways: readonly string[];
  readonly statPrefix?: string | undefined;
}

export interface HttpRouteDestination extends RouteDestination {
  readonly headers: HttpHeaderChanges;
}

export interface HttpRedirect {
  readonly uri?: string | undefined;
  /** Replaces only the matched prefix of the path. `uri` replaces the whole path. */
  readonly prefixRewrite?: string | undefined;
  readonly authority?: string | undefined;
  readonly port?:
    | { readonly kind: "number"; readonly number: number }
    | { readonly kind: "derived"; readonly derivePort: "FROM_PROTOCOL_DEFAULT" | "FROM_REQUEST_PORT" }
    | undefined;
  readonly scheme?: "http" | "https" | undefined;
  /** 301, 302, 303, 307 or 308. */
  readonly redirectCode: number;
}

export interface HttpDirectResponse {
  readonly status: number;
  /** `bytes` is encoded as base64. */
  readonly body?: { readonly kind: "string" | "bytes"; readonly value: string } | undefined;
}

export interface HttpRewrite {
  readonly uri?: string | undefined;
  readonly authority?: string | undefined;
  readonly uriRegexRewrite?: { readonly match: string; readonly rewrite: string } | undefined;
}

export interface HttpMirror {
  readonly destination: Destination;
  /** The share of requests, from 0 to 100. */
  readonly percentage: number;
}

export interface HttpRouteContext {
  /** Whether the VirtualService has no hosts, so that others delegate to it. */
  readonly isDelegate: boolean;
  /** Whether the match applies only to gateways. Only gateways verify tokens before routing. */
  readonly onGatewaysOnly: boolean;
}

const redirectCodes = [301, 302, 303, 307, 308];
const movedPermanently = 301;
const allPercent = 100;
const largeBodyBytes = 100 * 1024;
const maxBodyBytes = 1024 * 1024;

export function readHttpRoute(reader: Reader, context: HttpRouteContext): VirtualServiceHttpRoute {
  const match = reader.objects("match").map((entry) => readMatch(entry, context));
  const route: VirtualServiceHttpRoute = {
    name: readText(reader, "name"),
    match,
    route: reader.objects("route").map(readRouteDestination),
    redirect: readRedirect(reader.object("redirect"), match),
    directResponse: readDirectResponse(reader.object("directResponse")),
    delegate: readDelegate(reader, context),
    rewrite: readRewrite(reader.object("rewrite")),
    timeoutMs: readDurationMs(reader, "timeout", 1),
    retries: readRetries(reader.object("retries")),
    fault: readFault(reader.object("fault")),
    mirrors: readMirrors(reader),
    corsPolicy: readCors(reader.object("corsPolicy")),
    headers: readHeaders(reader),
  };
  checkAction(reader, route);
  checkAuthority(reader, route);
  checkWeights(reader, route.route);
  refuseUnknown(reader);
  return route;
}

function readDelegate(reader: Reader, context: HttpRouteContext): VirtualServiceHttpRoute["delegate"] {
  const delegate = reader.object("delegate");
  if (delegate === undefined) return undefined;
  if (context.isDelegate)
    reader.error("must not be set in a VirtualService without hosts, which is a delegate itself", "delegate");
  const found = { name: requireText(delegate, "name"), namespace: readText(delegate, "namespace") };
  refuseUnknown(delegate);
  return found;
}

/** Checks that the route has exactly one action, and that its other fields fit that action. */
function checkAction(reader: Reader, route: VirtualServiceHttpRoute): void {
  const excluded: [string, readonly string[]] =
    route.delegate !== undefined
      ? ["delegate", ["route", "redirect", "directResponse"]]
      : route.redirect !== undefined
        ? ["redirect", ["route", "directResponse", "fault", "rewrite"]]
        : route.directResponse !== undefined
          ? ["directResponse", ["route", "fault", "rewrite"]]
          : ["", []];
  const [action, others] = excluded;
  for (const field of others)
    if (reader.has(field) && !(field === "route" && route.route.length === 0))
      reader.error(`cannot be combined with ${action}`, field);
  if (action === "" && route.route.length === 0)
    reader.error("must have a route, a redirect, a directResponse or a delegate");
}

/** Reports a route that rewrites the authority more than once. */
function checkAuthority(reader: Reader, { rewrite, headers }: VirtualServiceHttpRoute): void {
  let isWritten = rewrite?.authority !== undefined;
  for (const field of ["set", "add"] as const) {
    for (const name of Object.keys(headers.request[field])) {
      if (!isAuthority(name)) continue;
      if (isWritten)
        reader.error(
          "must not be set, because another field also sets the authority; keep one of the two",
          `headers.request.${field}.${name}`,
        );
      isWritten = true;
    }
  }
}

function readMatch(reader: Reader, context: HttpRouteContext): HttpMatch {
  const uri = reader.object("uri");
  const match: HttpMatch = {
    name: readText(reader, "name"),
    uri: uri === undefined ? undefined : readStringMatchIn(uri),
    scheme: readStringMatch(reader, "scheme"),
    method: readStringMatch(reader, "method"),
    authority: readStringMatch(reader, "authority"),
    headers: readHeaderMatches(reader, "headers", context),
    withoutHeaders: readHeaderMatches(reader, "withoutHeaders", context),
    queryParams: readQueryMatches(reader),
    ignoreUriCase: reader.boolean("ignoreUriCase") ?? false,
    port: reader.integer("port", 0) === 0 ? undefined : readPortNumber(reader, "port"),
    sourceLabels: reader.stringMap("sourceLabels"),
    sourceNamespace: readText(reader, "sourceNamespace"),
    gateways: reader.strings("gateways"),
    statPrefix: readText(reader, "statPrefix"),
  };
  checkLabels(reader, "sourceLabels", match.sourceLabels);
  checkGatewayNames(reader, "gateways", match.gateways);
  if (match.sourceNamespace !== undefined && !isDnsLabel(match.sourceNamespace))
    reader.error(`must be the name of a namespace, got "${match.sourceNamespace}"`, "sourceNamespace");
  refuseUnknown(reader);
  return match;
}

function readHeaderMatches(
  reader: Reader,
  field: string,
  context: HttpRouteContext,
): Readonly<Record<string, PresenceMatch>> {
  const matches = readObjects(reader, field, readPresenceMatch);
  checkNames(reader, field, Object.keys(matches), (name) => {
    if (isClaim(name) && !context.onGatewaysOnly)
      return "is a claim of a token, which only gateways can match; set gateways, without mesh";
    return matchedHeaderFault(name);
  });
  return Object.fromEntries(
    Object.entries(matches).map(([name, match]) => [isClaim(name) ? name : name.toLowerCase(), match]),
  );
}

function readQueryMatches(reader: Reader): Readonly<Record<string, PresenceMatch>> {
  const matches = readObjects(reader, "queryParams", readPresenceMatch);
  checkNames(reader, "queryParams", Object.keys(matches), parameterNameFault);
  return matches;
}

function readRouteDestination(reader: Reader): HttpRouteDestination {
  const destination = {
    destination: requireDestination(reader),
    weight: readWeight(reader),
    headers: readHeaders(reader),
  };
  refuseUnknown(reader);
  return destination;
}

function readRedirect(reader: Reader | undefined, matches: readonly HttpMatch[]): HttpRedirect | undefined {
  if (reader === undefined) return undefined;
  const number = reader.integer("port", 0) === 0 ? undefined : readPortNumber(reader, "port");
  const derivePort = reader.oneOf("derivePort", ["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"]);
  const redirect: HttpRedirect = {
    uri: readHeaderText(reader, "uri"),
    prefixRewrite: readHeaderText(reader, "prefixRewrite"),
    authority: readHeaderText(reader, "authority"),
    port:
      number !== undefined
        ? { kind: "number", number }
        : derivePort !== undefined
          ? { kind: "derived", derivePort }
          : undefined,
    scheme: reader.oneOf("scheme", ["http", "https"]),
    redirectCode: reader.integer("redirectCode", 0) || movedPermanently,
  };
  const { uri, prefixRewrite, authority } = redirect;
  if (reader.has("port") && reader.has("derivePort")) reader.error("cannot be combined with port", "derivePort");
  if (uri !== undefined && prefixRewrite !== undefined) reader.error("cannot be combined with uri", "prefixRewrite");
  if (prefixRewrite !== undefined && matches.some((match) => match.uri !== undefined && match.uri.kind !== "prefix")) {
    reader.error("needs every uri of the route's matches to be a prefix", "prefixRewrite");
  }
  if (
    (uri ?? prefixRewrite ?? authority) === undefined &&
    !["port", "derivePort", "scheme"].some((field) => reader.has(field))
  ) {
    reader.error("must have a uri, prefixRewrite, authority, scheme, port or derivePort");
  }
  if (!redirectCodes.includes(redirect.redirectCode))
    reader.error(`must be one of ${redirectCodes.join(", ")}, got ${redirect.redirectCode}`, "redirectCode");
  refuseUnknown(reader);
  return redirect;
}

function readDirectResponse(reader: Reader | undefined): HttpDirectResponse | undefined {
  if (reader === undefined) return undefined;
  const body = reader.object("body");
  const string = body?.string("string");
  const bytes = body?.string("bytes");
  if (string !== undefined && bytes !== undefined) body?.error("cannot be combined with string", "bytes");
  if (bytes !== undefined && !/^[A-Za-z0-9+/_-]*={0,2}$/.test(bytes)) body?.error("must be base64", "bytes");
  const response: HttpDirectResponse = {
    status: reader.required("status", reader.integer("status", minHttpStatus, maxHttpStatus)) ?? 0,
    body:
      string !== undefined
        ? { kind: "string", value: string }
        : bytes !== undefined
          ? { kind: "bytes", value: bytes }
          : undefined,
  };
  const size = string === undefined ? ((bytes ?? "").length / 4) * 3 : string.length;
  if (size > maxBodyBytes)
    reader.error("must be smaller than 1 MB, because every proxy keeps it in its configuration", "body");
  else if (size > largeBodyBytes) reader.warn("is large, and every proxy keeps it in its configuration", "body");
  warnOfUnknown(body);
  refuseUnknown(reader);
  return response;
}

function readRewrite(reader: Reader | undefined): HttpRewrite | undefined {
  if (reader === undefined) return undefined;
  const regex = reader.object("uriRegexRewrite");
  const rewrite: HttpRewrite = {
    uri: readHeaderText(reader, "uri"),
    authority: readHeaderText(reader, "authority"),
    uriRegexRewrite:
      regex === undefined ? undefined : { match: requireText(regex, "match"), rewrite: requireText(regex, "rewrite") },
  };
  if (regex !== undefined) checkText(regex, "rewrite", rewrite.uriRegexRewrite?.rewrite, literalValueFault);
  if (regex !== undefined && rewrite.uriRegexRewrite !== undefined && rewrite.uriRegexRewrite.match !== "") {
    checkRegex(regex, "match", rewrite.uriRegexRewrite.match);
    checkSubstitution(regex, "rewrite", rewrite.uriRegexRewrite.rewrite, rewrite.uriRegexRewrite.match);
  }
  if (rewrite.uri !== undefined && regex !== undefined) reader.error("cannot be combined with uri", "uriRegexRewrite");
  if (rewrite.uri === undefined && regex === undefined && rewrite.authority === undefined)
    reader.error("must have a uri, uriRegexRewrite or authority");
  refuseUnknown(regex);
  refuseUnknown(reader);
  return rewrite;
}

function readMirrors(reader: Reader): readonly HttpMirror[] {
  const single = readDestination(reader, "mirror");
  for (const field of ["mirrorPercent", "mirror_percent"])
    if (reader.has(field)) reader.warnDeprecated("is deprecated; use mirrorPercentage", field);
  const percentage =
    readPercentage(reader, "mirrorPercentage") ??
    reader.integer("mirrorPercent", 0, allPercent) ??
    reader.integer("mirror_percent", 0, allPercent);
  const mirrors = reader.objects("mirrors").map((entry) => {
    const mirror = {
      destination: requireDestination(entry),
      percentage: readPercentage(entry, "percentage") ?? allPercent,
    };
    refuseUnknown(entry);
    return mirror;
  });
  if (single !== undefined && mirrors.length > 0) reader.error("cannot be combined with mirror", "mirrors");
  return single === undefined ? mirrors : [{ destination: single, percentage: percentage ?? allPercent }, ...mirrors];
}
