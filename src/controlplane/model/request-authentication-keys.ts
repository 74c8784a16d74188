import type { JwtRule } from "../../api/istio/index.ts";

/** A key set (JWKS) that this control plane has fetched. `source` is a {@link KeySource.id}. */
export interface KeySetFacts {
  readonly source: string;
  readonly keys: string;
}

export interface KeySource {
  /** Rules with the same id share one fetched key set. */
  readonly id: string;
  /** The address of the key set. Absent if the issuer's discovery document names it. */
  readonly address?: string | undefined;
  readonly issuer: string;
  readonly timeoutMs: number;
}

/** Upstream's default for control plane and proxy. */
const defaultTimeoutMs = 5000;

export function keyFetchTimeoutMs({ timeoutMs = defaultTimeoutMs }: Pick<JwtRule, "timeoutMs">): number {
  return timeoutMs;
}

/** Where a rule's keys are fetched from. Undefined if the rule contains its keys. */
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
