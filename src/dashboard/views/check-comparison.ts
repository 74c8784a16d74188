import type { RolloutCheck } from "../../api/dashboard/index.ts";
import { ruledOutErrorRate, type CheckSpec, type CheckStatus } from "../../api/serin/index.ts";
import { quantileMs, type DurationCounts } from "./duration-counts.ts";

type Comparison = NonNullable<RolloutCheck["comparison"]>;

/** The fields that a page shows of what the engine stores about a check. */
interface KeptState {
  readonly gained?: {
    readonly canaryTotal?: number;
    readonly canaryErrors?: number;
    readonly stableTotal?: number;
    readonly stableErrors?: number;
  };
  readonly bounds?: readonly (readonly number[])[];
  readonly histograms?: Readonly<
    Record<string, { readonly in?: number; readonly counts?: readonly number[] } | undefined>
  >;
}

const defaults = { minSamples: 120, maxErrorRate: 0.005 };

/**
 * The measurements of both versions as the engine stores them, and the bound that decides. The bound of an error rate
 * is the rate that must be ruled out. That of a duration is the stable version's duration times the tolerated factor,
 * or the limit if that is lower. That of a share is the upper end of the tolerance.
 */
export function comparisonOf(
  { type, statistic }: CheckStatus,
  spec: CheckSpec | undefined,
  weight: number | undefined,
): Comparison | undefined {
  const state = (statistic as { readonly inner?: KeptState } | undefined)?.inner;
  if (typeof state !== "object" || state === null) return undefined;
  if (type === "request-duration") return durationsOf(state, spec);
  if (state.gained === undefined) return undefined;
  const { canaryTotal = 0, canaryErrors = 0, stableTotal = 0, stableErrors = 0 } = state.gained;
  const samples = { canarySamples: canaryTotal, stableSamples: stableTotal };
  if (type === "request-share") {
    const all = canaryTotal + stableTotal;
    const bound = weight === undefined ? undefined : (weight + (spec?.shareTolerance ?? 10)) / 100;
    return {
      unit: "share",
      ...(all === 0 ? {} : { canary: canaryTotal / all, stable: stableTotal / all }),
      ...(bound === undefined ? {} : { bound: Math.min(1, bound) }),
      ...samples,
    };
  }
  const limits = {
    minSamples: spec?.minSamples ?? defaults.minSamples,
    maxErrorRate: spec?.maxErrorRate ?? defaults.maxErrorRate,
  };
  return {
    unit: "share",
    ...(canaryTotal === 0 ? {} : { canary: canaryErrors / canaryTotal }),
    ...(stableTotal === 0 ? {} : { stable: stableErrors / stableTotal }),
    bound: ruledOutErrorRate(stableTotal, stableErrors, limits),
    ...samples,
  };
}

function durationsOf({ bounds = [], histograms = {} }: KeptState, spec: CheckSpec | undefined): Comparison {
  const load = (name: string): DurationCounts => {
    const stored = histograms[name];
    const boundsMs = bounds[stored?.in ?? 0] ?? [];
    return { boundsMs, counts: [...boundsMs, Infinity].map((_, at) => stored?.counts?.[at] ?? 0) };
  };
  const quantile = spec?.quantiles?.at(-1) ?? 0.99;
  const [canaryCounts, stableCounts] = [load("allCanary"), load("allStable")];
  const canary = quantileMs(canaryCounts, quantile);
  const stable = quantileMs(stableCounts, quantile);
  const limits = [
    ...(stable === undefined ? [] : [stable * (spec?.maxRatio ?? 1.2)]),
    ...(spec?.maxMs === undefined ? [] : [spec.maxMs]),
  ];
  const total = ({ counts }: DurationCounts): number => counts.reduce((sum, count) => sum + count, 0);
  return {
    unit: "ms",
    quantile,
    ...(canary === undefined ? {} : { canary }),
    ...(stable === undefined ? {} : { stable }),
    ...(limits.length === 0 ? {} : { bound: Math.min(...limits) }),
    canarySamples: total(canaryCounts),
    stableSamples: total(stableCounts),
  };
}
