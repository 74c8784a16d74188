import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Problem, RolloutActionOffer, RolloutHead } from "../../../api/dashboard/index.ts";
import { CommandLine, Dialog, Notice, ProblemNotice, toast } from "../components/index.ts";
import { problemOf, request } from "../requests.ts";
import { rolloutName } from "./rollout-order.ts";

/** The state when the dialog opens. The order applies only to this step. */
interface Confirmed {
  readonly offer: RolloutActionOffer;
  readonly step: string;
  readonly stepTitle: string;
}

/** All orders as buttons. A disabled one shows the reason. */
export function RolloutActions({
  head,
  problem,
}: {
  readonly head: RolloutHead;
  readonly problem: Problem | undefined;
}): JSX.Element {
  const [confirmed, setConfirmed] = useState<Confirmed | undefined>(undefined);
  const { currentStep } = head;
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
            onClick={() => setConfirmed({ offer, step: currentStep?.id ?? "", stepTitle: currentStep?.title ?? "" })}
          >
            {offer.title}
            {offer.refusedBecause === undefined ? undefined : (
              <span class="visually-hidden">, not now: {offer.refusedBecause}</span>
            )}
          </button>
        );
      })}
      {confirmed === undefined ? undefined : (
        <Confirmation head={head} confirmed={confirmed} onClose={() => setConfirmed(undefined)} />
      )}
    </div>
  );
}

/** The style of a button. An approval for which the rollout waits stands out. */
function kindOf(action: RolloutActionOffer["action"], refused: boolean): "danger" | "primary" | undefined {
  if (action === "rollback") return "danger";
  return action === "approve" && !refused ? "primary" : undefined;
}

function Confirmation({
  head,
  confirmed,
  onClose,
}: {
  readonly head: RolloutHead;
  readonly confirmed: Confirmed;
  readonly onClose: () => void;
}): JSX.Element {
  const { offer, step, stepTitle } = confirmed;
  const { kind, namespace, name } = head.row;
  const [why, setWhy] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | undefined>(undefined);
  const refused = offer.refusedBecause !== undefined;
  const movedOn = (head.currentStep?.id ?? "") !== step;
  const order = async (): Promise<void> => {
    setBusy(true);
    try {
      const { done } = await request("POST /api/action", {
        kind,
        namespace,
        name,
        action: offer.action,
        why: why.trim(),
        step,
      });
      toast("good", done);
      onClose();
    } catch (error) {
      setProblem(problemOf(error));
      setBusy(false);
    }
  };
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
              form="rollout-order"
              class="button"
              data-kind={offer.action === "rollback" ? "danger" : "primary"}
              disabled={busy || movedOn}
            >
              {busy ? "Ordering" : offer.title}
            </button>
          )}
        </>
      }
    >
      {refused ? <Notice tone="warn">Not now: {offer.refusedBecause}</Notice> : undefined}
      {movedOn && !refused ? (
        <Notice tone="warn" live>
          The rollout has gone on from “{stepTitle}” since this was opened. Close this and look again.
        </Notice>
      ) : undefined}
      {offer.changes.length === 0 ? undefined : (
        <div class="stack">
          <h3>What will change</h3>
          <ul class="changes">
            {offer.changes.map((change) => (
              <li key={change}>{change}</li>
            ))}
          </ul>
        </div>
      )}
      {refused ? undefined : (
        <form
          id="rollout-order"
          onSubmit={(event) => {
            event.preventDefault();
            if (!busy && !movedOn) void order();
          }}
        >
          {offer.asksWhy ? (
            <label class="field">
              <span>Reason. The history stores it with the decision and your name.</span>
              <textarea
                class="textarea"
                name="why"
                rows={2}
                maxLength={1_000}
                autofocus
                value={why}
                onInput={(event) => setWhy(event.currentTarget.value)}
              />
            </label>
          ) : undefined}
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
