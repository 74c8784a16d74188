import type { RolloutCheck } from "../../../api/dashboard/index.ts";
import { formatMs, formatShare } from "../format.ts";

type Comparison = NonNullable<RolloutCheck["comparison"]>;

/** Where both versions and the bound are, from 0 to 1 on a scale that contains all of them. */
export interface ComparisonScale {
  readonly canary?: number;
  readonly stable?: number;
  readonly bound?: number;
  readonly greatest: number;
}

const room = 1.12;

export function comparisonScale({ canary, stable, bound }: Comparison): ComparisonScale {
  const greatest = Math.max(0, ...[canary, stable, bound].filter((value) => value !== undefined)) * room;
  const at = (value: number | undefined): number | undefined =>
    value === undefined ? undefined : greatest === 0 ? 0 : value / greatest;
  const [canaryAt, stableAt, boundAt] = [at(canary), at(stable), at(bound)];
  return {
    greatest,
    ...(canaryAt === undefined ? {} : { canary: canaryAt }),
    ...(stableAt === undefined ? {} : { stable: stableAt }),
    ...(boundAt === undefined ? {} : { bound: boundAt }),
  };
}

export function formatCompared(value: number | undefined, unit: Comparison["unit"]): string {
  if (unit === "share") return formatShare(value);
  if (unit === "ms") return formatMs(value);
  return value === undefined ? "–" : value.toLocaleString("en-US");
}

/** For example `p99`. Empty without a quantile. */
export function quantileName(quantile: number | undefined): string {
  return quantile === undefined ? "" : `p${Number((quantile * 100).toFixed(3))}`;
}

/** What screen readers say in place of the picture. */
export function comparisonSentence({
  unit,
  quantile,
  canary,
  stable,
  bound,
  canarySamples,
  stableSamples,
}: Comparison): string {
  const count = (samples: number): string => `${samples.toLocaleString("en-US")} samples`;
  const name = quantileName(quantile);
  return [
    ...(name === "" ? [] : [name]),
    `canary ${formatCompared(canary, unit)} of ${count(canarySamples)}`,
    `stable ${formatCompared(stable, unit)} of ${count(stableSamples)}`,
    ...(bound === undefined ? [] : [`bound ${formatCompared(bound, unit)}`]),
  ].join(", ");
}
