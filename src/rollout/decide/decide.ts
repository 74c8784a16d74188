import { counted } from "../../base/index.ts";
import { isRestingPhase, maxPlannedSteps, type RolloutPhase, type RolloutStatus } from "../../api/serin/index.ts";
import { advance } from "./advance.ts";
import { dated } from "./conditions.ts";
import { begunCopy, holdCopy, isUnbegunCopy } from "./copied.ts";
import { isPuttingBack, isRefusedAfterEnd, isUnderWay } from "./contender.ts";
import { at, isOfEndedRun, putBackCause, type DecideInput, type Decision, type RolloutOrders } from "./input.ts";
import { decideWithoutJournal, isJournalLost, withJournaled } from "./lost-journal.ts";
import type { Action } from "./observation.ts";
import { currentStep, plannedSteps, withLastWeightOpen } from "./planned-steps.ts";
import {
  handleDeletion,
  heldByServer,
  leftoverCause,
  rollBackFurther,
  startRollback,
  undoLeftover,
} from "./rollback.ts";
import { completedAgain, completedMessage, isHeld, recovered, withHold, withoutHold } from "./hold.ts";
import { describeReference } from "./step.ts";
import { promotion, waitFor } from "./step-outcome.ts";

const ends: ReadonlySet<RolloutPhase> = new Set(["Completed", "RolledBack"]);

export const initialStatus: RolloutStatus = {
  observedGeneration: 0,
  phase: "Planned",
  progress: "",
  message: "",
  completedSteps: [],
  conditions: [],
};

/**
 * The next state, and the actions that lead to it. Pure: the same input gives the same result, also after a crash of
 * the engine.
 */
export function decide(input: DecideInput): Decision {
  const decision = holdAgain(
    input,
    next({ ...input, status: { ...input.status, candidate: input.status.candidate ?? input.change.candidate } }),
  );
  const decided = isHeld(decision.status.phase) ? decision.status : withoutHold(decision.status);
  const message = shownMessage(input, decided);
  const status = {
    ...decided,
    ...(message === undefined ? {} : { message }),
    ...meantRuleOf(input),
    observedGeneration: input.orders.generation,
  };
  const journaled = withJournaled({ status, actions: decision.actions }, input.journal);
  return forgetLater(input, { ...decision, status: dated(journaled, input.status, input.nowMs) });
}

/**
 * The rule that the target's position means. While another rollout comes first, a rule that is already known keeps its
 * record: that rollout may have added rules to the list, and a new record would count the added rules as neighbours of
 * the meant one.
 */
function meantRuleOf({ status, change, blockers }: DecideInput): Pick<RolloutStatus, "meantRule"> {
  const [known, found] = [status.meantRule, change.meantRule];
  const isSame = found === undefined || (known?.route === found.route && known.rule === found.rule);
  const isKept = isSame && blockers.some(({ reason }) => reason === "rollout");
  const meantRule = isKept ? known : (found ?? known);
  return meantRule === undefined ? {} : { meantRule };
}

export const cannotClear = "the engine cannot clear the rollout's journal, and tries again";

/**
 * The decision, unless the server refuses to clear the journal of an ended run. Then the status says so, and the engine
 * tries again from time to time.
 */
function forgetLater({ failedWrite }: DecideInput, decision: Decision): Decision {
  const { status, actions } = decision;
  if (failedWrite?.clearsJournal !== true || !actions.some(({ type }) => type === "forget")) return decision;
  const message = `${cannotClear}: ${failedWrite.detail}; correct what it names, and the rollout continues by itself`;
  const again = failedWrite.waits ? [] : actions.filter(({ type }) => type !== "event");
  const held = isRestingPhase(status.phase) ? { ...status, message } : heldByServer(status, message);
  return { ...decision, status: held, actions: again };
}

/**
 * Adds a write to the decision that at once holds a Deployment again that somebody has resumed. Otherwise the
 * Deployment would replace the stable pods, to which the routes still send requests. During an undo and a deletion it
 * adds nothing: an undo restores the template before it holds the Deployment, and a deletion releases the Deployment.
 */
function holdAgain({ change, orders, failedWrite, status }: DecideInput, decision: Decision): Decision {
  const { resumed } = change;
  if (resumed === undefined || orders.deletion !== undefined || failedWrite?.waits === true) return decision;
  if (isPuttingBack(status) || isPuttingBack(decision.status)) return decision;
  const message = `${describeReference(resumed.object)} was resumed, and this Canary holds it again, because a resumed Deployment replaces its pods at once. A changed pod template begins a run; without this Canary, it rolls out by itself`;
  return {
    ...decision,
    actions: [
      ...decision.actions,
      // No event reports a write that fails, or that somebody undoes again and again, because the message of the status
      // does.
      ...(failedWrite === undefined ? [{ type: "event", reason: "Held", message, warning: true } as const] : []),
      { type: "write", write: resumed },
    ],
    repeats: decision.repeats ?? {
      detail: `${describeReference(resumed.object)} was resumed and is held again`,
      holdsAgain: true,
    },
  };
}

const watchingMessage = "waits for a change to roll out";

/**
 * The message that says why no run begins, or that there is no change. While somebody or the server keeps the engine
 * from holding a resumed Deployment, the message says so, unless the rollout waits for something else first. Undefined
 * if the phase has a message of its own.
 */
function shownMessage(input: DecideInput, status: RolloutStatus): string | undefined {
  const { change } = input;
  const { phase, message } = status;
  const notHeld = notHeldText(input);
  if (phase === "Watching") return notHeld ?? change.held ?? watchingMessage;
  if (phase === "Completed") return notHeld ?? change.held ?? completedMessage;
  if (phase === "RolledBack") return notHeld ?? change.held;
  if (notHeld === undefined || isHeld(phase) || isPuttingBack(status)) return undefined;
  return message.includes(notHeld) ? message : `${message}; ${notHeld}`;
}

function notHeldText({ change: { resumed }, orders, failedWrite }: DecideInput): string | undefined {
  if (resumed === undefined || failedWrite === undefined || orders.deletion !== undefined) return undefined;
  const object = describeReference(resumed.object);
  if (failedWrite.holdsAgain === true)
    return `${object} is resumed again and again, and this Canary holds it again each time; let whoever resumes it, such as a GitOps controller, leave spec.paused alone`;
  return `${object} was resumed, and the engine cannot hold it: ${failedWrite.detail}; correct what it names, or pause the Deployment (kubectl patch deployment ${resumed.object.name} -n ${resumed.object.namespace ?? ""} -p '{"spec":{"paused":true}}')`;
}

function next(given: DecideInput): Decision {
  const input = isRefusedAfterEnd(given.status) ? { ...given, status: completedAgain(given.status) } : given;
  const { orders, status, journal, group } = input;
  const cause = putBackCause(input);
  const mustPutBack = cause !== undefined;
  if (isJournalLost(given.status, journal, { ...orders, mustPutBack })) return decideWithoutJournal(given);
  if (cause === "undo") return rollBackFurther(input);
  if (journal.isLeftover === true) return undoLeftover(input);
  const underWay = isUnderWay(status);
  if (cause === "deletion") return handleDeletion(input, underWay);
  if (status.phase === "RolledBack") return afterRollback(input);
  if (cause === "abort") return abort(input);
  if (isUnbegunCopy(orders, status)) return holdCopy(input);
  if (cause === "group" && group?.failed !== undefined)
    return startRollback(input, { because: "group", cause: group.failed }, "RolledBack");
  if (isNewChange(input)) return changed(input, underWay);
  if (status.phase === "Completed") return { status, actions: [] };
  if (orders.paused) return pause(status, orders);
  return proceed(resumed({ ...input, status: begunCopy(status) }));
}

function abort(input: DecideInput): Decision {
  const { orders, status, journal } = input;
  // An earlier object of this name completed its run. That run is not part of this object, so its changes stay.
  const isOfOther = (status.run ?? 0) === 0 && status.startedAt === undefined && journal.completed && journal.run > 0;
  // The server has not let the engine clear the entries of an earlier run of this object. The changes of that run stay
  // too.
  if (isOfOther || isOfEndedRun(journal, status)) return { status, actions: [{ type: "forget" }] };
  const cause = `aborted by ${orders.orderedBy ?? "a person"}${unbegunText(input)}`;
  return startRollback(input, { because: "order", cause }, "RolledBack", orders.orderedBy);
}

function unbegunText({ status: { run = 0, startedAt }, journal }: DecideInput): string {
  if (startedAt !== undefined || journal.run > 0) return "";
  return run > 1 ? " before this run began; the changes of completed runs stay" : " before it began";
}

/**
 * Whether the target asks for another version than the status names. A watched target may do so during a run, which is
 * undone first. A changed spec counts only after the end of the run.
 */
function isNewChange({ change, status }: DecideInput): boolean {
  if (change.candidate === status.candidate || change.held !== undefined) return false;
  if (change.idle === true && ends.has(status.phase)) return false;
  return change.watched || ends.has(status.phase);
}

function changed(input: DecideInput, underWay: boolean): Decision {
  const { status } = input;
  const running = underWay && (status.run ?? 0) > 0;
  if (running && input.change.idle === true)
    return startRollback(
      input,
      { because: "reverted", cause: "the change was reverted to the version that runs" },
      "RolledBack",
    );
  if (running)
    return startRollback(
      input,
      { because: "superseded", cause: `another change came while this one was under way: ${input.change.candidate}` },
      "NewRun",
    );
  return newRun(input);
}

/**
 * Begins a new run. The changes of an earlier run stay. Steps are planned again, and finished setup steps stay
 * finished.
 */
function newRun({ status, change, steps, orders }: DecideInput): Decision {
  const setup = new Set(steps.filter((step) => step.setup === true).map(({ id }) => id));
  const { observedGeneration, completedSteps, conditions, run = 0, journaled, lostJournal } = status;
  const isPrepared = journaled?.setup === true;
  const fresh: RolloutStatus = {
    observedGeneration,
    phase: "Planned",
    progress: "",
    message: `run ${run + 1}`,
    completedSteps: completedSteps.filter(({ id }) => setup.has(id)),
    conditions,
    run: run + 1,
    candidate: change.candidate,
    ordersBefore: orders.last,
    ...(isPrepared ? { journaled } : {}),
    ...(isPrepared && lostJournal !== undefined ? { lostJournal } : {}),
  };
  return { status: fresh, actions: [] };
}

/** The causes of an undo after which the same change may begin a run again: nothing was wrong with it. */
const endedByPerson: ReadonlySet<string> = new Set(["reverted", "order"]);

const templateWaits =
  "its Deployment has this pod template again, which waits because it was rolled back: change it, and a run begins";

function afterRollback(input: DecideInput): Decision {
  const { status, orders, change } = input;
  // This object itself has done nothing yet, so it begins as a new one.
  if (status.undo?.because === "leftover" && status.undo.next === "NewRun" && status.completedSteps.length === 0)
    return { status: { ...initialStatus, conditions: status.conditions }, actions: [] };
  // The message may still say why the next run could not begin, although that reason is gone.
  const ended = { ...status, message: status.cause ?? "" };
  // Undo has restored the version that ran before, so there is nothing to roll out.
  if (change.idle === true) return { status: ended, actions: [] };
  const isOther = status.undo?.next === "NewRun" || change.candidate !== status.candidate;
  if (!isOther && !change.watched) return { status: ended, actions: [] };
  if (!isOther && !endedByPerson.has(status.undo?.because ?? ""))
    return { status: { ...ended, message: `${ended.message}; ${templateWaits}` }, actions: [] };
  if (orders.abort) {
    const [object, command] = change.watched ? ["Deployment", orders.commands.resume] : ["spec", orders.commands.retry];
    const message = `a change of the ${object} waits, because spec.abort is still set; let it begin: ${command}`;
    return { status: { ...status, message }, actions: [] };
  }
  return newRun(input);
}

function pause(status: RolloutStatus, { orderedBy: by, commands }: RolloutOrders): Decision {
  const told = status.phase === "Paused" && status.pauseReason === "order";
  const message = `paused by ${by ?? "a person"}; let it continue: ${commands.resume}`;
  const events: Action[] = told
    ? []
    : [
        {
          type: "event",
          reason: "Paused",
          message,
          warning: false,
          ...(by === undefined ? {} : { by }),
        },
      ];
  // A step that had failed and waited for a person waits for a person again after the pause.
  const kept = isFailedForPerson(status) ? status : recovered(status);
  return { status: withHold(kept, { phase: "Paused", message, reason: "order" }), actions: events };
}

function isFailedForPerson({ phase, pauseReason }: RolloutStatus): boolean {
  return phase === "Stuck" && (pauseReason === "check" || pauseReason === "step");
}

function resumed(input: DecideInput): DecideInput & { readonly before: readonly Action[] } {
  const { status, orders } = input;
  if (status.phase !== "Paused" || status.pauseReason !== "order") return { ...input, before: [] };
  const by = orders.orderedBy === undefined ? {} : { by: orders.orderedBy };
  const { cause } = status;
  const resumedStatus: RolloutStatus =
    cause === undefined
      ? { ...status, phase: "Progressing", message: "" }
      : withHold(status, { phase: "Stuck", message: cause, reason: "step" });
  return {
    ...input,
    status: resumedStatus,
    before: [{ type: "event", reason: "Resumed", message: "no longer paused", warning: false, ...by }],
  };
}

function proceed(given: DecideInput & { readonly before: readonly Action[] }): Decision {
  const { steps, change, journal, before } = given;
  const input = { ...given, status: withoutSkipped(withLastWeightOpen(steps, given.status), given.orders) };
  const planned = plannedSteps(steps, input.status);
  const shown = new Set(planned.map(({ id }) => id));
  const done = input.status.completedSteps.filter(({ id }) => shown.has(id)).length;
  const progress =
    steps.length > maxPlannedSteps
      ? `${input.status.completedSteps.length}/${steps.length}`
      : `${done}/${planned.length}`;
  const candidate = change.watched ? input.status.candidate : change.candidate;
  const run = change.watched ? input.status.run : (input.status.run ?? 1);
  const status: RolloutStatus = {
    ...input.status,
    plannedSteps: planned,
    progress,
    ...(candidate === undefined ? {} : { candidate }),
    ...(run === undefined ? {} : { run }),
  };
  if (isOfEndedRun(journal, status)) return { status, actions: [{ type: "forget" }] };
  const fresh = status.startedAt === undefined && (status.run ?? 0) > 0;
  if (fresh && journal.run > 0) {
    // Somebody removed an earlier object of this name, despite its finalizer, before that object's run had ended.
    return startRollback(
      { ...input, status },
      {
        because: "leftover",
        cause: leftoverCause,
      },
      "NewRun",
    );
  }
  const step = currentStep(steps, status, change.watched);
  const decision = step === undefined ? finish({ ...input, status }) : advance({ ...input, status }, step);
  return { ...decision, actions: [...before, ...promoted(given), ...decision.actions] };
}

/**
 * The status without the checks of the current step, if there is a full promotion. The promotion skips these checks,
 * and with them a failed step that waits for a person.
 */
function withoutSkipped(status: RolloutStatus, { fullPromotion }: RolloutOrders): RolloutStatus {
  const { step } = status;
  return fullPromotion === undefined || step === undefined ? status : { ...status, step: { ...step, checks: [] } };
}

/** Reports a full promotion in the middle of a run if it skips something: a step, a pause, or checks. */
function promoted({ status, steps, orders: { fullPromotion } }: DecideInput): readonly Action[] {
  if (fullPromotion === undefined || status.startedAt === undefined) return [];
  const left = new Map(steps.map((step) => [step.id, step]));
  const skips = (status.plannedSteps ?? []).some(({ id, untilApproved }) => {
    const step = left.get(id);
    if (status.completedSteps.some((done) => done.id === id)) return false;
    return step === undefined || (untilApproved === true && step.pause === undefined);
  });
  const skipsChecks = (status.step?.checks.length ?? 0) > 0;
  return skips || skipsChecks ? [promotion(fullPromotion)] : [];
}

function finish({ status, change, group, nowMs, journal }: DecideInput): Decision {
  const { step: _step, namespaces: _namespaces, ...rest } = recovered(status);
  if (change.watched && (status.run ?? 0) === 0) {
    if (status.phase === "Watching") return { status, actions: [] };
    const { startedAt: _startedAt, ...watching } = rest;
    return { status: { ...watching, phase: "Watching", message: watchingMessage }, actions: [] };
  }
  // The plan has no steps of the run while the Deployment has no pods. For example, somebody scaled it to 0 after this
  // run was planned. The run begins when the plan has steps.
  if (change.held !== undefined && status.startedAt === undefined)
    return { status: { ...status, message: change.held }, actions: [] };
  if (group !== undefined && group.notDone.length > 0)
    return waitFor(status, [
      {
        reason: "group",
        text: `all Canaries of its group complete together; not done yet: ${group.notDone.join(", ")}`,
      },
    ]);
  if (group !== undefined && group.run !== status.groupRun)
    return { status: { ...status, groupRun: group.run }, actions: [] };
  return {
    status: { ...rest, phase: "Completed", message: completedMessage, endedAt: at(nowMs) },
    actions: [
      {
        type: "event",
        reason: "Completed",
        message: `${counted(status.completedSteps.length, "step")} done`,
        warning: false,
      },
      ...(journal.setup === 0 ? [{ type: "release" } as const] : []),
    ],
  };
}
