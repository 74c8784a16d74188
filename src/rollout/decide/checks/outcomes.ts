import type { CheckSpec, ConditionBudget } from "../../../api/serin/index.ts";
import { noBatch, sumOfBatches, type EarlierRate, type RateBatch } from "../../judge/rate-test.ts";
import { beginRates, countRates, judgeRates, type RateSequence } from "../../judge/batch-sequence.ts";
import { judgeShare } from "../../judge/share-test.ts";
import type { OutcomeCounts, SeenCounters } from "../observation.ts";
import type { CheckSubject } from "../step.ts";
import { applyConditions } from "./conditions.ts";
import type { Judgement } from "./looks.ts";

/** The state between looks: each source's last counters, the sum since the start, and the evidence. */
interface CountingState {
  readonly sources: Readonly<Record<string, OutcomeCounts>>;
  readonly epoch?: string;
  readonly gained: RateBatch;
  readonly rates: RateSequence;
}

/** Judges rates and shares from cumulative counters of many sources. The first look is the baseline of each source. */
export function judgeOutcomes(
  spec: CheckSpec,
  subject: CheckSubject,
  seen: SeenCounters,
  before: unknown,
  budget?: ConditionBudget,
): Judgement {
  const state = before as CountingState | undefined;
  const epoch = seen.epoch === undefined ? {} : { epoch: seen.epoch };
  if (state === undefined) {
    const earlier = earlierRate(seen.sources);
    const inner: CountingState = { sources: seen.sources, ...epoch, gained: noBatch, rates: beginRates(spec, earlier) };
    return { verdict: "wait", evidence: "counting begins", inner };
  }
  // Another observer may attribute a request to the other version, so the first counts from it are only a baseline. An
  // earlier release wrote statuses without an epoch.
  const isOther = state.epoch !== undefined && seen.epoch !== undefined && state.epoch !== seen.epoch;
  const last = isOther ? {} : state.sources;
  const gain = gainOf(last, seen.sources);
  const inner: CountingState = {
    sources: lastCounts(last, seen.sources),
    ...epoch,
    gained: sumOfBatches([state.gained, gain]),
    rates: countRates(state.rates, gain, spec),
  };
  const judged =
    spec.type === "request-share" ? judgeShareOf(spec, subject, inner.gained) : judgeRates(inner.rates, spec);
  const named =
    judged.verdict === "fail" && seen.lastError !== undefined
      ? { ...judged, evidence: `${judged.evidence}; the latest error: ${seen.lastError}` }
      : judged;
  return { ...applyConditions(spec, named, () => bindingsOf(inner.gained), budget), inner };
}

const countedFields = ["canaryTotal", "canaryErrors", "stableTotal", "stableErrors"] as const;

/**
 * The maximum number of sources whose counts are remembered. It is more than one look reads, so that a source that
 * misses some looks stays known.
 */
export const maxSources = 256;

/**
 * The last counts of each source. If there are too many sources, drops the sources that no look has seen for the
 * longest time.
 */
function lastCounts(before: CountingState["sources"], now: CountingState["sources"]): CountingState["sources"] {
  const absent = Object.entries(before).filter(([source]) => now[source] === undefined);
  const kept = absent.slice(Math.max(0, absent.length + Object.keys(now).length - maxSources));
  return { ...Object.fromEntries(kept), ...now };
}

function judgeShareOf(spec: CheckSpec, subject: CheckSubject, gained: RateBatch): Judgement {
  const { expectedShare, atLeast } = subject.type === "backends" ? subject : { expectedShare: 0, atLeast: true };
  return judgeShare(gained, { expectedShare, atLeast, tolerance: spec.shareTolerance, minSamples: spec.minSamples });
}

function bindingsOf({ canaryTotal, canaryErrors, stableTotal, stableErrors }: RateBatch): {
  result: unknown;
  canary: unknown;
  stable: unknown;
} {
  const side = (total: number, errors: number): unknown => ({
    total,
    errors,
    rate: total === 0 ? null : errors / total,
  });
  return {
    result: canaryTotal === 0 ? null : canaryErrors / canaryTotal,
    canary: side(canaryTotal, canaryErrors),
    stable: side(stableTotal, stableErrors),
  };
}

/** The error rate of the stable version before the step, according to the sources' first counters. */
function earlierRate(sources: CountingState["sources"]): EarlierRate {
  const { stableTotal, stableErrors } = sumOfBatches(Object.values(sources));
  return { total: stableTotal, errors: stableErrors };
}

/**
 * The sum of what all sources counted since the last look. The first counts of a new source are only its baseline,
 * because they may include requests from long before the step. A source whose counts fell gets a new baseline too: it
 * was restarted, or it has dropped series that had not changed for long.
 */
function gainOf(before: CountingState["sources"], now: CountingState["sources"]): RateBatch {
  const gains = Object.entries(now).map(([source, counts]): RateBatch => {
    const last = before[source];
    if (last === undefined || countedFields.some((field) => counts[field] < last[field])) return noBatch;
    const gain = (field: keyof RateBatch): number => counts[field] - last[field];
    return {
      canaryTotal: gain("canaryTotal"),
      canaryErrors: gain("canaryErrors"),
      stableTotal: gain("stableTotal"),
      stableErrors: gain("stableErrors"),
    };
  });
  return sumOfBatches(gains);
}
