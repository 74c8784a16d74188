import { defineKind } from "../kind.ts";
import type { ProbeMatrix } from "./probe-matrix.ts";
import type { Condition, KubernetesObject, UntypedObject } from "../meta.ts";

export const rolloutGroup = "rollout.serin.dev";
/** Who created a rollout or last changed what it does; written by the engine's webhook alone, which refuses it from clients. */
export const authorAnnotation = "rollout.serin.dev/author";
export const rolloutVersion = "v1alpha1";

/**
 * The states of a rollout. `Waiting` is for something else than itself (a freeze, another rollout, its group), `Paused` for a
 * person, `Watching` for a change to roll out; `Stuck` needs a person; `Completed` and `RolledBack` are ends of a run.
 */
export const rolloutPhases = [
  "Planned",
  "Preflight",
  "Progressing",
  "Settling",
  "Judging",
  "Soaking",
  "Retiring",
  "Waiting",
  "Paused",
  "Watching",
  "RollingBack",
  "Completed",
  "RolledBack",
  "Stuck",
] as const;
export type RolloutPhase = (typeof rolloutPhases)[number];

/** The status of a Canary and of a MeshUpgrade: where it is, what it saw, and why it decided so. */
export interface RolloutStatus {
  readonly observedGeneration: number;
  readonly phase: RolloutPhase;
  /** When it came to this phase. */
  readonly phaseSince?: string;
  /** `3/7`. */
  readonly progress: string;
  readonly message: string;
  readonly startedAt?: string;
  readonly endedAt?: string;
  readonly step?: StepStatus;
  readonly completedSteps: readonly CompletedStep[];
  /** Why it was rolled back, with the evidence: a sentence that names the cause. */
  readonly cause?: string;
  readonly rolledBackInMs?: number;
  /** Counts the changes that this object has rolled out, from 1. */
  readonly run?: number;
  /** What is being rolled out, or was last: a digest of the pod template, of the spec. A new one begins a new run. */
  readonly candidate?: string;
  /** All steps as planned now, at most {@link maxPlannedSteps}; those that are done are among them. */
  readonly plannedSteps?: readonly PlannedStep[];
  /** Percent of the traffic that the canary has by the step that has settled last. */
  readonly weight?: number;
  /** Set while it is being put back, also while that is stuck, and kept after it: what the end is told from. */
  readonly undo?: UndoStatus;
  /** Members of a group that have this in common took their steps together, and are put back together. */
  readonly groupRun?: string;
  /** Namespaces that it holds now: no other rollout touches what is in them. */
  readonly namespaces?: readonly string[];
  readonly conditions: readonly Condition[];
}

/** Where putting back is. Times are counted by a steady clock while an engine looks, so that no jump of the wall clock is in them. */
export interface UndoStatus {
  readonly startedAt: string;
  readonly elapsedMs: number;
  /** Since something was last put back. */
  readonly waitedMs: number;
  /** What holds it up, by name. */
  readonly waitingFor: readonly string[];
  /** What follows once all is put back: the end, the next change, or the object's deletion. */
  readonly next: "RolledBack" | "NewRun" | "Deleted";
  /** The kind of its cause; absent where an older engine began it. */
  readonly because?: UndoCause;
  /** The type of the check that failed, where one did. */
  readonly check?: string;
}

/**
 * Why something is put back, as a word to count by. `preflight`: whatever failed in a step that comes before anything is moved; `settle-failed`
 * cannot settle any more, `settle-timeout` did not in time, `write`: what is written does not stay, or is refused; `order`: a person's;
 * `superseded` by another change, `reverted` to what ran before; `leftover` of an earlier object of the name.
 */
export type UndoCause =
  | "check"
  | "settle-failed"
  | "settle-timeout"
  | "write"
  | "preflight"
  | "order"
  | "group"
  | "superseded"
  | "reverted"
  | "leftover"
  | "deletion";

export interface PlannedStep {
  readonly id: string;
  readonly title: string;
  /** See `Step.ordinal`. */
  readonly ordinal?: number;
  /** It ends when a person approves it. */
  readonly untilApproved?: boolean;
}

export const maxPlannedSteps = 256;

export interface StepStatus {
  readonly id: string;
  readonly title: string;
  readonly startedAt: string;
  /** Samples count from here. */
  readonly settledAt?: string;
  readonly checks: readonly CheckStatus[];
  /** What still has to settle, or holds it up, by name. */
  readonly waitingFor?: readonly string[];
  /** Counted by a steady clock while an engine looks; neither an engine that is down nor a clock that jumps adds to them. */
  readonly settlingMs?: number;
  readonly settledForMs?: number;
  /** How much still had to settle when it was least, and how long ago that was. */
  readonly settlingLeft?: number;
  readonly stalledMs?: number;
  /** When it began to wait for what it waits for now, or came nearer last. */
  readonly waitingSince?: string;
  /** When it gives up settling, unless it comes nearer; when a soak ends. */
  readonly waitsUntil?: string;
  /** It only waits for live connections to end: other rollouts do not wait for it. */
  readonly lingers?: boolean;
}

/** One check's verdict with its evidence, and the state of its statistic, so that a restarted engine goes on where it was. */
export interface CheckStatus {
  readonly type: string;
  /** Where it is called otherwise. */
  readonly name?: string;
  /** The verdict is not acted on. */
  readonly dryRun?: boolean;
  readonly verdict: Verdict;
  readonly evidence: string;
  readonly statistic?: unknown;
  /** The table of a probe matrix at the latest look. */
  readonly matrix?: ProbeMatrix;
}

export type Verdict = "pass" | "fail" | "wait" | "error";

export interface CompletedStep {
  readonly id: string;
  readonly title: string;
  readonly startedAt: string;
  readonly endedAt: string;
  readonly evidence: readonly string[];
}

/** A reference to one object of the API. */
export interface ObjectReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly plural: string;
  readonly name: string;
  readonly namespace?: string;
}

/** One thing that a rollout changed, and what was there before. Undo plays the entries backwards. */
export type JournalEntry =
  | {
      readonly type: "field";
      readonly step: string;
      readonly object: ObjectReference;
      /** RFC 6901. */
      readonly pointer: string;
      /** Absent when the field was. */
      readonly prior?: unknown;
      readonly written?: unknown;
      /** See {@link RestartKind}. */
      readonly restart?: RestartKind;
      /** A user wrote it; changed again since, it is left alone by undo. */
      readonly adopted?: boolean;
      readonly undoGroup?: string;
      readonly setup?: boolean;
      /** Members above it that were made for it, so many; they go with it when they are empty. */
      readonly madeParents?: number;
    }
  | {
      readonly type: "created";
      readonly step: string;
      readonly object: ObjectReference;
      readonly undoGroup?: string;
      readonly setup?: boolean;
    }
  | {
      readonly type: "deleted";
      readonly step: string;
      readonly object: ObjectReference;
      readonly body: UntypedObject;
      readonly undoGroup?: string;
      readonly setup?: boolean;
    };

/**
 * A write that replaces the pods of a workload. Within its `undoGroup` it is put back after all that is none, so that pods come
 * back with what was there before. `template`: the prior value is written, which rolls back; `time`: the time of undoing is.
 */
export type RestartKind = "template" | "time";

/** Cluster-scoped, named after its rollout; kept after the end and after its rollout is deleted, so that undo works from any phase and history is there. */
export interface RolloutJournal extends KubernetesObject {
  /** Raised when the meaning of an entry changes; an engine stops at a journal that is newer than it knows. */
  formatVersion: number;
  entries: readonly JournalEntry[];
  /** Every decision, oldest first, at most {@link maxDecisions}: what was decided when, by whom, on which evidence. */
  decisions?: readonly DecisionRecord[];
}

/** A rollout that is under way keeps its object until what it did is put back, or left as its `onDeletion` says. */
export const undoFinalizer = "rollout.serin.dev/undo";

export interface DecisionRecord {
  /** RFC 3339. */
  readonly at: string;
  readonly run: number;
  /** The reason of an Event: StepStarted, StepDone, Approved, Paused, Resumed, RollingBack, Undone, RolledBack, Completed, Stuck, Waiting, Deleted. */
  readonly decision: string;
  readonly step?: string;
  readonly message: string;
  /** Who ordered it, where a person did. */
  readonly by?: string;
  readonly evidence?: readonly string[];
}

/** Oldest decisions of runs that have ended leave first. */
export const maxDecisions = 2000;
/** Format 2 has restarts, undo groups, setup entries and decisions. An older journal is read as it is. */
export const journalFormatVersion = 2;

export const rolloutJournalKind = defineKind<RolloutJournal>({
  group: rolloutGroup,
  versions: [rolloutVersion],
  kind: "RolloutJournal",
  plural: "rolloutjournals",
  namespaced: false,
});
