import type { Approval, DecisionRecord, JournalEntry, RolloutStatus } from "../../api/serin/index.ts";
import type { GroupView } from "./blockers.ts";
import type { Action, Observation, UndoReport } from "./observation.ts";
import type { Step } from "./step.ts";

/** What a person has said of a rollout, apart from its plan. */
export interface RolloutOrders {
  readonly generation: number;
  readonly paused: boolean;
  readonly abort: boolean;
  /** Who set `paused` or `abort`, as the object's field managers tell; undefined when nobody can. */
  readonly orderedBy?: string;
  readonly automaticRollback: boolean;
  readonly approvals: readonly Approval[];
  readonly fullPromotion?: { readonly by: string; readonly why: string };
  readonly settleTimeoutMs: number;
  /** Set when the object is being deleted. */
  readonly deletion?: "Rollback" | "Leave";
  /** Holds the namespaces of all its steps from its beginning to its end, not those of the present step alone. */
  readonly holdsAllNamespaces: boolean;
}

export interface DecideInput {
  readonly orders: RolloutOrders;
  readonly status: RolloutStatus;
  /** The plan as of now; a step that is done is known by its id. Empty while it is being put back. */
  readonly steps: readonly Step[];
  /**
   * What there is to roll out: a digest. `watched`: the cluster names it, another one begins a run by itself, and none has
   * begun before the first change. Otherwise it is the spec's, and a run begins at once. `idle`: that is what runs already.
   */
  readonly change: { readonly candidate: string; readonly watched: boolean; readonly idle?: boolean };
  /** Of the step that {@link currentStep} names; undefined when there is none, or it has not begun. */
  readonly observation: Observation | undefined;
  /** What the journal still holds: written by the run, and by what prepared the target. */
  readonly journal: JournalCounts;
  /** What came of the last `undo`; undefined when this engine has tried none yet. */
  readonly undo?: UndoReport;
  /** Why no step may begin now, by name. */
  readonly blockers: readonly string[];
  readonly group?: GroupView;
  /** Time since the last round by a steady clock, bounded: neither a jump of the clock nor an engine that was down is in it. */
  readonly elapsedMs: number;
  readonly nowMs: number;
}

export interface Decision {
  readonly status: RolloutStatus;
  readonly actions: readonly Action[];
}

export interface JournalCounts {
  readonly run: number;
  readonly setup: number;
  /** The last run that it tells of has completed: what it did stays. */
  readonly completed: boolean;
}

const turns = new Set(["Started", "RollingBack", "RolledBack", "Completed"]);

export function journalCounts({
  entries,
  decisions = [],
}: {
  readonly entries: readonly JournalEntry[];
  readonly decisions?: readonly Pick<DecisionRecord, "decision">[];
}): JournalCounts {
  const setup = entries.filter((entry) => entry.setup === true).length;
  return {
    run: entries.length - setup,
    setup,
    completed: decisions.findLast(({ decision }) => turns.has(decision))?.decision === "Completed",
  };
}

export function at(ms: number): string {
  return new Date(ms).toISOString();
}
