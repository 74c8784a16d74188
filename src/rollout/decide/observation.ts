import type { JournalEntry, Verdict } from "../../api/serin/index.ts";
import type { DurationHistogram } from "../judge/duration-histogram.ts";
import type { ProbeFacts } from "./probe-matrix.ts";
import type { Write } from "./step.ts";

/**
 * The engine's observations for the current step. Writes, conditions and checks have the same order as in the step.
 * Observations are only facts, and `decide` judges them.
 */
export interface Observation {
  readonly writes: readonly WriteState[];
  /** Names a field that an earlier step has written and somebody has changed meanwhile, and who that was. */
  readonly lost?: string;
  readonly settle: readonly SettleState[];
  readonly checks: readonly CheckObservation[];
}

export type WriteState =
  | {
      readonly state: "pending";
      /** The current value, which goes into the journal with the object's `uid`. */
      readonly prior?: unknown;
      readonly uid?: string;
      readonly madeParents?: number;
      /** The number of missing pods. See `lacked` of the journal's entry. */
      readonly lacked?: number;
      /** The journal needs no entry of the write. See `isOwnWrite`. */
      readonly isOwn?: true;
      /**
       * The step has not done this write before. Absent if somebody has undone the write, or if the server refused it.
       */
      readonly isFirst?: true;
      /** Who wrote the current value instead. */
      readonly by?: string;
      /** The step itself wrote the current value, before somebody edited the plan. */
      readonly isReplanned?: true;
      /** The server stored another value than the step's, for example because of an admission webhook. */
      readonly isRewritten?: true;
      /** What to write instead of the planned list, so that the changes of others in the list `found` stay. */
      readonly merged?: { readonly value: unknown; readonly found: unknown };
    }
  | { readonly state: "done" }
  /**
   * The write is not due yet, because another field does not have the required value. Until then the step does not
   * settle.
   */
  | { readonly state: "later"; readonly detail: string }
  /** The object to change no longer exists, so there is nothing to write or undo. */
  | { readonly state: "gone" }
  /** Somebody else changed the field after the journal entry was written. */
  | { readonly state: "conflict"; readonly detail: string };

export interface Obstacle {
  /** What a person must do to remove the obstacle. The step waits for the person and does not fail. */
  readonly toDo?: string;
}

export type SettleState =
  | {
      readonly state: "met";
      /** What a proxy of a namespace that is not concerned has rejected, for people. */
      readonly note?: string;
    }
  | {
      readonly state: "waiting";
      readonly detail: string;
      /** The number of missing items (pods, proxies), which shows progress. Absent means one. */
      readonly left?: number;
      /** What a person must remove before the step can continue. A time limit applies to it even in a patient step. */
      readonly obstacle?: Obstacle;
      /** The time until the condition fails by its own limit, if it makes no progress. */
      readonly failsInMs?: number;
      /**
       * Only proxies of namespaces that are not concerned are missing. They may delay a step, but they never make it
       * fail.
       */
      readonly isOfOthers?: true;
      /** What a proxy of a namespace that is not concerned has rejected, for people. */
      readonly note?: string;
    }
  /** The condition will never settle, because a proxy rejected the configuration or a route was refused. */
  | { readonly state: "failed"; readonly detail: string };

/**
 * The observation for one check. `look` numbers the looks if they are less frequent than the engine's rounds: the same
 * number means the same look.
 */
export type CheckObservation = (
  | SeenCounters
  | SeenDurations
  | SeenPods
  | SeenValues
  | { readonly type: "matrix"; readonly facts: ProbeFacts }
  | { readonly type: "verdict"; readonly verdict: Verdict; readonly evidence: string }
  /** A source has not answered yet. The look counts nothing and does not pass. */
  | { readonly type: "pending"; readonly detail: string }
  /** The facts are unavailable. The check never passes then. */
  | { readonly type: "unavailable"; readonly detail: string }
) & {
  readonly look?: number;
  /** Absent if the subject's pods are unknown, for example those behind a Service without a selector. */
  readonly ready?: ReadyPods;
};

/** The numbers of both versions' pods of this cluster that get requests. */
export interface ReadyPods {
  readonly canary: number;
  readonly stable: number;
  /** The canary gets requests, and something in this cluster makes its pods. So it should have a ready one. */
  readonly isExpected: boolean;
  /** The canary has no ready pod in this cluster, but has endpoints in another cluster, which get its requests. */
  readonly isElsewhere?: true;
}

/** The cumulative counters of each source, which is a pod. The counters of a pod that restarts begin at zero again. */
export interface SeenCounters {
  readonly type: "counters";
  readonly sources: Readonly<Record<string, OutcomeCounts>>;
  /**
   * Identifies the observer. Set if the observer's earlier observations decide to which version it attributes a
   * request.
   */
  readonly epoch?: string;
  /** The latest error that a source reported, as evidence of a failure. */
  readonly lastError?: string;
}

/**
 * Cumulative histograms, summed over all sources by the observer that `epoch` names. The sums of another observer begin
 * at another time.
 */
export interface SeenDurations {
  readonly type: "durations";
  readonly epoch: string;
  readonly canary: DurationHistogram;
  readonly stable: DurationHistogram;
  readonly sources: readonly string[];
}

export interface SeenPods {
  readonly type: "pods";
  readonly canary: readonly PodFacts[];
  readonly stable: readonly PodFacts[];
}

export interface PodFacts {
  readonly uid: string;
  /** `namespace/name`. */
  readonly name: string;
  readonly ready: boolean;
  readonly ending: boolean;
  readonly node?: string;
  /** The restarts of all its containers together. */
  readonly restarts: number;
  /** The state of the pod, such as `Running`, for evidence. */
  readonly detail: string;
  /** How one of its containers last ended, such as `app ended with 1`. */
  readonly lastEnd?: string;
  /** A failure that does not go away by waiting. */
  readonly problem?: { readonly kind: string; readonly detail: string };
}

export interface SeenValues {
  readonly type: "values";
  /** A number, a list of `{labels, value}`, or JSON. */
  readonly result: unknown;
  readonly baseline?: unknown;
  readonly canary: unknown;
  readonly stable: unknown;
  readonly status?: number;
  /** The query or the answering server, for evidence. */
  readonly source: string;
}

export interface OutcomeCounts {
  readonly canaryTotal: number;
  readonly canaryErrors: number;
  readonly stableTotal: number;
  readonly stableErrors: number;
}

/**
 * The actions to perform now, in order. Each action is idempotent: doing it twice, or after a crash, leads to the same
 * state.
 */
export type Action =
  /** Stores journal entries. This must happen before any write that follows. */
  | { readonly type: "journal"; readonly entries: readonly JournalEntry[] }
  | { readonly type: "write"; readonly write: Write; readonly prior?: unknown }
  /** Undoes the journal's entries in the order of `undoOrder`. */
  | { readonly type: "undo"; readonly scope: UndoScope; readonly passOver: boolean }
  /** Keeps the changes of a run: removes its entries, but not those of setup. */
  | { readonly type: "forget" }
  /** Lets the object be deleted: removes its finalizer and, for a deleted object, all remaining entries. */
  | { readonly type: "release" }
  | RolloutEvent;

/** `run`: the changes of this run. `all`: also the preparation of the target. */
export type UndoScope = "run" | "all";

/** One decision: an Event, a line of the history, and a notification if the spec asks for it. */
export interface RolloutEvent {
  readonly type: "event";
  readonly reason: DecisionReason;
  readonly message: string;
  readonly warning: boolean;
  readonly step?: string;
  readonly by?: string;
  readonly evidence?: readonly string[];
}

export type DecisionReason =
  | "Started"
  | "StepStarted"
  | "StepDone"
  | "Approved"
  | "Paused"
  | "Resumed"
  | "Waiting"
  | "Held"
  | "RollingBack"
  | "Undone"
  | "RolledBack"
  | "Completed"
  | "Stuck"
  | "Deleted";

export interface UndoReport {
  readonly undone: number;
  /** The entries that could not be undone yet, with the reasons. */
  readonly waitingFor: readonly string[];
  /** Whether the undo waits only for pods that are ending. They serve their last connections until a known time. */
  readonly isEnding?: boolean;
  /** How many pods are missing in the workloads that undo has restarted. Absent if all of their pods are replaced. */
  readonly podsLeft?: number;
  /**
   * The text about a field that somebody else has changed after the rollout. The text names the user, the field and the
   * remedy.
   */
  readonly conflict?: string;
}
