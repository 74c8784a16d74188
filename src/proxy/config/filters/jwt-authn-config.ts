import {
  JwtAuthenticationSchema,
  JwtClaimToHeaderSchema,
  JwtPerRouteConfigSchema,
  JwtProviderSchema,
  JwtRequirementSchema,
  RemoteJwksSchema,
  RequirementRuleSchema,
  type DataSource,
  type JwtAuthentication,
  type JwtClaimToHeader,
  type JwtPerRouteConfig,
  type JwtProvider as JwtProviderMessage,
  type JwtRequirement as JwtRequirementMessage,
  type RemoteJwks as RemoteJwksMessage,
  type RequirementRule,
} from "../../../wire/envoy/index.ts";
import { messageOf } from "../../../base/index.ts";
import { JwtRouteSettings, type JwtAuthnSettings, type JwtRule } from "../../filters/jwt/jwt-authn-filter.ts";
import { defaultLocations, type JwtLocation } from "../../filters/jwt/jwt-location.ts";
import { parseKeySet, RemoteJwks, type JwksSource } from "../../filters/jwt/jwks-source.ts";
import { JwtProvider, plainAudience } from "../../filters/jwt/jwt-provider.ts";
import type { JwtRequirement } from "../../filters/jwt/jwt-requirement.ts";
import { checkFields, durationOr, invalid, refuseUnknown, unsupported, type ConfigNotes } from "../config-check.ts";
import { compileString } from "../matchers/matcher-config.ts";
import { compileMatch } from "../matchers/route-match-config.ts";

const defaultClockSkewSeconds = 60;
const defaultCacheMs = 600_000;
const defaultFetchTimeoutMs = 1000;

type Providers = ReadonlyMap<string, JwtProvider>;

export function compileJwtAuthn(message: JwtAuthentication, where: string, notes: ConfigNotes): JwtAuthnSettings {
  checkFields(JwtAuthenticationSchema, message, where, notes, {
    used: ["providers", "rules", "requirementMap", "bypassCorsPreflight", "stripFailureResponse"],
    harmless: ["statPrefix"],
  });
  refuseUnknown(JwtAuthenticationSchema, message, where);
  const providers: Providers = new Map(
    Object.entries(message.providers).map(([name, provider]) => [
      name,
      compileProvider(name, provider, `${where}: provider ${name}`, notes),
    ]),
  );
  const named = new Map(
    Object.entries(message.requirementMap).map(([name, requirement]) => [
      name,
      compileRequirement(requirement, providers, `${where}: requirement ${name}`, notes),
    ]),
  );
  return {
    rules: message.rules.map((rule, index) => compileRule(rule, providers, named, `${where}: rule ${index}`, notes)),
    providers: [...providers.values()],
    named,
    bypassesPreflights: message.bypassCorsPreflight,
    stripsFailure: message.stripFailureResponse,
  };
}

export function compileJwtPerRoute(message: JwtPerRouteConfig, where: string, notes: ConfigNotes): JwtRouteSettings {
  checkFields(JwtPerRouteConfigSchema, message, where, notes, { used: ["disabled", "requirementName"] });
  refuseUnknown(JwtPerRouteConfigSchema, message, where);
  const specifier = message.requirementSpecifier;
  if (specifier.case === "requirementName" && specifier.value !== "") return new JwtRouteSettings(specifier.value);
  // Refuse settings without either field, because such settings must not switch the filter off.
  if (specifier.case !== "disabled" || !specifier.value)
    throw invalid(where, "either disabled must be true, or requirementName must name a requirement");
  return new JwtRouteSettings(undefined);
}

function compileRule(
  message: RequirementRule,
  providers: Providers,
  named: ReadonlyMap<string, JwtRequirement>,
  where: string,
  notes: ConfigNotes,
): JwtRule {
  checkFields(RequirementRuleSchema, message, where, notes, { used: ["match", "requires", "requirementName"] });
  if (message.match === undefined) throw invalid(where, "match is missing");
  const matches = compileMatch(message.match, where, notes);
  const type = message.requirementType;
  if (type.case === "requires")
    return { matches, requirement: compileRequirement(type.value, providers, where, notes) };
  if (type.case === undefined) return { matches, requirement: undefined };
  const requirement = named.get(type.value);
  if (requirement === undefined) throw invalid(where, `requirementName "${type.value}" is not in requirementMap`);
  return { matches, requirement };
}

function compileRequirement(
  message: JwtRequirementMessage,
  providers: Providers,
  where: string,
  notes: ConfigNotes,
): JwtRequirement {
  refuseUnknown(JwtRequirementSchema, message, where);
  const type = message.requiresType;
  const providerOf = (name: string): JwtProvider => {
    const provider = providers.get(name);
    if (provider === undefined) throw invalid(where, `the provider "${name}" is not among providers`);
    return provider;
  };
  switch (type.case) {
    case "providerName":
      return { kind: "provider", provider: providerOf(type.value), audiences: undefined };
    case "providerAndAudiences": {
      const { providerName, audiences } = type.value;
      return {
        kind: "provider",
        provider: providerOf(providerName),
        audiences: audiences.length === 0 ? undefined : audiences.map(plainAudience),
      };
    }
    case "requiresAny":
      return {
        kind: "any",
        requirements: type.value.requirements.map((requirement) =>
          compileRequirement(requirement, providers, where, notes),
        ),
      };
    case "requiresAll":
      return {
        kind: "all",
        requirements: type.value.requirements.map((requirement) =>
          compileRequirement(requirement, providers, where, notes),
        ),
      };
    case "allowMissing":
    case "allowMissingOrFailed":
      return {
        kind: "allow-missing",
        providers: [...providers.values()],
        orFailed: type.case === "allowMissingOrFailed",
      };
    default:
      throw unsupported(where, `the requirement ${type.case ?? "(none)"}`);
  }
}

function compileProvider(name: string, message: JwtProviderMessage, where: string, notes: ConfigNotes): JwtProvider {
  checkFields(JwtProviderSchema, message, where, notes, {
    used: [
      "issuer",
      "audiences",
      "subjects",
      "requireExpiration",
      "maxLifetime",
      "remoteJwks",
      "localJwks",
      "forward",
      "fromHeaders",
      "fromParams",
      "fromCookies",
      "forwardPayloadHeader",
      "padForwardPayloadHeader",
      "payloadInMetadata",
      "normalizePayloadInMetadata",
      "headerInMetadata",
      "failedStatusInMetadata",
      "clockSkewSeconds",
      "claimToHeaders",
      "clearRouteCache",
    ],
    harmless: ["jwtCacheConfig"],
  });
  refuseUnknown(JwtProviderSchema, message, where);
  const options = {
    name,
    issuer: message.issuer,
    audiences: message.audiences.map(plainAudience),
    subjects: message.subjects === undefined ? undefined : compileString(message.subjects, where),
    requiresExpiration: message.requireExpiration,
    maxLifetimeSeconds: message.maxLifetime === undefined ? undefined : durationOr(message.maxLifetime, 0) / 1000,
    clockSkewSeconds: message.clockSkewSeconds === 0 ? defaultClockSkewSeconds : message.clockSkewSeconds,
    locations: locationsOf(message),
    jwks: compileJwks(message.jwksSourceSpecifier, where, notes),
    forward: message.forward,
    payloadHeader:
      message.forwardPayloadHeader === ""
        ? undefined
        : { name: message.forwardPayloadHeader.toLowerCase(), pads: message.padForwardPayloadHeader },
    payloadInMetadata: message.payloadInMetadata,
    headerInMetadata: message.headerInMetadata,
    failedStatusInMetadata: message.failedStatusInMetadata,
    spaceDelimitedClaims: message.normalizePayloadInMetadata?.spaceDelimitedClaims ?? [],
    claimHeaders: message.claimToHeaders.map((claim) => compileClaim(claim, where, notes)),
    clearsRoute: message.clearRouteCache,
  };
  return new JwtProvider(options, notes.services.clock);
}

function compileClaim(
  message: JwtClaimToHeader,
  where: string,
  notes: ConfigNotes,
): { readonly header: string; readonly path: readonly string[] } {
  checkFields(JwtClaimToHeaderSchema, message, `${where}: claimToHeaders`, notes, {
    used: ["headerName", "claimName"],
  });
  if (message.headerName === "" || message.claimName === "")
    throw invalid(`${where}: claimToHeaders`, "headerName and claimName must be set");
  return { header: message.headerName.toLowerCase(), path: message.claimName.split(".") };
}

function locationsOf(message: JwtProviderMessage): readonly JwtLocation[] {
  const locations: JwtLocation[] = [
    ...message.fromHeaders.map(({ name, valuePrefix }): JwtLocation => ({
      kind: "header",
      name: name.toLowerCase(),
      prefix: valuePrefix,
    })),
    ...message.fromParams.map((name): JwtLocation => ({ kind: "query", name })),
    ...message.fromCookies.map((name): JwtLocation => ({ kind: "cookie", name })),
  ];
  return locations.length === 0 ? defaultLocations : locations;
}

function compileJwks(
  specifier: JwtProviderMessage["jwksSourceSpecifier"],
  where: string,
  notes: ConfigNotes,
): JwksSource {
  switch (specifier.case) {
    case "localJwks":
      return localJwks(specifier.value, where, notes);
    case "remoteJwks":
      return remoteJwks(specifier.value, `${where}: remoteJwks`, notes);
    default:
      throw invalid(where, "it has no keys: neither localJwks nor remoteJwks is set");
  }
}

/**
 * The keys in the configuration. Unreadable keys make every token fail, and do not cause a NACK: a control plane that
 * has no keys yet sends such keys.
 */
function localJwks(source: DataSource, where: string, notes: ConfigNotes): JwksSource {
  const { specifier } = source;
  if (specifier.case !== "inlineString" && specifier.case !== "inlineBytes")
    throw unsupported(where, `localJwks.${specifier.case ?? "(none)"}`);
  try {
    const keys = parseKeySet(
      specifier.case === "inlineString" ? specifier.value : Buffer.from(specifier.value).toString(),
    );
    return { keys: () => keys };
  } catch (error) {
    notes.tell(`${where}: localJwks is not a JSON Web Key Set, so all tokens are refused: ${messageOf(error)}`);
    return { keys: () => Promise.reject(error) };
  }
}

function remoteJwks(message: RemoteJwksMessage, where: string, notes: ConfigNotes): JwksSource {
  checkFields(RemoteJwksSchema, message, where, notes, {
    used: ["httpUri", "cacheDuration", "asyncFetch", "retryPolicy"],
  });
  const { httpUri } = message;
  if (httpUri === undefined || httpUri.httpUpstreamType.case !== "cluster")
    throw invalid(where, "httpUri must name a cluster");
  if (!URL.canParse(httpUri.uri)) throw invalid(where, `httpUri.uri "${httpUri.uri}" is not a URI`);
  const { clock, callCluster } = notes.services;
  return new RemoteJwks({
    cluster: httpUri.httpUpstreamType.value,
    uri: new URL(httpUri.uri),
    timeoutMs: durationOr(httpUri.timeout, defaultFetchTimeoutMs),
    cacheMs: durationOr(message.cacheDuration, defaultCacheMs),
    retries: message.retryPolicy?.numRetries ?? 0,
    keepsOld: message.asyncFetch !== undefined,
    clock,
    callCluster,
  });
}
