import {
  RouteConfigurationSchema,
  RouteSchema,
  VirtualHost_TlsRequirementType,
  VirtualHostSchema,
  type Route as RouteMessage,
  type RouteConfiguration,
  type VirtualHost as VirtualHostMessage,
} from "../../../wire/envoy/index.ts";
import type { HeaderMutation } from "../../routing/header-mutation.ts";
import { RouteSearch } from "../../routing/route-search.ts";
import { RouteTable, type VirtualHost } from "../../routing/route-table.ts";
import type { Route } from "../../routing/route.ts";
import { checkFields, invalid, unsupported, type ConfigNotes } from "../config-check.ts";
import { compileFilterOverrides, noOverrides, type FilterOverrides } from "../filters/filter-overrides-config.ts";
import { compileMutation } from "../header-mutation-config.ts";
import { compileAction, type ActionScope } from "./route-action-config.ts";
import { compileMatch, pathConditionOf } from "../matchers/route-match-config.ts";
import { compileRouteRules } from "../rate-limits/rate-limit-config.ts";

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

/** Compiles one virtual host of a table whose virtual hosts arrive separately. */
export function compileAnnouncedHost(
  host: VirtualHostMessage,
  table: RouteConfiguration,
  notes: ConfigNotes,
): VirtualHost {
  const { where, scope, maxBodyBytes } = tableSettings(table, notes);
  return compileVirtualHost(host, scope, maxBodyBytes, where, notes);
}

/**
 * Makes a route table from compiled virtual hosts. Accepts a domain that several of them have, because they arrive
 * separately.
 */
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

interface RouteScope extends Scope, ActionScope {}

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
