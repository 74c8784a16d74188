import { defineKind } from "../kind.ts";
import type { Condition, KubernetesObject, UntypedObject } from "../meta.ts";

export const rolloutGroup = "rollout.serin.dev";
export const rolloutVersion = "v1alpha1";

/** The states of a rollout. `Stuck` waits for a person; `Completed` and `RolledBack` are ends. */
export const rolloutPhases = ["Planned", "Progressing", "Settling", "Judging", "Soaking", "Paused", "RollingBack", "Completed", "RolledBack", "Stuck"] as const;
export type RolloutPhase = (typeof rolloutPhases)[number];

/** The status of a Canary and of a MeshUpgrade: where it is, what it saw, and why it decided so. */
export interface RolloutStatus {
  readonly observedGeneration: number;
  readonly phase: RolloutPhase;
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
  readonly conditions: readonly Condition[];
}

export interface StepStatus {
  readonly id: string;
  readonly title: string;
  readonly startedAt: string;
  /** Samples count from here. */
  readonly settledAt?: string;
  readonly checks: readonly CheckStatus[];
}

/** One check's verdict with its evidence, and the state of its statistic, so that a restarted engine goes on where it was. */
export interface CheckStatus {
  readonly type: string;
  readonly verdict: Verdict;
  readonly evidence: string;
  readonly statistic?: unknown;
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
    }
  | { readonly type: "created"; readonly step: string; readonly object: ObjectReference }
  | { readonly type: "deleted"; readonly step: string; readonly object: ObjectReference; readonly body: UntypedObject };

/** Cluster-scoped, named after its rollout; kept after the end, so that undo works from any phase. */
export interface RolloutJournal extends KubernetesObject {
  /** Raised when the meaning of an entry changes; an engine stops at a journal that is newer than it knows. */
  formatVersion: number;
  entries: readonly JournalEntry[];
}

export const journalFormatVersion = 1;

export const rolloutJournalKind = defineKind<RolloutJournal>({
  group: rolloutGroup,
  versions: [rolloutVersion],
  kind: "RolloutJournal",
  plural: "rolloutjournals",
  namespaced: false,
});
