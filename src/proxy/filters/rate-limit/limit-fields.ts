import {
  RateLimitResponse_RateLimit_Unit as Unit,
  type RateLimitResponse_DescriptorStatus,
} from "../../../wire/envoy/index.ts";
import type { TokenLevel } from "../tokens.ts";

type Fields = readonly (readonly [name: string, value: string])[];

const windowSeconds: Readonly<Partial<Record<Unit, number>>> = {
  [Unit.SECOND]: 1,
  [Unit.MINUTE]: 60,
  [Unit.HOUR]: 3600,
  [Unit.DAY]: 86_400,
  [Unit.WEEK]: 604_800,
  [Unit.MONTH]: 2_592_000,
  [Unit.YEAR]: 31_536_000,
};

/**
 * The response fields that tell a client about a limit of this proxy, as in draft-polli-ratelimit-headers-03 with
 * Envoy's prefix.
 */
export function limitFields({ max, remaining, resetSeconds }: TokenLevel): Fields {
  return fieldsOf(String(max), remaining, resetSeconds);
}

/**
 * The response fields for the limits of a rate limit service: the values of the limit of which the least remains, and
 * the windows of all limits.
 */
export function serviceLimitFields(statuses: readonly RateLimitResponse_DescriptorStatus[]): Fields {
  const limits = statuses.flatMap(({ currentLimit: limit, limitRemaining: remaining, durationUntilReset: reset }) =>
    limit === undefined ? [] : { limit, remaining, resetSeconds: Number(reset?.seconds ?? 0n) },
  );
  const [first, ...others] = limits;
  if (first === undefined) return [];
  const least = others.reduce((known, other) => (other.remaining < known.remaining ? other : known), first);
  const windows = limits.flatMap(({ limit: { requestsPerUnit, unit, name } }) => {
    const seconds = windowSeconds[unit];
    return seconds === undefined ? [] : `, ${requestsPerUnit};w=${seconds}${name === "" ? "" : `;name="${name}"`}`;
  });
  return fieldsOf(`${least.limit.requestsPerUnit}${windows.join("")}`, least.remaining, least.resetSeconds);
}

function fieldsOf(limit: string, remaining: number, resetSeconds: number): Fields {
  return [
    ["x-ratelimit-limit", limit],
    ["x-ratelimit-remaining", String(remaining)],
    ["x-ratelimit-reset", String(resetSeconds)],
  ];
}
