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

export interface RolloutCommands {
  readonly approve: string;
  readonly undo: string;
  readonly resume: string;
  readonly retry: string;
  /** The command that continues without the remaining checks. Only a Canary can be promoted. */
  readonly promote?: string;
  readonly edit: string;
  /** The beginning of the command that writes annotations, without the annotation itself. */
  readonly annotate: string;
  readonly journal: string;
}

export interface RolloutOrders {
  readonly commands: RolloutCommands;
  readonly generation: number;
  readonly paused: boolean;
  readonly abort: boolean;
  /** The object is a copy of another one, and no user has taken the copy over yet. */
  readonly isCopy?: true;
  /** The user who set `paused` or `abort`, or the program if no user is named. Undefined if unknown. */
  readonly orderedBy?: string;
  readonly automaticRollback: boolean;
  readonly approvals: readonly Approval[];
  readonly fullPromotion?: { readonly by: string; readonly why: string };
  /** What the spec moves, for {@link RolloutStatus.moves}. Absent if the spec cannot be parsed. */
  readonly moves?: string;
  /** The latest orders, whichever run they were given for. */
  readonly last: OrdersMark;
  readonly settleTimeoutMs: number;
  /** The value of the annotation `rollout.serin.dev/without-journal`. */
  readonly withoutJournal?: string;
  /** What happens to the changes of a run under way. Set while the object is being deleted. */
  readonly deletion?: "Rollback" | "Leave";
  /** Holds the namespaces of all its steps from its beginning to its end, not only those of the current step. */
  readonly holdsAllNamespaces: boolean;
}

export interface DecideInput {
  readonly orders: RolloutOrders;
  readonly status: RolloutStatus;
  /** The current plan. A finished step is recognised by its id. Empty during an undo. */
  readonly steps: readonly Step[];
  readonly change: {
    /** The digest of the version to roll out. */
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
     * What a person should know before the run begins and admission cannot find out: settings of the spec without an
     * effect, and requests that will fail.
     */
    readonly remarks?: readonly string[];
    /** Somebody has resumed the Deployment that the rollout holds. This write holds it again. */
    readonly resumed?: Extract<Write, { type: "field" }>;
    /** See {@link RolloutStatus.meantRule}. */
    readonly meantRule?: MeantRule;
  };
  /**
   * The observation of the step that {@link currentStep} returns. Undefined if there is no such step, or if it has not
   * begun.
   */
  readonly observation: Observation | undefined;
  readonly journal: JournalCounts;
  /**
   * What the remaining objects show about a lost journal. Absent if the journal is not lost, or if no round has looked
   * at the objects.
   */
  readonly derived?: Required<Pick<LostJournal, "back" | "left">>;
  /** The result of the last `undo`. Undefined if this engine has not tried one yet. */
  readonly undo?: UndoReport;
  /**
   * Set when the step's last write failed, or when somebody undoes it again and again. Undefined when a write has
   * succeeded and nobody undoes it.
   */
  readonly failedWrite?: FailedWrite;
  /** Why no step may begin now. The first one becomes the reason in the status. */
  readonly blockers: readonly Blocker[];
  readonly group?: GroupView;
  /**
   * Time since the last round on a steady clock, up to a bound. It includes neither a jump of the wall clock nor a time
   * without an engine.
   */
  readonly elapsedMs: number;
  readonly nowMs: number;
}

export interface FailedWrite {
  readonly detail: string;
  /** The action that failed clears the journal of an ended run, and changes nothing else. */
  readonly clearsJournal?: true;
  /** The write that holds the Deployment again succeeds, but somebody resumes the Deployment again and again. */
  readonly holdsAgain?: true;
  /** Whether it is too early to try the write again. */
  readonly waits: boolean;
}

export interface Decision {
  readonly status: RolloutStatus;
  readonly actions: readonly Action[];
  /**
   * Set if an action repeats a write, because somebody has undone it, or because a webhook has changed it. The detail
   * names who has done so.
   */
  readonly repeats?: Omit<FailedWrite, "waits">;
}

export interface JournalCounts {
  readonly run: number;
  readonly setup: number;
  /** The last run in the journal has completed, so its changes stay. */
  readonly completed: boolean;
  /** The entries belong to an earlier object of this name that somebody removed despite its finalizer. */
  readonly isLeftover?: boolean;
  readonly missing?: true;
  /** The namespace of the probes, if the run has made it. */
  readonly probes?: ObjectReference;
  /** The objects of the entries, except of those that the engine derived after a loss of the journal. */
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

/** The name of the step for entries that the engine derived from the objects themselves after a loss of the journal. */
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

type PutBackCause = "undo" | "deletion" | "abort" | "group";

interface PutBackInput extends Pick<DecideInput, "status" | "orders" | "group"> {
  /** The facts of the journal. Absent if no round has read it yet. */
  readonly journal?: Pick<JournalCounts, "run">;
}

/**
 * What asks for the undo of the rollout's changes. Undefined if nothing does. An undo needs neither a plan nor the
 * author's rights, so rounds call this before they plan, and `decide` calls it again.
 */
export function putBackCause({ status, orders, group, journal }: PutBackInput): PutBackCause | undefined {
  if (isPuttingBack(status)) return "undo";
  if (orders.deletion !== undefined) return "deletion";
  if (status.phase === "RolledBack") return undefined;
  if (orders.abort && !isUnbegun(status, journal)) return "abort";
  const follows = isUnderWay(status) || status.phase === "Completed" || isRefusedAfterEnd(status);
  return follows && group?.failed !== undefined ? "group" : undefined;
}

/**
 * Whether the rollout waits for its first run. In this case an abort undoes nothing, and the engine still reports
 * faults of the target.
 */
function isUnbegun({ phase, run = 0 }: PutBackInput["status"], journal: PutBackInput["journal"]): boolean {
  return phase === "Watching" && run === 0 && (journal?.run ?? 0) === 0;
}

export function at(ms: number): string {
  return new Date(ms).toISOString();
}
