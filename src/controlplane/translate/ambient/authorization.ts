import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { EmptySchema } from "@bufbuild/protobuf/wkt";
import type {
  AuthorizationCondition,
  AuthorizationOperation,
  AuthorizationRule,
  AuthorizationSource,
} from "../../../api/istio/index.ts";
import { requestAttributes } from "../../model/ambient/ambient-policy.ts";
import { convertedPolicyName, differingPorts, staticStrictPolicyName } from "../../model/peer-authentication.ts";
import { cidrOf } from "../../model/ip-address.ts";
import type { AuthorizationPolicyFacts, PeerAuthenticationFacts } from "../../model/facts.ts";
import {
  Action,
  AuthorizationSchema,
  Scope,
  type Authorization,
  type MatchSchema,
} from "../../../wire/workload/index.ts";
import { hasSelector } from "../../model/selection.ts";

type Match = MessageInitShape<typeof MatchSchema>;
type StringMatch = NonNullable<Match["principals"]>[number];
interface Rules {
  readonly matches: readonly Match[];
}

const anyPrincipal: StringMatch = { matchType: { case: "presence", value: create(EmptySchema) } };

/**
 * Translates an AuthorizationPolicy for L4. In an ALLOW policy, a rule that needs L7 never matches, so that it does not
 * admit too much. In a DENY policy, the L7 part of a rule is left out, so that it denies at least the intended
 * requests.
 *
 * A DENY policy does not deny the waypoints of its namespace, whose service accounts are `waypointAccounts`. As in
 * upstream, a waypoint checks requests by the policies that target the waypoint, and not by those that select the pods
 * behind it.
 */
export function authorizationOf(
  policy: AuthorizationPolicyFacts,
  rootNamespace: string,
  waypointAccounts: readonly string[],
): Authorization {
  const allow = policy.spec.action === "ALLOW";
  return create(AuthorizationSchema, {
    name: policy.name,
    namespace: policy.namespace,
    scope: scopeOf(policy, rootNamespace),
    action: allow ? Action.ALLOW : Action.DENY,
    groups: policy.spec.rules.flatMap((rule) => {
      const rules = rulesOf(rule, allow, { namespace: policy.namespace, waypointAccounts });
      return rules === undefined ? [] : { rules: rules.map(({ matches }) => ({ matches: [...matches] })) };
    }),
  });
}

function scopeOf(policy: AuthorizationPolicyFacts, rootNamespace: string): Scope {
  if (hasSelector(policy)) return Scope.WORKLOAD_SELECTOR;
  return policy.namespace === rootNamespace ? Scope.GLOBAL : Scope.NAMESPACE;
}

interface PolicyPlace {
  readonly namespace: string;
  readonly waypointAccounts: readonly string[];
}

/** A rule in ztunnel's form. Undefined if it can never match. */
function rulesOf(
  rule: AuthorizationRule,
  allow: boolean,
  { namespace, waypointAccounts }: PolicyPlace,
): readonly Rules[] | undefined {
  if (allow && requestAttributes(rule).length > 0) return undefined;
  const rules: readonly Rules[] = [
    ...(rule.to.length > 0 ? [{ matches: rule.to.map(operationMatch) }] : []),
    ...(rule.from.length > 0 ? [{ matches: rule.from.map((source) => sourceMatch(source, namespace)) }] : []),
    ...rule.when.map((condition) => ({ matches: [conditionMatch(condition, namespace)] })),
  ];
  // At a ztunnel, a match without conditions matches nothing. In a DENY policy, a match may have lost all of its
  // conditions, because only L7 can check them. It must then match every client except waypoints, because nothing else
  // would deny those requests.
  const forL4 = rules.filter(({ matches }) => !matches.some(isEmpty));
  if (allow || forL4.length === rules.length) return rules;
  const notServiceAccounts = waypointAccounts.map((serviceAccount) => ({ namespace, serviceAccount }));
  return notServiceAccounts.length === 0 ? forL4 : [...forL4, { matches: [{ notServiceAccounts }] }];
}

function isEmpty(match: Match): boolean {
  return Object.values(match).every((values) => !Array.isArray(values) || values.length === 0);
}

function operationMatch(operation: AuthorizationOperation): Match {
  return { destinationPorts: operation.ports.map(Number), notDestinationPorts: operation.notPorts.map(Number) };
}

function sourceMatch(source: AuthorizationSource, namespace: string): Match {
  return {
    principals: source.principals.map(stringMatch),
    notPrincipals: source.notPrincipals.map(stringMatch),
    namespaces: source.namespaces.map(stringMatch),
    notNamespaces: source.notNamespaces.map(stringMatch),
    serviceAccounts: source.serviceAccounts.map((text) => serviceAccountMatch(text, namespace)),
    notServiceAccounts: source.notServiceAccounts.map((text) => serviceAccountMatch(text, namespace)),
    sourceIps: source.ipBlocks.flatMap((text) => cidrOf(text) ?? []),
    notSourceIps: source.notIpBlocks.flatMap((text) => cidrOf(text) ?? []),
  };
}

/** The match of a condition. Both `values` and `notValues` must hold. */
function conditionMatch({ key, values, notValues }: AuthorizationCondition, namespace: string): Match {
  const make = conditionFields(key, namespace);
  if (make === undefined) return {};
  return Object.assign(
    {},
    values.length > 0 ? make(values, false) : {},
    notValues.length > 0 ? make(notValues, true) : {},
  );
}

function conditionFields(
  key: string,
  namespace: string,
): ((values: readonly string[], not: boolean) => Match) | undefined {
  switch (key) {
    case "source.principal":
      return (values, not) => ({ [not ? "notPrincipals" : "principals"]: values.map(stringMatch) });
    case "source.namespace":
      return (values, not) => ({ [not ? "notNamespaces" : "namespaces"]: values.map(stringMatch) });
    case "source.serviceAccount":
      return (values, not) => ({
        [not ? "notServiceAccounts" : "serviceAccounts"]: values.map((text) => serviceAccountMatch(text, namespace)),
      });
    case "source.ip":
      return (values, not) => ({ [not ? "notSourceIps" : "sourceIps"]: values.flatMap((text) => cidrOf(text) ?? []) });
    case "destination.ip":
      return (values, not) => ({
        [not ? "notDestinationIps" : "destinationIps"]: values.flatMap((text) => cidrOf(text) ?? []),
      });
    case "destination.port":
      return (values, not) => ({ [not ? "notDestinationPorts" : "destinationPorts"]: values.map(Number) });
    default:
      return undefined;
  }
}

function serviceAccountMatch(text: string, policyNamespace: string): { namespace: string; serviceAccount: string } {
  const slash = text.indexOf("/");
  return slash < 0
    ? { namespace: policyNamespace, serviceAccount: text }
    : { namespace: text.slice(0, slash), serviceAccount: text.slice(slash + 1) };
}

function stringMatch(text: string): StringMatch {
  if (text === "*") return anyPrincipal;
  if (text.startsWith("*")) return { matchType: { case: "suffix", value: text.slice(1) } };
  if (text.endsWith("*")) return { matchType: { case: "prefix", value: text.slice(0, -1) } };
  return { matchType: { case: "exact", value: text } };
}

/** The policy that workloads under STRICT list. It denies clients without an identity. */
export function staticStrictPolicy(rootNamespace: string): Authorization {
  return create(AuthorizationSchema, {
    name: staticStrictPolicyName,
    namespace: rootNamespace,
    scope: Scope.WORKLOAD_SELECTOR,
    action: Action.DENY,
    groups: [{ rules: [{ matches: [{ notPrincipals: [anyPrincipal] }] }] }],
  });
}

/**
 * Converts a PeerAuthentication with modes for ports to a ztunnel policy that denies clients without an identity. If
 * the policy's own or inherited mode is STRICT, it denies them on all ports except those with another mode, otherwise
 * only on the strict ports. Undefined if no port differs from that mode.
 */
export function convertedPeerAuthentication(
  policy: PeerAuthenticationFacts,
  inheritsStrict: boolean,
): Authorization | undefined {
  const strict = policy.spec.mode === "UNSET" ? inheritsStrict : policy.spec.mode === "STRICT";
  const ports = differingPorts(policy, strict);
  if (ports.length === 0) return undefined;
  const noIdentity: Rules = { matches: [{ notPrincipals: [anyPrincipal] }] };
  const exceptions: readonly Rules[] = ports.map((port) => ({ matches: [{ notDestinationPorts: [port] }] }));
  const groups: readonly (readonly Rules[])[] = strict
    ? [policy.spec.mode === "STRICT" ? [noIdentity, ...exceptions] : [...exceptions, noIdentity]]
    : ports.map((port) => [{ matches: [{ notPrincipals: [anyPrincipal], destinationPorts: [port] }] }]);
  return create(AuthorizationSchema, {
    name: convertedPolicyName(policy),
    namespace: policy.namespace,
    scope: Scope.WORKLOAD_SELECTOR,
    action: Action.DENY,
    groups: groups.map((rules) => ({ rules: rules.map(({ matches }) => ({ matches: [...matches] })) })),
  });
}
