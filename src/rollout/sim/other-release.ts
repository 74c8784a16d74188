import type { CheckStatus, RolloutStatus, StepStatus, UndoStatus } from "../../api/serin/index.ts";

/** The status as an engine of an earlier release writes it: without the fields that later releases added. */
export function olderStatus(status: RolloutStatus): RolloutStatus {
  const {
    pauseReason: _reason,
    pausedBy: _by,
    phaseSince: _since,
    ordersBefore: _orders,
    moves: _moves,
    meantRule: _meant,
    journaled: _journaled,
    lostJournal: _lost,
    step,
    undo,
    ...rest
  } = status;
  return {
    ...rest,
    ...(step === undefined ? {} : { step: olderStep(step) }),
    ...(undo === undefined ? {} : { undo: olderUndo(undo) }),
  };
}

function olderStep({
  stalledMs: _stalled,
  settlingLeft: _left,
  waitingSince: _since,
  waitsUntil: _until,
  ordersBefore: _orders,
  ...step
}: StepStatus): StepStatus {
  return { ...step, checks: step.checks.map(olderCheck) };
}

function olderCheck({ statistic, ...check }: CheckStatus): CheckStatus {
  if (statistic === undefined) return check;
  const { digest: _digest, ...state } = statistic as { readonly digest?: string };
  return { ...check, statistic: state };
}

function olderUndo({ because: _because, check: _check, ...undo }: UndoStatus): UndoStatus {
  return undo;
}

/** The status as an engine of a later release writes it: with fields that this release does not know. */
export function newerStatus(status: RolloutStatus): RolloutStatus {
  const later = { later: { by: "a later release" } };
  const { step, undo } = status;
  return {
    ...status,
    ...later,
    ...(step === undefined ? {} : { step: { ...step, ...later } }),
    ...(undo === undefined ? {} : { undo: { ...undo, ...later } }),
  };
}
