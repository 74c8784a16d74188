import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import {
  grpcStatusNames,
  type HashKey,
  type HttpCorsPolicy,
  type HttpDirectResponse,
  type HttpFault,
  type HttpHeaderChanges,
  type HttpMirror,
  type HttpRedirect,
  type HttpRetry,
} from "../../../api/istio/index.ts";
import {
  CorsPolicySchema,
  FractionalPercent_DenominatorType,
  HeaderValueOption_HeaderAppendAction,
  HTTPFaultSchema,
  PreviousHostsPredicateSchema,
  PreviousPrioritiesConfigSchema,
  RedirectAction_RedirectResponseCode,
  type HeaderValueOptionSchema,
  type RedirectActionSchema,
  type RetryPolicySchema,
  type RouteAction_HashPolicySchema,
  type RouteAction_RequestMirrorPolicySchema,
  type RouteActionSchema,
  type RouteSchema,
} from "../../../wire/envoy/index.ts";
import { compareText, type MeshSettings } from "../../model/facts.ts";
import { durationOfMs, packed } from "../envoy-any.ts";
import { type HeaderChanges, isPseudoOrHost, redirectCodes, wellKnownPorts } from "./route-filter.ts";
import { stringMatcher } from "./virtual-service-match.ts";

type RouteInit = Exclude<MessageInitShape<typeof RouteSchema>, { $typeName: string }>;
export type RouteActionInit = Exclude<MessageInitShape<typeof RouteActionSchema>, { $typeName: string }>;
export type RetryPolicyInit = Exclude<MessageInitShape<typeof RetryPolicySchema>, { $typeName: string }>;

const { APPEND_IF_EXISTS_OR_ADD, OVERWRITE_IF_EXISTS_OR_ADD } = HeaderValueOption_HeaderAppendAction;

/** The header changes. A change of the host header is returned separately, because Envoy treats it as a rewrite. */
export function headerChanges({
  request,
  response,
}: HttpHeaderChanges): HeaderChanges & { readonly authority: string | undefined } {
  return {
    requestHeadersToAdd: [
      ...added(request.set, OVERWRITE_IF_EXISTS_OR_ADD),
      ...added(request.add, APPEND_IF_EXISTS_OR_ADD),
    ],
    requestHeadersToRemove: request.remove.filter((name) => !isPseudoOrHost(name)),
    responseHeadersToAdd: [
      ...added(response.set, OVERWRITE_IF_EXISTS_OR_ADD),
      ...added(response.add, APPEND_IF_EXISTS_OR_ADD),
    ],
    responseHeadersToRemove: response.remove.filter((name) => !isPseudoOrHost(name)),
    authority: authorityOf(request.set) ?? authorityOf(request.add),
  };
}

function added(
  headers: Readonly<Record<string, string>>,
  appendAction: HeaderValueOption_HeaderAppendAction,
): MessageInitShape<typeof HeaderValueOptionSchema>[] {
  return Object.entries(headers)
    .filter(([name]) => !isPseudoOrHost(name))
    .sort(([left], [right]) => compareText(left, right))
    .map(([key, value]) => ({ header: { key, value }, appendAction }));
}

function authorityOf(headers: Readonly<Record<string, string>>): string | undefined {
  return Object.entries(headers).find(
    ([name]) => name.toLowerCase() === "host" || name.toLowerCase() === ":authority",
  )?.[1];
}

const codes: Readonly<Record<number, RedirectAction_RedirectResponseCode>> = redirectCodes;
const schemePorts: Readonly<Record<string, number>> = wellKnownPorts;

export function redirectOf(redirect: HttpRedirect, port: number, isTls: boolean): Pick<RouteInit, "action"> {
  const scheme = redirect.scheme ?? (isTls ? "https" : "http");
  const wanted =
    redirect.port?.kind === "number"
      ? redirect.port.number
      : redirect.port?.derivePort === "FROM_REQUEST_PORT"
        ? port
        : 0;
  const value: MessageInitShape<typeof RedirectActionSchema> = {
    hostRedirect: redirect.authority ?? "",
    ...(redirect.scheme === undefined
      ? {}
      : { schemeRewriteSpecifier: { case: "schemeRedirect" as const, value: redirect.scheme } }),
    ...(redirect.prefixRewrite !== undefined
      ? { pathRewriteSpecifier: { case: "prefixRewrite" as const, value: redirect.prefixRewrite } }
      : redirect.uri === undefined
        ? {}
        : { pathRewriteSpecifier: { case: "pathRedirect" as const, value: redirect.uri } }),
    portRedirect: wanted === schemePorts[scheme] ? 0 : wanted,
    responseCode: codes[redirect.redirectCode] ?? RedirectAction_RedirectResponseCode.MOVED_PERMANENTLY,
  };
  return { action: { case: "redirect", value } };
}

export function directResponseOf({ status, body }: HttpDirectResponse): Pick<RouteInit, "action"> {
  if (body === undefined) return { action: { case: "directResponse", value: { status } } };
  const specifier =
    body.kind === "string"
      ? { case: "inlineString" as const, value: body.value }
      : {
          case: "inlineBytes" as const,
          value: Uint8Array.from(atob(body.value), (character) => character.charCodeAt(0)),
        };
  return { action: { case: "directResponse", value: { status, body: { specifier } } } };
}

export const defaultRetries = 2;
const hostSelectionAttempts = 5n;
const defaultRetryOn = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
const previousHosts = {
  name: "envoy.retry_host_predicates.previous_hosts",
  configType: { case: "typedConfig" as const, value: packed(PreviousHostsPredicateSchema, {}) },
};
/** The setting with which retries prefer another locality after two attempts in the same one. */
const otherLocalities = {
  name: "envoy.retry_priorities.previous_priorities",
  configType: { case: "typedConfig" as const, value: packed(PreviousPrioritiesConfigSchema, { updateFrequency: 2 }) },
};
/** The minimum backoff. Envoy rejects the routes of the whole port for a backoff of 0. */
const minBackoffMs = 1;
const minStatus = 100;
const maxStatus = 599;

/**
 * The route's retries, or else the default ones. Undefined if retries are off. With consistent hashing, a retry goes to
 * the same host.
 */
export function retryPolicy(retry: HttpRetry | undefined, byHash: boolean): RetryPolicyInit | undefined {
  if (retry?.attempts === 0) return undefined;
  const words = (retry?.retryOn ?? defaultRetryOn)
    .split(",")
    .map((word) => word.trim())
    .filter((word) => word !== "");
  const isCode = (word: string): boolean =>
    /^\d+$/.test(word) && Number(word) >= minStatus && Number(word) <= maxStatus;
  const codes = words.filter(isCode).map(Number);
  const conditions = words.filter((word) => !isCode(word));
  if (codes.length > 0 && !conditions.includes(retriableCodes)) conditions.push(retriableCodes);
  const avoidsPrevious = retry?.retryIgnorePreviousHosts ?? !byHash;
  return {
    retryOn: conditions.join(","),
    numRetries: retry?.attempts ?? defaultRetries,
    retriableStatusCodes: codes,
    hostSelectionRetryMaxAttempts: hostSelectionAttempts,
    ...(avoidsPrevious ? { retryHostPredicate: [previousHosts] } : {}),
    ...(retry?.retryRemoteLocalities === true ? { retryPriority: otherLocalities } : {}),
    ...(retry?.perTryTimeoutMs === undefined ? {} : { perTryTimeout: durationOfMs(retry.perTryTimeoutMs) }),
    ...(retry?.backoffMs === undefined
      ? {}
      : { retryBackOff: { baseInterval: durationOfMs(Math.max(minBackoffMs, retry.backoffMs)) } }),
  };
}

const retriableCodes = "retriable-status-codes";

const millionthsPerPercent = 10_000;

function share(percentage: number) {
  return {
    numerator: Math.round(percentage * millionthsPerPercent),
    denominator: FractionalPercent_DenominatorType.MILLION,
  };
}

export function mirrorPolicy(
  mirror: HttpMirror,
  cluster: string,
  { shadowHostSuffix = false }: Pick<MeshSettings, "shadowHostSuffix">,
): MessageInitShape<typeof RouteAction_RequestMirrorPolicySchema> {
  return {
    cluster,
    runtimeFraction: { defaultValue: share(mirror.percentage) },
    traceSampled: false,
    disableShadowHostSuffixAppend: !shadowHostSuffix,
  };
}

export function faultOf({ delay, abort }: HttpFault): Any {
  return packed(HTTPFaultSchema, {
    ...(delay === undefined
      ? {}
      : {
          delay: {
            faultDelaySecifier: { case: "fixedDelay" as const, value: durationOfMs(delay.fixedDelayMs) },
            percentage: share(delay.percentage),
          },
        }),
    ...(abort === undefined
      ? {}
      : { abort: { errorType: abortError(abort.error), percentage: share(abort.percentage) } }),
  });
}

function abortError(error: NonNullable<HttpFault["abort"]>["error"]) {
  if (error.kind === "httpStatus") return { case: "httpStatus" as const, value: error.status };
  return { case: "grpcStatus" as const, value: grpcStatusNames.indexOf(error.status) };
}

const msPerSecond = 1000;
const all = { defaultValue: { numerator: 100, denominator: FractionalPercent_DenominatorType.HUNDRED } };

/**
 * The route's configuration of the CORS filter. Preflight requests of origins that are not allowed reach the
 * application, unless `unmatchedPreflights` is IGNORE.
 */
export function corsOf(cors: HttpCorsPolicy): Any {
  return packed(CorsPolicySchema, {
    filterEnabled: all,
    forwardNotMatchingPreflights: cors.unmatchedPreflights !== "IGNORE",
    allowOriginStringMatch: cors.allowOrigins.map(stringMatcher),
    allowMethods: cors.allowMethods.join(","),
    allowHeaders: cors.allowHeaders.join(","),
    exposeHeaders: cors.exposeHeaders.join(","),
    ...(cors.maxAgeMs === undefined ? {} : { maxAge: String(Math.floor(cors.maxAgeMs / msPerSecond)) }),
    ...(cors.allowCredentials === undefined ? {} : { allowCredentials: cors.allowCredentials }),
  });
}

export function hashPolicyOf(key: HashKey): MessageInitShape<typeof RouteAction_HashPolicySchema> {
  switch (key.kind) {
    case "httpHeaderName":
      return { policySpecifier: { case: "header", value: { headerName: key.name } } };
    case "httpQueryParameterName":
      return { policySpecifier: { case: "queryParameter", value: { name: key.name } } };
    case "useSourceIp":
      return { policySpecifier: { case: "connectionProperties", value: { sourceIp: true } } };
    case "httpCookie":
      return {
        policySpecifier: {
          case: "cookie",
          value: {
            name: key.name,
            path: key.path ?? "",
            ...(key.ttlMs === undefined ? {} : { ttl: durationOfMs(key.ttlMs) }),
            attributes: key.attributes.map(({ name, value }) => ({ name, value })),
          },
        },
      };
  }
}
