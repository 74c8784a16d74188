import type { ProbeMatrix } from "./probe-matrix.ts";
import type { OrdersMark } from "./rollout-orders.ts";
import type { Condition, KubernetesObject } from "../meta.ts";

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
 * Names the Canary that holds a Deployment. If the Canary's journal is gone, for example after a restore of one
 * namespace, this shows that the engine has paused the Deployment, and not a person.
 */
export const holderAnnotation = "rollout.serin.dev/held-by";

/**
 * The annotation by which a person lets a rollout end without its lost journal. Its value is the time of the loss,
 * which the rollout's message names. So it does not apply to a later loss.
 */
export const withoutJournalAnnotation = "rollout.serin.dev/without-journal";

/**
 * The name of a kind in commands of kubectl. Flagger also has a kind Canary. Where both exist, kubectl takes the plain
 * name for Flagger's kind.
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

/** Why a rollout that is Paused, Waiting or Stuck does not go on. Programs read this and never the message. */
export const pauseReasons = [
  // Paused: a step waits for a person's approval.
  "approval",
  // Paused: `spec.paused` is set.
  "order",
  // Paused: the object is a copy of another, without that object's status.
  "restored",
  // Waiting: a freeze is in force.
  "freeze",
  // Waiting: another rollout comes first.
  "rollout",
  // Waiting: too many rollouts are under way.
  "limit",
  // Waiting: other members of its group are not as far.
  "group",
  // Waiting: a member of its group was rolled back, and a person must change it.
  "group-failed",
  // Stuck: a check failed under `rollback: Manual`.
  "check",
  // Stuck: a check receives no samples.
  "samples",
  // Stuck: a step did not settle, or its writes did not stay, under `rollback: Manual`.
  "step",
  // Stuck: somebody else changed what the rollout writes.
  "conflict",
  // Stuck: something blocks the rollback.
  "undo",
  // Stuck: the spec does not fit the cluster.
  "spec",
  // Stuck: the author lacks a right, or is unknown.
  "author",
  // Stuck: each round of the engine fails, for example because the API server cannot read an object.
  "error",
] as const;
export type PauseReason = (typeof pauseReasons)[number];

/** The status of a Canary or MeshUpgrade: where it is, what it measured, and why it decided so. */
export interface RolloutStatus {
  readonly observedGeneration: number;
  readonly phase: RolloutPhase;
  /** When it entered this phase. */
  readonly phaseSince?: string;
  /** The number of finished steps and of all steps, for example `3/7`. */
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
  /**
   * A digest of the pod template or spec that is being rolled out, or was rolled out last. A new one starts a new run.
   */
  readonly candidate?: string;
  /**
   * What the run moves, as it was when the run began: the target, or the two revisions. Absent if an older engine began
   * the run.
   */
  readonly moves?: string;
  /**
   * The rule at the position that the target names. Absent if the target has no position, or if an older engine wrote
   * the status.
   */
  readonly meantRule?: MeantRule;
  /**
   * The orders that existed when the engine noticed this run. They do not apply to it. Absent in an object's first run,
   * unless the object is a copy.
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
  /** The objects of which the journal has entries. Absent if it has none, or if an older engine wrote the status. */
  readonly journaled?: JournaledObjects;
  /** Set since the engine has found that somebody deleted the journal and its entries. */
  readonly lostJournal?: LostJournal;
  /** The namespaces that this rollout has locked. Other rollouts do not touch their objects. */
  readonly namespaces?: readonly string[];
  readonly conditions: readonly Condition[];
}

/** The objects of which the journal has entries. If somebody deletes the journal, they show that it is lost. */
export interface JournaledObjects {
  /** At most {@link maxJournaledObjects}. */
  readonly objects: readonly string[];
  /** The number of objects that are not in the list. */
  readonly more?: number;
  /** Whether some entries prepared the target. */
  readonly setup?: boolean;
  /**
   * The number and the digest of the entries that an undo would restore. They differ in an older journal from a backup.
   * Absent in a status that an earlier release wrote.
   */
  readonly sum?: string;
}

export const maxJournaledObjects = 50;

/** A journal that somebody deleted with its entries. */
export interface LostJournal extends JournaledObjects {
  readonly at: string;
  /** What the engine can put back without the journal, because the objects themselves show it. */
  readonly back?: readonly string[];
  /** What a person must look at, with a command for each. Absent until the engine has looked at the objects. */
  readonly left?: readonly string[];
  /** Whether a person has let the rollout end without its journal. */
  readonly accepted?: boolean;
}

/**
 * A rule of a route that a target names by its position, as the engine saw it last. Rules are known by digests of their
 * names and of what they match.
 */
export interface MeantRule {
  /** The route, and the list in it that contains the rule. */
  readonly route: string;
  /** The position in the spec. */
  readonly rule: number;
  /** A digest of the target. */
  readonly target: string;
  /** Where the rule was last. */
  readonly index: number;
  /** The rules of the list from this index on: the rule itself, and those around it. */
  readonly from: number;
  readonly known: readonly string[];
  /** The number of rules of the list. */
  readonly length: number;
}

/**
 * The state of a rollback. Durations come from a monotonic clock while an engine runs, so that jumps of the wall clock
 * do not count.
 */
export interface UndoStatus {
  readonly startedAt: string;
  readonly elapsedMs: number;
  /** The time since the last object was restored, or the last pod of a restarted workload was replaced. */
  readonly waitedMs: number;
  /** The smallest number of pods that restarted workloads have lacked since the last object was restored. */
  readonly podsLeft?: number;
  /** What blocks the rollback, by name. */
  readonly waitingFor: readonly string[];
  /** What follows the rollback: the end, the next change, or the deletion of the object. */
  readonly next: "RolledBack" | "NewRun" | "Deleted";
  /** The kind of cause. Absent if an older engine started the rollback. */
  readonly because?: UndoCause;
  /** The type of the failed check, if a check failed. */
  readonly check?: string;
}

/** Why a rollback started, as a word for metrics. */
export type UndoCause =
  | "check"
  /** The step can no longer settle. */
  | "settle-failed"
  /** The step did not settle in time. */
  | "settle-timeout"
  /** A write was reverted or rejected. */
  | "write"
  /** A failure before anything was moved. */
  | "preflight"
  /** A person's order. */
  | "order"
  | "group"
  /** Another change of the spec, or of the workload that the rollout moves. */
  | "superseded"
  /** A change back to the previous version. */
  | "reverted"
  /** Remains of an earlier object with the same name. */
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
   * The time at which the wait ends: the step fails unless it has made progress, the rollout is Stuck unless a sample
   * has come, or a soak is over.
   */
  readonly waitsUntil?: string;
  /** Set if the step only waits for live connections to end. Other rollouts do not wait for it. */
  readonly lingers?: boolean;
  /** The orders that existed when the step failed and began to wait for a person. They do not decide about it. */
  readonly ordersBefore?: OrdersMark;
}

/** One check's verdict with its evidence, and the state of its statistic, so that a restarted engine continues. */
export interface CheckStatus {
  readonly type: string;
  /** Set if the check has its own name. */
  readonly name?: string;
  /** Whether the verdict is only recorded, and has no effect. */
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

/**
 * Keeps the object of a running rollout until its changes are undone, or until the engine leaves them because
 * `onDeletion` says so.
 */
export const undoFinalizer = "rollout.serin.dev/undo";

/** Whether the API server keeps the object until the engine has undone its changes. */
export function hasUndoFinalizer({ metadata }: KubernetesObject): boolean {
  return metadata.finalizers?.includes(undoFinalizer) === true;
}
