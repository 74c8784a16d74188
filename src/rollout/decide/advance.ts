import type { UntypedObject } from "../../api/index.ts";
import type {
  Approval,
  CheckStatus,
  JournalEntry,
  PauseReason,
  RolloutStatus,
  StepStatus,
} from "../../api/serin/index.ts";
import type { Blocker } from "./blockers.ts";
import { isSameHold, markedAtFailure, overrulingApproval, recovered, withHold, type Hold } from "./hold.ts";
import { judgeChecks, stalled, stallsInMs } from "./judge-checks.ts";
import { at, type DecideInput, type Decision, type RolloutCommands } from "./input.ts";
import type { Action, Observation, RolloutEvent, WriteState } from "./observation.ts";
import { namespacesTaken } from "./planned-steps.ts";
import { startRollback, type RollbackReason } from "./rollback.ts";
import { describeReference, type Step, type Write } from "./step.ts";

const namesShown = 20;
/** A step that has not settled after this many times its limit has failed, however much progress there is. */
const settleLimits = 10;
const untilSlackMs = 10_000;

/** The next action within one step: begin it, write, wait until it has settled, judge it, end it. */
export function advance(input: DecideInput, step: Step): Decision {
  const { status, observation, orders } = input;
  if (status.step?.id !== step.id) return begin(input, step);
  if (observation === undefined) return { status, actions: [] };
  const conflict = observation.writes.find((write) => write.state === "conflict")?.detail ?? observation.lost;
  if (conflict !== undefined)
    return stick(
      status,
      "conflict",
      conflict,
      `restore it, and the rollout continues; or undo it: ${orders.commands.undo}`,
    );
  const writing = writeActions(step, observation.writes);
  if (writing.length > 0) return write(input, step, status.step, { actions: writing, states: observation.writes });
  return settle(input, step, status.step, observation);
}

/**
 * A write that somebody keeps undoing, or that the server refuses, fails the step like one that does not settle. The
 * first write of a field in a patient step counts as progress, because it has just become due.
 */
function write(
  input: DecideInput,
  step: Step,
  before: StepStatus,
  { actions: writing, states }: { readonly actions: readonly Action[]; readonly states: readonly WriteState[] },
): Decision {
  const { status, orders, elapsedMs, failedWrite } = input;
  const isFirst = states.some((write) => write.state === "pending" && write.isFirst === true);
  const failure = failedWrite === undefined ? "" : `: ${failedWrite.detail}`;
  const settlingMs = (before.settlingMs ?? 0) + elapsedMs;
  const stalledMs = step.patient === true && isFirst ? 0 : withoutProgressMs(before) + elapsedMs;
  const isReplanned = states.some((write) => write.state === "pending" && write.isReplanned === true);
  const held = { ...status, step: { ...(isReplanned ? unsettled(before) : before), settlingMs, stalledMs } };
  if (isOverdue(held.step, orders.settleTimeoutMs, step.patient)) {
    const names = writing.flatMap((action) =>
      action.type === "write"
        ? [
            `${describeReference(action.write.object)}${action.write.type === "field" ? ` ${action.write.pointer}` : ""}`,
          ]
        : [],
    );
    const failed = fail({ ...input, status: held }, step, {
      because: "write",
      cause: `${step.title}: what it writes is overwritten or refused: ${names.slice(0, 3).join(", ")}${failure}`,
    });
    // While a person decides, the obstacle may go away.
    const again = orders.automaticRollback || failedWrite?.waits === true ? [] : writing;
    return { ...failed, actions: [...failed.actions, ...again], ...repeated(again, states) };
  }
  const due = failedWrite?.waits === true ? [] : writing;
  return {
    status: { ...recovered(held), phase: step.phase ?? "Progressing", message: `${step.title}${failure}` },
    actions: [...recovery(status), ...due],
    ...repeated(due, states),
  };
}

/** What was measured so far belongs to other writes, such as another weight. */
function unsettled({ settledAt: _settled, settledForMs: _forMs, ...step }: StepStatus): StepStatus {
  return { ...step, checks: [] };
}

/** Who has undone all that the step writes, if it has written that before. */
function repeated(writing: readonly Action[], states: readonly WriteState[]): Pick<Decision, "repeats"> {
  const by = states.flatMap((write) => (write.state === "pending" && write.by !== undefined ? [write.by] : []));
  const written = writing.filter(({ type }) => type === "write").length;
  if (written === 0 || by.length < written) return {};
  return {
    repeats: `${[...new Set(by)].join(", ")} restores the earlier value; configure it to leave the field alone`,
  };
}

/** A step begins with a status of its own, so that the engine observes it before it writes anything. */
function begin(input: DecideInput, step: Step): Decision {
  const { status, nowMs, blockers, orders, steps, group } = input;
  const [blocker, ...more] = blockers;
  if (blocker !== undefined) return waitFor(status, [blocker, ...more]);
  const first = status.startedAt === undefined;
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
  const events: RolloutEvent[] = [];
  if (first && step.setup !== true)
    events.push({
      type: "event",
      reason: "Started",
      message: `${steps.length} steps, the first: ${step.title}`,
      warning: false,
    });
  if (first && step.setup !== true && orders.fullPromotion !== undefined) events.push(promotion(orders.fullPromotion));
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
      ...events,
      { type: "event", reason: "StepStarted", message: step.title, warning: false, step: step.id },
    ],
  };
}

export function promotion({ by, why }: { readonly by: string; readonly why: string }): RolloutEvent {
  return {
    type: "event",
    reason: "Approved",
    message: `full promotion: no checks and no pauses from here on${why === "" ? "" : ` (${why})`}`,
    warning: false,
    by,
  };
}

/** Waits for others. Waiting for the same reason again is not reported again. */
export function waitFor(status: RolloutStatus, blockers: readonly [Blocker, ...Blocker[]]): Decision {
  const { reason, by } = blockers[0];
  const message = `waits: ${blockers.map(({ text }) => text).join("; ")}`;
  const hold: Hold = { phase: "Waiting", message, reason, ...(by === undefined ? {} : { by }) };
  return {
    status: withHold(recovered(status), hold),
    actions: isSameHold(status, hold) ? [] : [{ type: "event", reason: "Waiting", message, warning: false }],
  };
}

/** First the journal of all pending writes in one action, then the writes in order. */
function writeActions(step: Step, states: readonly WriteState[]): Action[] {
  const pending = step.writes.flatMap((write, index) => {
    const state = states[index];
    return state?.state === "pending" ? [{ write, state }] : [];
  });
  if (pending.length === 0) return [];
  const entries = pending
    .filter(({ write }) => !isOwn(write))
    .map(({ write, state }) => journalEntry(step, write, state));
  const writes = pending
    .filter(({ write }) => write.type !== "field" || write.adopted === undefined)
    .map(({ write, state: { prior } }): Action =>
      prior === undefined ? { type: "write", write } : { type: "write", write, prior },
    );
  return [...(entries.length === 0 ? [] : [{ type: "journal" as const, entries }]), ...writes];
}

function isOwn(write: Write): boolean {
  return write.type !== "create" && write.own === true;
}

function journalEntry(
  step: Step,
  write: Write,
  { prior, uid, madeParents = 0 }: Extract<WriteState, { state: "pending" }>,
): JournalEntry {
  const common = {
    step: step.id,
    object: write.object,
    ...(write.undoGroup === undefined ? {} : { undoGroup: write.undoGroup }),
    ...(step.setup === true ? { setup: true } : {}),
  };
  switch (write.type) {
    case "field":
      return {
        type: "field",
        ...common,
        pointer: write.pointer,
        ...(uid === undefined ? {} : { uid }),
        ...(prior === undefined ? {} : { prior }),
        ...(write.value === undefined ? {} : { written: write.value }),
        ...(write.restart === undefined ? {} : { restart: write.restart }),
        ...(write.adopted === undefined ? {} : { adopted: true }),
        ...(madeParents === 0 ? {} : { madeParents }),
      };
    case "create":
      return { type: "created", ...common };
    case "delete":
      return { type: "deleted", ...common, body: storedBody(prior as UntypedObject) };
  }
}

/** The fields from which undo creates an object again: without its status and managed fields, which are large. */
function storedBody({ status: _status, ...body }: UntypedObject): UntypedObject {
  const { managedFields: _managedFields, ...metadata } = body.metadata;
  return { ...body, metadata };
}

function settle(input: DecideInput, step: Step, before: StepStatus, observation: Observation): Decision {
  const { status, orders, elapsedMs, nowMs } = input;
  const overruled = status.pauseReason === "step" ? overrulingApproval(input, step, before) : undefined;
  if (overruled !== undefined && before.settledAt === undefined)
    return endOverruled(input, step, [`it has not settled: ${status.cause ?? ""}`], overruled);
  const failed = observation.settle.find((state) => state.state === "failed");
  if (failed !== undefined)
    return fail(input, step, { because: "settle-failed", cause: `${step.title}: ${failed.detail}` });
  const waiting = [...observation.writes, ...observation.settle].flatMap((state) =>
    state.state === "waiting" || state.state === "later" ? [state.detail] : [],
  );
  const { waitingFor: _waitingFor, waitingSince: _since, waitsUntil, ...rest } = before;
  const soaks = before.settledAt !== undefined && waitsUntil !== undefined;
  const stepStatus: StepStatus = soaks ? { ...rest, waitsUntil } : rest;
  // A condition that has settled once stays settled. The checks notice pods that restart later.
  if (waiting.length > 0 && stepStatus.settledAt === undefined) {
    const obstacle = observation.settle.find((state) => state.state === "waiting" && state.obstacle !== undefined);
    const limitMs = step.patient === true && obstacle === undefined ? undefined : orders.settleTimeoutMs;
    const waitingStep = {
      ...waitingOn(before, observation, { elapsedMs, nowMs, limitMs }),
      waitingFor: named(waiting),
    };
    const held = { ...status, step: waitingStep };
    if (limitMs !== undefined && isOverdue(waitingStep, limitMs, step.patient)) {
      if (obstacle?.state === "waiting" && obstacle.obstacle?.toDo !== undefined)
        return stick(held, "conflict", `${step.title}: ${obstacle.detail}`, obstacle.obstacle.toDo);
      return fail({ ...input, status: held }, step, {
        because: "settle-timeout",
        cause: `${step.title} did not settle in ${overdueText(waitingStep, limitMs)}: ${waiting.slice(0, 3).join("; ")}`,
      });
    }
    return {
      status: { ...recovered(held), phase: step.phase ?? "Settling", message: `${step.title}: ${waiting[0] ?? ""}` },
      actions: recovery(status),
    };
  }
  const settledForMs = stepStatus.settledAt === undefined ? 0 : (stepStatus.settledForMs ?? 0) + elapsedMs;
  const settled = { ...stepStatus, settledAt: stepStatus.settledAt ?? at(nowMs), settledForMs };
  const weighed = step.weight === undefined ? status : { ...status, weight: step.weight };
  return judge({ ...input, status: { ...weighed, step: settled } }, step, settled, observation);
}

/**
 * The number of missing items that stands for all later work while a write is not due yet. It is larger than any number
 * that conditions report.
 */
const laterLeft = 1e12;

/**
 * The progress of waiting. The limit counts from the last time that fewer items were missing than ever before, so that
 * a slow machine causes no failure.
 */
function waitingOn(
  before: StepStatus,
  { writes, settle: states }: Observation,
  {
    elapsedMs,
    nowMs,
    limitMs,
  }: { readonly elapsedMs: number; readonly nowMs: number; readonly limitMs?: number | undefined },
): StepStatus {
  const left =
    states.reduce((sum, state) => sum + (state.state === "waiting" ? (state.left ?? 1) : 0), 0) +
    laterLeft * writes.filter(({ state }) => state === "later").length;
  const { settlingMs = 0, settlingLeft, waitingSince } = before;
  const stalledMs = withoutProgressMs(before);
  const isNearer = settlingLeft !== undefined && left < settlingLeft;
  const { waitsUntil: told, ...step } = before;
  const ownMs = states.flatMap((state) =>
    state.state === "waiting" && state.failsInMs !== undefined ? [state.failsInMs] : [],
  );
  const leftMs = [...(limitMs === undefined ? [] : [limitMs - (isNearer ? 0 : stalledMs)]), ...ownMs];
  const untilMs = nowMs + Math.min(...leftMs);
  return {
    ...step,
    settlingMs: settlingMs + elapsedMs,
    stalledMs: isNearer ? 0 : stalledMs + elapsedMs,
    settlingLeft: Math.min(left, settlingLeft ?? left),
    waitingSince: isNearer ? at(nowMs) : (waitingSince ?? at(nowMs)),
    ...(leftMs.length === 0 ? {} : { waitsUntil: isNearer ? at(untilMs) : toldUntil(told, untilMs) }),
  };
}

/** The reported time, unless a pause, a stopped engine or a clock jump has changed it. Rounding does not change it. */
function toldUntil(told: string | undefined, untilMs: number): string {
  return told !== undefined && Math.abs(Date.parse(told) - untilMs) < untilSlackMs ? told : at(untilMs);
}

/** A status that an earlier release wrote has no `stalledMs`. Its whole settling time counts instead. */
function withoutProgressMs({ settlingMs = 0, stalledMs = settlingMs }: StepStatus): number {
  return stalledMs;
}

/** A patient step has no limit for its whole duration, only for an obstacle. */
function isOverdue(step: StepStatus, limitMs: number, isPatient = false): boolean {
  const { settlingMs = 0 } = step;
  return withoutProgressMs(step) > limitMs || (!isPatient && settlingMs > settleLimits * limitMs);
}

/** Text such as `300 s`, or `812 s, the last 300 s of them without progress`. */
function overdueText(step: StepStatus, limitMs: number): string {
  const { settlingMs = 0 } = step;
  const stalledMs = withoutProgressMs(step);
  const seconds = Math.round(settlingMs / 1000);
  if (stalledMs <= limitMs) return `${seconds} s, although it made progress`;
  return stalledMs === settlingMs
    ? `${limitMs / 1000} s`
    : `${seconds} s, the last ${limitMs / 1000} s of them without progress`;
}

function named(details: readonly string[]): readonly string[] {
  return details.length > namesShown
    ? [...details.slice(0, namesShown), `and ${details.length - namesShown} more`]
    : details;
}

function judge(input: DecideInput, step: Step, stepStatus: StepStatus, observation: Observation): Decision {
  const { status, orders } = input;
  const settledForMs = stepStatus.settledForMs ?? 0;
  const overruled = isFailedForPerson({ ...status, step: stepStatus })
    ? overrulingApproval(input, step, stepStatus)
    : undefined;
  if (overruled !== undefined) return endOverruled(input, step, stepStatus.checks.map(evidenceOf), overruled);
  // A verdict of failure that waits for a person is not judged again. Something else may have held it up meanwhile.
  if (isFailedForPerson(status)) return failedCheck(input, step, stepStatus.checks) ?? { status, actions: [] };
  const checks = judgeChecks(step, stepStatus, observation, settledForMs);
  const { waitsUntil: told, ...unlimited } = stepStatus;
  const judged: RolloutStatus = { ...recovered(status), step: { ...unlimited, checks } };
  const failed = failedCheck({ ...input, status: judged }, step, checks);
  if (failed !== undefined) return failed;
  const open = checks.filter(acts).find((check) => check.verdict !== "pass");
  const halted = open === undefined ? undefined : stalled(step, open, settledForMs);
  if (open !== undefined && halted !== undefined)
    return stick(
      { ...judged, phase: status.phase },
      "samples",
      `${step.title}: ${open.name ?? open.type}: ${halted}`,
      withoutSamples(open.name ?? open.type, orders.commands),
    );
  if (open !== undefined) {
    const leftMs = stallsInMs(step, open, settledForMs);
    const limited = leftMs === undefined ? {} : { waitsUntil: toldUntil(told, input.nowMs + leftMs) };
    return {
      status: {
        ...judged,
        step: { ...unlimited, checks, ...limited },
        phase: step.phase ?? "Judging",
        message: `${step.title}: ${open.name ?? open.type}: ${open.evidence}`,
      },
      actions: recovery(status),
    };
  }
  return pauseOrEnd(input, judged, step, checks, settledForMs);
}

/** Whether the check decides on the step. People give approvals, and a dry run only shows its verdict. */
function acts({ dryRun, type }: CheckStatus): boolean {
  return dryRun !== true && type !== "approval";
}

/** Fails the step by the first check that has failed. Undefined if none has. */
function failedCheck(input: DecideInput, step: Step, checks: readonly CheckStatus[]): Decision | undefined {
  const bad = checks.find((check) => acts(check) && check.verdict === "fail");
  if (bad === undefined) return undefined;
  const cause = `${step.title}: ${bad.name ?? bad.type}: ${bad.evidence}`;
  return fail(input, step, { because: "check", check: bad.type, cause });
}

function endOverruled(input: DecideInput, step: Step, evidence: readonly string[], approval: Approval): Decision {
  const { by, why } = approval;
  const decided = `approved by ${by} despite this${why === "" ? "" : `: ${why}`}`;
  return endStep(input, recovered(input.status), step, [...evidence, decided], [approved(step, approval)]);
}

function isFailedForPerson({ phase, step }: RolloutStatus): boolean {
  return (
    phase === "Stuck" && (step?.checks.some(({ verdict, dryRun }) => verdict === "fail" && dryRun !== true) ?? false)
  );
}

function approved(step: Step, { by, why }: { readonly by: string; readonly why: string }): RolloutEvent {
  return {
    type: "event",
    reason: "Approved",
    message: why === "" ? step.title : `${step.title}: ${why}`,
    warning: false,
    step: step.id,
    by,
  };
}

function pauseOrEnd(
  input: DecideInput,
  status: RolloutStatus,
  step: Step,
  checks: readonly CheckStatus[],
  settledForMs: number,
): Decision {
  const { orders } = input;
  if (step.pause?.approved === false) {
    const message = `${step.title}: waits for approval`;
    const hold: Hold = { phase: "Paused", message, reason: "approval" };
    const told = isSameHold(input.status, hold) && input.status.message === message;
    const events: Action[] = told ? [] : [{ type: "event", reason: "Paused", message, warning: false, step: step.id }];
    return { status: withHold(status, hold), actions: events };
  }
  const holdMs = Math.max(step.holdMs ?? 0, step.pause?.durationMs ?? 0);
  if (settledForMs < holdMs) {
    const waitsUntil = toldUntil(input.status.step?.waitsUntil, input.nowMs + holdMs - settledForMs);
    return {
      status: {
        ...status,
        ...(status.step === undefined ? {} : { step: { ...status.step, waitsUntil } }),
        phase: "Soaking",
        message: `${step.title}: ${Math.ceil((holdMs - settledForMs) / 1000)} s to go`,
      },
      actions: recovery(input.status),
    };
  }
  const approval =
    step.pause?.approved === true ? orders.approvals.findLast((candidate) => candidate.step === step.id) : undefined;
  return endStep(
    input,
    status,
    step,
    checks.map(evidenceOf),
    approval === undefined ? recovery(input.status) : [approved(step, approval)],
  );
}

function evidenceOf({ type, name = type, evidence }: CheckStatus): string {
  return `${name}: ${evidence}`;
}

function endStep(
  { orders, nowMs }: DecideInput,
  status: RolloutStatus,
  step: Step,
  evidence: readonly string[],
  events: readonly Action[],
): Decision {
  const { step: stepStatus, namespaces, ...rest } = status;
  const done = {
    id: step.id,
    title: step.title,
    startedAt: stepStatus?.startedAt ?? at(nowMs),
    endedAt: at(nowMs),
    evidence,
  };
  return {
    status: {
      ...rest,
      ...(orders.holdsAllNamespaces && namespaces !== undefined ? { namespaces } : {}),
      phase: step.phase ?? "Progressing",
      message: step.title,
      completedSteps: [...status.completedSteps, done],
    },
    actions: [
      ...events,
      {
        type: "event",
        reason: "StepDone",
        message: [step.title, ...evidence].join("; "),
        warning: false,
        step: step.id,
        evidence,
      },
    ],
  };
}

function fail(input: DecideInput, step: Step, reason: RollbackReason): Decision {
  const { orders } = input;
  const { approve, undo } = orders.commands;
  if (orders.automaticRollback)
    return startRollback(
      input,
      step.phase === "Preflight" ? { ...reason, because: "preflight" } : reason,
      "RolledBack",
    );
  const { because, cause } = reason;
  return stick(
    markedAtFailure(input),
    because === "check" ? "check" : "step",
    cause,
    because === "write"
      ? `rollback is Manual, so a person decides: make the write possible, and the rollout continues; or undo it: ${undo}`
      : `rollback is Manual, so a person decides: approve the step: ${approve}; or undo it: ${undo}`,
  );
}

/** How to go on with a check that gets no samples. A MeshUpgrade cannot skip its checks, but one may only report. */
function withoutSamples(check: string, { promote, edit, undo }: RolloutCommands): string {
  const without =
    promote === undefined
      ? `or let the check only report: ${edit}, and give ${check} dryRun: true in spec.checks, or in the checks of its wave`
      : `or skip the checks: ${promote}`;
  return `send it requests, and the rollout continues; ${without}; or undo it: ${undo}`;
}

/** `todo`: what a person must do. The rollout continues by itself when the obstacle is gone. */
function stick(status: RolloutStatus, reason: PauseReason, cause: string, todo: string): Decision {
  const message = `${cause}; ${todo}`;
  const told = status.phase === "Stuck" && status.message === message;
  return {
    status: { ...withHold(status, { phase: "Stuck", message, reason }), cause },
    actions: told
      ? []
      : [
          {
            type: "event",
            reason: "Stuck",
            message,
            warning: true,
            ...(status.step === undefined ? {} : { step: status.step.id }),
          },
        ],
  };
}

export function recovery({ phase, message }: RolloutStatus): RolloutEvent[] {
  return phase === "Stuck"
    ? [{ type: "event", reason: "Resumed", message: `no longer held up: ${message}`, warning: false }]
    : [];
}
