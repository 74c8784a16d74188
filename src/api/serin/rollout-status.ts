import { firstNames } from "../../base/index.ts";
import { defineKind } from "../kind.ts";
import type { ProbeMatrix } from "./probe-matrix.ts";
import type { OrdersMark } from "./rollout-orders.ts";
import type { Condition, KubernetesObject, UntypedObject } from "../meta.ts";

export const rolloutGroup = "rollout.serin.dev";
/**
 * The user who created a rollout or last changed its effect. Only the engine's webhook writes it, and it rejects the
 * annotation from clients.
 */
export const authorAnnotation = "rollout.serin.dev/author";
export const rolloutVersion = "v1alpha1";

/**
 * The uid of the object for which the engine has worked. A copy of the object, from a backup or an export, has another
 * uid. Without its status, it would begin at its first step.
 */
export const ownUidAnnotation = "rollout.serin.dev/uid";
/** The value of {@link ownUidAnnotation} in a copy that has the author or the orders of another object, but no uid. */
export const unknownUid = "unknown";
/**
 * The Canary that holds a Deployment. It tells the engine's pause from a person's where the Canary's journal is gone,
 * as after a restore of one namespace.
 */
export const holderAnnotation = "rollout.serin.dev/held-by";

/**
 * The name of a kind in commands of kubectl. Flagger has a kind Canary too, and kubectl takes the plain name for
 * Flagger's where both exist.
 */
export function kubectlKind(kind: string): string {
  const plain = kind.toLowerCase();
  return plain === "canary" ? `${plain}.${rolloutGroup}` : plain;
}

/** The object in commands of kubectl: `canary.rollout.serin.dev web -n shop`. */
export function kubectlObject(kind: string, { name = "", namespace }: KubernetesObject["metadata"]): string {
  return `${kubectlKind(kind)} ${name}${namespace === undefined ? "" : ` -n ${namespace}`}`;
}

/**
 * The phases of a rollout. `Waiting` is for something else (a freeze, another rollout, its group), `Paused` for a
 * person, and `Watching` for a change to roll out. `Stuck` needs a person. A run ends with `Completed` or `RolledBack`.
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

/** Whether a run has ended in this phase. */
export function isEndPhase(phase: string | undefined): boolean {
  return phase === "Completed" || phase === "RolledBack";
}

/** Whether a rollout in this phase moves nothing until the next change: its run has ended, or none has begun. */
export function isRestingPhase(phase: string | undefined): boolean {
  return phase === "Watching" || isEndPhase(phase);
}

/**
 * Why a rollout that is Paused, Waiting or Stuck does not go on. Programs read this and never the message.
 *
 * - Paused. `approval`: the step waits for a person's approval. `order`: `spec.paused` is set. `restored`: the object
 *   is a copy of another, without that object's status.
 * - Waiting. `freeze`: a freeze is in force. `rollout`: another rollout comes first. `limit`: too many rollouts are
 *   under way. `group`: other members of its group are not as far. `group-failed`: a member of its group was rolled
 *   back, and a person must change it.
 * - Stuck. `check`: a check failed under `rollback: Manual`. `samples`: a check receives no samples. `step`: a step did
 *   not settle, or its writes did not stay, under `rollback: Manual`. `conflict`: somebody else changed what the
 *   rollout writes. `undo`: something blocks the rollback. `spec`: the spec does not fit the cluster. `author`: the
 *   author lacks a right, or is unknown.
 */
export const pauseReasons = [
  "approval",
  "order",
  "restored",
  "freeze",
  "rollout",
  "limit",
  "group",
  "group-failed",
  "check",
  "samples",
  "step",
  "conflict",
  "undo",
  "spec",
  "author",
] as const;
export type PauseReason = (typeof pauseReasons)[number];

/** The status of a Canary or MeshUpgrade: where it is, what it measured, and why it decided so. */
export interface RolloutStatus {
  readonly observedGeneration: number;
  readonly phase: RolloutPhase;
  /** When it entered this phase. */
  readonly phaseSince?: string;
  /** For example `3/7`. */
  readonly progress: string;
  readonly message: string;
  /** Set while the phase is Paused, Waiting or Stuck. Absent if an older engine wrote the status. */
  readonly pauseReason?: PauseReason;
  /** The freeze, rollout (`Canary shop/web`) or group that it waits for, if the reason names one. */
  readonly pausedBy?: string;
  readonly startedAt?: string;
  readonly endedAt?: string;
  readonly step?: StepStatus;
  readonly completedSteps: readonly CompletedStep[];
  /** Why it was rolled back: a sentence with the cause and the evidence. */
  readonly cause?: string;
  readonly rolledBackInMs?: number;
  /** The number of the change that this object rolls out, from 1. */
  readonly run?: number;
  /** A digest of the pod template or spec that is rolled out, or was last. A new one starts a new run. */
  readonly candidate?: string;
  /** What the run moves, since its beginning: the target, or the two revisions. Absent if an older engine began it. */
  readonly moves?: string;
  /**
   * The orders that were there when this run was noticed: they do not apply to it. Absent in a first run, except of a
   * copy.
   */
  readonly ordersBefore?: OrdersMark;
  /** All currently planned steps, including completed ones, at most {@link maxPlannedSteps}. */
  readonly plannedSteps?: readonly PlannedStep[];
  /** The canary's percentage of traffic since the last settled step. */
  readonly weight?: number;
  /** Set during a rollback, also while it is stuck, and kept afterwards to determine the final phase. */
  readonly undo?: UndoStatus;
  /** Group members with the same value took their steps together, and are rolled back together. */
  readonly groupRun?: string;
  /** The namespaces that this rollout has locked. Other rollouts do not touch their objects. */
  readonly namespaces?: readonly string[];
  readonly conditions: readonly Condition[];
}

/**
 * The state of a rollback. Durations come from a monotonic clock while an engine runs, so that jumps of the wall clock
 * do not count.
 */
export interface UndoStatus {
  readonly startedAt: string;
  readonly elapsedMs: number;
  /** The time since the last object was restored. */
  readonly waitedMs: number;
  /** What blocks the rollback, by name. */
  readonly waitingFor: readonly string[];
  /** What follows the rollback: the end, the next change, or the deletion of the object. */
  readonly next: "RolledBack" | "NewRun" | "Deleted";
  /** The kind of cause. Absent if an older engine started the rollback. */
  readonly because?: UndoCause;
  /** The type of the failed check, if a check failed. */
  readonly check?: string;
}

/**
 * Why a rollback started, as a word for metrics. `preflight`: a failure before anything was moved. `settle-failed`: the
 * step can no longer settle. `settle-timeout`: it did not settle in time. `write`: a write was reverted or rejected.
 * `order`: a person's order. `superseded`: another change. `reverted`: a change back to the previous version.
 * `leftover`: remains of an earlier object with the same name.
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
  /** Whether the step ends when a person approves it. */
  readonly untilApproved?: boolean;
}

export const maxPlannedSteps = 256;

export interface StepStatus {
  readonly id: string;
  readonly title: string;
  readonly startedAt: string;
  /** Samples count from this time. */
  readonly settledAt?: string;
  readonly checks: readonly CheckStatus[];
  /** What has not settled yet or blocks it, by name. */
  readonly waitingFor?: readonly string[];
  /** Measured by a monotonic clock while an engine runs. Downtime of the engine and jumps of the clock do not count. */
  readonly settlingMs?: number;
  readonly settledForMs?: number;
  /** The smallest number of unsettled parts so far, and how long ago it was reached. */
  readonly settlingLeft?: number;
  readonly stalledMs?: number;
  /** When the current wait began, or last made progress. */
  readonly waitingSince?: string;
  /**
   * The time at which the step fails unless it makes progress, at which the rollout is Stuck unless a sample comes, or
   * at which a soak ends.
   */
  readonly waitsUntil?: string;
  /** Set if the step only waits for live connections to end. Other rollouts do not wait for it. */
  readonly lingers?: boolean;
  /** The orders that were there when the step failed and began to wait for a person: they do not decide on it. */
  readonly ordersBefore?: OrdersMark;
}

/** One check's verdict with its evidence, and the state of its statistic, so that a restarted engine continues. */
export interface CheckStatus {
  readonly type: string;
  /** Set if the check has its own name. */
  readonly name?: string;
  /** The verdict has no effect. */
  readonly dryRun?: boolean;
  readonly verdict: Verdict;
  readonly evidence: string;
  readonly statistic?: unknown;
  /** The latest probe matrix. */
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

/** A reference to an object of the API. */
export interface ObjectReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly plural: string;
  readonly name: string;
  readonly namespace?: string;
}

/** One change of a rollout, with the previous value. Undo applies the entries in reverse. */
export type JournalEntry =
  | {
      readonly type: "field";
      readonly step: string;
      readonly object: ObjectReference;
      /** A JSON pointer (RFC 6901). */
      readonly pointer: string;
      /** The uid of the object that had the prior value. Absent in journals of earlier releases. */
      readonly uid?: string;
      /** Absent if the field was absent. */
      readonly prior?: unknown;
      readonly written?: unknown;
      /** See {@link RestartKind}. */
      readonly restart?: RestartKind;
      /** Set if a user wrote the current value. Undo does not change it if it has changed since. */
      readonly adopted?: boolean;
      /**
       * The value that the user wrote after the adopted one, while the rollout replaced pods. Undo needs the prior
       * value for the pods first, and writes this one when it has undone everything else of the field.
       */
      readonly later?: unknown;
      readonly undoGroup?: string;
      readonly setup?: boolean;
      /** The number of parent members that were created for it. Undo removes them if they are empty. */
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
 * A write that replaces a workload's pods. Within its `undoGroup`, it is undone after all other writes, so that new
 * pods start with the restored configuration. `template` writes the previous value, which rolls back. `time` writes the
 * time of the undo.
 */
export type RestartKind = "template" | "time";

/**
 * Cluster-scoped, with the name of its rollout. It is kept after the rollout's end and deletion, so that undo works
 * from any phase and the history remains.
 */
export interface RolloutJournal extends KubernetesObject {
  /** Increases when the meaning of an entry changes. An engine stops at a journal that is newer than it knows. */
  formatVersion: number;
  entries: readonly JournalEntry[];
  /** Every decision with time, person and evidence, oldest first, at most {@link maxDecisions}. */
  decisions?: readonly DecisionRecord[];
}

/**
 * The uid of the rollout that made the journal's entries. Another rollout of the same name undoes them first. Absent in
 * journals of earlier releases.
 */
export const journalOwnerAnnotation = "rollout.serin.dev/rollout-uid";

/** Keeps the object of a running rollout until its changes are undone, or left as `onDeletion` says. */
export const undoFinalizer = "rollout.serin.dev/undo";

/** Whether the API server keeps the object until the engine has undone its changes. */
export function hasUndoFinalizer({ metadata }: KubernetesObject): boolean {
  return metadata.finalizers?.includes(undoFinalizer) === true;
}

export interface DecisionRecord {
  /** In RFC 3339. */
  readonly at: string;
  readonly run: number;
  /**
   * The reason of an Event: StepStarted, StepDone, Approved, Paused, Resumed, RollingBack, Undone, RolledBack,
   * Completed, Stuck, Waiting, Held or Deleted.
   */
  readonly decision: string;
  readonly step?: string;
  readonly message: string;
  /** The person who ordered the decision. Absent if nobody did. */
  readonly by?: string;
  readonly evidence?: readonly string[];
}

const turns = new Set(["Started", "RollingBack", "RolledBack", "Completed"]);

/** Whether the last run in the journal has completed, so that its changes stay. */
export function lastRunCompleted(decisions: readonly Pick<DecisionRecord, "decision">[]): boolean {
  return decisions.findLast(({ decision }) => turns.has(decision))?.decision === "Completed";
}

const changesShown = 5;

/**
 * The text about the changes that a removed rollout has left, with what a person can do. Undefined if it has left none:
 * those of a completed run stay for good, except for the preparation of its target.
 */
export function changesLeft({ metadata, entries, decisions = [] }: RolloutJournal): string | undefined {
  const left = lastRunCompleted(decisions) ? entries.filter(({ setup }) => setup === true) : entries;
  if (left.length === 0) return undefined;
  const { name = "" } = metadata;
  const names = left.map((entry) => {
    const { kind, namespace, name: object } = entry.object;
    const place = `${kind} ${namespace === undefined ? "" : `${namespace}/`}${object}`;
    return entry.type === "field" ? `${place} ${entry.pointer}` : `${place} (${entry.type})`;
  });
  return `the rollout of RolloutJournal ${name} was removed without its undo, and ${left.length} of its changes are left: ${firstNames(names, changesShown)}; create the rollout again, and the engine undoes them first, or keep them: kubectl delete rolloutjournal ${name}`;
}

/** The decision's message without the evidence that the record also lists. */
export function messageWithoutEvidence({ message, evidence = [] }: DecisionRecord): string {
  const at = evidence[0] === undefined ? -1 : message.indexOf(`; ${evidence[0]}`);
  return at === -1 ? message : message.slice(0, at);
}

/** The oldest decisions of ended runs are dropped first. */
export const maxDecisions = 2000;
/** Format 2 adds restarts, undo groups, setup entries and decisions. Older journals are still read. */
export const journalFormatVersion = 2;

export const rolloutJournalKind = defineKind<RolloutJournal>({
  group: rolloutGroup,
  versions: [rolloutVersion],
  kind: "RolloutJournal",
  plural: "rolloutjournals",
  namespaced: false,
});
