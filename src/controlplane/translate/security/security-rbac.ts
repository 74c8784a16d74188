import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  namesInBrackets,
  type AuthorizationCondition,
  type AuthorizationOperation,
  type AuthorizationRule,
  type AuthorizationSource,
} from "../../../api/istio/index.ts";
import { UriTemplateMatchConfigSchema, type PermissionSchema, type RBACSchema } from "../../../wire/envoy/index.ts";
import { packed } from "../envoy-any.ts";
import {
  cidrRange,
  headerMatcher,
  hostMatcher,
  matching,
  metadataMatcher,
  oneOfValues,
  patternMatcher,
  quoteRegex,
  textValue,
} from "./security-matcher.ts";
import {
  claimPrincipal,
  namespaceMatcher,
  peerClause,
  principalAnd,
  principalClause,
  principalNot,
  principalOr,
  requestPrincipals,
  serviceAccountMatcher,
  trustDomainMatcher,
  type Clause,
  type PrincipalInit,
  type RuleContext,
} from "./rbac-principals.ts";

type PermissionInit = Exclude<MessageInitShape<typeof PermissionSchema>, { $typeName: string }>;
export type RbacPolicyInit = NonNullable<
  Exclude<MessageInitShape<typeof RBACSchema>, { $typeName: string }>["policies"]
>[string];

/**
 * Thrown for a part of a rule that cannot be expressed. An ALLOW then drops the whole rule, other actions only the
 * part.
 */
class Inexpressible extends Error {}

interface Term<Init> {
  readonly values: readonly string[];
  readonly notValues: readonly string[];
  readonly clause: Clause<Init>;
}

/** A rule as an RBAC policy. Undefined if it is an ALLOW rule that cannot be evaluated here. */
export function rbacPolicy(rule: AuthorizationRule, context: RuleContext): RbacPolicyInit | undefined {
  const conditions = rule.when.map((condition) => conditionTerm(condition, context));
  const basePermissions = conditions.flatMap((term) => ("permission" in term ? [term.permission] : []));
  const basePrincipals = conditions.flatMap((term) => ("principal" in term ? [term.principal] : []));
  const operations = rule.to.length === 0 ? [[]] : rule.to.map((operation) => operationTerms(operation, context));
  const sources = rule.from.length === 0 ? [[]] : rule.from.map((source) => sourceTerms(source, context));
  try {
    return {
      permissions: operations.map((terms) =>
        permissionAnd(joined([...terms, ...basePermissions], context, permissionNot)),
      ),
      principals: sources.map((terms) => principalAnd(joined([...terms, ...basePrincipals], context, principalNot))),
    };
  } catch (error) {
    if (error instanceof Inexpressible) return undefined;
    throw error;
  }
}

/** A policy without rules never matches. */
export const matchesNever: RbacPolicyInit = {
  permissions: [{ rule: { case: "notRule", value: { rule: { case: "any", value: true } } } }],
  principals: [{ identifier: { case: "notId", value: { identifier: { case: "any", value: true } } } }],
};

function joined<Init>(terms: readonly Term<Init>[], context: RuleContext, not: (clause: Init) => Init): Init[] {
  const clauses: Init[] = [];
  const take = (term: Term<Init>, values: readonly string[], wrap: (clause: Init) => Init): void => {
    if (values.length === 0) return;
    try {
      const clause = term.clause(values);
      if (clause !== undefined) clauses.push(wrap(clause));
    } catch (error) {
      if (!(error instanceof Inexpressible) || context.allow) throw error;
    }
  };
  for (const term of terms) {
    take(term, term.values, (clause) => clause);
    take(term, term.notValues, not);
  }
  return clauses;
}

const httpOnly = (context: RuleContext): void => {
  if (context.tcp) throw new Inexpressible("applies to HTTP only");
};

function operationTerms(operation: AuthorizationOperation, context: RuleContext): readonly Term<PermissionInit>[] {
  const header = (
    values: readonly string[],
    write: (value: string) => ReturnType<typeof headerMatcher>,
  ): PermissionInit => {
    httpOnly(context);
    return permissionOr(values.map((value) => ({ rule: { case: "header", value: write(value) } })));
  };
  return [
    { values: operation.hosts, notValues: operation.notHosts, clause: (values) => header(values, hostMatcher) },
    {
      values: operation.methods,
      notValues: operation.notMethods,
      clause: (values) => header(values, (value) => headerMatcher(":method", value)),
    },
    {
      values: operation.paths,
      notValues: operation.notPaths,
      clause: (values) => (httpOnly(context), permissionOr(values.map(pathPermission))),
    },
    { values: operation.ports, notValues: operation.notPorts, clause: portClause },
  ];
}

/** Permits a path, which may contain the templates `{*}` (one segment) and `{**}` (the rest). */
function pathPermission(path: string): PermissionInit {
  if (!path.includes("{*}") && !path.includes("{**}"))
    return { rule: { case: "urlPath", value: { rule: { case: "path", value: patternMatcher(path) } } } };
  const pathTemplate = path.replaceAll("{*}", "*").replaceAll("{**}", "**");
  if (!isEnvoyTemplate(pathTemplate))
    return { rule: { case: "urlPath", value: { rule: { case: "path", value: matching(templateRegex(path)) } } } };
  return {
    rule: {
      case: "uriTemplate",
      value: { name: "uri-template", typedConfig: packed(UriTemplateMatchConfigSchema, { pathTemplate }) },
    },
  };
}

/** The maximum number of characters of a template that Envoy accepts. */
const maxEnvoyTemplate = 256;

/**
 * Whether Envoy accepts a path template. It rejects the whole listener for one without a slash at its beginning, with
 * an empty segment, or with too many characters. A waypoint's listener serves other namespaces, too.
 */
function isEnvoyTemplate(template: string): boolean {
  return template.startsWith("/") && !template.includes("//") && template.length <= maxEnvoyTemplate;
}

function templateRegex(path: string): string {
  const operators: Readonly<Record<string, string>> = { "{*}": "[^/]+", "{**}": ".*" };
  return path
    .split(/(\{\*{1,2}\})/)
    .map((piece) => operators[piece] ?? quoteRegex(piece))
    .join("");
}

const portClause: Clause<PermissionInit> = (values) =>
  permissionOr(values.map((value) => ({ rule: { case: "destinationPort", value: Number(value) } })));

function sourceTerms(source: AuthorizationSource, context: RuleContext): readonly Term<PrincipalInit>[] {
  return [
    { values: source.principals, notValues: source.notPrincipals, clause: principalClause(context) },
    {
      values: source.requestPrincipals,
      notValues: source.notRequestPrincipals,
      clause: (values) => (httpOnly(context), requestPrincipals(values)),
    },
    {
      values: source.serviceAccounts,
      notValues: source.notServiceAccounts,
      clause: peerClause(context, (value) => serviceAccountMatcher(value, context.namespace)),
    },
    { values: source.namespaces, notValues: source.notNamespaces, clause: peerClause(context, namespaceMatcher) },
    { values: source.trustDomains, notValues: source.notTrustDomains, clause: peerClause(context, trustDomainMatcher) },
    { values: source.remoteIpBlocks, notValues: source.notRemoteIpBlocks, clause: rangesClause("remoteIp") },
    { values: source.ipBlocks, notValues: source.notIpBlocks, clause: rangesClause("directRemoteIp") },
  ];
}

type ConditionTerm = { readonly permission: Term<PermissionInit> } | { readonly principal: Term<PrincipalInit> };

function conditionTerm(condition: AuthorizationCondition, context: RuleContext): ConditionTerm {
  const { key, values, notValues } = condition;
  const permission = (clause: Clause<PermissionInit>): ConditionTerm => ({ permission: { values, notValues, clause } });
  const principal = (clause: Clause<PrincipalInit>): ConditionTerm => ({ principal: { values, notValues, clause } });
  const http = (clause: Clause<PrincipalInit>): ConditionTerm =>
    principal((given) => (httpOnly(context), clause(given)));
  switch (key) {
    case "destination.ip":
      return permission((given) =>
        permissionOr(given.map((value) => ({ rule: { case: "destinationIp", value: rangeOf(value) } }))),
      );
    case "destination.port":
      return permission(portClause);
    case "connection.sni":
      return permission((given) =>
        permissionOr(given.map((value) => ({ rule: { case: "requestedServerName", value: patternMatcher(value) } }))),
      );
    case "source.ip":
      return principal(rangesClause("directRemoteIp"));
    case "remote.ip":
      return principal(rangesClause("remoteIp"));
    case "source.namespace":
      return principal(peerClause(context, namespaceMatcher));
    case "source.principal":
      return principal(principalClause(context));
    case "source.serviceAccount":
      return principal(peerClause(context, (value) => serviceAccountMatcher(value, context.namespace)));
    case "source.trustDomain":
      return principal(peerClause(context, trustDomainMatcher));
    case "request.auth.principal":
      return http(requestPrincipals);
    case "request.auth.audiences":
      return http((given) => claimPrincipal(["aud"], given));
    case "request.auth.presenter":
      return http((given) => claimPrincipal(["azp"], given));
    default:
      return namedCondition(key, permission, http);
  }
}

function namedCondition(
  key: string,
  permission: (clause: Clause<PermissionInit>) => ConditionTerm,
  http: (clause: Clause<PrincipalInit>) => ConditionTerm,
): ConditionTerm {
  const names = namesInBrackets(key);
  const [name = ""] = names;
  if (key.startsWith("request.headers["))
    return http((given) =>
      principalOr(given.map((value) => ({ identifier: { case: "header", value: headerMatcher(name, value) } }))),
    );
  if (key.startsWith("request.auth.claims[")) return http((given) => claimPrincipal(names, given));
  if (key.startsWith("experimental.envoy.filters.")) {
    const filter = key.slice("experimental.".length, key.indexOf("["));
    return permission((given) => ({
      rule: { case: "metadata", value: metadataMatcher(filter, [name], oneOfValues(given.map(filterValue))) },
    }));
  }
  // Requests never have this attribute, so a condition on it never matches.
  return permission(() => {
    throw new Inexpressible(`the attribute ${key} is unknown`);
  });
}

/** A text of the form `[value]` matches a metadata list that contains the value. */
function filterValue(text: string): ReturnType<typeof textValue> {
  if (!text.startsWith("[") || !text.endsWith("]")) return textValue(patternMatcher(text));
  return {
    matchPattern: {
      case: "listMatch",
      value: { matchPattern: { case: "oneOf", value: textValue(patternMatcher(text.slice(1, -1))) } },
    },
  };
}

function rangesClause(kind: "remoteIp" | "directRemoteIp"): Clause<PrincipalInit> {
  return (values) => principalOr(values.map((value) => ({ identifier: { case: kind, value: rangeOf(value) } })));
}

function rangeOf(text: string): NonNullable<ReturnType<typeof cidrRange>> {
  const range = cidrRange(text);
  if (range === undefined) throw new Inexpressible(`${text} is neither an address nor a CIDR`);
  return range;
}

function permissionAnd(rules: readonly PermissionInit[]): PermissionInit {
  return {
    rule: {
      case: "andRules",
      value: { rules: rules.length === 0 ? [{ rule: { case: "any", value: true } }] : [...rules] },
    },
  };
}

function permissionOr(rules: readonly PermissionInit[]): PermissionInit {
  return { rule: { case: "orRules", value: { rules: [...rules] } } };
}

function permissionNot(rule: PermissionInit): PermissionInit {
  return { rule: { case: "notRule", value: rule } };
}
