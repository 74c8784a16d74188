import type { JwtRule } from "../../api/istio/index.ts";

/** A key set (JWKS) that this control plane has fetched, by where it is from: {@link keySource}. */
export interface KeySetFacts {
  readonly source: string;
  readonly keys: string;
}

const issuerPrefix = "issuer:";

/** Where the keys of a rule come from: their address, or the issuer whose discovery document tells it; undefined when the rule has them. */
export function keySource(rule: Pick<JwtRule, "issuer" | "jwks" | "jwksUri">): string | undefined {
  if (rule.jwks !== undefined) return undefined;
  return rule.jwksUri ?? `${issuerPrefix}${rule.issuer}`;
}

/** The issuer to ask first; undefined when the source is the address itself. */
export function issuerOf(source: string): string | undefined {
  return source.startsWith(issuerPrefix) ? source.slice(issuerPrefix.length) : undefined;
}
