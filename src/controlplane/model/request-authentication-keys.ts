import type { JwtRule } from "../../api/istio/index.ts";

/** A key set (JWKS) that this control plane has fetched, by where it is from: {@link keySource}. */
export interface KeySetFacts {
  readonly source: string;
  readonly keys: string;
}

/** Where the keys of a rule come from: their address, or the issuer whose discovery document tells it; undefined when the rule has them. */
export function keySource(rule: JwtRule): string | undefined {
  if (rule.jwks !== undefined) return undefined;
  return rule.jwksUri ?? `issuer:${rule.issuer}`;
}
