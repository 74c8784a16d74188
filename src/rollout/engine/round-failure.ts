import { messageOf, SerinError } from "../../base/index.ts";
import type { RolloutStatus } from "../../api/serin/index.ts";
import { isKubeCode } from "../../kube/index.ts";
import { saysTheSame, type Action, type Decision, type FailedWrite, type RoundFailure } from "../decide/index.ts";
import { asksForRun } from "./rollout-object.ts";
import type { RolloutSeen, RoundBoard } from "./round-board.ts";

/** The failure of a rollout's rounds with the facts that its status needs. `problem`: the fault of its spec. */
export function roundFailureOf(
  detail: string,
  seen: Omit<RolloutSeen, "key" | "heldUp"> & { readonly problem?: string | undefined },
  board: RoundBoard,
): RoundFailure {
  const { orders, problem, rollout, status } = seen;
  return {
    detail,
    undo: orders.commands.undo,
    generation: orders.generation,
    beginsRun: problem === undefined && asksForRun(rollout, status),
    mustPutBack: board.mustPutBack(seen),
  };
}

/** What failed, for a status, which has only one message. If a person can correct the failure, the advice follows. */
export function failureText(error: unknown): string {
  const text = messageOf(error);
  return error instanceof SerinError && error.kind === "user" && error.hint !== undefined
    ? `${text}; ${error.hint}`
    : text;
}

/** Whether the next round's decision reports a failure of this action. */
export function tellsFailure({ type }: Action): boolean {
  return type === "write" || type === "journal" || type === "undo" || type === "forget";
}

/** A failure of a decision's actions in the form that the next decision reads. */
export function failedWriteOf(detail: string, { actions }: Decision): Omit<FailedWrite, "waits"> {
  const changesMore = actions.some(({ type }) => type === "write" || type === "journal" || type === "undo");
  return !changesMore && actions.some(({ type }) => type === "forget") ? { detail, clearsJournal: true } : { detail };
}

export function isTold(stored: RolloutStatus | undefined, failing: RolloutStatus): boolean {
  return (
    stored?.phase === failing.phase &&
    stored.observedGeneration === failing.observedGeneration &&
    saysTheSame(stored.message, failing.message)
  );
}

/** Whether a round failed only because its copy of an object was out of date. The next round reads it again. */
export function isRace(error: unknown): boolean {
  return isKubeCode(error, "conflict") || (error instanceof SerinError && error.code === "read-late");
}
