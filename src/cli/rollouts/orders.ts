import type { KindDefinition } from "../../api/index.ts";
import {
  approvalBefore,
  approvalPatch,
  approvalProblem,
  changeAgainst,
  commandForStep,
  completingSteps,
  fullPromotionPatch,
  hasEnded,
  isRestingPhase,
  nextApprovalOf,
  orderPatch,
  refusalOf,
  remadeProblem,
  rolloutCommand,
  storedRollout,
  waitingStepOf,
  type OrderedBy,
  type RolloutKind,
} from "../../api/serin/index.ts";
import { userError, type SerinError } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { patchAsRead, patchThisObject } from "../../kube/writes-as-read/index.ts";
import type { CliContext } from "../context.ts";
import {
  nameOf,
  nounOf,
  rolloutKindOf,
  statusCommand,
  whoAmI,
  type Rollout,
  type RolloutFlags,
} from "./rollout-objects.ts";

export interface OrderFlags extends RolloutFlags {
  readonly message?: string;
  readonly full?: boolean;
  readonly step?: string;
}

export type OrderWord = Parameters<typeof orderPatch>[1];

export interface Order<Value extends Rollout> {
  readonly client: KubeClient;
  readonly kind: KindDefinition<Value>;
  readonly object: Value;
  readonly flags: OrderFlags;
  readonly context: CliContext;
}

/** Writes an order, which the engine carries out. `done` says in the output what happens to the rollout. */
export async function giveOrder<Value extends Rollout>(
  { client, kind, object, flags, context }: Order<Value>,
  { order, done }: { readonly order: OrderWord; readonly done: string },
): Promise<void> {
  refuseVain(kind, object, order);
  const patch = orderPatch(object, order, await orderedBy(client, flags, context));
  if ((await patchThisObject(client, kind, object, { patch, fieldManager: "serin-cli" })) === "replaced")
    throw notGiven(kind, object, remadeProblem);
  context.out(`${nounOf(rolloutKindOf(kind))} ${nameOf(object)} ${done}\n`);
}

/** Throws if an order would change nothing. Does not check the user's rights, because the API server does. */
function refuseVain<Value extends Rollout>(
  kind: KindDefinition<Value>,
  object: Value,
  action: Parameters<typeof refusalOf>[2],
): void {
  const kindName = rolloutKindOf(kind);
  const why = refusalOf(kindName, object, action, { patch: true, replace: true });
  if (why === undefined) return;
  throw userError("nothing-waits", `${kindName} ${nameOf(object)}: ${why}`, {
    hint: `see ${statusCommand(kindName, object)}`,
  });
}

async function orderedBy(client: KubeClient, flags: OrderFlags, context: CliContext): Promise<OrderedBy> {
  const by = await whoAmI(client);
  return { by, why: flags.message ?? "", at: new Date(context.clock.nowMs()).toISOString() };
}

/**
 * Patches the present version of the rollout. Throws if it has changed, since the user's command read it, in a way that
 * concerns the order.
 */
async function patchAsSeen<Value extends Rollout>(
  { client, kind, object, context }: Order<Value>,
  order: Parameters<typeof changeAgainst>[0],
  patchOf: (current: Value) => unknown,
): Promise<void> {
  let change: string | undefined;
  const outcome = await patchAsRead(client, kind, object, {
    patchOf: (current) => patchOf(storedRollout(rolloutKindOf(kind), current)),
    isMeant: (current) => {
      change = changeAgainst(order, object, storedRollout(rolloutKindOf(kind), current));
      return change === undefined;
    },
    fieldManager: "serin-cli",
    clock: context.clock,
    signal: context.signal,
  });
  if (outcome === "done") return;
  throw notGiven(kind, object, change ?? "it was deleted meanwhile");
}

function notGiven<Value extends Rollout>(kind: KindDefinition<Value>, object: Value, what: string): SerinError {
  return userError("nothing-waits", `${kind.kind} ${nameOf(object)}: ${what}, so your order was not given`, {
    hint: `look at it with \`${statusCommand(rolloutKindOf(kind), object)}\`, and give the order again`,
  });
}

/**
 * Approves steps in the caller's name. A write replaces the whole list of approvals, so after a conflict it starts
 * again from the new list.
 */
export async function approve<Value extends Rollout>(given: Order<Value>, steps?: readonly string[]): Promise<void> {
  const { client, kind, object, flags, context } = given;
  const wanted = flags.step !== undefined ? [flags.step] : (steps ?? [waitingStep(kind, object)]);
  const hint = `see ${statusCommand(rolloutKindOf(kind), object)}`;
  if (hasEnded(object)) {
    const problem = `it has ended as ${object.status?.phase ?? ""}`;
    throw userError("nothing-waits", `${kind.kind} ${nameOf(object)}: ${problem}`, { hint });
  }
  // If the approval came early, the engine would skip the soak of the whole mesh, and remove the old revision before
  // anybody has looked at the result.
  if (kind.kind === "MeshUpgrade" && wanted.some((step) => completingSteps.includes(step)))
    refuseVain(kind, object, "complete");
  for (const step of wanted) {
    const problem = approvalProblem(object, step);
    if (problem !== undefined) throw userError("nothing-waits", `${kind.kind} ${nameOf(object)}: ${problem}`, { hint });
  }
  const ordered = await orderedBy(client, flags, context);
  await patchAsSeen(given, "approve", (current) => approvalPatch(current, wanted, ordered));
  context.out(`${kind.kind} ${nameOf(object)}: ${wanted.join(", ")} approved by ${ordered.by}\n`);
}

/** The step that an approval without `--step` means. */
function waitingStep<Value extends Rollout>(definition: KindDefinition<Value>, rollout: Value): string {
  const kind = rolloutKindOf(definition);
  const step = waitingStepOf(rollout);
  const { status } = rollout;
  if (step !== undefined) {
    const before = approvalBefore(rollout);
    if (before === undefined) return step;
    const command = rolloutCommand(kind, rollout, "approve");
    throw userError(
      "ambiguous",
      `${kind} ${nameOf(rollout)}: step ${before.step} was approved by ${before.by} at ${before.at}, and step ${step} (${status?.step?.title ?? ""}) waits now`,
      { hint: `name the step that you have looked at: ${commandForStep(command, step)}` },
    );
  }
  const at = hasEnded(rollout) || status?.step === undefined ? "" : ` at ${status.step.title}`;
  throw userError(
    "nothing-waits",
    `${kind} ${nameOf(rollout)}: no step waits for an approval: the rollout is ${status?.phase ?? "not read by the engine yet"}${at}`,
    { hint: insteadOfApproval(kind, rollout) },
  );
}

/** Says what a person can do if no step waits for an approval. */
function insteadOfApproval(kind: RolloutKind, rollout: Rollout): string {
  const lookAtIt = `look at its steps with \`${statusCommand(kind, rollout)}\``;
  if (hasEnded(rollout)) return lookAtIt;
  // An approval applies only to the run in which it is given, and no run is under way.
  if (isRestingPhase(rollout.status?.phase) && rollout.status?.run !== undefined)
    return `a change of its Deployment begins the next run; ${lookAtIt}`;
  const isRefused = (order: Parameters<typeof refusalOf>[2]): boolean =>
    refusalOf(kind, rollout, order, { patch: true, replace: true }) !== undefined;
  if (rollout.status?.phase === "Paused" && !isRefused("resume"))
    return `to continue it: ${rolloutCommand(kind, rollout, "resume")}`;
  const { plannedSteps = [], step } = rollout.status ?? {};
  const isAsked = plannedSteps.some(({ id, untilApproved }) => id === step?.id && untilApproved === true);
  if (kind === "MeshUpgrade" && !isRefused("complete") && (step?.id === "soak" || isAsked)) {
    const what = step?.id === "soak" ? "to end the soak" : "to allow the removal of the old revision";
    return `${what}: ${rolloutCommand(kind, rollout, "complete")}`;
  }
  const next = nextApprovalOf(rollout);
  return next === undefined
    ? lookAtIt
    : `approve step ${next} when it waits, or approve it in advance: ${commandForStep(rolloutCommand(kind, rollout, "approve"), next)}`;
}

export async function orderFully<Value extends Rollout>(given: Order<Value>): Promise<void> {
  const { client, kind, object, flags, context } = given;
  refuseVain(kind, object, "promote");
  const ordered = await orderedBy(client, flags, context);
  await patchAsSeen(given, "promote", (current) => fullPromotionPatch(current, ordered));
  context.out(`${kind.kind} ${nameOf(object)} goes to its last step at once, by order of ${ordered.by}\n`);
}
