import type { MessageInitShape } from "@bufbuild/protobuf";
import type { JwtRule } from "../../../api/istio/index.ts";
import {
  JwtAuthenticationSchema,
  type JwtProviderSchema,
  type JwtRequirementSchema,
} from "../../../wire/envoy/index.ts";
import { compareText } from "../../model/facts.ts";
import { keyFetchTimeoutMs } from "../../model/request-authentication-keys.ts";
import { durationOfMs } from "../envoy-any.ts";
import { filterInit, type FilterInit } from "../filter-init.ts";

type ProviderInit = Exclude<MessageInitShape<typeof JwtProviderSchema>, { $typeName: string }>;
type RequirementInit = Exclude<MessageInitShape<typeof JwtRequirementSchema>, { $typeName: string }>;

export interface JwtContext {
  /** The key set of a rule. Undefined if it has not been fetched or has no key that proxies can use. */
  readonly keysOf: (rule: JwtRule) => string | undefined;
  /** The cluster from which the proxy fetches the rule's key set. Undefined if the keys are sent with the rule. */
  readonly clusterOfKeys?: (rule: JwtRule) => string | undefined;
  /** Whether a route is selected again when the claims are known. Set for gateways, which route by claims. */
  readonly clearRouteCache: boolean;
}

/** A key set that no token satisfies, because nobody knows the private key. */
const unusableKeys = JSON.stringify({
  keys: [
    {
      e: "AQAB",
      kid: "unavailable",
      kty: "RSA",
      n: "kfDBOeqFzxnlyFtu48MCC1gJkJL14I3QNk8q6JDz-HF_a-wvsfdnS47f94E4KuQUc1mr1pp8p4OFmRO5-QIM1y3RQpID9jh5p_gE_AXdVd0HBQBMd8ILR8L5f2o4vI_EOlK-fpSW6q8u_ts1IPvYIk951IGbLAOJxBG8wCgPLHQVotaeGR5Q3-CC5gX7lub6iaf2PZGjFWmQA1GnpMkNyig5ysx6Vfj-9UI-pnMYcEtWiTmDfx2vf2GBQDuKuGX1rmUZj_vOeg04HTw3x02xTuBaH5uO-re4BeOEEogBsAq8ri19GZLAZzwYuy3sUKYRloK_Rm1sOO1tX2dsSKqlRw",
    },
  ],
});

/**
 * The filter that verifies tokens of the rules' issuers, and writes their claims to the metadata. A request without a
 * token passes, and one with an invalid token is rejected. With several rules, a token that satisfies one of them is
 * enough. Undefined without rules.
 */
export function jwtFilter(rules: readonly JwtRule[], context: JwtContext): FilterInit | undefined {
  if (rules.length === 0) return undefined;
  const sorted = [...rules].sort((left, right) => compareText(left.issuer, right.issuer));
  const names = sorted.map((_, index) => `origins-${index}`);
  const providers = Object.fromEntries(sorted.map((rule, index) => [names[index] ?? "", providerOf(rule, context)]));
  return filterInit("envoy.filters.http.jwt_authn", JwtAuthenticationSchema, {
    providers,
    rules: [
      {
        match: { pathSpecifier: { case: "prefix", value: "/" } },
        requirementType: { case: "requires", value: requirementOf(names) },
      },
    ],
    bypassCorsPreflight: true,
  });
}

/**
 * The requirement that accepts each provider's own token, or none. If there are several providers, first a valid token
 * of any of them is accepted, because they may read tokens from the same place.
 */
function requirementOf(names: readonly string[]): RequirementInit {
  const orMissing = names.map((name): RequirementInit =>
    requiresAny([named(name), { requiresType: { case: "allowMissing", value: {} } }]),
  );
  const [only, ...others] = orMissing;
  if (only !== undefined && others.length === 0) return only;
  return requiresAny([
    ...names.map(named),
    { requiresType: { case: "requiresAll", value: { requirements: orMissing } } },
  ]);
}

function named(name: string): RequirementInit {
  return { requiresType: { case: "providerName", value: name } };
}

function requiresAny(requirements: RequirementInit[]): RequirementInit {
  return { requiresType: { case: "requiresAny", value: { requirements } } };
}

function providerOf(rule: JwtRule, context: JwtContext): ProviderInit {
  return {
    issuer: rule.issuer,
    audiences: [...rule.audiences],
    forward: rule.forwardOriginalToken,
    forwardPayloadHeader: rule.outputPayloadToHeader ?? "",
    payloadInMetadata: "payload",
    normalizePayloadInMetadata: {
      spaceDelimitedClaims: [...new Set(["scope", "permission", ...rule.spaceDelimitedClaims])],
    },
    fromHeaders: rule.fromHeaders.map((header) => ({ name: header.name, valuePrefix: header.prefix })),
    fromParams: [...rule.fromParams],
    fromCookies: [...rule.fromCookies],
    claimToHeaders: rule.outputClaimToHeaders.map(({ header, claim }) => ({ headerName: header, claimName: claim })),
    clearRouteCache: context.clearRouteCache,
    jwksSourceSpecifier: keysOf(rule, context),
  };
}

/** How long proxies cache a key set that they fetched. This is upstream's value. */
const keptMs = 300_000;

function keysOf(rule: JwtRule, context: JwtContext): NonNullable<ProviderInit["jwksSourceSpecifier"]> {
  const cluster = rule.jwks === undefined ? context.clusterOfKeys?.(rule) : undefined;
  if (cluster === undefined || rule.jwksUri === undefined)
    return {
      case: "localJwks",
      value: { specifier: { case: "inlineString", value: context.keysOf(rule) ?? unusableKeys } },
    };
  return {
    case: "remoteJwks",
    value: {
      httpUri: {
        uri: rule.jwksUri,
        httpUpstreamType: { case: "cluster", value: cluster },
        timeout: durationOfMs(keyFetchTimeoutMs(rule)),
      },
      cacheDuration: durationOfMs(keptMs),
    },
  };
}
