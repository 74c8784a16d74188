import type { RolloutStatus, UndoCause, UndoStatus } from "../../api/serin/index.ts";
import { saysTheSame, withHold } from "./hold.ts";
import { at, type DecideInput, type Decision } from "./input.ts";
import type { Action, RolloutEvent, UndoReport, UndoScope } from "./observation.ts";
import { probeNamespaceObject } from "./probe-namespace.ts";
import { namedOnce } from "./settle-progress.ts";
import { describeReference } from "./step.ts";

/**
 * How long an undo may make no progress before it reports this, and continues with all entries that do not depend on
 * the ones it waits for.
 */
export const undoPatienceMs = 60_000;
/**
 * How long an undo may make no progress before a person must act. This does not apply while it waits only for pods that
 * are ending.
 */
const undoStuckMs = 120_000;

export interface RollbackReason {
  readonly because: UndoCause;
  readonly cause: string;
  readonly check?: string;
}

export function startRollback(
  input: DecideInput,
  { because, cause, check }: RollbackReason,
  next: UndoStatus["next"],
  by?: string,
): Decision {
  const { status, nowMs } = input;
  const undo: UndoStatus = {
    startedAt: at(nowMs),
    elapsedMs: 0,
    waitedMs: 0,
    waitingFor: [],
    next,
    because,
    ...(check === undefined ? {} : { check }),
  };
  return {
    status: { ...status, phase: "RollingBack", cause, message: cause, endedAt: at(nowMs), undo },
    actions: [
      {
        type: "event",
        reason: "RollingBack",
        message: cause,
        warning: true,
        ...stepOf(status),
        ...(by === undefined ? {} : { by }),
      },
      { type: "undo", scope: scopeOf(undo, status), passOver: false },
    ],
  };
}

export const leftoverCause = "its journal still has entries of an earlier object of this name; these are undone first";

/**
 * Undoes everything that an earlier object of this name has left behind, after somebody removed that object's
 * finalizer. The changes of a completed run stay, as after a deletion.
 */
export function undoLeftover(input: DecideInput): Decision {
  const { journal, orders, status } = input;
  if (journal.run > 0 && (journal.completed || leavesRun(input))) return { status, actions: [{ type: "forget" }] };
  const next = orders.deletion !== undefined ? "Deleted" : orders.abort ? "RolledBack" : "NewRun";
  return startRollback(input, { because: "leftover", cause: leftoverCause }, next);
}

/**
 * The next decision about an undo. The undo continues until nothing is left, even while some objects cannot be reached.
 */
export function rollBackFurther(input: DecideInput): Decision {
  const { status, journal, nowMs, elapsedMs, orders } = input;
  const before = status.undo ?? { startedAt: at(nowMs), elapsedMs: 0, waitedMs: 0, waitingFor: [], next: "RolledBack" };
  const next = orders.deletion === undefined ? before.next : "Deleted";
  const report = reportOf(input);
  const undo: UndoStatus = {
    ...before,
    next,
    elapsedMs: before.elapsedMs + elapsedMs,
    ...(report === undefined ? {} : waitOf(before, report, elapsedMs)),
  };
  const scope = scopeOf(undo, status);
  const left = scope === "all" ? journal.run + journal.setup : journal.run;
  if (left === 0) return end(input, undo);
  const passOver = undo.waitedMs > undoPatienceMs;
  const again: readonly Action[] = input.failedWrite?.waits === true ? [] : [{ type: "undo", scope, passOver }];
  // A restarted engine does not know yet what blocks the undo.
  if (report === undefined && status.phase === "Stuck") return { status: { ...status, undo }, actions: again };
  if (report?.conflict !== undefined)
    return stuck(status, undo, { reason: "conflict", message: report.conflict }, again);
  if (report !== undefined && report.isEnding !== true && undo.waitedMs > undoStuckMs && undo.waitingFor.length > 0)
    return stuck(
      status,
      undo,
      {
        reason: "undo",
        message: `the undo waits for ${undo.waitingFor.join("; ")}; resolve it, and the undo continues by itself`,
      },
      again,
    );
  const events: RolloutEvent[] = [];
  if (status.phase === "Stuck")
    events.push({
      type: "event",
      reason: "Resumed",
      message: "no longer held up: the undo continues",
      warning: false,
    });
  if (passOver && before.waitedMs <= undoPatienceMs) {
    const message = `waited ${undoPatienceMs / 1000} s for ${undo.waitingFor.join("; ")}: everything else is undone, the rest is retried`;
    events.push({ type: "event", reason: "Waiting", message, warning: true });
  }
  const cause = status.cause ?? "";
  const message = undo.waitingFor.length === 0 ? cause : `${cause}; still to undo: ${undo.waitingFor.join("; ")}`;
  return { status: { ...status, phase: "RollingBack", message, undo }, actions: [...events, ...again] };
}

/** How long undo has waited since the last progress, and for what. Each replaced pod counts as progress. */
function waitOf(
  { podsLeft: before = Number.POSITIVE_INFINITY, waitedMs }: UndoStatus,
  { undone, waitingFor, podsLeft }: UndoReport,
  elapsedMs: number,
): Pick<UndoStatus, "waitedMs" | "waitingFor" | "podsLeft"> {
  const hasUndone = undone > 0;
  const isNearer = podsLeft !== undefined && podsLeft < before;
  return {
    waitedMs: hasUndone || isNearer ? 0 : waitedMs + elapsedMs,
    waitingFor: namedOnce(waitingFor),
    ...(podsLeft === undefined ? {} : { podsLeft: hasUndone ? podsLeft : Math.min(podsLeft, before) }),
  };
}

/**
 * The result of the last pass. If the pass failed, for example because the server refuses to change the journal, undo
 * waits for that too.
 */
function reportOf({ undo, failedWrite }: DecideInput): UndoReport | undefined {
  if (failedWrite === undefined) return undo;
  return { ...undo, undone: 0, isEnding: false, waitingFor: [failedWrite.detail, ...(undo?.waitingFor ?? [])] };
}

function stuck(
  status: RolloutStatus,
  undo: UndoStatus,
  hold: { readonly reason: "conflict" | "undo"; readonly message: string },
  again: readonly Action[],
): Decision {
  const told = status.phase === "Stuck" && saysTheSame(status.message, hold.message);
  const message = told ? status.message : hold.message;
  const events: RolloutEvent[] = told ? [] : [{ type: "event", reason: "Stuck", message, warning: true }];
  return {
    status: { ...withHold(status, { ...hold, phase: "Stuck", message }), undo },
    actions: [...events, ...again],
  };
}

function end(input: DecideInput, undo: UndoStatus): Decision {
  const { status, nowMs, journal } = input;
  const cause = status.cause ?? "";
  // A deleted object must stay until all members of its group have begun their undo.
  const notFollowing = undo.next === "Deleted" ? (input.group?.notFollowing ?? []) : [];
  if (notFollowing.length > 0)
    return {
      status: { ...status, message: `waits until its group is undone as well: ${notFollowing.join(", ")}`, undo },
      actions: [],
    };
  const { step: _step, namespaces: _namespaces, ...rest } = status;
  const { podsLeft: _, ...ending } = undo;
  const ended: RolloutStatus = {
    ...rest,
    ...(status.step === undefined ? {} : { step: status.step }),
    phase: "RolledBack",
    message: cause,
    undo: { ...ending, waitingFor: [] },
    rolledBackInMs: Math.round(undo.elapsedMs),
    endedAt: at(nowMs),
    ...(status.weight === undefined ? {} : { weight: 0 }),
  };
  const event: RolloutEvent = {
    type: "event",
    reason: "RolledBack",
    message: `rolled back in ${ended.rolledBackInMs ?? 0} ms: ${cause}`,
    warning: true,
  };
  if (undo.next === "Deleted")
    return { status: ended, actions: [event, deletedEvent("its changes are undone"), { type: "release" }] };
  return { status: ended, actions: [event, ...(journal.setup === 0 ? [{ type: "release" } as const] : [])] };
}

function deletedEvent(what: string): RolloutEvent {
  return {
    type: "event",
    reason: "Deleted",
    message: `the object is deleted: ${what}; its history stays in its journal`,
    warning: false,
  };
}

/**
 * Decides about an object that is being deleted. The spec says whether the changes of the current run are undone or
 * stay. The preparation of a target is always undone, together with a run that builds on it.
 */
export function handleDeletion(input: DecideInput, underWay: boolean): Decision {
  const { status, journal, orders, failedWrite } = input;
  if (underWay && !leavesRun(input) && journal.run > 0)
    return startRollback(
      input,
      { because: "deletion", cause: "the object was deleted while it was under way" },
      "Deleted",
      orders.orderedBy,
    );
  const probes = underWay ? withoutProbes(input) : [];
  const ends: Action = { type: journal.run > 0 ? "forget" : "release" };
  // If the server refuses to delete the probes, the engine tries again, and the message says why.
  if (probes.length > 0 && failedWrite !== undefined) {
    const message = `the object is deleted when its probes are: ${failedWrite.detail}; correct what it names, and the engine continues`;
    const again = failedWrite.waits ? [] : [...probes, ends];
    return { status: heldByServer(status, message), actions: again };
  }
  if (journal.run > 0 && status.undo?.next !== "Deleted") {
    const left = underWay
      ? `its changes stay, because of onDeletion: ${orders.deletion ?? "Leave"}${probes.length === 0 ? "" : ", without its probes"}`
      : "its changes stay";
    return {
      status,
      actions: [
        { type: "event", reason: "Deleted", message: `the object is deleted: ${left}`, warning: false },
        ...probes,
        ends,
      ],
    };
  }
  if (journal.setup > 0)
    return startRollback(input, { because: "deletion", cause: "the object was deleted" }, "Deleted", orders.orderedBy);
  return { status, actions: [deletedEvent("nothing was left to roll back"), ...probes, ends] };
}

/**
 * The status of a rollout that the server keeps from ending or beginning a run. It is Stuck, because other rollouts
 * wait for it until a person acts.
 */
export function heldByServer(status: RolloutStatus, message: string): RolloutStatus {
  return withHold(status, { phase: "Stuck", reason: "error", message });
}

/**
 * Deletes the probes with their upgrade, because no other upgrade uses them. The upgrade's other changes stay. If
 * somebody has deleted the journal, the status still says that the upgrade has made probes.
 */
function withoutProbes({ journal, status: { journaled, undo } }: DecideInput): readonly Action[] {
  if (undo?.next === "Deleted") return [];
  const isNamed = journaled?.objects.includes(describeReference(probeNamespaceObject)) === true;
  const object = journal.probes ?? (isNamed && journal.run === 0 ? probeNamespaceObject : undefined);
  return object === undefined ? [] : [{ type: "write", write: { type: "delete", object, forGood: true } }];
}

/**
 * Whether the changes of a run under way stay. They do not stay if the target was prepared: its deletion also removes
 * the prepared route and releases the Deployment, and without these the run's weights would send requests to no pod.
 */
function leavesRun({ journal, orders }: DecideInput): boolean {
  return orders.deletion === "Leave" && journal.setup === 0;
}

/**
 * What the undo includes. A deletion also undoes the preparation of the target. So does the undo of an earlier object's
 * changes, if this object has prepared nothing yet.
 */
function scopeOf({ next, because }: UndoStatus, { completedSteps }: RolloutStatus): UndoScope {
  return next === "Deleted" || (because === "leftover" && completedSteps.length === 0) ? "all" : "run";
}

function stepOf({ step }: RolloutStatus): { readonly step?: string } {
  return step === undefined ? {} : { step: step.id };
}
