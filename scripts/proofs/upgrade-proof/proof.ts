// The state that all parts of the proof share.
import type { LoadScale } from "./load-plans.ts";
import type { LoadReports } from "./load-totals.ts";
import type { ProofLab } from "./proof-lab.ts";

export const revisions = { old: "1-31-0", new: "1-31-1" } as const;
export const versions = { old: "1.31.0", new: "1.31.1" } as const;

export interface Proof {
  readonly lab: ProofLab;
  readonly reports: LoadReports;
  readonly scale: LoadScale;
  /** Whether the mesh is smaller, without sidecar namespaces and without a waypoint. */
  readonly ambientOnly: boolean;
  /**
   * The number of workers of each data plane, in the old revision and in the others. If absent, each has its default.
   */
  readonly workers?: readonly [number, number] | undefined;
  /** The smallest number of requests in the good parts. */
  readonly requests: number;
  /** Aborts when a signal ends the run. */
  readonly signal: AbortSignal;
  /** The current revision of the whole mesh. */
  revision: string;
  readonly note: (text: string) => void;
}

/**
 * Returns the number of samples to require at a load. With less load, steps wait for fewer answers, so that a step
 * takes as long as with the full load. No request may fail in these proofs, so the samples need not show a small share
 * of failures.
 */
export const samplesAt = ({ rate }: LoadScale, atFullRate: number, fewest = fewestSamples): number =>
  Math.max(fewest, Math.round(atFullRate * Math.min(1, rate)));

const fewestSamples = 6;

/**
 * Returns the samples of the probe matrix. A probe opens a connection through several proxies. With the full load, each
 * pair of a large matrix is probed `atFullRate` times in each step. With less load, twice is enough: every pair must
 * still answer with mutual TLS and the right identities in every step, and a single wrong answer fails the step.
 */
export const probesOfPairs = ({ rate }: LoadScale, atFullRate: number): number =>
  rate < 1 ? probesOfEachPair : atFullRate;

const probesOfEachPair = 2;

/**
 * Returns how many workloads of a namespace restart at the same time in the second wave. With less than the full load,
 * all of them do: each takes up to its grace period, and the load would only wait for that long.
 */
export const restartsAtOnce = ({ rate }: LoadScale): number => (rate < 1 ? 8 : 1);

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
