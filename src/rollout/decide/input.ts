import {
  lastRunCompleted,
  type Approval,
  type DecisionRecord,
  type JournalEntry,
  type LostJournal,
  type MeantRule,
  type ObjectReference,
  type OrdersMark,
  type RolloutStatus,
} from "../../api/serin/index.ts";
import type { Blocker, GroupView } from "./blockers.ts";
import { isPuttingBack, isRefusedAfterEnd, isUnderWay } from "./contender.ts";
import type { Action, Observation, UndoReport } from "./observation.ts";
import { probeNamespace } from "./probe-namespace.ts";
import { describeReference, type Step, type Write } from "./step.ts";

/** The commands for this rollout, for messages that say how to go on. */
export interface RolloutCommands {
  readonly approve: string;
  readonly undo: string;
  readonly resume: string;
  readonly retry: string;
  /** The command that continues without the remaining checks. Only a Canary can be promoted. */
  readonly promote?: string;
  readonly edit: string;
  /** The command that writes annotations. It ends before the annotation. */
  readonly annotate: string;
  /** The name of the journal. */
  readonly journal: string;
}

/** The orders that people have given. They are no part of the plan. */
export interface RolloutOrders {
  readonly commands: RolloutCommands;
  readonly generation: number;
  readonly paused: boolean;
  readonly abort: boolean;
  /** The object is a copy of another, which nobody has taken over yet. */
  readonly isCopy?: true;
  /** The user who set `paused` or `abort`, according to the object's field managers. Undefined if unknown. */
  readonly orderedBy?: string;
  readonly automaticRollback: boolean;
  readonly approvals: readonly Approval[];
  readonly fullPromotion?: { readonly by: string; readonly why: string };
  /** What the spec moves, for {@link RolloutStatus.moves}. Absent if the parser refuses the spec. */
  readonly moves?: string;
  /** The latest orders of all runs. */
  readonly last: OrdersMark;
  readonly settleTimeoutMs: number;
  /** The value of the annotation `rollout.serin.dev/without-journal`. */
  readonly withoutJournal?: string;
  /** Set when the object is being deleted. */
  readonly deletion?: "Rollback" | "Leave";
  /** Holds the namespaces of all its steps from its beginning to its end, not only those of the current step. */
  readonly holdsAllNamespaces: boolean;
}

export interface DecideInput {
  readonly orders: RolloutOrders;
  readonly status: RolloutStatus;
  /** The current plan. A finished step is recognised by its id. Empty during an undo. */
  readonly steps: readonly Step[];
  /** The version to roll out. */
  readonly change: {
    /** A digest of the version. */
    readonly candidate: string;
    /**
     * Whether the cluster determines the version. If so, each new digest begins a run, and no run begins before the
     * first change. Otherwise the spec determines the version, and a run begins at once.
     */
    readonly watched: boolean;
    /** This version already runs. */
    readonly idle?: boolean;
    /** This version does not run, and this is why no run begins. */
    readonly held?: string;
    /**
     * What a person should know before the run begins, and admission cannot tell: what the spec asks for without an
     * effect, and which requests will fail.
     */
    readonly remarks?: readonly string[];
    /** Somebody has resumed the Deployment that the rollout holds. The write holds it again. */
    readonly resumed?: Extract<Write, { type: "field" }>;
    /** See {@link RolloutStatus.meantRule}. */
    readonly meantRule?: MeantRule;
  };
  /** Observation of the step that {@link currentStep} returns. Undefined if there is none, or it has not begun. */
  readonly observation: Observation | undefined;
  /** The remaining journal entries, of the run and of the preparation of the target. */
  readonly journal: JournalCounts;
  /** What the objects of a lost journal show. Absent if the journal is not lost, or if nobody has looked. */
  readonly derived?: Required<Pick<LostJournal, "back" | "left">>;
  /** The result of the last `undo`. Undefined if this engine has not tried one yet. */
  readonly undo?: UndoReport;
  /** Set when the step's last write failed, or somebody keeps undoing it. Undefined after a write that stays. */
  readonly failedWrite?: FailedWrite;
  /** Why no step may begin now. The first one is the reason of the pause. */
  readonly blockers: readonly Blocker[];
  readonly group?: GroupView;
  /**
   * Time since the last round on a steady clock, up to a bound. A jump of the wall clock or a time without an engine
   * does not count.
   */
  readonly elapsedMs: number;
  readonly nowMs: number;
}

export interface FailedWrite {
  readonly detail: string;
  /** The action that failed clears the journal of an ended run, and changes nothing else. */
  readonly clearsJournal?: true;
  /** The write succeeds: it holds a Deployment that somebody resumes again and again. */
  readonly holdsAgain?: true;
  /** Whether it is too early to repeat the write. */
  readonly waits: boolean;
}

export interface Decision {
  readonly status: RolloutStatus;
  readonly actions: readonly Action[];
  /**
   * Set if an action repeats a write, because somebody has undone it. The detail names who has undone it, or what.
   */
  readonly repeats?: Omit<FailedWrite, "waits">;
}

export interface JournalCounts {
  readonly run: number;
  readonly setup: number;
  /** The last run in the journal has completed, so its changes stay. */
  readonly completed: boolean;
  /** An earlier object of this name has made the entries, and was removed despite its finalizer. */
  readonly isLeftover?: boolean;
  /** The journal does not exist. */
  readonly missing?: true;
  /** The namespace of the probes, if the run has made it. */
  readonly probes?: ObjectReference;
  /** The objects of the entries. */
  readonly objects?: readonly string[];
  /** The number and the digest of what an undo of the entries would restore. */
  readonly sum?: string;
}

/**
 * Counts the entries of a journal. `uid`: the rollout's uid. `copied`: the uid of the object that it was copied from,
 * with its status.
 */
export function journalCounts(
  {
    entries,
    decisions = [],
    uid: madeBy,
    missing,
    undoSum,
  }: {
    readonly entries: readonly JournalEntry[];
    readonly decisions?: readonly Pick<DecisionRecord, "decision">[];
    readonly uid?: string;
    readonly missing?: true;
    readonly undoSum?: string;
  },
  uid?: string,
  copied?: string,
): JournalCounts {
  const isForeign = madeBy !== undefined && uid !== undefined && madeBy !== uid && madeBy !== copied;
  const isLeftover = entries.length > 0 && isForeign;
  const setup = entries.filter((entry) => entry.setup === true).length;
  const probes = entries.find(
    ({ type, object: { kind, name } }) => type === "created" && kind === "Namespace" && name === probeNamespace,
  );
  return {
    run: entries.length - setup,
    setup,
    completed: lastRunCompleted(decisions),
    ...(isLeftover ? { isLeftover } : {}),
    ...(probes === undefined ? {} : { probes: probes.object }),
    ...(missing === undefined ? {} : { missing }),
    ...(undoSum === undefined ? {} : { sum: undoSum }),
    objects: [...new Set(entries.filter(isNotDerived).map(({ object }) => describeReference(object)))],
  };
}

/** The step of entries that the engine has derived from the objects themselves, because the journal was lost. */
export const derivedStep = "derived";

function isNotDerived({ step }: JournalEntry): boolean {
  return step !== derivedStep;
}

/**
 * Whether the journal has entries of a run that has ended, although the status is that of a run that has not begun.
 * Their changes stay.
 */
export function isOfEndedRun(
  journal: JournalCounts,
  { run = 0, startedAt }: Pick<RolloutStatus, "run" | "startedAt">,
): boolean {
  return startedAt === undefined && run > 0 && journal.run > 0 && (run > 1 || journal.completed);
}

/** What asks for the undo of a rollout: a begun undo, its deletion, an abort, or the undo of its group. */
type PutBackCause = "undo" | "deletion" | "abort" | "group";

interface PutBackInput extends Pick<DecideInput, "status" | "orders" | "group"> {
  /** Absent if nobody has read the journal yet. */
  readonly journal?: Pick<JournalCounts, "run">;
}

/**
 * What asks for the undo of what the rollout has done. Undefined if nothing does. An undo needs neither a plan nor a
 * right, so rounds ask this before they plan, and `decide` asks it again.
 */
export function putBackCause({ status, orders, group, journal }: PutBackInput): PutBackCause | undefined {
  if (isPuttingBack(status)) return "undo";
  if (orders.deletion !== undefined) return "deletion";
  if (status.phase === "RolledBack") return undefined;
  if (orders.abort && !isUnbegun(status, journal)) return "abort";
  const follows = isUnderWay(status) || status.phase === "Completed" || isRefusedAfterEnd(status);
  return follows && group?.failed !== undefined ? "group" : undefined;
}

/** Whether the rollout waits for its first run. Then an abort undoes nothing, and faults of its target are reported. */
function isUnbegun({ phase, run = 0 }: PutBackInput["status"], journal: PutBackInput["journal"]): boolean {
  return phase === "Watching" && run === 0 && (journal?.run ?? 0) === 0;
}

export function at(ms: number): string {
  return new Date(ms).toISOString();
}
