import {
  commandForStep,
  type Approval,
  type CheckStatus,
  type PauseReason,
  type RolloutStatus,
} from "../../api/serin/index.ts";
import type { Blocker } from "./blockers.ts";
import { isSameHold, markedAtFailure, recovered, saysTheSame, withHold, type Hold } from "./hold.ts";
import { at, type DecideInput, type Decision, type RolloutCommands } from "./input.ts";
import type { Action, RolloutEvent } from "./observation.ts";
import { startRollback, type RollbackReason } from "./rollback.ts";
import type { Step } from "./step.ts";

/**
 * The number of steps that keep their evidence in the status. More would not fit in the object, and the journal has all
 * evidence too.
 */
const maxStepsWithEvidence = 200;

function withRecentEvidence(steps: RolloutStatus["completedSteps"]): RolloutStatus["completedSteps"] {
  const first = steps.length - maxStepsWithEvidence;
  return steps.map((step, index) => (index < first && step.evidence.length > 0 ? { ...step, evidence: [] } : step));
}

export function endStep(
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
      // A person may end a step that has not settled, so its weight is recorded here.
      ...(step.weight === undefined ? {} : { weight: step.weight }),
      phase: step.phase ?? "Progressing",
      message: step.title,
      completedSteps: withRecentEvidence([...status.completedSteps, done]),
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

export function endOverruled(
  input: DecideInput,
  step: Step,
  evidence: readonly string[],
  approval: Approval,
): Decision {
  const { by, why } = approval;
  const decided = `approved by ${by} despite this${why === "" ? "" : `: ${why}`}`;
  return endStep(input, recovered(input.status), step, [...evidence, decided], [approved(step, approval)]);
}

export function evidenceOf({ type, name = type, evidence }: CheckStatus): string {
  return `${name}: ${evidence}`;
}

export function approved(step: Step, { by, why }: { readonly by: string; readonly why: string }): RolloutEvent {
  return {
    type: "event",
    reason: "Approved",
    message: why === "" ? step.title : `${step.title}: ${why}`,
    warning: false,
    step: step.id,
    by,
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

export function approvalCommand({ approve }: RolloutCommands, { id }: Step): string {
  return commandForStep(approve, id);
}

export function fail(input: DecideInput, step: Step, reason: RollbackReason): Decision {
  const { orders } = input;
  const { undo } = orders.commands;
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
      : `rollback is Manual, so a person decides: approve the step: ${approvalCommand(orders.commands, step)}; or undo it: ${undo}`,
  );
}

/** Makes the rollout Stuck until a person does what `todo` says. It continues by itself when the obstacle is gone. */
export function stick(status: RolloutStatus, reason: PauseReason, cause: string, todo: string): Decision {
  const message = `${cause}; ${todo}`;
  const told = status.phase === "Stuck" && saysTheSame(status.message, message);
  const said = told ? { message: status.message, cause: status.cause ?? cause } : { message, cause };
  return {
    status: { ...withHold(status, { phase: "Stuck", message: said.message, reason }), cause: said.cause },
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

/** Makes the rollout wait for others. Reports the wait only if its reason is new. */
export function waitFor(status: RolloutStatus, blockers: readonly [Blocker, ...Blocker[]]): Decision {
  const { reason, by } = blockers[0];
  const message = `waits: ${blockers.map(({ text }) => text).join("; ")}`;
  const hold: Hold = { phase: "Waiting", message, reason, ...(by === undefined ? {} : { by }) };
  return {
    status: withHold(recovered(status), hold),
    actions: isSameHold(status, hold) ? [] : [{ type: "event", reason: "Waiting", message, warning: false }],
  };
}

export function recovery({ phase, message }: RolloutStatus): RolloutEvent[] {
  return phase === "Stuck"
    ? [{ type: "event", reason: "Resumed", message: `no longer held up: ${message}`, warning: false }]
    : [];
}
