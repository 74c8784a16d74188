import type { RolloutAction, RolloutActionOffer } from "../../rollout-action.ts";
import type { JournalEntry } from "../rollout-journal.ts";
import type { Rollout, RolloutKind } from "./rollout.ts";
import { rolloutCommand, commandForStep } from "./rollout-command.ts";
import { waitingStepOf } from "./waiting-step.ts";
import { actionsByKind, refusalOf, type RolloutRights } from "./order-refusal.ts";
import { changesOf } from "./order-effects.ts";

const titles: Readonly<Record<RolloutAction, string>> = {
  approve: "Approve",
  pause: "Pause",
  resume: "Resume",
  promote: "Promote fully",
  rollback: "Roll back",
  complete: "Complete",
  retry: "Begin again",
};

const asksWhy: ReadonlySet<RolloutAction> = new Set(["approve", "promote", "complete"]);

/**
 * All orders for the rollout, for a page. Each comes with its changes, or with the reason why it cannot be given now.
 * `journal` has what the rollout has changed so far.
 */
export function rolloutOffers(
  kind: RolloutKind,
  rollout: Rollout,
  rights: RolloutRights,
  journal: readonly JournalEntry[] = [],
): readonly RolloutActionOffer[] {
  return actionsByKind[kind].map((action) => {
    const refusedBecause = refusalOf(kind, rollout, action, rights);
    const command = rolloutCommand(kind, rollout, action);
    const waiting = action === "approve" ? waitingStepOf(rollout) : undefined;
    return {
      action,
      title: titles[action],
      ...(refusedBecause === undefined ? {} : { refusedBecause }),
      changes: changesOf(rollout, action, journal),
      command: waiting === undefined ? command : commandForStep(command, waiting),
      asksWhy: asksWhy.has(action),
    };
  });
}
