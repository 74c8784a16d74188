import type { JournalEntry, Verdict } from "../../api/serin/index.ts";
import type { ProbeFacts } from "./probe-matrix.ts";
import type { Write } from "./step.ts";

/** What the engine saw of the step under way, in the step's own order. Facts only; judging them is `decide`'s. */
export interface Observation {
  readonly writes: readonly WriteState[];
  readonly settle: readonly SettleState[];
  readonly checks: readonly CheckObservation[];
}

export type WriteState =
  /** Not written; `prior` is what stands there now and will be journaled. */
  | { readonly state: "pending"; readonly prior?: unknown }
  | { readonly state: "done" }
  /** The object to change is gone; there is nothing to write and nothing to undo. */
  | { readonly state: "gone" }
  /** Somebody else changed the field since the journal was written. */
  | { readonly state: "conflict"; readonly detail: string };

export type SettleState =
  | { readonly state: "met" }
  | { readonly state: "waiting"; readonly detail: string }
  /** It will not settle: a proxy rejected the config, a route was refused. */
  | { readonly state: "failed"; readonly detail: string };

/** Cumulative counters by source (a pod), which may restart and begin at zero again. */
export type CheckObservation =
  | {
      readonly type: "counters";
      readonly sources: Readonly<Record<string, OutcomeCounts>>;
      /** The counters are reports from now and then: only what a later report adds is sure to have happened after the first. */
      readonly reported?: boolean;
      /** The latest error that a source names, for the evidence of a failure. */
      readonly lastError?: string;
    }
  /** Of the probe matrix. */
  | { readonly type: "matrix"; readonly facts: ProbeFacts }
  | { readonly type: "verdict"; readonly verdict: Verdict; readonly evidence: string }
  /** The facts could not be had: never a pass. */
  | { readonly type: "unavailable"; readonly detail: string };

export interface OutcomeCounts {
  readonly canaryTotal: number;
  readonly canaryErrors: number;
  readonly stableTotal: number;
  readonly stableErrors: number;
}

/** What to do now, in order. Each is idempotent: doing it twice, or after a crash, ends in the same state. */
export type Action =
  /** Must be stored before any write that follows. */
  | { readonly type: "journal"; readonly entries: readonly JournalEntry[] }
  | { readonly type: "write"; readonly write: Write; readonly prior?: unknown }
  /** Puts back everything that the journal holds, in the order of `undoOrder`. */
  | { readonly type: "undo" }
  | { readonly type: "event"; readonly reason: string; readonly message: string; readonly warning: boolean };
