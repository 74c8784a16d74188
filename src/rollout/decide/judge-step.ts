import type { CheckStatus, RolloutStatus, StepStatus } from "../../api/serin/index.ts";
import { isSameHold, overrulingApproval, recovered, withHold, type Hold } from "./hold.ts";
import type { DecideInput, Decision, RolloutCommands } from "./input.ts";
import { countsNothing, judgeChecks, needsSamples, stalled, stallsInMs } from "./judge-checks.ts";
import type { Action, Observation } from "./observation.ts";
import { toldUntil } from "./settle-progress.ts";
import type { Step } from "./step.ts";
import { approvalCommand, approved, endOverruled, endStep, evidenceOf, fail, recovery, stick } from "./step-outcome.ts";

export function judge(input: DecideInput, step: Step, stepStatus: StepStatus, observation: Observation): Decision {
  const { status, orders } = input;
  const settledForMs = stepStatus.settledForMs ?? 0;
  const isFailed = hasFailedCheck(stepStatus);
  const overruled = isFailed ? overrulingApproval(input, step, stepStatus) : undefined;
  if (overruled !== undefined) return endOverruled(input, step, stepStatus.checks.map(evidenceOf), overruled);
  // A failed check that waits for a person is not judged again. Its verdict holds even after another reason held the
  // rollout up, or after a pause.
  if (isFailed) return failedCheck(input, step, stepStatus.checks) ?? { status, actions: [] };
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
      howToGoOn(open, orders.commands),
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

/**
 * Whether the check decides on the step. Approvals do not, because people give them, and a dry run only shows its
 * verdict.
 */
function acts({ dryRun, type }: CheckStatus): boolean {
  return dryRun !== true && type !== "approval";
}

function failedCheck(input: DecideInput, step: Step, checks: readonly CheckStatus[]): Decision | undefined {
  const bad = checks.find((check) => acts(check) && check.verdict === "fail");
  if (bad === undefined) return undefined;
  const cause = `${step.title}: ${bad.name ?? bad.type}: ${bad.evidence}`;
  return fail(input, step, { because: "check", check: bad.type, cause });
}

/**
 * Whether the step has a failed check. A failed check is stored only if a person decides about it. Otherwise the undo
 * begins at once.
 */
function hasFailedCheck({ checks }: StepStatus): boolean {
  return checks.some((check) => acts(check) && check.verdict === "fail");
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
    const message = `${step.title}: waits for approval: ${approvalCommand(orders.commands, step)}`;
    const hold: Hold = { phase: "Paused", message, reason: "approval" };
    // The comparison leaves out the message, because an engine of another release may word it differently.
    const told = isSameHold(input.status, hold) && input.status.step?.id === step.id;
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
        message: `${step.title}: ${Math.ceil((holdMs - settledForMs) / 1000)} s left`,
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

function countsNothingText(type: string): string {
  return type === "tcp-connect-failures"
    ? "no proxy counts connections to either version, so open some through a sidecar or a gateway, or in ambient through a waypoint"
    : "no proxy counts requests to either version, so send it some through a sidecar or a gateway, or in ambient through a waypoint (a stream counts when it has ended)";
}

/**
 * How a person continues when a check waits in vain. A MeshUpgrade cannot skip its checks, but a person can change a
 * check so that it only reports.
 */
function howToGoOn(check: CheckStatus, { promote, edit, undo }: RolloutCommands): string {
  const { type, name = type } = check;
  const remedy = !needsSamples(check)
    ? "correct the check, or what it asks, so that it passes"
    : countsNothing(check)
      ? countsNothingText(type)
      : "send it requests";
  const without =
    promote === undefined
      ? `or let the check only report: ${edit}, and give ${name} dryRun: true in spec.checks, or in the checks of its wave`
      : `or skip the checks: ${promote}`;
  return `${remedy}, and the rollout continues; ${without}; or undo it: ${undo}`;
}
