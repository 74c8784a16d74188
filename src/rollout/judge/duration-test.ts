import {
  countAbove,
  coarsened,
  noDurations,
  addHistograms,
  quantileOf,
  sharedBounds,
  totalOf,
  type DurationHistogram,
} from "./duration-histogram.ts";
import { meanInSharedBucket } from "./mean-test.ts";
import { chance, logMean, wrongFailure } from "./rate-test.ts";
import { tooFew } from "./too-few.ts";

/**
 * A sequential test of durations (ADR 8). For each quantile it chooses a few bucket bounds near the quantile, and
 * compares both versions' shares of requests above them, by an e-process for two samples (Turner, Ly and Grünwald,
 * "Generic E-variables for exact sequential k-sample tests", 2024). Under the null hypothesis that the canary is not
 * slower, the probability that the evidence ever reaches 1/alpha is at most alpha, however often the check is
 * evaluated. Earlier batches choose the bounds, so that a batch cannot choose its own. If one bucket holds nearly all
 * requests of both versions, the bounds show no difference, so the test compares the sums of durations ({@link
 * meanInSharedBucket}).
 */
export interface DurationEvidence {
  readonly canary: DurationHistogram;
  readonly stable: DurationHistogram;
  /** The log-likelihood ratio of each alternative, for each quantile. */
  readonly relative: readonly (readonly number[])[];
  /** The log-likelihood ratios for the share of requests above `maxMs`. */
  readonly absolute: readonly (readonly number[])[];
}

export interface DurationBatch {
  readonly canary: DurationHistogram;
  readonly stable: DurationHistogram;
}

export interface DurationLimits {
  readonly minSamples: number;
  /** Ascending, each above 0 and below 1. */
  readonly quantiles: readonly number[];
  /** A canary that is slower by less than this factor never fails, however certain that is. */
  readonly maxRatio: number;
  /** The limit of every quantile in milliseconds, independent of the stable version. */
  readonly maxMs?: number;
}

export interface DurationVerdict {
  readonly verdict: "pass" | "fail" | "wait";
  readonly evidence: string;
}

/**
 * The factors by which the odds of a slow request are greater in a bad canary. One more alternative is learned from the
 * data.
 */
const oddsRatios = [1.6, 4, 20] as const;
const alternatives = oddsRatios.length + 1;
/** The distance of the farthest bound from the quantile, as a factor. This bound detects a longer tail. */
const tailFactor = 1.4;
const boundsAQuantile = 3;
const components = alternatives * boundsAQuantile;
const absoluteOdds = [2, 4, 15] as const;
/** The weight of the prior, as a number of requests. */
const priorSamples = 20;
/** Evidence at this level is too weak to fail and too strong to pass. */
const suspicion = Math.log(3);

export function noDurationEvidence(quantiles: readonly number[]): DurationEvidence {
  return {
    canary: noDurations,
    stable: noDurations,
    relative: quantiles.map(() => Array.from({ length: components }, () => 0)),
    absolute: quantiles.map(() => absoluteOdds.map(() => 0)),
  };
}

/**
 * `earlier` are the stable version's durations before the first batch, if known. They choose the bounds and the
 * alternatives of the first batch, and are no evidence themselves.
 */
export function addDurations(
  evidence: DurationEvidence,
  batch: DurationBatch,
  limits: DurationLimits,
  earlier: DurationHistogram = noDurations,
): DurationEvidence {
  const seen = totalOf(evidence.stable) > 0 ? evidence.stable : earlier;
  const boundsMs = [evidence.canary, evidence.stable, batch.canary, batch.stable, seen]
    .filter((histogram) => totalOf(histogram) > 0)
    .map((histogram) => histogram.boundsMs)
    .reduce(sharedBounds, firstBounds(batch));
  const fit = (histogram: DurationHistogram): DurationHistogram =>
    totalOf(histogram) === 0
      ? { boundsMs, counts: [...boundsMs, 0].map(() => 0), sumMs: 0 }
      : coarsened(histogram, boundsMs);
  const parts: Parts = {
    canary: fit(batch.canary),
    stable: fit(batch.stable),
    canaryBefore: fit(evidence.canary),
    stableBefore: fit(seen),
  };
  return {
    canary: addHistograms(evidence.canary, batch.canary),
    stable: addHistograms(evidence.stable, batch.stable),
    relative: limits.quantiles.map((quantile, index) =>
      relativeGains(parts, quantile).map((gain, at) => gain + (evidence.relative[index]?.[at] ?? 0)),
    ),
    absolute: limits.quantiles.map((quantile, index) =>
      absoluteGains(parts.canary, quantile, limits.maxMs).map(
        (gain, at) => gain + (evidence.absolute[index]?.[at] ?? 0),
      ),
    ),
  };
}

function firstBounds({ canary, stable }: DurationBatch): readonly number[] {
  return totalOf(canary) > 0 ? canary.boundsMs : stable.boundsMs;
}

interface Parts {
  readonly canary: DurationHistogram;
  readonly stable: DurationHistogram;
  readonly canaryBefore: DurationHistogram;
  readonly stableBefore: DurationHistogram;
}

function relativeGains(parts: Parts, quantile: number): number[] {
  const known = totalOf(parts.stableBefore);
  const [canaryTotal, stableTotal] = [totalOf(parts.canary), totalOf(parts.stable)];
  // There are no known durations to choose bounds from, or nothing to compare.
  if (known === 0 || canaryTotal === 0 || stableTotal === 0) return Array.from({ length: components }, () => 0);
  return boundsNear(parts.stableBefore, quantile).flatMap((bound) => {
    const stableRate = (countAbove(parts.stableBefore, bound) + (1 - quantile) / 2) / (known + 1);
    const counts = {
      canaryTotal,
      stableTotal,
      canarySlow: countAbove(parts.canary, bound),
      stableSlow: countAbove(parts.stable, bound),
    };
    const raised = oddsRatios.map((odds) => (odds * stableRate) / (1 - stableRate + odds * stableRate));
    const canaryKnown = totalOf(parts.canaryBefore);
    const learned =
      (countAbove(parts.canaryBefore, bound) + priorSamples * (raised[1] ?? 0)) / (canaryKnown + priorSamples);
    return [...raised, Math.max(learned, stableRate)].map((canaryRate) =>
      twoSampleGain(counts, canaryRate, stableRate),
    );
  });
}

/** The indexes of three bounds: the one below the quantile, the one above it, and one further out. */
function boundsNear(histogram: DurationHistogram, quantile: number): [number, number, number] {
  const { boundsMs } = histogram;
  const last = boundsMs.length - 1;
  const { upToMs } = quantileOf(histogram, quantile);
  const upper = upToMs === Infinity ? last : boundsMs.indexOf(upToMs);
  const tail = boundsMs.findIndex((bound) => bound >= (boundsMs[upper] ?? 0) * tailFactor);
  return [Math.max(0, upper - 1), upper, tail < 0 ? last : tail];
}

interface SlowCounts {
  readonly canaryTotal: number;
  readonly stableTotal: number;
  readonly canarySlow: number;
  readonly stableSlow: number;
}

/**
 * The logarithm of the e-value of one batch, for the alternative `canaryRate` and `stableRate` against the mean of
 * both.
 */
function twoSampleGain(
  { canaryTotal, stableTotal, canarySlow, stableSlow }: SlowCounts,
  canaryRate: number,
  stableRate: number,
): number {
  const mean = (canaryTotal * canaryRate + stableTotal * stableRate) / (canaryTotal + stableTotal);
  const gain = (total: number, slow: number, rate: number): number =>
    slow * Math.log(rate / mean) + (total - slow) * Math.log((1 - rate) / (1 - mean));
  return gain(canaryTotal, canarySlow, canaryRate) + gain(stableTotal, stableSlow, stableRate);
}

/** Null hypothesis: at most `1 - quantile` of the requests take longer than `maxMs`. */
function absoluteGains(canary: DurationHistogram, quantile: number, maxMs: number | undefined): number[] {
  if (maxMs === undefined || totalOf(canary) === 0) return absoluteOdds.map(() => 0);
  const slow = countAbove(canary, boundAtOrAbove(canary, maxMs));
  const allowed = 1 - quantile;
  return absoluteOdds.map((odds) => {
    const rate = (odds * allowed) / (1 - allowed + odds * allowed);
    return slow * Math.log(rate / allowed) + (totalOf(canary) - slow) * Math.log((1 - rate) / (1 - allowed));
  });
}

/**
 * The index of the first bound that is at least the limit, or of the last bound if the limit is above all of them.
 * Shares can be computed only at a histogram's bounds.
 */
function boundAtOrAbove({ boundsMs }: DurationHistogram, limitMs: number): number {
  const index = boundsMs.findIndex((bound) => bound >= limitMs);
  return index < 0 ? boundsMs.length - 1 : index;
}

/**
 * Fails as soon as the evidence suffices. Passes when the minimum sample has been seen without suspicion. Otherwise
 * waits. `open` has the requests since the last batch. The evidence shows them now, and they are judged when their
 * batch is complete.
 */
export function judgeDurations(
  evidence: DurationEvidence,
  limits: DurationLimits,
  open: DurationBatch = { canary: noDurations, stable: noDurations },
): DurationVerdict {
  const { canary, stable } = inSharedBounds(evidence);
  const [canaryTotal, stableTotal] = [totalOf(canary), totalOf(stable)];
  const counts = `${canaryTotal + totalOf(open.canary)} requests of the canary, ${stableTotal + totalOf(open.stable)} of stable`;
  const seen = canaryTotal + totalOf(open.canary);
  const few = tooFew("requests", { judged: canaryTotal, seen, needed: limits.minSamples });
  if (canaryTotal === 0) return { verdict: "wait", evidence: `${counts}; ${few}` };
  // All tests have an equal part of the error probability: the comparisons of each quantile and of the mean with
  // stable, and the limit of each quantile.
  const tests = limits.quantiles.length + 1 + (limits.maxMs === undefined ? 0 : limits.quantiles.length);
  const threshold = Math.log(tests / wrongFailure);
  const texts: string[] = [];
  const beyond: string[] = [];
  let suspected: string | undefined;
  for (const [index, quantile] of limits.quantiles.entries()) {
    const above = logMean(evidence.absolute[index] ?? [0]);
    if (above >= threshold)
      return {
        verdict: "fail",
        evidence: `${counts}: ${limitText(canary, quantile, limits.maxMs ?? 0)} (probability of chance ${chance(above)}, the check fails below ${chance(threshold)})`,
      };
    const text = stableTotal === 0 ? aloneText(canary, quantile) : comparisonText(canary, stable, quantile);
    texts.push(text);
    const slower = logMean(evidence.relative[index] ?? [0]);
    const matters =
      stableTotal > 0 && quantileOf(canary, quantile).ms >= quantileOf(stable, quantile).ms * limits.maxRatio;
    if (matters && slower >= threshold)
      return {
        verdict: "fail",
        evidence: `${counts}: slower than stable, ${text} (probability of chance ${chance(slower)}, the check fails below ${chance(threshold)})`,
      };
    if ((matters && slower >= suspicion) || above >= suspicion) suspected ??= text;
    const boundMs = boundOf(canary, stable, quantile, limits);
    const { ms, upToMs } = quantileOf(canary, quantile);
    if (ms > boundMs || (upToMs === Infinity && ms >= boundMs))
      beyond.push(`${quantileName(quantile)} is above the bound of ${shownMs(boundMs)}`);
  }
  const mean = meanInSharedBucket(canary, stable, wrongFailure / tests);
  if (mean !== undefined && mean.ratio >= limits.maxRatio) {
    if (mean.slower) return { verdict: "fail", evidence: `${counts}: slower than stable, ${mean.text}` };
    suspected ??= mean.text;
  }
  const all = `${counts}: ${[...texts, ...(mean === undefined ? [] : [mean.text])].join(", ")}`;
  if (canaryTotal < limits.minSamples) return { verdict: "wait", evidence: `${all}; ${few}` };
  if (stableTotal > 0 && mayBeTwiceAsSlow(canary, stable, limits.minSamples))
    return {
      verdict: "wait",
      evidence: `${all}; more requests are needed to rule out that the canary is twice as slow`,
    };
  if (suspected !== undefined)
    return {
      verdict: "wait",
      evidence: `${all}; more requests are needed to tell whether this is chance: ${suspected}`,
    };
  if (stableTotal === 0 && limits.maxMs === undefined)
    return {
      verdict: "pass",
      evidence: `${all}; no stable version takes requests to compare with, and there is no maxMs`,
    };
  const excess = beyond.length === 0 ? "" : `; ${beyond.join(", ")}, but with so few slow requests this may be chance`;
  return { verdict: "pass", evidence: `${all}${excess}` };
}

/** The duration above which a quantile of the canary fails the check, unless chance explains it. */
function boundOf(
  canary: DurationHistogram,
  stable: DurationHistogram,
  quantile: number,
  { maxRatio, maxMs }: DurationLimits,
): number {
  const limitMs = maxMs === undefined ? Infinity : (canary.boundsMs[boundAtOrAbove(canary, maxMs)] ?? maxMs);
  return totalOf(stable) === 0 ? limitMs : Math.min(limitMs, quantileOf(stable, quantile).ms * maxRatio);
}

function inSharedBounds({ canary, stable }: DurationBatch): DurationBatch {
  if (totalOf(canary) === 0 || totalOf(stable) === 0) return { canary, stable };
  const boundsMs = sharedBounds(canary.boundsMs, stable.boundsMs);
  return { canary: coarsened(canary, boundsMs), stable: coarsened(stable, boundsMs) };
}

const ruledOutFactor = 2;
const wrongPass = 0.01;
/**
 * The multiple of the minimum samples after which the test stops waiting, if the buckets are too coarse to rule
 * anything out.
 */
const patience = 10;

/**
 * Whether the data cannot rule out, at 1 %, a canary that takes twice as long as stable for every request. Such a
 * canary would exceed a bound as often as stable exceeds half of the bound. If there is no bound at exactly half, the
 * next higher bound makes the answer more cautious.
 */
function mayBeTwiceAsSlow(canary: DurationHistogram, stable: DurationHistogram, minSamples: number): boolean {
  const known = totalOf(stable);
  const share = (count: number): number => (count + 0.5) / (known + 1);
  let [mostInformation, evidence] = [0, 0];
  for (const [index, bound] of stable.boundsMs.entries()) {
    const half = stable.boundsMs.findIndex((other) => other >= bound / ruledOutFactor);
    const good = share(countAbove(stable, index));
    const bad = share(countAbove(stable, half));
    const information = good * Math.log(good / bad) + (1 - good) * Math.log((1 - good) / (1 - bad));
    if (information <= mostInformation) continue;
    const slow = countAbove(canary, index);
    mostInformation = information;
    evidence = slow * Math.log(good / bad) + (totalOf(canary) - slow) * Math.log((1 - good) / (1 - bad));
  }
  const needed = Math.log(1 / wrongPass);
  return mostInformation * patience * minSamples >= needed && evidence < needed;
}

function comparisonText(canary: DurationHistogram, stable: DurationHistogram, quantile: number): string {
  return `${quantileName(quantile)} ${quantileText(canary, quantile)} against ${quantileText(stable, quantile)}`;
}

function aloneText(canary: DurationHistogram, quantile: number): string {
  return `${quantileName(quantile)} ${quantileText(canary, quantile)}`;
}

function limitText(canary: DurationHistogram, quantile: number, maxMs: number): string {
  const bound = canary.boundsMs[boundAtOrAbove(canary, maxMs)] ?? maxMs;
  const rounded = bound === maxMs ? "" : `, counted above ${shownMs(bound)}, the next bound of the buckets`;
  return `${quantileName(quantile)} ${quantileText(canary, quantile)} is above maxMs ${shownMs(maxMs)}${rounded}`;
}

/** The name of a quantile: `0.999` is `p99.9`. */
export function quantileName(quantile: number): string {
  return `p${Number((quantile * 100).toFixed(3))}`;
}

/** The interpolated quantile as text. The text also names the quantile's bucket if the bucket is wide. */
function quantileText(histogram: DurationHistogram, quantile: number): string {
  const { ms, aboveMs, upToMs } = quantileOf(histogram, quantile);
  if (upToMs === Infinity) return `above ${shownMs(aboveMs)}`;
  return upToMs / Math.max(aboveMs, Number.MIN_VALUE) <= fineRatio
    ? shownMs(ms)
    : `about ${shownMs(ms)} (${shownMs(aboveMs)} to ${shownMs(upToMs)})`;
}

/** The ratio of a bucket's bounds below which the text does not mention the bucket. */
const fineRatio = 1.3;

export function shownMs(ms: number): string {
  return `${Number(ms.toPrecision(3))} ms`;
}
