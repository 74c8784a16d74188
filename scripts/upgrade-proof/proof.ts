// What the parts of the proof share.
import type { LoadScale } from "./load-plans.ts";
import type { LoadReports } from "./load-totals.ts";
import type { ProofLab } from "./proof-lab.ts";

export const revisions = { old: "1-31-0", new: "1-31-1" } as const;
export const versions = { old: "1.31.0", new: "1.31.1" } as const;

export interface Proof {
  readonly lab: ProofLab;
  readonly reports: LoadReports;
  readonly scale: LoadScale;
  /** No sidecar namespaces and no waypoint: a smaller stage. */
  readonly ambientOnly: boolean;
  /** The good parts end when so many requests have been sent in them. */
  readonly requests: number;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  /** The revision that the whole mesh is of now. */
  revision: string;
  /** A line for people. */
  readonly note: (text: string) => void;
}

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
