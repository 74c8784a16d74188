import {
  RedirectAction_RedirectResponseCode,
  RedirectActionSchema,
  RouteAction_ClusterNotFoundResponseCode,
  RouteAction_RequestMirrorPolicySchema,
  RouteActionSchema,
  WeightedCluster_ClusterWeightSchema,
  WeightedClusterSchema,
  type DirectResponseAction as DirectResponseMessage,
  type RedirectAction as RedirectMessage,
  type Route as RouteMessage,
  type RouteAction as RouteActionMessage,
  type RouteAction_MaxStreamDuration,
  type RouteAction_RequestMirrorPolicy,
  type RouteMatch,
  type VirtualHost as VirtualHostMessage,
  type WeightedCluster as WeightedClusterMessage,
} from "../../../wire/envoy/index.ts";
import type {
  ClusterChoice,
  DirectResponseAction,
  ForwardAction,
  Mirror,
  RateLimitRule,
  RedirectAction,
  RouteAction,
  WeightedCluster,
} from "../../routing/route.ts";
import { checkFields, durationOr, invalid, unsupported, type ConfigNotes } from "../config-check.ts";
import { fractionOf } from "../fraction.ts";
import { compileHashPolicy } from "./hash-policy-config.ts";
import { compileMutation } from "../header-mutation-config.ts";
import { compileReplacement } from "../matchers/regex.ts";
import { compileRetry } from "./retry-config.ts";
import { compileRouteRules } from "../rate-limits/rate-limit-config.ts";

/** Envoy's timeout for a route without one. */
const defaultTimeoutMs = 15_000;

export interface ActionScope {
  readonly host: VirtualHostMessage;
  readonly rateLimits: readonly RateLimitRule[];
  readonly maxBodyBytes: number;
  readonly notes: ConfigNotes;
  /** The name of the route in messages: `route configuration a, virtual host b, route c`. */
  readonly where: string;
}

/** Compiles what a route does with a request. Throws an error that names the field which cannot be served. */
export function compileAction(message: RouteMessage, match: RouteMatch, scope: ActionScope): RouteAction {
  const { action } = message;
  switch (action.case) {
    case "route":
      return compileForward(action.value, match, scope);
    case "redirect":
      return compileRedirect(action.value, match, scope);
    case "directResponse":
      return compileDirectResponse(action.value, scope);
    default:
      throw unsupported(scope.where, `the action ${action.case ?? "(none)"}`);
  }
}

function compileDirectResponse(message: DirectResponseMessage, scope: ActionScope): DirectResponseAction {
  const { where, maxBodyBytes } = scope;
  if (message.bodyFormat !== undefined) throw unsupported(where, "directResponse.bodyFormat");
  const source = message.body?.specifier;
  if (
    source !== undefined &&
    source.case !== undefined &&
    source.case !== "inlineString" &&
    source.case !== "inlineBytes"
  ) {
    throw unsupported(where, `directResponse.body.${source.case}`);
  }
  const body =
    source?.case === "inlineString"
      ? Buffer.from(source.value)
      : source?.case === "inlineBytes"
        ? Buffer.from(source.value)
        : Buffer.alloc(0);
  if (body.length > maxBodyBytes)
    throw invalid(where, `directResponse.body has ${body.length} bytes; at most ${maxBodyBytes} are allowed`);
  if (message.status < 200 || message.status > 599)
    throw invalid(where, `directResponse.status must be from 200 to 599, got ${message.status}`);
  return { kind: "direct-response", status: message.status, body };
}

const redirectStatuses: Readonly<Record<number, RedirectAction["status"]>> = {
  [RedirectAction_RedirectResponseCode.MOVED_PERMANENTLY]: 301,
  [RedirectAction_RedirectResponseCode.FOUND]: 302,
  [RedirectAction_RedirectResponseCode.SEE_OTHER]: 303,
  [RedirectAction_RedirectResponseCode.TEMPORARY_REDIRECT]: 307,
  [RedirectAction_RedirectResponseCode.PERMANENT_REDIRECT]: 308,
};

function compileRedirect(message: RedirectMessage, match: RouteMatch, scope: ActionScope): RedirectAction {
  const { where, notes } = scope;
  checkFields(RedirectActionSchema, message, where, notes, {
    used: [
      "httpsRedirect",
      "schemeRedirect",
      "hostRedirect",
      "portRedirect",
      "pathRedirect",
      "prefixRewrite",
      "regexRewrite",
      "responseCode",
      "stripQuery",
    ],
  });
  const scheme = message.schemeRewriteSpecifier;
  const path = message.pathRewriteSpecifier;
  return {
    kind: "redirect",
    status: redirectStatuses[message.responseCode] ?? 301,
    scheme: scheme.case === "schemeRedirect" && scheme.value !== "" ? scheme.value : undefined,
    httpsRedirect: scheme.case === "httpsRedirect" && scheme.value,
    host: message.hostRedirect === "" ? undefined : message.hostRedirect,
    port: message.portRedirect === 0 ? undefined : message.portRedirect,
    rewritePath:
      path.case === "prefixRewrite"
        ? prefixRewrite(match, path.value, where)
        : path.case === "regexRewrite"
          ? rooted(compileReplacement(path.value.pattern?.regex ?? "", path.value.substitution, where))
          : undefined,
    pathRedirect: path.case === "pathRedirect" && path.value !== "" ? path.value : undefined,
    stripQuery: message.stripQuery,
  };
}

/**
 * Makes a rewrite return a valid path. As in Envoy, an empty result leaves the path as it is. A result without a
 * leading slash gets one: the client influences the result, and a server could read it as another host (`http://…`).
 */
function rooted(rewrite: (path: string) => string): (path: string) => string {
  return (path) => {
    const result = rewrite(path);
    return result === "" ? path : result.startsWith("/") ? result : `/${result}`;
  };
}

/**
 * A rewrite that replaces the matched part of the path. If a regular expression matched, it replaces the whole path.
 */
function prefixRewrite(match: RouteMatch, replacement: string, where: string): (path: string) => string {
  const path = match.pathSpecifier;
  if (path.case === "safeRegex") return rooted(() => replacement);
  if (path.case !== "path" && path.case !== "prefix" && path.case !== "pathSeparatedPrefix")
    throw invalid(where, "prefixRewrite needs a match of a path or prefix");
  const matched = path.value.length;
  return rooted((given) => replacement + given.slice(matched));
}

function compileForward(message: RouteActionMessage, match: RouteMatch, scope: ActionScope): ForwardAction {
  const { where, notes, host } = scope;
  checkFields(RouteActionSchema, message, where, notes, {
    used: [
      "cluster",
      "clusterHeader",
      "weightedClusters",
      "clusterNotFoundResponseCode",
      "prefixRewrite",
      "regexRewrite",
      "hostRewriteLiteral",
      "autoHostRewrite",
      "appendXForwardedHost",
      "timeout",
      "retryPolicy",
      "requestMirrorPolicies",
      "upgradeConfigs",
      "hashPolicy",
      "maxStreamDuration",
      "maxGrpcTimeout",
      "grpcTimeoutOffset",
      "idleTimeout",
      "rateLimits",
      "includeVhRateLimits",
    ],
    harmless: ["priority", "metadataMatch"],
  });
  if (message.regexRewrite !== undefined && message.prefixRewrite !== "")
    throw invalid(where, "prefixRewrite and regexRewrite exclude each other");
  const hostRewrite = message.hostRewriteSpecifier;
  const retry = message.retryPolicy ?? host.retryPolicy;
  return {
    kind: "forward",
    target: compileTarget(message.clusterSpecifier, where, notes),
    clusterNotFoundStatus: notFoundStatuses[message.clusterNotFoundResponseCode] ?? 503,
    rewritePath:
      message.prefixRewrite !== ""
        ? prefixRewrite(match, message.prefixRewrite, where)
        : message.regexRewrite === undefined
          ? undefined
          : rooted(
              compileReplacement(message.regexRewrite.pattern?.regex ?? "", message.regexRewrite.substitution, where),
            ),
    rewriteHost: hostRewrite.case === "hostRewriteLiteral" ? hostRewrite.value : undefined,
    autoHostRewrite: hostRewrite.case === "autoHostRewrite" && hostRewrite.value.value,
    appendForwardedHost: message.appendXForwardedHost,
    timeoutMs: durationOr(message.timeout, defaultTimeoutMs),
    grpcTimeout:
      message.maxGrpcTimeout === undefined
        ? undefined
        : { maxMs: durationOr(message.maxGrpcTimeout, 0), offsetMs: durationOr(message.grpcTimeoutOffset, 0) },
    stream: compileStreamDuration(message.maxStreamDuration),
    idleTimeoutMs: message.idleTimeout === undefined ? undefined : durationOr(message.idleTimeout, 0),
    hashPolicies: message.hashPolicy.map((policy) => compileHashPolicy(policy, where, notes)),
    retry: retry === undefined ? undefined : compileRetry(retry, where, notes),
    mirrors: message.requestMirrorPolicies.map((mirror) => compileMirror(mirror, where, notes)),
    upgrades: compileUpgrades(message, where),
    includeAttemptCount: host.includeRequestAttemptCount,
    ...compileRateLimits(message, scope),
  };
}

function compileRateLimits(message: RouteActionMessage, scope: ActionScope): Pick<ForwardAction, "rateLimits"> {
  const { where, notes, rateLimits: ofHost } = scope;
  const ofRoute = compileRouteRules(message.rateLimits, where, notes);
  if (ofRoute.length === 0 && ofHost.length === 0) return {};
  return { rateLimits: { ofRoute, ofHost, includeHost: message.includeVhRateLimits ?? false } };
}

const notFoundStatuses: Readonly<Record<number, number>> = {
  [RouteAction_ClusterNotFoundResponseCode.SERVICE_UNAVAILABLE]: 503,
  [RouteAction_ClusterNotFoundResponseCode.NOT_FOUND]: 404,
  [RouteAction_ClusterNotFoundResponseCode.INTERNAL_SERVER_ERROR]: 500,
};

function compileStreamDuration(message: RouteAction_MaxStreamDuration | undefined): ForwardAction["stream"] {
  if (message === undefined) return undefined;
  return {
    maxMs: durationOr(message.maxStreamDuration, 0),
    grpcTimeout:
      message.grpcTimeoutHeaderMax === undefined
        ? undefined
        : {
            maxMs: durationOr(message.grpcTimeoutHeaderMax, 0),
            offsetMs: durationOr(message.grpcTimeoutHeaderOffset, 0),
          },
  };
}

function compileUpgrades(message: RouteActionMessage, where: string): ReadonlyMap<string, boolean> {
  const upgrades = new Map<string, boolean>();
  for (const upgrade of message.upgradeConfigs) {
    if (upgrade.connectConfig !== undefined) throw unsupported(where, "upgradeConfigs.connectConfig");
    upgrades.set(upgrade.upgradeType.toLowerCase(), upgrade.enabled ?? true);
  }
  return upgrades;
}

function compileMirror(message: RouteAction_RequestMirrorPolicy, where: string, notes: ConfigNotes): Mirror {
  checkFields(RouteAction_RequestMirrorPolicySchema, message, `${where}: requestMirrorPolicies`, notes, {
    used: ["cluster", "runtimeFraction", "disableShadowHostSuffixAppend"],
    harmless: ["traceSampled"],
  });
  return {
    cluster: message.cluster,
    fraction: fractionOf(message.runtimeFraction?.defaultValue, 1),
    keepHost: message.disableShadowHostSuffixAppend,
  };
}

function compileTarget(
  specifier: RouteActionMessage["clusterSpecifier"],
  where: string,
  notes: ConfigNotes,
): ClusterChoice {
  switch (specifier.case) {
    case "cluster":
      return { kind: "one", cluster: specifier.value };
    case "clusterHeader":
      return { kind: "header", header: specifier.value.toLowerCase() };
    case "weightedClusters":
      return compileWeighted(specifier.value, where, notes);
    default:
      throw unsupported(where, `the target ${specifier.case ?? "(none)"}`);
  }
}

function compileWeighted(message: WeightedClusterMessage, where: string, notes: ConfigNotes): ClusterChoice {
  const here = `${where}: weightedClusters`;
  checkFields(WeightedClusterSchema, message, here, notes, {
    used: ["clusters", "totalWeight"],
    harmless: ["runtimeKeyPrefix"],
  });
  const clusters = message.clusters.map((entry): WeightedCluster => {
    checkFields(WeightedCluster_ClusterWeightSchema, entry, `${here} ${entry.name}`, notes, {
      used: [
        "name",
        "weight",
        "requestHeadersToAdd",
        "requestHeadersToRemove",
        "responseHeadersToAdd",
        "responseHeadersToRemove",
        "hostRewriteLiteral",
      ],
      harmless: ["metadataMatch"],
    });
    return {
      cluster: entry.name,
      weight: entry.weight ?? 0,
      hostRewrite:
        entry.hostRewriteSpecifier.case === "hostRewriteLiteral" ? entry.hostRewriteSpecifier.value : undefined,
      requestMutation: compileMutation(entry.requestHeadersToAdd, entry.requestHeadersToRemove, "request", here, notes),
      responseMutation: compileMutation(
        entry.responseHeadersToAdd,
        entry.responseHeadersToRemove,
        "response",
        here,
        notes,
      ),
    };
  });
  const totalWeight = clusters.reduce((sum, cluster) => sum + cluster.weight, 0);
  if (totalWeight <= 0) throw invalid(here, "the weights must sum up to more than 0");
  return { kind: "weighted", totalWeight, clusters };
}
