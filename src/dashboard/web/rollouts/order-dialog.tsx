import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Problem, RolloutActionOffer, RolloutHead } from "../../../api/dashboard/index.ts";
import { CommandLine, Dialog, Notice, ProblemNotice, toast, useIsOpen } from "../components/index.ts";
import { problemOf, request } from "../requests.ts";
import { changeSince, rolloutName, stateOf, type SeenState } from "./rollout-order.ts";

/** An order, and the rollout's state when the dialog opened. The order applies to that state only. */
export interface ConfirmedOrder {
  readonly offer: RolloutActionOffer;
  readonly seen: SeenState;
}

export interface OrderDialogProps {
  readonly head: RolloutHead;
  readonly confirmed: ConfirmedOrder;
  readonly onClose: () => void;
}

/** Shows what an order would change, and gives it. Shows the reason if it is refused. */
export function OrderDialog(props: OrderDialogProps): JSX.Element {
  const { head, confirmed, onClose } = props;
  const { offer, seen } = confirmed;
  const { busy, problem, give } = useOrder(props);
  const [why, setWhy] = useState("");
  const refused = offer.refusedBecause !== undefined;
  const change = changeSince(seen, stateOf(head), offer.action);
  const movedOn = change !== undefined;
  return (
    <Dialog
      title={`${offer.title}: ${rolloutName(head.row)}`}
      onClose={onClose}
      foot={
        <>
          <button type="button" class="button" onClick={onClose}>
            {refused ? "Close" : "Cancel"}
          </button>
          {refused ? undefined : (
            <button
              type="submit"
              form={formId}
              class="button"
              data-kind={offer.action === "rollback" ? "danger" : "primary"}
              disabled={busy || movedOn}
            >
              {busy ? "Sending…" : offer.title}
            </button>
          )}
        </>
      }
    >
      {refused ? <Notice tone="warn">Not now: {offer.refusedBecause}</Notice> : undefined}
      {movedOn && !refused ? (
        <Notice tone="warn" live>
          {change} since this was opened. Close this and look again.
        </Notice>
      ) : undefined}
      {offer.changes.length === 0 ? undefined : <Changes changes={offer.changes} />}
      {refused ? undefined : (
        <form
          id={formId}
          onSubmit={(event) => {
            event.preventDefault();
            if (!busy && !movedOn) give(why.trim());
          }}
        >
          {offer.asksWhy ? <Reason why={why} onChange={setWhy} /> : undefined}
        </form>
      )}
      {problem === undefined ? undefined : <ProblemNotice problem={problem} />}
      <div class="stack">
        <span class="small muted">The same action on the command line</span>
        <CommandLine command={offer.command} />
      </div>
    </Dialog>
  );
}

const formId = "rollout-order";

/**
 * Gives an order. The dialog closes if that succeeds. If the user has closed it before, a toast reports the outcome.
 */
function useOrder({ head, confirmed: { offer, seen }, onClose }: OrderDialogProps): {
  readonly busy: boolean;
  readonly problem: Problem | undefined;
  readonly give: (why: string) => void;
} {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | undefined>(undefined);
  const isOpen = useIsOpen();
  const order = async (why: string): Promise<void> => {
    const { kind, namespace, name } = head.row;
    const { step, run, paused, stuck, uid } = seen;
    setBusy(true);
    try {
      const { done } = await request("POST /api/action", {
        kind,
        namespace,
        name,
        action: offer.action,
        why,
        step,
        run,
        paused,
        stuck,
        uid,
      });
      toast("good", done);
      if (isOpen.current) onClose();
    } catch (error) {
      const failed = problemOf(error);
      if (!isOpen.current) toast("bad", `${offer.title}: ${rolloutName(head.row)}: ${failed.message}`);
      setProblem(failed);
      setBusy(false);
    }
  };
  return { busy, problem, give: (why) => void order(why) };
}

function Changes({ changes }: Pick<RolloutActionOffer, "changes">): JSX.Element {
  return (
    <div class="stack">
      <h3>What will change</h3>
      <ul class="changes">
        {changes.map((change) => (
          <li key={change}>{change}</li>
        ))}
      </ul>
    </div>
  );
}

function Reason({ why, onChange }: { readonly why: string; readonly onChange: (why: string) => void }): JSX.Element {
  return (
    <label class="field">
      <span>Reason. The history stores it with the decision and your name.</span>
      <textarea
        class="textarea"
        name="why"
        rows={2}
        maxLength={1_000}
        autofocus
        value={why}
        onInput={(event) => onChange(event.currentTarget.value)}
      />
    </label>
  );
}
