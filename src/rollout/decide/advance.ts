import { counted } from "../../base/index.ts";
import type { StepStatus } from "../../api/serin/index.ts";
import { overrulingApproval, recovered } from "./hold.ts";
import { at, type DecideInput, type Decision } from "./input.ts";
import { withGap } from "./judge-checks.ts";
import { judge } from "./judge-step.ts";
import type { Action, Observation, RolloutEvent, SettleState, WriteState } from "./observation.ts";
import { namespacesTaken } from "./planned-steps.ts";
import {
  beforeWrites,
  isOverdue,
  namedOnce,
  overdueText,
  settlingAnew,
  waitingOn,
  withoutProgressMs,
} from "./settle-progress.ts";
import { describeReference, referenceKey, type SettleCondition, type Step } from "./step.ts";
import { endOverruled, fail, promotion, recovery, stick, waitFor } from "./step-outcome.ts";
import { repeated, writeActions } from "./step-writes.ts";

/** How long a step waits, without progress, for the proxies of namespaces that it does not concern. */
const othersPatienceMs = 60_000;

/** The next action within one step: begin it, write, wait until it has settled, judge it, end it. */
export function advance(input: DecideInput, step: Step): Decision {
  const { status, observation, orders } = input;
  if (status.step?.id !== step.id) return begin(input, step);
  if (observation === undefined) return { status, actions: [] };
  const conflict = observation.writes.find((write) => write.state === "conflict")?.detail ?? observation.lost;
  if (conflict !== undefined)
    return stick(
      { ...status, step: interrupted(status.step, step) },
      "conflict",
      conflict,
      `restore it, and the rollout continues; or undo it: ${orders.commands.undo}`,
    );
  const writing = writeActions(step, observation.writes);
  if (writing.length > 0) return write(input, step, status.step, { actions: writing, states: observation.writes });
  return settle(input, step, unwritten(status.step, observation), observation);
}

/** Records that the step has begun, and writes nothing yet: the engine observes only the step that the status names. */
function begin(input: DecideInput, step: Step): Decision {
  const { status, nowMs, blockers, orders, steps, group } = input;
  const [blocker, ...more] = blockers;
  if (blocker !== undefined) return waitFor(status, [blocker, ...more]);
  const moves = status.moves ?? orders.moves;
  const namespaces = [
    ...new Set([
      ...(orders.holdsAllNamespaces ? (status.namespaces ?? []) : []),
      ...namespacesTaken(step, steps, orders),
    ]),
  ].toSorted();
  const stepStatus: StepStatus = {
    id: step.id,
    title: step.title,
    startedAt: at(nowMs),
    checks: [],
    ...(step.lingers === true ? { lingers: true } : {}),
  };
  return {
    status: {
      ...recovered(status),
      phase: step.phase ?? "Progressing",
      message: step.title,
      startedAt: status.startedAt ?? at(nowMs),
      ...(moves === undefined ? {} : { moves }),
      ...(group === undefined || step.setup === true ? {} : { groupRun: group.run }),
      ...(namespaces.length === 0 ? {} : { namespaces }),
      step: stepStatus,
    },
    actions: [
      ...recovery(status),
      ...startEvents(input, step),
      { type: "event", reason: "StepStarted", message: step.title, warning: false, step: step.id },
    ],
  };
}

function startEvents({ status, steps, orders, change: { remarks = [] } }: DecideInput, step: Step): RolloutEvent[] {
  if (status.startedAt !== undefined || step.setup === true) return [];
  return [
    {
      type: "event",
      reason: "Started",
      message: [`${counted(steps.length, "step")}, the first: ${step.title}`, ...remarks].join("; "),
      warning: remarks.length > 0,
    },
    ...(orders.fullPromotion === undefined ? [] : [promotion(orders.fullPromotion)]),
  ];
}

interface PendingWrites {
  readonly actions: readonly Action[];
  readonly states: readonly WriteState[];
}

/**
 * Performs the step's pending writes. Fails the step if it has made no progress for longer than its limit. In a patient
 * step, the first write of a field counts as progress, because it has just become due. While a write fails or somebody
 * keeps undoing it, the first write of another field does not count: otherwise a fight over one field would never reach
 * the limit. If the server refuses the journal, every write stays a first write, so these do not count either. A write
 * that is due again after a long wait has the whole limit, because nothing contested it in that time. The status takes
 * the title from the present plan, because the title may state numbers that these writes use.
 */
function write(input: DecideInput, step: Step, before: StepStatus, pending: PendingWrites): Decision {
  const { status, orders, elapsedMs, failedWrite } = input;
  const states = pending.states.filter((state) => state.state === "pending");
  const isFirst = states.some((state) => state.isFirst === true);
  const isReplanned = states.some((state) => state.isReplanned === true);
  const settlingMs = (before.settlingMs ?? 0) + elapsedMs;
  const isWritten = failedWrite?.waits !== true;
  const isProgress = step.patient === true && isFirst && failedWrite === undefined;
  // A number that the plan has changed, for example for an autoscaler, is a new goal: nobody overwrote or refused the
  // former one.
  const isNew = (isReplanned && before.title !== step.title) || isProgress || hasWaitedLong(input, before);
  const isOther = isReplanned || states.some((state) => state.isRewritten === true);
  const { waitingFor, waitingSince: _since, waitsUntil: _until, ...writing } = before;
  const refused = failedWrite === undefined ? writing : beforeWrites(writing);
  const isUndone = states.some(({ by }) => by !== undefined);
  const kept = isOther ? unsettled(refused) : isUndone ? interrupted(refused, step) : refused;
  // A field that somebody restores after each write must not give the step more time.
  const stalledMs = isNew ? 0 : withoutProgressMs(failedWrite === undefined ? kept : before) + elapsedMs;
  const held = { ...status, step: { ...kept, title: step.title, settlingMs, stalledMs } };
  if (isOverdue(held.step, orders.settleTimeoutMs, step.patient)) {
    const isContested = failedWrite !== undefined || isUndone || states.some((state) => state.isReplanned !== true);
    return failWriting({ ...input, status: held }, step, pending, isContested ? undefined : waitingFor);
  }
  const due = isWritten ? pending.actions : [];
  return {
    status: { ...recovered(held), phase: step.phase ?? "Progressing", message: `${step.title}${failureText(input)}` },
    actions: [...recovery(status), ...due],
    ...repeated(due, pending.states),
  };
}

/**
 * Whether the step has waited since its last write for longer than half of the settle timeout. A shorter wait counts as
 * a part of a fight over the field. False for a step that has failed and waits for a person.
 */
function hasWaitedLong({ status, orders, nowMs }: DecideInput, { waitingSince }: StepStatus): boolean {
  if (waitingSince === undefined || status.pauseReason === "step") return false;
  return nowMs - Date.parse(waitingSince) > orders.settleTimeoutMs / 2;
}

/**
 * Fails a step whose writes are still due at its limit. If nobody overwrote or refused them, because only the plan has
 * changed their values, `waitedFor` is what the step waited for before, and becomes the cause.
 */
function failWriting(
  input: DecideInput,
  step: Step,
  { actions: writing, states }: PendingWrites,
  waitedFor: readonly string[] | undefined,
): Decision {
  const names = writing.flatMap((action) => {
    if (action.type !== "write") return [];
    const { write } = action;
    return [`${describeReference(write.object)}${write.type === "field" ? ` ${write.pointer}` : ""}`];
  });
  const failed =
    waitedFor === undefined || input.status.step === undefined
      ? fail(input, step, {
          because: "write",
          cause: `${step.title}: what it writes is overwritten or refused: ${names.slice(0, 3).join(", ")}${failureText(input)}`,
        })
      : fail(input, step, timedOut(step, input.status.step, input.orders.settleTimeoutMs, waitedFor));
  // While a person decides, the obstacle may go away, so the writes are repeated.
  const again = input.orders.automaticRollback || input.failedWrite?.waits === true ? [] : writing;
  return { ...failed, actions: [...failed.actions, ...again], ...repeated(again, states) };
}

function failureText({ failedWrite }: DecideInput): string {
  return failedWrite === undefined ? "" : `: ${failedWrite.detail}`;
}

/** The step without its measurements, because these belong to its earlier writes, for example of another weight. */
function unsettled({ settledAt, settledForMs: _forMs, ...step }: StepStatus): StepStatus {
  return { ...(settledAt === undefined ? step : settlingAnew(step)), checks: [] };
}

/**
 * If one of the step's writes is due again and must wait for another field, the step has to settle again, and nothing
 * is measured until then. The cause is that somebody has edited the plan or undone a write. A failure that a person
 * must decide on stays.
 */
function unwritten(step: StepStatus, { writes }: Observation): StepStatus {
  return writes.some(({ state }) => state === "later") ? settlingAgain(step) : step;
}

/**
 * If somebody has changed the routes that a step with a weight has written, the step has to settle again. Until then,
 * requests follow other weights, so the checks do not count them. Earlier measurements stay, and so does a failure that
 * a person must decide on.
 */
function interrupted(step: StepStatus, { weight }: Step): StepStatus {
  return weight === undefined ? step : settlingAgain(step);
}

/**
 * Makes a settled step settle again, with its measurements so far. A step with a failed check stays as it is, because a
 * person decides on it.
 */
function settlingAgain(step: StepStatus): StepStatus {
  const { settledAt, checks, ...rest } = step;
  const hasFailed = checks.some(({ verdict, dryRun }) => verdict === "fail" && dryRun !== true);
  if (settledAt === undefined || hasFailed) return step;
  return { ...settlingAnew(rest as StepStatus), checks: checks.map(withGap) };
}

/** A step whose writes are done settles once, and is judged from then on. */
function settle(input: DecideInput, step: Step, before: StepStatus, observation: Observation): Decision {
  const { status, elapsedMs, nowMs } = input;
  const overruled = status.pauseReason === "step" ? overrulingApproval(input, step, before) : undefined;
  const failed = observation.settle.find((state) => state.state === "failed");
  if (overruled !== undefined && (before.settledAt === undefined || failed !== undefined))
    return endOverruled(
      input,
      step,
      [`${before.settledAt === undefined ? "it has not settled" : "it failed"}: ${status.cause ?? ""}`],
      overruled,
    );
  if (failed !== undefined)
    return fail(input, step, { because: "settle-failed", cause: `${step.title}: ${failed.detail}` });
  const waiting = waitingDetails(step, observation);
  // A settled step stays settled even if a condition is no longer met: the checks notice pods that restart later.
  const isOpen = waiting.length > 0 && before.settledAt === undefined;
  if (isOpen && !hasWaitedForOthers(input, step, before, observation))
    return wait(input, step, before, observation, waiting);
  const { waitingFor: _waitingFor, waitingSince: _since, waitsUntil, ...rest } = before;
  const soaks = before.settledAt !== undefined && waitsUntil !== undefined;
  const stepStatus: StepStatus = soaks ? { ...rest, waitsUntil } : rest;
  const settledForMs = (stepStatus.settledForMs ?? 0) + (stepStatus.settledAt === undefined ? 0 : elapsedMs);
  const settled = { ...stepStatus, settledAt: stepStatus.settledAt ?? at(nowMs), settledForMs };
  const weighed = step.weight === undefined ? status : { ...status, weight: step.weight };
  const decision = judge({ ...input, status: { ...weighed, step: settled } }, step, settled, observation);
  const remarks = before.settledAt === undefined ? remarksOn(step, observation) : [];
  return remarks.length === 0 ? decision : { ...decision, actions: [...remarks, ...decision.actions] };
}

/** What the step waits for. If both `ready` and `readyPods` wait for one workload, only the text of `ready` appears. */
function waitingDetails({ settle: conditions }: Step, { writes, settle: states }: Observation): string[] {
  const unready = new Set(
    conditions.flatMap((condition, index) =>
      condition.type === "ready" && states[index]?.state === "waiting" ? [referenceKey(condition.object)] : [],
    ),
  );
  const isRepeated = (condition: SettleCondition | undefined): boolean =>
    condition?.type === "readyPods" && unready.has(referenceKey(condition.of));
  return [
    ...writes.flatMap((state) => (state.state === "later" ? [state.detail] : [])),
    ...states.flatMap((state, index) =>
      state.state === "waiting" && !isRepeated(conditions[index]) ? [state.detail] : [],
    ),
  ];
}

/**
 * Whether the step may go on without waiting longer: only proxies of other namespaces are missing, and it has waited
 * for them long enough. Otherwise anybody who may create a pod in any namespace could stop every rollout.
 */
function hasWaitedForOthers(
  { orders, elapsedMs }: DecideInput,
  step: Step,
  before: StepStatus,
  { writes, settle: states }: Observation,
): boolean {
  const isLeft = (state: SettleState): boolean => state.state === "waiting" && state.isOfOthers !== true;
  if (writes.some(({ state }) => state === "later") || states.some(isLeft)) return false;
  const waitedMs = withoutProgressMs(before) + elapsedMs;
  return waitedMs > othersPatienceMs || isOverdue(before, orders.settleTimeoutMs, step.patient);
}

/** Reports the proxies of other namespaces for which the step no longer waits, or that have rejected something. */
function remarksOn({ id, title }: Step, { settle: states }: Observation): RolloutEvent[] {
  const texts = states.flatMap((state) => {
    if (state.state === "failed") return [];
    const late = state.state === "waiting" ? [`not waited for any longer: ${state.detail}`] : [];
    return state.note === undefined ? late : [...late, state.note];
  });
  if (texts.length === 0) return [];
  const message = `${title}: ${namedOnce(texts).join("; ")}`;
  return [{ type: "event", reason: "Waiting", message, warning: true, step: id }];
}

/**
 * Keeps a step that has not settled waiting. After its limit the step fails. If a person must remove an obstacle, the
 * rollout becomes Stuck instead. A patient step has a limit only while an obstacle keeps it waiting.
 */
function wait(
  input: DecideInput,
  step: Step,
  before: StepStatus,
  observation: Observation,
  waiting: readonly string[],
): Decision {
  const { status, orders, elapsedMs, nowMs } = input;
  const obstacle = observation.settle.find((state) => state.state === "waiting" && state.obstacle !== undefined);
  const limitMs = step.patient === true && obstacle === undefined ? undefined : orders.settleTimeoutMs;
  const waitingFor = namedOnce(waiting);
  const waitingStep = { ...waitingOn(before, observation, { elapsedMs, nowMs, limitMs }), waitingFor };
  const held = { ...status, step: waitingStep };
  if (limitMs === undefined || !isOverdue(waitingStep, limitMs, step.patient))
    return {
      status: { ...recovered(held), phase: step.phase ?? "Settling", message: `${step.title}: ${waitingFor[0] ?? ""}` },
      actions: recovery(status),
    };
  if (obstacle?.state === "waiting" && obstacle.obstacle?.toDo !== undefined)
    return stick(held, "conflict", `${step.title}: ${obstacle.detail}`, obstacle.obstacle.toDo);
  return fail({ ...input, status: held }, step, timedOut(step, waitingStep, limitMs, waitingFor));
}

function timedOut(
  { title }: Step,
  status: StepStatus,
  limitMs: number,
  waitedFor: readonly string[],
): { readonly because: "settle-timeout"; readonly cause: string } {
  return {
    because: "settle-timeout",
    cause: `${title} did not settle in ${overdueText(status, limitMs)}: ${waitedFor.slice(0, 3).join("; ")}`,
  };
}
