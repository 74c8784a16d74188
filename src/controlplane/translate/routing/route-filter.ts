import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  CorsFilter,
  HeaderModifier,
  HttpRouteFilter,
  PathModifier,
  RequestRedirect,
  UrlRewrite,
} from "../../../api/gateway/index.ts";
import {
  CorsPolicySchema,
  FractionalPercent_DenominatorType,
  HeaderValueOption_HeaderAppendAction,
  RedirectAction_RedirectResponseCode,
  type HeaderValueOptionSchema,
  type RedirectActionSchema,
  type RouteAction_RequestMirrorPolicySchema,
  type RouteActionSchema,
} from "../../../wire/envoy/index.ts";
import { withLiteralPercents } from "../../../api/istio/index.ts";
import type { MeshSettings } from "../../model/facts.ts";
import { memos } from "../../model/memos.ts";
import type { ResolvedBackend } from "../../model/gateway/backend-resolution.ts";
import type { Any } from "@bufbuild/protobuf/wkt";
import { packed } from "../envoy-any.ts";
import { trimmedPrefix } from "./route-match.ts";
import { quoteRegex } from "../security/security-matcher.ts";

export interface HeaderChanges {
  readonly requestHeadersToAdd: MessageInitShape<typeof HeaderValueOptionSchema>[];
  readonly requestHeadersToRemove: string[];
  readonly responseHeadersToAdd: MessageInitShape<typeof HeaderValueOptionSchema>[];
  readonly responseHeadersToRemove: string[];
}

const { APPEND_IF_EXISTS_OR_ADD, OVERWRITE_IF_EXISTS_OR_ADD } = HeaderValueOption_HeaderAppendAction;

/**
 * The header changes of the filters. A change of the host header is returned separately, because Envoy treats it as a
 * rewrite.
 */
export function headerChanges(
  filters: readonly HttpRouteFilter[],
): HeaderChanges & { readonly authority: string | undefined } {
  const requests = filters.flatMap((filter) =>
    filter.type === "RequestHeaderModifier" ? filter.requestHeaderModifier : [],
  );
  const responses = filters.flatMap((filter) =>
    filter.type === "ResponseHeaderModifier" ? filter.responseHeaderModifier : [],
  );
  const host = requests
    .flatMap((modifier) => [...modifier.set, ...modifier.add])
    .find(({ name }) => isPseudoOrHost(name));
  return {
    requestHeadersToAdd: requests.flatMap(headersToAdd),
    requestHeadersToRemove: requests.flatMap((modifier) => modifier.remove.filter((name) => !isPseudoOrHost(name))),
    responseHeadersToAdd: responses.flatMap(headersToAdd),
    responseHeadersToRemove: responses.flatMap((modifier) => modifier.remove.filter((name) => !isPseudoOrHost(name))),
    authority: host?.value,
  };
}

function headersToAdd({ set, add }: HeaderModifier): MessageInitShape<typeof HeaderValueOptionSchema>[] {
  return [...added(set, OVERWRITE_IF_EXISTS_OR_ADD), ...added(add, APPEND_IF_EXISTS_OR_ADD)];
}

/**
 * The header changes that set or add values. If several entries have the same name, the first wins. The Gateway API has
 * no variables, but a value with valid variables works as in Istio. Any other value is taken literally, because a proxy
 * would reject the routes of the whole port for a value such as `50%`.
 */
function added(
  headers: HeaderModifier["set"],
  appendAction: HeaderValueOption_HeaderAppendAction,
): MessageInitShape<typeof HeaderValueOptionSchema>[] {
  return valuesOf(headers).map(([key, value]) => ({ header: { key, value }, appendAction }));
}

const values = memos.memo<HeaderModifier["set"], readonly (readonly [string, string])[]>("header-values");

/** The values by name. They are checked only once, because the routes of each proxy contain them again. */
function valuesOf(headers: HeaderModifier["set"]): readonly (readonly [string, string])[] {
  const known = values.get(headers);
  if (known !== undefined) return known;
  const byName = new Map<string, string>();
  for (const { name, value } of headers)
    if (!isPseudoOrHost(name) && !byName.has(name.toLowerCase())) byName.set(name.toLowerCase(), value);
  const made = [...byName]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([key, value]) => [key, withLiteralPercents(value)] as const);
  values.set(headers, made);
  return made;
}

/** Whether Envoy refuses the header in its lists of header changes: a pseudo-header, or the host. */
export function isPseudoOrHost(name: string): boolean {
  return name.startsWith(":") || name.toLowerCase() === "host";
}

export const redirectCodes = {
  301: RedirectAction_RedirectResponseCode.MOVED_PERMANENTLY,
  302: RedirectAction_RedirectResponseCode.FOUND,
  303: RedirectAction_RedirectResponseCode.SEE_OTHER,
  307: RedirectAction_RedirectResponseCode.TEMPORARY_REDIRECT,
  308: RedirectAction_RedirectResponseCode.PERMANENT_REDIRECT,
} as const;

export const wellKnownPorts = { http: 80, https: 443 } as const;

export function redirectAction(
  redirect: RequestRedirect,
  listenerPort: number,
): MessageInitShape<typeof RedirectActionSchema> {
  return {
    ...(redirect.scheme === undefined
      ? {}
      : { schemeRewriteSpecifier: { case: "schemeRedirect" as const, value: redirect.scheme } }),
    hostRedirect: redirect.hostname ?? "",
    portRedirect: redirectPort(redirect, listenerPort),
    responseCode: redirectCodes[redirect.statusCode],
    ...redirectPath(redirect.path),
  };
}

/**
 * The redirect's port. 0 omits it. That is correct if the port is the default of the redirect's scheme and the request
 * used the default port of its own scheme.
 */
function redirectPort(redirect: RequestRedirect, listenerPort: number): number {
  if (redirect.port !== undefined) return redirect.port;
  const wanted = redirect.scheme === undefined ? listenerPort : wellKnownPorts[redirect.scheme];
  return listenerPort === wellKnownPorts.http && wanted === wellKnownPorts[redirect.scheme ?? "http"] ? 0 : wanted;
}

function redirectPath(
  path: PathModifier | undefined,
): Pick<MessageInitShape<typeof RedirectActionSchema>, "pathRewriteSpecifier"> {
  if (path === undefined) return {};
  if (path.type === "ReplaceFullPath")
    return { pathRewriteSpecifier: { case: "pathRedirect", value: path.replaceFullPath } };
  return {
    pathRewriteSpecifier: {
      case: "prefixRewrite",
      value: path.replacePrefixMatch === "" ? "/" : path.replacePrefixMatch,
    },
  };
}

type RewriteInit = Pick<
  MessageInitShape<typeof RouteActionSchema>,
  "hostRewriteSpecifier" | "prefixRewrite" | "regexRewrite"
>;

/**
 * The rewrite as a part of a route's action. `prefix` is the path prefix that the route matches, which a rewrite of
 * only the prefix needs.
 */
export function rewriteAction(rewrite: UrlRewrite, prefix: string): RewriteInit {
  const host: RewriteInit =
    rewrite.hostname === undefined
      ? {}
      : { hostRewriteSpecifier: { case: "hostRewriteLiteral", value: rewrite.hostname } };
  const { path } = rewrite;
  if (path === undefined) return host;
  if (path.type === "ReplaceFullPath")
    return {
      ...host,
      regexRewrite: { pattern: { regex: "^[^?]*" }, substitution: escapeSubstitution(path.replaceFullPath) },
    };
  const replacement = trimmedPrefix(path.replacePrefixMatch === "" ? "/" : path.replacePrefixMatch);
  // A plain rewrite of the prefix to `/` would give two slashes or none.
  if (replacement === "/")
    return {
      ...host,
      regexRewrite: { pattern: { regex: `^${quoteRegex(trimmedPrefix(prefix))}(/?)(.*)` }, substitution: "/\\2" },
    };
  if (trimmedPrefix(prefix) === "/")
    return {
      ...host,
      regexRewrite: { pattern: { regex: "^/(.*)" }, substitution: `${escapeSubstitution(replacement)}/\\1` },
    };
  return { ...host, prefixRewrite: replacement };
}

function escapeSubstitution(text: string): string {
  return text.replaceAll("\\", "\\\\");
}

const percent = 100;

/** Mirrors whose backends do not exist are dropped, so that the request itself does not fail. */
export function mirrorPolicies(
  filters: readonly HttpRouteFilter[],
  backends: readonly ResolvedBackend[],
  { shadowHostSuffix = false }: Pick<MeshSettings, "shadowHostSuffix">,
): MessageInitShape<typeof RouteAction_RequestMirrorPolicySchema>[] {
  const mirrors = filters.flatMap((filter) => (filter.type === "RequestMirror" ? filter.requestMirror : []));
  return mirrors.flatMap((mirror, index) => {
    const backend = backends[index];
    if (backend === undefined || "fault" in backend) return [];
    const { numerator, denominator } = mirror.fraction ?? {
      numerator: mirror.percent ?? percent,
      denominator: percent,
    };
    const millionths = Math.round((numerator / denominator) * 1_000_000);
    return {
      cluster: backend.cluster,
      runtimeFraction: {
        defaultValue: { numerator: millionths, denominator: FractionalPercent_DenominatorType.MILLION },
      },
      traceSampled: false,
      disableShadowHostSuffixAppend: !shadowHostSuffix,
    };
  });
}

/**
 * The route's configuration of the CORS filter. Preflight requests of origins that are not allowed get an answer
 * without permissions.
 */
export function corsPolicy(cors: CorsFilter): Any {
  return packed(CorsPolicySchema, {
    filterEnabled: { defaultValue: { numerator: percent, denominator: FractionalPercent_DenominatorType.HUNDRED } },
    forwardNotMatchingPreflights: false,
    allowOriginStringMatch: cors.allowOrigins.map((origin) => ({ matchPattern: originPattern(origin) })),
    allowMethods: cors.allowMethods.join(","),
    allowHeaders: cors.allowHeaders.join(","),
    exposeHeaders: cors.exposeHeaders.join(","),
    ...(cors.maxAge > 0 ? { maxAge: String(cors.maxAge) } : {}),
    ...(cors.allowCredentials ? { allowCredentials: true } : {}),
  });
}

/** What `*` accepts: every origin with a valid form. */
const anyOrigin = "^[a-zA-Z][a-zA-Z0-9+.-]*://[^/\\s?#]+$";

function originPattern(
  origin: string,
): { case: "exact" | "prefix"; value: string } | { case: "safeRegex"; value: { regex: string } } {
  if (origin === "*") return { case: "safeRegex", value: { regex: anyOrigin } };
  if (!origin.includes("*")) return { case: "exact", value: origin };
  if (origin.indexOf("*") === origin.length - 1) return { case: "prefix", value: origin.slice(0, -1) };
  return { case: "safeRegex", value: { regex: `^${origin.split("*").map(quoteRegex).join(".*")}$` } };
}
