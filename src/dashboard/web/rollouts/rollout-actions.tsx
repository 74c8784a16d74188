import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Problem, RolloutActionOffer, RolloutHead } from "../../../api/dashboard/index.ts";
import { OrderDialog, type ConfirmedOrder } from "./order-dialog.tsx";
import { stateOf } from "./rollout-order.ts";

/** A button for each order. One that is disabled shows the reason. */
export function RolloutActions({
  head,
  problem,
}: {
  readonly head: RolloutHead;
  readonly problem: Problem | undefined;
}): JSX.Element {
  const [confirmed, setConfirmed] = useState<ConfirmedOrder | undefined>(undefined);
  return (
    <div class="row" role="group" aria-label="Orders">
      {head.actions.map((given) => {
        const offer =
          problem === undefined ? given : { ...given, refusedBecause: given.refusedBecause ?? problem.message };
        const refused = offer.refusedBecause !== undefined;
        return (
          <button
            key={offer.action}
            type="button"
            class="button"
            data-kind={kindOf(offer.action, refused)}
            aria-disabled={refused ? "true" : undefined}
            title={offer.refusedBecause === undefined ? undefined : `Not now: ${offer.refusedBecause}`}
            onClick={() => setConfirmed({ offer, seen: stateOf(head) })}
          >
            {offer.title}
            {offer.refusedBecause === undefined ? undefined : (
              <span class="visually-hidden">, not now: {offer.refusedBecause}</span>
            )}
          </button>
        );
      })}
      {confirmed === undefined ? undefined : (
        <OrderDialog head={head} confirmed={confirmed} onClose={() => setConfirmed(undefined)} />
      )}
    </div>
  );
}

/** An approval that the rollout waits for stands out. */
function kindOf(action: RolloutActionOffer["action"], refused: boolean): "danger" | "primary" | undefined {
  if (action === "rollback") return "danger";
  return action === "approve" && !refused ? "primary" : undefined;
}
