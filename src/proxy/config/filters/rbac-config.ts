import {
  NetworkRbac_EnforcementType,
  NetworkRbacSchema,
  HttpRbacPerRouteSchema,
  HttpRbacSchema,
  PermissionSchema,
  PrincipalSchema,
  RBAC_Action,
  RBACSchema,
  RbacPolicySchema,
  type FilterStateMatcher,
  type HttpRbac,
  type HttpRbacPerRoute,
  type NetworkRbac,
  type PathMatcher,
  type Permission,
  type Principal,
  type Principal_Authenticated,
  type RBAC,
  type TypedExtensionConfig,
  type UriTemplateMatchConfig,
} from "../../../wire/envoy/index.ts";
import type { DownstreamTls } from "../../terms/connection-info.ts";
import { AccessRules, type AccessMatcher, type AccessPolicy } from "../../filters/authorization/access-rules.ts";
import { RbacSettings } from "../../filters/authorization/rbac-filter.ts";
import type { StringMatcher } from "../../routing/matchers.ts";
import { compileRange } from "../matchers/address-range-config.ts";
import { checkFields, invalid, refuseUnknown, unsupported, type ConfigNotes } from "../config-check.ts";
import { compileHeader, compileString } from "../matchers/matcher-config.ts";
import { compileMetadata } from "../matchers/metadata-matcher-config.ts";
import { unpack } from "../typed-struct.ts";
import { compileUriTemplate } from "../matchers/uri-template.ts";

export function compileHttpRbac(message: HttpRbac, where: string, notes: ConfigNotes): RbacSettings {
  checkFields(HttpRbacSchema, message, where, notes, {
    used: ["rules", "shadowRules", "shadowRulesStatPrefix", "rulesStatPrefix"],
    harmless: ["trackPerRuleStats"],
  });
  refuseUnknown(HttpRbacSchema, message, where);
  return settingsOf(message, message.rulesStatPrefix, where, notes);
}

/** Compiles a route's rules. A route whose configuration has no rules is exempt from the filter. */
export function compileHttpRbacPerRoute(message: HttpRbacPerRoute, where: string, notes: ConfigNotes): RbacSettings {
  checkFields(HttpRbacPerRouteSchema, message, where, notes, { used: ["rbac"] });
  if (message.rbac !== undefined) return compileHttpRbac(message.rbac, where, notes);
  return new RbacSettings({ rules: undefined, shadowRules: undefined, shadowPrefix: "", rulesPrefix: "" });
}

export function compileNetworkRbac(message: NetworkRbac, where: string, notes: ConfigNotes): RbacSettings {
  checkFields(NetworkRbacSchema, message, where, notes, {
    used: ["rules", "shadowRules", "shadowRulesStatPrefix", "statPrefix", "enforcementType"],
  });
  refuseUnknown(NetworkRbacSchema, message, where);
  if (message.enforcementType !== NetworkRbac_EnforcementType.ONE_TIME_ON_FIRST_BYTE)
    throw unsupported(where, "enforcementType CONTINUOUS");
  return settingsOf(message, "", where, notes);
}

function settingsOf(
  message: Pick<HttpRbac, "rules" | "shadowRules" | "shadowRulesStatPrefix">,
  rulesPrefix: string,
  where: string,
  notes: ConfigNotes,
): RbacSettings {
  return new RbacSettings({
    rules: message.rules === undefined ? undefined : compileRules(message.rules, `${where}: rules`, notes),
    shadowRules:
      message.shadowRules === undefined ? undefined : compileRules(message.shadowRules, `${where}: shadowRules`, notes),
    shadowPrefix: message.shadowRulesStatPrefix,
    rulesPrefix,
  });
}

const actions: Readonly<Record<number, AccessRules["action"]>> = {
  [RBAC_Action.ALLOW]: "allow",
  [RBAC_Action.DENY]: "deny",
  [RBAC_Action.LOG]: "log",
};

/** Refuses a rule with an unknown part, because without that part the rule would mean something else. */
function compileRules(message: RBAC, where: string, notes: ConfigNotes): AccessRules {
  checkFields(RBACSchema, message, where, notes, { used: ["action", "policies"] });
  refuseUnknown(RBACSchema, message, where);
  const action = actions[message.action];
  if (action === undefined) throw unsupported(where, `action ${message.action}`);
  const policies = Object.entries(message.policies).map(([name, policy]): AccessPolicy => {
    const here = `${where}: policy ${name}`;
    checkFields(RbacPolicySchema, policy, here, notes, { used: ["permissions", "principals"] });
    refuseUnknown(RbacPolicySchema, policy, here);
    needSome(policy.permissions, "permissions", here);
    needSome(policy.principals, "principals", here);
    return {
      name,
      permissions: policy.permissions.map((permission) => compilePermission(permission, here, notes)),
      principals: policy.principals.map((principal) => compilePrincipal(principal, here, notes)),
    };
  });
  return new AccessRules(action, policies);
}

/** Refuses an empty list, because it is unclear whether it would match everything or nothing. */
function needSome(list: readonly unknown[], field: string, where: string): void {
  if (list.length === 0) throw invalid(where, `${field} must have at least one entry`);
}

function compilePermission(message: Permission, where: string, notes: ConfigNotes): AccessMatcher {
  refuseUnknown(PermissionSchema, message, where);
  const { rule } = message;
  switch (rule.case) {
    case "any":
      return () => rule.value;
    case "andRules":
      needSome(rule.value.rules, "andRules.rules", where);
      return every(rule.value.rules.map((rule) => compilePermission(rule, where, notes)));
    case "orRules":
      needSome(rule.value.rules, "orRules.rules", where);
      return some(rule.value.rules.map((rule) => compilePermission(rule, where, notes)));
    case "notRule":
      return not(compilePermission(rule.value, where, notes));
    case "header":
      return ofRequest(compileHeader(rule.value, where, notes));
    case "urlPath":
      return compilePath(rule.value, where);
    case "uriTemplate":
      return compileTemplate(rule.value, where);
    case "metadata":
      return ofMetadata(compileMetadata(rule.value, where));
    case "destinationIp": {
      const inRange = compileRange(rule.value, where);
      return (connection) => inRange(connection.local.address);
    }
    case "destinationPort":
      return (connection) => connection.local.port === rule.value;
    case "destinationPortRange":
      return ({ local }) => local.port >= rule.value.start && local.port < rule.value.end;
    case "requestedServerName": {
      const matches = compileString(rule.value, where);
      // Also compare the server name of a connection whose TLS this proxy does not terminate.
      return (connection) => matches(connection.serverName ?? connection.tls?.serverName ?? "");
    }
    default:
      throw unsupported(where, `the permission ${rule.case ?? "(none)"}`);
  }
}

function compilePrincipal(message: Principal, where: string, notes: ConfigNotes): AccessMatcher {
  refuseUnknown(PrincipalSchema, message, where);
  const { identifier } = message;
  switch (identifier.case) {
    case "any":
      return () => identifier.value;
    case "andIds":
      needSome(identifier.value.ids, "andIds.ids", where);
      return every(identifier.value.ids.map((id) => compilePrincipal(id, where, notes)));
    case "orIds":
      needSome(identifier.value.ids, "orIds.ids", where);
      return some(identifier.value.ids.map((id) => compilePrincipal(id, where, notes)));
    case "notId":
      return not(compilePrincipal(identifier.value, where, notes));
    case "authenticated":
      return compileAuthenticated(identifier.value, where);
    case "filterState":
      return compileFilterState(identifier.value, where);
    case "sourceIp": {
      const inRange = compileRange(identifier.value, where);
      return (connection) => inRange(connection.remote.address);
    }
    case "directRemoteIp": {
      const inRange = compileRange(identifier.value, where);
      // `remote` may be a client that a balancer names by a PROXY header. Istio's ipBlocks match the peer, and
      // remoteIpBlocks match the client.
      return ({ directRemote, remote }) => inRange((directRemote ?? remote).address);
    }
    case "remoteIp": {
      const inRange = compileRange(identifier.value, where);
      return (connection, request) => inRange(request?.clientAddress ?? connection.remote.address);
    }
    case "header":
      return ofRequest(compileHeader(identifier.value, where, notes));
    case "urlPath":
      return compilePath(identifier.value, where);
    case "metadata":
      return ofMetadata(compileMetadata(identifier.value, where));
    default:
      throw unsupported(where, `the principal ${identifier.case ?? "(none)"}`);
  }
}

function compileAuthenticated(message: Principal_Authenticated, where: string): AccessMatcher {
  const matches = message.principalName === undefined ? undefined : compileString(message.principalName, where);
  return ({ tls }) => tls !== undefined && tls.verified && (matches === undefined || isNamed(tls, matches));
}

function isNamed(tls: DownstreamTls, matches: StringMatcher): boolean {
  return tls.peerUris().some(matches) || tls.peerDnsNames().some(matches) || matches(tls.peerSubject());
}

/** Compiles a condition on the identities at both ends of the client's connection or of its tunnel. */
function compileFilterState(message: FilterStateMatcher, where: string): AccessMatcher {
  if (message.matcher.case !== "stringMatch")
    throw unsupported(where, `a filterState match by ${message.matcher.case ?? "nothing"}`);
  const matches: StringMatcher = compileString(message.matcher.value, where);
  switch (message.key) {
    case "io.istio.peer_principal":
      return ({ tls }) => tls !== undefined && tls.verified && tls.peerIdentity !== "" && matches(tls.peerIdentity);
    case "io.istio.local_principal":
      return ({ tls }) => tls !== undefined && tls.localIdentity !== "" && matches(tls.localIdentity);
    default:
      throw unsupported(where, `the filterState ${message.key}`);
  }
}

function compilePath(message: PathMatcher, where: string): AccessMatcher {
  if (message.rule.case !== "path") throw invalid(where, "urlPath has no path");
  const matches = compileString(message.rule.value, where);
  return (_connection, request) => request !== undefined && matches(request.path);
}

function compileTemplate(message: TypedExtensionConfig, where: string): AccessMatcher {
  const config =
    message.typedConfig === undefined
      ? undefined
      : unpack(message.typedConfig, `${where}: the path matcher ${message.name}`);
  if (config?.$typeName !== "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig")
    throw unsupported(where, `the path matcher ${message.name}`);
  const matches = compileUriTemplate((config as UriTemplateMatchConfig).pathTemplate, where);
  return (_connection, request) => request !== undefined && matches(request.path);
}

function ofRequest(matches: ReturnType<typeof compileHeader>): AccessMatcher {
  return (_connection, request) => request !== undefined && matches(request);
}

function ofMetadata(matches: ReturnType<typeof compileMetadata>): AccessMatcher {
  return (_connection, request) => matches(request?.metadata ?? noMetadata);
}

const noMetadata: ReadonlyMap<string, unknown> = new Map();

function every(matchers: readonly AccessMatcher[]): AccessMatcher {
  return (connection, request) => matchers.every((matches) => matches(connection, request));
}

function some(matchers: readonly AccessMatcher[]): AccessMatcher {
  return (connection, request) => matchers.some((matches) => matches(connection, request));
}

function not(matcher: AccessMatcher): AccessMatcher {
  return (connection, request) => !matcher(connection, request);
}
