import type { JwtRule } from "../../api/istio/index.ts";

/** A key set (JWKS) that this control plane has fetched, by where it is from: {@link KeySource.id}. */
export interface KeySetFacts {
  readonly source: string;
  readonly keys: string;
}

/** Where the keys of a rule come from. */
export interface KeySource {
  /** Rules with one id share what is fetched. */
  readonly id: string;
  /** Absent: the issuer's discovery document tells it. */
  readonly address?: string | undefined;
  readonly issuer: string;
  readonly timeoutMs: number;
}

/** Who fetches key sets that a rule names by their address: PILOT_JWT_ENABLE_REMOTE_JWKS. */
export type KeySetFetcher = "control-plane" | "proxy-where-in-mesh" | "proxy";

/** Upstream's, of whoever fetches. */
const defaultTimeoutMs = 5000;

export function keyFetchTimeoutMs({ timeoutMs = defaultTimeoutMs }: Pick<JwtRule, "timeoutMs">): number {
  return timeoutMs;
}

/** Undefined when the rule has its keys itself. */
export function keySource(rule: Pick<JwtRule, "issuer" | "jwks" | "jwksUri" | "timeoutMs">): KeySource | undefined {
  if (rule.jwks !== undefined) return undefined;
  const timeoutMs = keyFetchTimeoutMs(rule);
  const place = rule.jwksUri ?? `issuer:${rule.issuer}`;
  return {
    id: timeoutMs === defaultTimeoutMs ? place : `${place} within ${timeoutMs} ms`,
    address: rule.jwksUri,
    issuer: rule.issuer,
    timeoutMs,
  };
}
