import { firstNames } from "../../base/index.ts";
import { defineKind } from "../kind.ts";
import type { KubernetesObject, UntypedObject } from "../meta.ts";
import { rolloutGroup, rolloutVersion } from "./rollout-status.ts";

export interface ObjectReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly plural: string;
  readonly name: string;
  readonly namespace?: string;
}

/** One change of a rollout, with the value from before. Undo applies the entries in reverse. */
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
      /**
       * The list as the rollout planned it. Set if `written` also contains changes of others, which `prior` does not
       * contain.
       */
      readonly planned?: unknown;
      /**
       * The value that `written` replaces. It is set if the step's plan has changed, so that the step writes another
       * value. After a crash between the journal and the write, the field still has the replaced value, whoever wrote
       * it.
       */
      readonly replaced?: unknown;
      /** Like `planned`, for `replaced`. */
      readonly replacedPlan?: unknown;
      /**
       * The planned list as the server has stored it, if a webhook has changed it. The engine compares the field with
       * it to recognise later edits of others. The field manager does not show them, because after such an edit it also
       * covers the webhook's changes.
       */
      readonly stored?: unknown;
      readonly restart?: RestartKind;
      /**
       * Set if a user wrote the value, and the rollout only adopted it. If the field has changed since, undo leaves it
       * alone.
       */
      readonly adopted?: boolean;
      /**
       * Set if the object is a copy that the rollout usually makes itself, such as the second Deployment of a gateway,
       * and that it has found. Others, such as an autoscaler, may change the written value. Undo restores the prior one
       * nevertheless.
       */
      readonly own?: boolean;
      /**
       * The value that the user wrote after the adopted one, while the rollout replaced pods. Undo first writes the
       * prior value, which the pods need, and writes this one after it has undone all other changes of the field.
       */
      readonly later?: unknown;
      readonly undoGroup?: string;
      readonly setup?: boolean;
      /** The number of parents of the field that the rollout created. Undo removes those that are empty. */
      readonly madeParents?: number;
      /**
       * How many pods the workload lacked before the rollout first changed it. Undo does not wait for these. Absent if
       * it lacked none.
       */
      readonly lacked?: number;
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
      readonly lacked?: number;
    };

/**
 * The kind of a write that replaces a workload's pods. Within its `undoGroup`, it is undone after all other writes, so
 * that new pods start with the restored configuration. The undo of `template` writes the previous value, which rolls
 * the workload back. The undo of `time` writes the time of the undo.
 */
export type RestartKind = "template" | "time";

/**
 * The journal of a rollout: a cluster-scoped object that the engine keeps after the rollout's end and deletion, so that
 * undo works from any phase and the history remains.
 */
export interface RolloutJournal extends KubernetesObject {
  /** Increases when the meaning of an entry changes. An engine refuses a journal that is newer than it knows. */
  formatVersion: number;
  entries: readonly JournalEntry[];
  /** All decisions, oldest first. At most {@link maxDecisions}. */
  decisions?: readonly DecisionRecord[];
}

/**
 * The uid of the rollout that made the journal's entries. Another rollout of the same name undoes them before it
 * begins. Absent in journals of earlier releases.
 */
export const journalOwnerAnnotation = "rollout.serin.dev/rollout-uid";

/**
 * The number and a digest of the entries as the engine last wrote them. If the entries do not match, somebody else has
 * changed them since. A person accepts the change by removing the annotation. Absent in journals of earlier releases.
 */
export const entriesSumAnnotation = "rollout.serin.dev/entries-sum";

export interface DecisionRecord {
  /** In RFC 3339. */
  readonly at: string;
  readonly run: number;
  /**
   * The reason of an Event: Started, StepStarted, StepDone, Approved, Paused, Resumed, RollingBack, Undone, RolledBack,
   * Completed, Stuck, Waiting, Held, Deleted or JournalWritten.
   */
  readonly decision: string;
  readonly step?: string;
  readonly message: string;
  /** The person who ordered the decision. Absent if nobody did. */
  readonly by?: string;
  readonly evidence?: readonly string[];
}

const turns = new Set(["Started", "RollingBack", "RolledBack", "Completed"]);

/** Whether the last run in the journal has completed, so that its changes are meant to stay. */
export function lastRunCompleted(decisions: readonly Pick<DecisionRecord, "decision">[]): boolean {
  return decisions.findLast(({ decision }) => turns.has(decision))?.decision === "Completed";
}

const changesShown = 5;

/**
 * A message about what a removed rollout has left behind, and what a person can do about it. Undefined if it has left
 * nothing. The changes of a completed run are meant to stay, except those that only prepared its target.
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

/** The limit for a journal's decisions. The oldest decisions of ended runs are dropped first. */
export const maxDecisions = 2000;
/** Format 2 added restarts, undo groups, setup entries and decisions. The engine still reads older journals. */
export const journalFormatVersion = 2;

export const rolloutJournalKind = defineKind<RolloutJournal>({
  group: rolloutGroup,
  versions: [rolloutVersion],
  kind: "RolloutJournal",
  plural: "rolloutjournals",
  namespaced: false,
});
