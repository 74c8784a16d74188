import { defineKind } from "../kind.ts";
import type { KubernetesObject, LabelSelector } from "../meta.ts";
import type { Parsed } from "../parsed.ts";
import type { Reader } from "../reader.ts";
import { openObject, readDurationMs, readText, refuseDryRun, refuseUnknown, requireText } from "./fields.ts";
import { readTargetReferences, readWorkloadSelector, securityGroup, type PolicyTargetReference } from "./policy-target.ts";

/** security.istio.io RequestAuthentication: which tokens are valid. A request without a token passes. */
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
  /** Empty: any (upstream then accepts any audience). */
  readonly audiences: readonly string[];
  readonly jwksUri?: string | undefined;
  /** The key set itself, as JSON; absent together with jwksUri: found by the issuer's discovery document. */
  readonly jwks?: string | undefined;
  /** Empty, as fromParams and fromCookies: `Authorization: Bearer` and the parameter `access_token`. */
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
    selector: readWorkloadSelector(reader),
    targetRefs: readTargetReferences(reader),
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
    fromHeaders: reader.objects("fromHeaders").map((entry) => ({ name: requireText(entry, "name"), prefix: entry.string("prefix") ?? "" })),
    fromParams: reader.strings("fromParams"),
    fromCookies: reader.strings("fromCookies"),
    outputPayloadToHeader: readText(reader, "outputPayloadToHeader"),
    forwardOriginalToken: reader.boolean("forwardOriginalToken") ?? false,
    outputClaimToHeaders: reader.objects("outputClaimToHeaders").map((entry) => ({ header: requireText(entry, "header"), claim: requireText(entry, "claim") })),
    timeoutMs: readDurationMs(reader, "timeout", 1),
    spaceDelimitedClaims: reader.strings("spaceDelimitedClaims"),
  };
  reader.has("jwks_uri");
  refuseUnknown(reader);
  return rule;
}

export const requestAuthenticationKind = defineKind<RequestAuthentication>({
  group: securityGroup,
  versions: ["v1", "v1beta1"],
  kind: "RequestAuthentication",
  plural: "requestauthentications",
  namespaced: true,
  parse: parseRequestAuthentication,
});
