import { defineKind } from "../../kind.ts";
import type { KubernetesObject, LabelSelector } from "../../meta.ts";
import type { Parsed } from "../../parsed.ts";
import type { Reader } from "../../reader.ts";
import { checkEach, emptyFault } from "../checks.ts";
import { openObject, readDurationMs, readText, refuseDryRun, refuseUnknown, requireText } from "../fields.ts";
import { checkText, literalValueFault, strictHeaderNameFault } from "../expressions/http-headers.ts";
import { readPolicyTarget, securityGroup, type PolicyTargetReference } from "../policy-target.ts";

/** security.istio.io RequestAuthentication: which tokens are valid. It lets a request without a token pass. */
export interface RequestAuthentication extends KubernetesObject {
  spec: RequestAuthenticationSpec;
}

export interface RequestAuthenticationSpec {
  readonly selector?: LabelSelector | undefined;
  readonly targetRefs: readonly PolicyTargetReference[];
  readonly jwtRules: readonly JwtRule[];
}

export interface JwtRule {
  readonly issuer: string;
  /** Empty means any audience, as in upstream. */
  readonly audiences: readonly string[];
  readonly jwksUri?: string | undefined;
  /** The key set as JSON. If jwksUri is absent too, the issuer's discovery document provides the keys. */
  readonly jwks?: string | undefined;
  /**
   * The headers with tokens. If this, fromParams and fromCookies are empty, tokens come from `Authorization: Bearer`
   * and from the parameter `access_token`.
   */
  readonly fromHeaders: readonly { readonly name: string; readonly prefix: string }[];
  readonly fromParams: readonly string[];
  readonly fromCookies: readonly string[];
  readonly outputPayloadToHeader?: string | undefined;
  readonly forwardOriginalToken: boolean;
  readonly outputClaimToHeaders: readonly { readonly header: string; readonly claim: string }[];
  readonly timeoutMs?: number | undefined;
  readonly spaceDelimitedClaims: readonly string[];
}

export function parseRequestAuthentication(raw: unknown): Parsed<RequestAuthentication> {
  const opened = openObject(raw);
  const { object, spec: reader } = opened;
  refuseDryRun(opened);
  const spec: RequestAuthenticationSpec = {
    ...readPolicyTarget(reader),
    jwtRules: reader.objects("jwtRules").map(readJwtRule),
  };
  refuseUnknown(reader);
  return object.finish(() => ({ ...(raw as RequestAuthentication), spec }));
}

function readJwtRule(reader: Reader): JwtRule {
  const rule: JwtRule = {
    issuer: reader.string("issuer") ?? "",
    audiences: reader.strings("audiences"),
    jwksUri: readText(reader, "jwksUri") ?? readText(reader, "jwks_uri"),
    jwks: readText(reader, "jwks"),
    fromHeaders: reader.objects("fromHeaders").map(readHeaderLocation),
    fromParams: reader.strings("fromParams"),
    fromCookies: reader.strings("fromCookies"),
    outputPayloadToHeader: readText(reader, "outputPayloadToHeader"),
    forwardOriginalToken: reader.boolean("forwardOriginalToken") ?? false,
    outputClaimToHeaders: reader.objects("outputClaimToHeaders").map(readClaimToHeader),
    timeoutMs: readDurationMs(reader, "timeout", 1),
    spaceDelimitedClaims: reader.strings("spaceDelimitedClaims"),
  };
  for (const field of ["audiences", "fromParams", "fromCookies", "spaceDelimitedClaims"] as const)
    checkEach(reader, field, rule[field], emptyFault);
  checkText(reader, "outputPayloadToHeader", rule.outputPayloadToHeader, literalValueFault);
  checkKeys(reader, rule);
  reader.ignore("jwks_uri");
  refuseUnknown(reader);
  return rule;
}

function readHeaderLocation(reader: Reader): JwtRule["fromHeaders"][number] {
  const location = { name: requireText(reader, "name"), prefix: reader.string("prefix") ?? "" };
  checkText(reader, "name", location.name, literalValueFault);
  checkText(reader, "prefix", location.prefix, literalValueFault);
  refuseUnknown(reader);
  return location;
}

function readClaimToHeader(reader: Reader): JwtRule["outputClaimToHeaders"][number] {
  const output = { header: requireText(reader, "header"), claim: requireText(reader, "claim") };
  checkText(reader, "header", output.header, strictHeaderNameFault);
  refuseUnknown(reader);
  return output;
}

function isWebAddress(text: string): boolean {
  if (/\s/.test(text) || !/^https?:\/\/[^/?#]+/i.test(text)) return false;
  return URL.canParse(text);
}

function checkKeys(reader: Reader, { issuer, jwksUri, jwks }: JwtRule): void {
  if (issuer === "" && jwksUri === undefined) reader.error("is required, unless there is a jwksUri", "issuer");
  if (jwksUri !== undefined && jwks !== undefined) reader.error("cannot be combined with jwksUri", "jwks");
  if (jwksUri !== undefined && !isWebAddress(jwksUri))
    reader.error(`must be a URL that begins with http:// or https://, got "${jwksUri}"`, "jwksUri");
  if (jwks !== undefined) checkKeySet(reader, jwks);
}

const privateMembers = ["d", "k"];

function checkKeySet(reader: Reader, text: string): void {
  const keys = keysOf(text);
  if (keys === undefined) reader.error("must be a JSON Web Key Set: an object with a list of keys", "jwks");
  for (const [index, key] of (keys ?? []).entries()) {
    if (typeof key !== "object" || key === null || !Object.hasOwn(key, "kty"))
      reader.error(`must have a kty in each key, key ${index} has none`, "jwks");
    else if (privateMembers.some((member) => Object.hasOwn(key, member)))
      reader.warn(`has a private key at ${index}; only public keys are needed, remove it`, "jwks");
  }
}

function keysOf(text: string): readonly unknown[] | undefined {
  try {
    const set = JSON.parse(text) as { keys?: unknown; kty?: unknown } | null;
    if (typeof set !== "object" || set === null) return undefined;
    if (Array.isArray(set.keys)) return set.keys as unknown[];
    return set.kty === undefined ? undefined : [set];
  } catch {
    return undefined;
  }
}

export const requestAuthenticationKind = defineKind<RequestAuthentication>({
  group: securityGroup,
  versions: ["v1", "v1beta1"],
  kind: "RequestAuthentication",
  plural: "requestauthentications",
  namespaced: true,
  parse: parseRequestAuthentication,
});
