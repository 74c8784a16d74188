import {
  canaryKind,
  changeAgainst,
  completingSteps,
  fullPromotionPatch,
  approvalPatch,
  meshUpgradeKind,
  orderPatch,
  lackingRight,
  refusalOf,
  remadeProblem,
  retriedRollout,
  storedRollout,
  type OrderedBy,
  type Rollout,
} from "../../../api/serin/index.ts";
import { rolloutActions, type ActionRequest, type RolloutAction } from "../../../api/dashboard/index.ts";
import { keyOf, type KindDefinition } from "../../../api/index.ts";
import { messageOf, type Clock, type Logger } from "../../../base/index.ts";
import { EventRecorder, type KubeClient } from "../../../kube/index.ts";
import { createAsApplied, deleteThisObject, patchAsRead, patchThisObject } from "../../../kube/writes-as-read/index.ts";
import type { Identity } from "../access/identity.ts";
import type { AuditLog } from "../audit-log.ts";
import { refusal } from "../../problem.ts";
import { ownOf } from "./kube-requests.ts";
import type { RequestHandler } from "./request-handlers.ts";

export interface GiveOrderOptions {
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Order {
  readonly stored: Rollout;
  readonly client: KubeClient;
  readonly kind: KindDefinition<Rollout>;
  readonly action: RolloutAction;
  readonly ordered: OrderedBy;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** The state that the user saw when confirming the order. */
type SeenState = Pick<ActionRequest, "step" | "run" | "paused" | "uid"> & { readonly stuck: boolean | undefined };

export const fieldManager = "serin-dashboard";
const maxWhyLength = 1_000;
const retryMs = 50;
const goneTimeoutMs = 30_000;
const lookAgain = "look at what the order would change now, and confirm that";

const done: Readonly<Record<RolloutAction, string>> = {
  approve: "approved",
  pause: "paused",
  resume: "continues",
  promote: "goes to the end at once",
  rollback: "is being undone",
  complete: "ends its soak",
  retry: "begins again",
};

/** Writes an order into a rollout, as the command line does, with the user's own credentials. */
export function giveOrder({ audit, clock, log }: GiveOrderOptions): RequestHandler<"POST /api/action"> {
  return async (fields, identity, signal) => {
    const kindName = fields.oneOf("kind", ["Canary", "MeshUpgrade"] as const);
    const action = fields.oneOf("action", rolloutActions);
    const [namespace, name] = [
      kindName === "Canary" ? fields.requiredText("namespace") : "",
      fields.requiredText("name"),
    ];
    const why = fields.text("why", maxWhyLength);
    const seen = {
      step: fields.text("step"),
      run: fields.integer("run", 0, Number.MAX_SAFE_INTEGER, 0),
      paused: fields.flag("paused"),
      stuck: fields.optionalFlag("stuck"),
      uid: fields.text("uid"),
    };
    const kind = (kindName === "Canary" ? canaryKind : meshUpgradeKind) as unknown as KindDefinition<Rollout>;
    const what = `${action} ${kindName} ${namespace === "" ? name : `${namespace}/${name}`}`;
    const { user } = identity;
    // Without a login, no order can be given, and nothing is recorded.
    const { client } = ownOf(identity);
    try {
      const stored = await client.get(kind, name, namespace === "" ? undefined : namespace);
      if (stored === undefined)
        throw refusal("not-found", `there is no ${kindName} ${name}`, "it may have been deleted");
      const rollout = storedRollout(kindName, stored);
      refuseUnseen(rollout, action, seen);
      const rights = {
        patch: await mayDo(identity, kind, rollout, ["patch"]),
        replace: await mayDo(identity, kind, rollout, ["delete", "create"]),
      };
      const refused = refusalOf(kindName, rollout, action, rights);
      if (refused !== undefined) {
        const isForbidden = refused === lackingRight(kindName, rollout, action, rights);
        throw refusal(isForbidden ? "forbidden" : "conflict", `${name}: ${refused}`);
      }
      await write(rollout, {
        stored,
        client,
        kind,
        action,
        ordered: { by: user, why, at: new Date(clock.nowMs()).toISOString() },
        clock,
        signal,
      });
      audit.record({ user, what, result: "done", detail: why });
      new EventRecorder({ client, component: fieldManager, log, clock }).record(kind, rollout, {
        type: "Normal",
        reason: "Ordered",
        message: `${action} by ${user}${why === "" ? "" : `: ${why}`}`,
      });
      return { done: `${kindName} ${keyOf(rollout)} ${done[action]}` };
    } catch (error) {
      audit.record({ user, what, result: "refused", detail: messageOf(error) });
      throw error;
    }
  };
}

/** Refuses an order if the rollout is in another state than the one that the user saw when confirming. */
function refuseUnseen(rollout: Rollout, action: RolloutAction, { step, run, paused, stuck, uid }: SeenState): void {
  const { metadata, spec, status } = rollout;
  const { name = "" } = metadata;
  if (uid !== "" && metadata.uid !== uid) throw refusal("conflict", `${name}: ${remadeProblem}`, lookAgain);
  if (step !== "" && status?.step?.id !== step)
    throw refusal(
      "conflict",
      `${name} is already at another step: ${status?.step?.title ?? status?.phase ?? "none"}`,
      lookAgain,
    );
  if (action !== "promote" && action !== "approve" && action !== "complete") return;
  const seen = {
    ...rollout,
    spec: { ...spec, paused },
    ...(status === undefined
      ? {}
      : { status: { ...status, ...(run === 0 ? {} : { run }), ...(stuck === false ? { phase: "Paused" } : {}) } }),
  } as Rollout;
  const change = changeAgainst(action, seen, rollout);
  if (change !== undefined) throw refusal("conflict", `${name}: ${change}`, lookAgain);
}

async function mayDo(
  identity: Identity,
  { group, plural }: KindDefinition<Rollout>,
  { metadata: { name = "", namespace = "" } }: Rollout,
  verbs: readonly string[],
): Promise<boolean> {
  const answers = await Promise.all(
    verbs.map(
      async (verb) =>
        await identity.may({ verb, group, resource: plural, namespace, ...(verb === "create" ? {} : { name }) }),
    ),
  );
  return answers.every(Boolean);
}

async function write(rollout: Rollout, order: Order): Promise<void> {
  const { client, kind, action, ordered } = order;
  const { name = "" } = rollout.metadata;
  switch (action) {
    case "pause":
    case "resume":
    case "rollback": {
      const patch = orderPatch(rollout, action, ordered);
      if ((await patchThisObject(client, kind, rollout, { patch, fieldManager })) === "replaced")
        throw refusal("conflict", `${name}: ${remadeProblem}`, lookAgain);
      return;
    }
    case "promote":
      return await patchAsSeen(rollout, action, order, (current) => fullPromotionPatch(current, ordered));
    case "approve": {
      const steps = [rollout.status?.step?.id ?? ""];
      return await patchAsSeen(rollout, action, order, (current) => approvalPatch(current, steps, ordered));
    }
    case "complete":
      return await patchAsSeen(rollout, action, order, (current) => approvalPatch(current, completingSteps, ordered));
    case "retry":
      return await beginAgain(order);
  }
}

/**
 * Patches the rollout in the version that was read. Refuses if it has changed since in a way that the user has not
 * seen.
 */
async function patchAsSeen(
  rollout: Rollout,
  action: Parameters<typeof changeAgainst>[0],
  { client, kind, clock, signal }: Order,
  patchOf: (current: Rollout) => unknown,
): Promise<void> {
  let change: string | undefined;
  const kindName = kind.kind === "Canary" ? "Canary" : "MeshUpgrade";
  const isMeant = (current: Rollout): boolean => {
    change = changeAgainst(action, rollout, storedRollout(kindName, current));
    return change === undefined;
  };
  const outcome = await patchAsRead(client, kind, rollout, {
    patchOf: (current) => patchOf(storedRollout(kindName, current)),
    isMeant,
    fieldManager,
    clock,
    signal,
  });
  const { name = "" } = rollout.metadata;
  if (outcome === "gone") throw refusal("not-found", `${name} was deleted meanwhile`);
  if (outcome === "other") throw refusal("conflict", `${name}: ${change ?? "it has changed meanwhile"}`, lookAgain);
}

/**
 * Deletes the rollout and creates it again, even if the user has left, because otherwise the rollout would be lost. A
 * dry run shows before the deletion whether the server accepts the new object.
 */
async function beginAgain({ stored, client, kind, clock }: Order): Promise<void> {
  const { name = "" } = stored.metadata;
  const next = retriedRollout(stored);
  // Use a generated name, because the rollout's own name is taken until its deletion.
  const { name: _name, ...nameless } = next.metadata;
  const rehearsed: Rollout = { ...next, metadata: { ...nameless, generateName: `${name}-` } };
  await client.create(kind, rehearsed, { fieldManager, dryRun: true });
  const outcome = await deleteThisObject(client, kind, stored, { clock, timeoutMs: goneTimeoutMs, pollMs: retryMs });
  if (outcome === "still-there")
    throw refusal("unavailable", `${name} is still being deleted`, `kubectl get ${kind.plural} ${name} -o yaml`);
  if (outcome === "replaced" || (await createAsApplied(client, kind, next, { fieldManager, clock })) === "taken")
    throw refusal("conflict", `${name}: somebody else has started it again meanwhile`);
}
