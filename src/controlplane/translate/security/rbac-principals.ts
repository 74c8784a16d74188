import type { MessageInitShape } from "@bufbuild/protobuf";
import type { PrincipalSchema } from "../../../wire/envoy/index.ts";
import {
  anything,
  endingWith,
  exactly,
  listOrValue,
  matching,
  metadataMatcher,
  oneOfValues,
  patternMatcher,
  quoteRegex,
  startingWith,
  textValue,
  type StringMatcherInit,
} from "./security-matcher.ts";

export type PrincipalInit = Exclude<MessageInitShape<typeof PrincipalSchema>, { $typeName: string }>;

export interface RuleContext {
  /** The policy's namespace. Service accounts without a namespace belong to it. */
  readonly namespace: string;
  readonly trustDomain: string;
  readonly trustDomainAliases: readonly string[];
  /** Whether the rule is for TCP connections, which lack the properties of requests. */
  readonly tcp: boolean;
  /**
   * Whether the rule is an ALLOW. If an ALLOW rule has a part that cannot be evaluated, it never matches. In DENY and
   * AUDIT, only that part is dropped.
   */
  readonly allow: boolean;
  /** Where the peer's identity is: in the connection's certificate or, behind HBONE, in the filter state. */
  readonly peer: "certificate" | "filter-state";
}

/** Translates one kind of value. Undefined if nothing is left. */
export type Clause<Init> = (values: readonly string[]) => Init | undefined;

const jwtFilter = "envoy.filters.http.jwt_authn";
const jwtPayload = "payload";
const peerPrincipalKey = "io.istio.peer_principal";

export function peerClause(context: RuleContext, matcher: (value: string) => StringMatcherInit): Clause<PrincipalInit> {
  return (values) => principalOr(values.map((value) => peerPrincipal(context, matcher(value))));
}

function peerPrincipal(context: RuleContext, matcher: StringMatcherInit): PrincipalInit {
  if (context.peer === "certificate")
    return { identifier: { case: "authenticated", value: { principalName: matcher } } };
  return {
    identifier: {
      case: "filterState",
      value: { key: peerPrincipalKey, matcher: { case: "stringMatch", value: matcher } },
    },
  };
}

/**
 * Translates principals of the form `trust domain/ns/namespace/sa/account`. `cluster.local` also means the mesh's trust
 * domain. The mesh's trust domain includes its aliases.
 */
export function principalClause(context: RuleContext): Clause<PrincipalInit> {
  const domains = [context.trustDomain, ...context.trustDomainAliases];
  const withAliases = (value: string): readonly string[] => {
    const slash = value.indexOf("/");
    const own = slash < 0 ? "" : value.slice(0, slash);
    const meant = own === "cluster.local" || domains.includes(own);
    return meant ? domains.map((domain) => domain + value.slice(slash)) : [value];
  };
  return (values) => {
    const written = new Set(values.flatMap(withAliases));
    return principalOr([...written].map((value) => peerPrincipal(context, patternMatcher(value, "spiffe://"))));
  };
}

export function namespaceMatcher(namespace: string): StringMatcherInit {
  return matching(`.*/ns/${quoteRegex(namespace).replaceAll(String.raw`\*`, ".*")}/.*`);
}

/**
 * Matches the identity of a service account in any trust domain. After the account, only a slash may follow, so that
 * accounts with longer names do not match.
 */
export function serviceAccountMatcher(text: string, policyNamespace: string): StringMatcherInit {
  const slash = text.indexOf("/");
  const namespace = slash < 0 ? policyNamespace : text.slice(0, slash);
  return matching(`spiffe://.+/ns/${quoteRegex(namespace)}/(.+/|)sa/${quoteRegex(text.slice(slash + 1))}(/.+)?`);
}

export function trustDomainMatcher(domain: string): StringMatcherInit {
  return matching(`spiffe://${quoteRegex(domain).replaceAll(String.raw`\*`, "[^/]*")}/.*`);
}

/** Translates request principals of the form `issuer/subject`. The issuer may contain slashes. */
export function requestPrincipals(values: readonly string[]): PrincipalInit {
  const both = values.map((value) => {
    const [issuer, subject] = issuerAndSubject(value);
    return principalAnd([claimText("iss", issuer), claimText("sub", subject)]);
  });
  const [only, ...others] = both;
  return only !== undefined && others.length === 0 ? only : principalOr(both);
}

function issuerAndSubject(value: string): readonly [issuer: StringMatcherInit, subject: StringMatcherInit] {
  if (value === "*") return [anything, anything];
  const slash = value.lastIndexOf("/");
  const issuer = slash < 0 ? value : value.slice(0, slash);
  const subject = slash < 0 ? "" : value.slice(slash + 1);
  if (value.startsWith("*")) {
    if (slash < 0) return [anything, endingWith(value.slice(1))];
    return [issuer === "*" ? anything : endingWith(issuer.slice(1)), exactly(subject)];
  }
  if (value.endsWith("*")) {
    if (slash < 0) return [startingWith(value.slice(0, -1)), anything];
    return [exactly(issuer), subject === "*" ? anything : startingWith(subject.slice(0, -1))];
  }
  return [exactly(issuer), exactly(subject)];
}

function claimText(claim: string, matcher: StringMatcherInit): PrincipalInit {
  return {
    identifier: { case: "metadata", value: metadataMatcher(jwtFilter, [jwtPayload, claim], textValue(matcher)) },
  };
}

export function claimPrincipal(claims: readonly string[], values: readonly string[]): PrincipalInit {
  const value = listOrValue(oneOfValues(values.map((text) => textValue(patternMatcher(text)))));
  return { identifier: { case: "metadata", value: metadataMatcher(jwtFilter, [jwtPayload, ...claims], value) } };
}

export function principalAnd(ids: readonly PrincipalInit[]): PrincipalInit {
  return {
    identifier: {
      case: "andIds",
      value: { ids: ids.length === 0 ? [{ identifier: { case: "any", value: true } }] : [...ids] },
    },
  };
}

export function principalOr(ids: readonly PrincipalInit[]): PrincipalInit {
  return { identifier: { case: "orIds", value: { ids: [...ids] } } };
}

export function principalNot(id: PrincipalInit): PrincipalInit {
  return { identifier: { case: "notId", value: id } };
}
