import type { ProbeMatrix } from "./probe-matrix.ts";
import type { OrdersMark } from "./rollout-orders.ts";
import type { Condition, KubernetesObject } from "../meta.ts";

export const rolloutGroup = "rollout.serin.dev";
/**
 * The user who created a rollout or last changed its effect. Only the engine's webhook writes it. The webhook rejects
 * it from clients.
 */
export const authorAnnotation = "rollout.serin.dev/author";
export const rolloutVersion = "v1alpha1";

/**
 * The uid of the object for which the engine has worked. It shows that an object is a copy, from a backup or an export:
 * a copy has another uid. A copy without its status would otherwise begin at the first step.
 */
export const ownUidAnnotation = "rollout.serin.dev/uid";
/**
 * The value of {@link ownUidAnnotation} in a copy whose original uid is unknown. The copy has the author or the orders
 * of another object.
 */
export const unknownUid = "unknown";
/**
 * The Canary that holds a Deployment. If the Canary's journal is gone, for example after a restore of one namespace,
 * this shows that the engine has paused the Deployment, and not a person.
 */
export const holderAnnotation = "rollout.serin.dev/held-by";

/**
 * With this annotation, a person lets a rollout end without its lost journal. The value is the time of the loss, which
 * the rollout's message names, so that it does not apply to a later loss.
 */
export const withoutJournalAnnotation = "rollout.serin.dev/without-journal";

/**
 * The name of a kind in commands of kubectl. Flagger also has a kind Canary, and kubectl takes the plain name for
 * Flagger's, so Serin's needs its group.
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
 * The phases of a rollout. A `Waiting` rollout waits for something other than a person (a freeze, another rollout, its
 * group), a `Paused` one for a person, and a `Watching` one for a change to roll out. A `Stuck` rollout needs a person.
 * A run ends with `Completed` or `RolledBack`.
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

export function isEndPhase(phase: string | undefined): boolean {
  return phase === "Completed" || phase === "RolledBack";
}

/** Whether a rollout in this phase moves nothing before the next change: its run has ended, or none has begun. */
export function isRestingPhase(phase: string | undefined): boolean {
  return phase === "Watching" || isEndPhase(phase);
}

/** Why a rollout that is Paused, Waiting or Stuck does not continue. Programs read this, and never the message. */
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
  // Waiting: other members of its group are behind.
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

export interface RolloutStatus {
  readonly observedGeneration: number;
  readonly phase: RolloutPhase;
  readonly phaseSince?: string;
  /** Finished steps and all steps, for example `3/7`. */
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
  /** Why the run was rolled back: a sentence with the cause and the evidence. */
  readonly cause?: string;
  readonly rolledBackInMs?: number;
  /** The number of the run, from 1. Each change that the object rolls out is a run. */
  readonly run?: number;
  /**
   * A digest of the pod template or spec that is being rolled out, or was rolled out last. Another digest starts a new
   * run.
   */
  readonly candidate?: string;
  /**
   * What the run moves: the target, or the two revisions, as they were when the run began. Absent if an older engine
   * began the run.
   */
  readonly moves?: string;
  /**
   * The rule at the position that the target names. Absent if the target names no position, or if an older engine wrote
   * the status.
   */
  readonly meantRule?: MeantRule;
  /**
   * The orders that already existed when the engine noticed this run. They do not apply to it. Absent in an object's
   * first run, unless the object is a copy.
   */
  readonly ordersBefore?: OrdersMark;
  /** All currently planned steps, including completed ones, at most {@link maxPlannedSteps}. */
  readonly plannedSteps?: readonly PlannedStep[];
  /** The canary's percentage of the traffic, as the last settled step set it. */
  readonly weight?: number;
  /** Set during a rollback, also while it is stuck. It stays afterwards, because it determines the final phase. */
  readonly undo?: UndoStatus;
  /** Members of a group with the same value took their steps together, and are rolled back together. */
  readonly groupRun?: string;
  /** The objects that the journal has entries about. Absent if it has none, or if an older engine wrote the status. */
  readonly journaled?: JournaledObjects;
  /** Set after the engine has found that somebody deleted the journal. */
  readonly lostJournal?: LostJournal;
  /** The namespaces that this rollout has locked. Other rollouts do not change objects in them. */
  readonly namespaces?: readonly string[];
  readonly conditions: readonly Condition[];
}

export interface JournaledObjects {
  /** At most {@link maxJournaledObjects}. */
  readonly objects: readonly string[];
  /** The number of objects that are not in the list. */
  readonly more?: number;
  /** Whether some entries prepared the target. */
  readonly setup?: boolean;
  /**
   * The number and the digest of the entries that an undo would restore. A journal from an old backup has others.
   * Absent in a status that an earlier release wrote.
   */
  readonly sum?: string;
}

export const maxJournaledObjects = 50;

/** A journal that somebody deleted while it had entries. */
export interface LostJournal extends JournaledObjects {
  readonly at: string;
  /** What the engine can put back without the journal, because the objects themselves show it. */
  readonly back?: readonly string[];
  /** What a person must look at, with a command for each. Absent until the engine has examined the objects. */
  readonly left?: readonly string[];
  /** Whether a person has let the rollout end without its journal. */
  readonly accepted?: boolean;
}

/**
 * The rule of a route that a target names by its position, as the engine last saw it. The engine recognises rules by
 * digests of their names and matches.
 */
export interface MeantRule {
  readonly route: string;
  readonly rule: number;
  readonly target: string;
  /** The position at which the engine last saw the rule. */
  readonly index: number;
  /** The position of the first rule in `known`, which has the rule itself and those around it. */
  readonly from: number;
  readonly known: readonly string[];
  readonly length: number;
}

/**
 * The state of a rollback. While an engine runs, it measures durations with a monotonic clock, so that jumps of the
 * wall clock do not count.
 */
export interface UndoStatus {
  readonly startedAt: string;
  readonly elapsedMs: number;
  /** The time since the rollback last restored an object, or replaced the last pod of a restarted workload. */
  readonly waitedMs: number;
  /** The smallest number of pods that restarted workloads have lacked since the rollback last restored an object. */
  readonly podsLeft?: number;
  /** What blocks the rollback, by name. */
  readonly waitingFor: readonly string[];
  /** What follows the rollback: the end, the next change, or the object's deletion. */
  readonly next: "RolledBack" | "NewRun" | "Deleted";
  /** Why the rollback started. Absent if an older engine started it. */
  readonly because?: UndoCause;
  /** The type of the check that failed. Absent if none did. */
  readonly check?: string;
}

export type UndoCause =
  | "check"
  /** The step can no longer settle. */
  | "settle-failed"
  /** The step did not settle in time. */
  | "settle-timeout"
  /** A write was rejected, or somebody reverted it. */
  | "write"
  /** The run failed before it moved anything. */
  | "preflight"
  /** A person's order. */
  | "order"
  | "group"
  /** The spec, or the workload that the rollout moves, has changed again. */
  | "superseded"
  /** The change was taken back: the workload has the previous version again. */
  | "reverted"
  /** An earlier object with the same name has left changes behind. */
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
  /** Samples from before this time do not count. */
  readonly settledAt?: string;
  readonly checks: readonly CheckStatus[];
  /** What has not settled yet or blocks it, by name. */
  readonly waitingFor?: readonly string[];
  /**
   * How long the step has been settling. While an engine runs, it measures with a monotonic clock, so neither its
   * downtime nor jumps of the clock count.
   */
  readonly settlingMs?: number;
  readonly settledForMs?: number;
  /** The smallest number of parts that had not settled, and how long ago the step reached it. */
  readonly settlingLeft?: number;
  readonly stalledMs?: number;
  /** When the current wait began or last made progress. */
  readonly waitingSince?: string;
  /**
   * When the wait ends. Then the step fails if it has made no progress, the rollout is Stuck if no sample has come, or
   * the soak is over.
   */
  readonly waitsUntil?: string;
  /** Set if the step only waits for live connections to end. Other rollouts do not wait for it. */
  readonly lingers?: boolean;
  /**
   * The orders that already existed when the step failed and began to wait for a person. They do not decide about it.
   */
  readonly ordersBefore?: OrdersMark;
}

/**
 * The verdict of one check with its evidence. `statistic` is the state of its statistic, with which a restarted engine
 * continues.
 */
export interface CheckStatus {
  readonly type: string;
  /** Absent if the check's name is its type. */
  readonly name?: string;
  /** Whether the verdict is only recorded, and has no effect. */
  readonly dryRun?: boolean;
  readonly verdict: Verdict;
  readonly evidence: string;
  readonly statistic?: unknown;
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
 * Keeps a deleted rollout's object until the engine has undone its changes, or has left them because `onDeletion` says
 * so.
 */
export const undoFinalizer = "rollout.serin.dev/undo";

export function hasUndoFinalizer({ metadata }: KubernetesObject): boolean {
  return metadata.finalizers?.includes(undoFinalizer) === true;
}
