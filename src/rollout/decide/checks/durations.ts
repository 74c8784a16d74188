import { checkDefaults, type CheckSpec, type ConditionBudget } from "../../../api/serin/index.ts";
import { gainOfBoth, quantileOf, totalOf, type DurationHistogram } from "../../judge/duration-histogram.ts";
import { judgeDurations, quantileName, type DurationLimits } from "../../judge/duration-test.ts";
import { beginDurations, countDurations, type DurationSequence } from "../../judge/batch-sequence.ts";
import type { SeenDurations } from "../observation.ts";
import { applyConditions } from "./conditions.ts";
import type { Judgement } from "./looks.ts";
import { durationsOf, storedDurations, type StoredDurations } from "./stored-durations.ts";

/** Compares the durations of both versions by cumulative histograms. The first look is the baseline. */
export function judgeDurationsSeen(
  spec: CheckSpec,
  seen: SeenDurations,
  before: unknown,
  budget?: ConditionBudget,
): Judgement {
  const limits = limitsOf(spec);
  const state = before === undefined ? undefined : durationsOf(before as StoredDurations);
  const { epoch, canary, stable } = seen;
  const base = { epoch, canary, stable };
  if (state === undefined)
    return {
      verdict: "wait",
      evidence: "counting begins",
      inner: storedDurations({ ...base, sequence: beginDurations(limits, stable) }),
    };
  // Sums of another epoch are only a new baseline: a restarted engine does not know the requests of the time in which
  // no engine ran.
  const gain = state.epoch === epoch ? gainOfBoth(state, seen) : undefined;
  const sequence = gain === undefined ? state.sequence : countDurations(state.sequence, gain, limits);
  const inner = storedDurations({ ...base, sequence });
  return {
    ...applyConditions(
      spec,
      judgeDurations(sequence.evidence, limits, sequence.open),
      () => bindingsOf(sequence, limits),
      budget,
    ),
    inner,
  };
}

function limitsOf({
  minSamples,
  quantiles = checkDefaults.quantiles,
  maxRatio = checkDefaults.maxRatio,
  maxMs,
}: CheckSpec): DurationLimits {
  return { minSamples, quantiles, maxRatio, ...(maxMs === undefined ? {} : { maxMs }) };
}

/**
 * The values for conditions, in milliseconds, such as `canary.p99` and `stable.mean`. `result` is the canary's value at
 * the highest quantile.
 */
function bindingsOf(
  { evidence }: DurationSequence,
  { quantiles }: DurationLimits,
): { result: unknown; canary: unknown; stable: unknown } {
  const side = (histogram: DurationHistogram): Record<string, number | null> => {
    const total = totalOf(histogram);
    const values = quantiles.map((quantile): [string, number | null] => [
      quantileName(quantile).replace(".", "_"),
      total === 0 ? null : quantileOf(histogram, quantile).ms,
    ]);
    return { total, mean: total === 0 ? null : histogram.sumMs / total, ...Object.fromEntries(values) };
  };
  const highest = quantiles.at(-1) ?? 0.5;
  return {
    result: totalOf(evidence.canary) === 0 ? null : quantileOf(evidence.canary, highest).ms,
    canary: side(evidence.canary),
    stable: side(evidence.stable),
  };
}
