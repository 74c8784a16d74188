import {
  RedirectAction_RedirectResponseCode,
  RedirectActionSchema,
  RouteAction_ClusterNotFoundResponseCode,
  RouteAction_RequestMirrorPolicySchema,
  RouteActionSchema,
  RouteConfigurationSchema,
  RouteSchema,
  VirtualHost_TlsRequirementType,
  VirtualHostSchema,
  WeightedCluster_ClusterWeightSchema,
  WeightedClusterSchema,
  type DirectResponseAction as DirectResponseMessage,
  type RedirectAction as RedirectMessage,
  type Route as RouteMessage,
  type RouteAction as RouteActionMessage,
  type RouteAction_MaxStreamDuration,
  type RouteAction_RequestMirrorPolicy,
  type RouteConfiguration,
  type RouteMatch,
  type VirtualHost as VirtualHostMessage,
  type WeightedCluster as WeightedClusterMessage,
} from "../../wire/envoy/index.ts";
import type { HeaderMutation } from "../routing/header-mutation.ts";
import { RouteSearch } from "../routing/route-search.ts";
import { RouteTable, type VirtualHost } from "../routing/route-table.ts";
import type {
  ClusterChoice,
  DirectResponseAction,
  ForwardAction,
  Mirror,
  RateLimitRule,
  RedirectAction,
  Route,
  RouteAction,
  WeightedCluster,
} from "../routing/route.ts";
import { checkFields, durationOr, invalid, unsupported, type ConfigNotes } from "./config-check.ts";
import { fractionOf } from "./fraction.ts";
import { compileHashPolicy } from "./hash-policy-config.ts";
import { compileFilterOverrides, noOverrides, type FilterOverrides } from "./filter-overrides-config.ts";
import { compileMutation } from "./header-mutation-config.ts";
import { compileReplacement } from "./regex.ts";
import { compileRetry } from "./retry-config.ts";
import { compileMatch, pathConditionOf } from "./route-match-config.ts";
import { compileRouteRules } from "./rate-limit-config.ts";

/** Envoy's timeout for a route without one. */
const defaultTimeoutMs = 15_000;
const defaultMaxDirectBodyBytes = 4096;

interface Levels {
  readonly request: readonly HeaderMutation[];
  readonly response: readonly HeaderMutation[];
}

/** Compiles a route table. Throws an error that names the table, the route and the field which cannot be served. */
export function compileRouteTable(message: RouteConfiguration, notes: ConfigNotes): RouteTable {
  const { where, scope, maxBodyBytes } = tableSettings(message, notes);
  if (message.vhds !== undefined) throw unsupported(where, "vhds");
  const seen = new Map<string, string>();
  const virtualHosts = message.virtualHosts.map((host) => {
    for (const domain of host.domains) {
      const other = seen.get(domain.toLowerCase());
      if (other !== undefined)
        throw invalid(
          where,
          `the domain ${domain} is in the virtual hosts ${other} and ${host.name}; it may be in only one`,
        );
      seen.set(domain.toLowerCase(), host.name);
    }
    return compileVirtualHost(host, scope, maxBodyBytes, where, notes);
  });
  return new RouteTable({
    name: message.name,
    virtualHosts,
    ignorePortInHostMatching: message.ignorePortInHostMatching,
  });
}

/** One virtual host of a table with virtual host discovery. */
export function compileAnnouncedHost(
  host: VirtualHostMessage,
  table: RouteConfiguration,
  notes: ConfigNotes,
): VirtualHost {
  const { where, scope, maxBodyBytes } = tableSettings(table, notes);
  return compileVirtualHost(host, scope, maxBodyBytes, where, notes);
}

/** Such a table from compiled hosts. If two hosts have the same domain, the first one gets it. */
export function announcedRouteTable(
  message: RouteConfiguration,
  virtualHosts: readonly VirtualHost[],
  notes: ConfigNotes,
): RouteTable {
  const { where } = tableSettings(message, notes);
  if (message.virtualHosts.length > 0)
    throw invalid(where, "it has both virtual hosts of its own and vhds; it may have only one of them");
  return new RouteTable({
    name: message.name,
    virtualHosts,
    ignorePortInHostMatching: message.ignorePortInHostMatching,
  });
}

interface TableSettings {
  readonly where: string;
  readonly scope: Scope;
  readonly maxBodyBytes: number;
}

function tableSettings(message: RouteConfiguration, notes: ConfigNotes): TableSettings {
  const where = `route configuration ${message.name}`;
  checkFields(RouteConfigurationSchema, message, where, notes, {
    used: [
      "name",
      "virtualHosts",
      "requestHeadersToAdd",
      "requestHeadersToRemove",
      "responseHeadersToAdd",
      "responseHeadersToRemove",
      "maxDirectResponseBodySizeBytes",
      "ignorePortInHostMatching",
      "mostSpecificHeaderMutationsWins",
      "typedPerFilterConfig",
      "vhds",
    ],
    harmless: ["validateClusters", "metadata", "internalOnlyHeaders"],
  });
  const maxBodyBytes = message.maxDirectResponseBodySizeBytes ?? defaultMaxDirectBodyBytes;
  if (message.mostSpecificHeaderMutationsWins) throw unsupported(where, "mostSpecificHeaderMutationsWins");
  const scope: Scope = {
    levels: levelOf(message, where, notes),
    overrides: compileFilterOverrides(message.typedPerFilterConfig, noOverrides, where, notes),
  };
  return { where, scope, maxBodyBytes };
}

function levelOf(
  message: Pick<
    RouteConfiguration,
    "requestHeadersToAdd" | "requestHeadersToRemove" | "responseHeadersToAdd" | "responseHeadersToRemove"
  >,
  where: string,
  notes: ConfigNotes,
): Levels {
  const request = compileMutation(message.requestHeadersToAdd, message.requestHeadersToRemove, "request", where, notes);
  const response = compileMutation(
    message.responseHeadersToAdd,
    message.responseHeadersToRemove,
    "response",
    where,
    notes,
  );
  return { request: request === undefined ? [] : [request], response: response === undefined ? [] : [response] };
}

function join(specific: Levels, general: Levels): Levels {
  return { request: [...specific.request, ...general.request], response: [...specific.response, ...general.response] };
}

const tlsRequirements: Readonly<Record<number, VirtualHost["requireTls"]>> = {
  [VirtualHost_TlsRequirementType.NONE]: "none",
  [VirtualHost_TlsRequirementType.EXTERNAL_ONLY]: "external",
  [VirtualHost_TlsRequirementType.ALL]: "all",
};

/** The settings of a table or virtual host that apply to everything below it. */
interface Scope {
  readonly levels: Levels;
  readonly overrides: FilterOverrides;
}

function compileVirtualHost(
  message: VirtualHostMessage,
  table: Scope,
  maxBodyBytes: number,
  outer: string,
  notes: ConfigNotes,
): VirtualHost {
  const where = `${outer}, virtual host ${message.name}`;
  checkFields(VirtualHostSchema, message, where, notes, {
    used: [
      "name",
      "domains",
      "routes",
      "requireTls",
      "requestHeadersToAdd",
      "requestHeadersToRemove",
      "responseHeadersToAdd",
      "responseHeadersToRemove",
      "includeRequestAttemptCount",
      "retryPolicy",
      "typedPerFilterConfig",
      "rateLimits",
    ],
    harmless: ["virtualClusters", "metadata"],
  });
  const levels = join(levelOf(message, where, notes), table.levels);
  const overrides = compileFilterOverrides(message.typedPerFilterConfig, table.overrides, where, notes);
  const rateLimits = compileRouteRules(message.rateLimits, where, notes);
  const routes = message.routes.map((route, index) =>
    compileRoute(route, {
      levels,
      overrides,
      rateLimits,
      host: message,
      maxBodyBytes,
      notes,
      where: `${where}, route ${route.name === "" ? index : route.name}`,
    }),
  );
  const search = RouteSearch.of(routes);
  return {
    name: message.name,
    domains: message.domains.map((domain) => domain.toLowerCase()),
    routes,
    ...(search === undefined ? {} : { search }),
    requireTls: tlsRequirements[message.requireTls] ?? "none",
  };
}

interface RouteScope extends Scope {
  readonly host: VirtualHostMessage;
  /** The virtual host's. */
  readonly rateLimits: readonly RateLimitRule[];
  readonly maxBodyBytes: number;
  readonly notes: ConfigNotes;
  readonly where: string;
}

function compileRoute(message: RouteMessage, scope: RouteScope): Route {
  const { where, notes } = scope;
  checkFields(RouteSchema, message, where, notes, {
    used: [
      "name",
      "match",
      "route",
      "redirect",
      "directResponse",
      "requestHeadersToAdd",
      "requestHeadersToRemove",
      "responseHeadersToAdd",
      "responseHeadersToRemove",
      "typedPerFilterConfig",
      "decorator",
    ],
    harmless: ["metadata", "tracing", "statPrefix"],
  });
  if (message.match === undefined) throw invalid(where, "match is missing");
  const levels = join(levelOf(message, where, notes), scope.levels);
  const overrides = compileFilterOverrides(message.typedPerFilterConfig, scope.overrides, where, notes);
  const path = pathConditionOf(message.match);
  return {
    name: message.name,
    matches: compileMatch(message.match, where, notes),
    ...(path === undefined ? {} : { path }),
    forConnect: message.match.pathSpecifier.case === "connectMatcher",
    action: compileAction(message, message.match, scope),
    requestMutations: levels.request,
    responseMutations: levels.response,
    cors: overrides.cors,
    filterConfigs: overrides.configs,
    ...(message.metadata === undefined ? {} : { metadata: message.metadata.filterMetadata }),
    ...(scope.host.metadata === undefined ? {} : { hostMetadata: scope.host.metadata.filterMetadata }),
    ...(message.decorator === undefined || message.decorator.operation === ""
      ? {}
      : { operation: message.decorator.operation }),
  };
}

function compileAction(message: RouteMessage, match: RouteMatch, scope: RouteScope): RouteAction {
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

function compileDirectResponse(message: DirectResponseMessage, scope: RouteScope): DirectResponseAction {
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

function compileRedirect(message: RedirectMessage, match: RouteMatch, scope: RouteScope): RedirectAction {
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
          ? compileReplacement(path.value.pattern?.regex ?? "", path.value.substitution, where)
          : undefined,
    pathRedirect: path.case === "pathRedirect" && path.value !== "" ? path.value : undefined,
    stripQuery: message.stripQuery,
  };
}

/** The part of the path that matched is replaced. */
function prefixRewrite(match: RouteMatch, replacement: string, where: string): (path: string) => string {
  const path = match.pathSpecifier;
  if (path.case !== "path" && path.case !== "prefix" && path.case !== "pathSeparatedPrefix")
    throw invalid(where, "prefixRewrite needs a match of a path or prefix");
  const matched = path.value.length;
  return (given) => replacement + given.slice(matched);
}

function compileForward(message: RouteActionMessage, match: RouteMatch, scope: RouteScope): ForwardAction {
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
          : compileReplacement(message.regexRewrite.pattern?.regex ?? "", message.regexRewrite.substitution, where),
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

function compileRateLimits(message: RouteActionMessage, scope: RouteScope): Pick<ForwardAction, "rateLimits"> {
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
