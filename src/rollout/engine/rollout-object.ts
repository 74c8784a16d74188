import { createHash } from "node:crypto";
import { jsonEqualWithoutNulls } from "../../base/index.ts";
import { formatIssues, keyOf, type KindDefinition, type UntypedObject } from "../../api/index.ts";
import { whoWrote } from "../../api/serin/field-managers/index.ts";
import {
  approvalsSince,
  canaryKind,
  holderAnnotation,
  isSameOrder,
  kubectlObject,
  ownUidAnnotation,
  meshUpgradeKind,
  parseCanary,
  parseMeshUpgrade,
  rolloutCommand,
  type Canary,
  type JournalEntry,
  type MeshUpgrade,
  type ObjectReference,
  type OrdersMark,
  type RolloutOrdersSpec,
  type RolloutStatus,
  withoutJournalAnnotation,
} from "../../api/serin/index.ts";
import { isUnderWay, type RolloutCommands, type RolloutOrders } from "../decide/index.ts";
import { annotationPointer, type TargetedCanary } from "../plan/index.ts";
import { journalNameOf } from "./journal-name.ts";

export type Rollout = Canary | MeshUpgrade;

/** The rollout's key in the engine and its name in messages, for example `Canary shop/reviews`. */
export function rolloutKey(rollout: Rollout): string {
  return `${isMeshUpgrade(rollout) ? "MeshUpgrade" : "Canary"} ${keyOf(rollout)}`;
}

export function isMeshUpgrade(rollout: Rollout): rollout is MeshUpgrade {
  return rollout.kind === "MeshUpgrade";
}

/** The group that the rollout names, also if the parser refuses its spec. */
export function groupName({ spec }: Rollout): string | undefined {
  return ((spec ?? {}) as { readonly group?: string }).group;
}

export function kindOfRollout(rollout: Rollout): KindDefinition {
  return isMeshUpgrade(rollout) ? meshUpgradeKind : canaryKind;
}

/** The parsed object with the orders for its current run, or the faults of its spec. */
export function parseRollout(raw: Rollout): { readonly rollout: Rollout } | { readonly problem: string } {
  const parsed: { value: Rollout | undefined; errors: readonly { path: string; message: string }[] } = isMeshUpgrade(
    raw,
  )
    ? parseMeshUpgrade(raw)
    : parseCanary(raw);
  return parsed.value === undefined
    ? { problem: formatIssues(parsed.errors) }
    : { rollout: withStoredTarget(withOrdersOfRun(parsed.value, raw.status), raw) };
}

function withStoredTarget(rollout: Rollout, { spec }: Rollout): Rollout & Pick<TargetedCanary, "storedTarget"> {
  return isMeshUpgrade(rollout) ? rollout : { ...rollout, storedTarget: (spec as Canary["spec"]).target };
}

/**
 * The rollout without orders that were given for an earlier run: the new run must not continue, or skip its checks,
 * because of them. A status that an earlier release wrote has only the time of the run's beginning, with which the
 * times of the orders are compared.
 */
function withOrdersOfRun(rollout: Rollout, { run = 0, startedAt, ordersBefore }: Partial<RolloutStatus> = {}): Rollout {
  if (run <= 1 && ordersBefore === undefined) return rollout;
  if (ordersBefore !== undefined) {
    const { fullPromotion: given, approvals, ...rest } = rollout.spec;
    const isNew = given !== undefined && !isSameOrder(given, ordersBefore.fullPromotion);
    return {
      ...rollout,
      spec: {
        ...rest,
        approvals: approvalsSince(approvals, ordersBefore),
        ...(isNew ? { fullPromotion: given } : {}),
      },
    } as Rollout;
  }
  const isOfRun = (at = ""): boolean => startedAt !== undefined && Date.parse(at) >= Date.parse(startedAt);
  const { fullPromotion, ...spec } = rollout.spec;
  const orders = {
    ...spec,
    approvals: spec.approvals.filter(({ at }) => isOfRun(at)),
    ...(fullPromotion !== undefined && isOfRun(fullPromotion.at) ? { fullPromotion } : {}),
  };
  return { ...rollout, spec: orders } as Rollout;
}

/** Whether a change of an object in the cluster begins a run: a change of the Deployment's pod template. */
export function isWatched(rollout: Rollout): boolean {
  return !isMeshUpgrade(rollout) && "deployment" in targetFieldOf(rollout);
}

/** The target of a Canary, whose spec the parser may have refused. Empty if the spec has none. */
function targetFieldOf({ spec }: Canary): object {
  const { target } = (spec ?? {}) as { readonly target?: unknown };
  return typeof target === "object" && target !== null ? target : {};
}

/** The Deployment that a Canary holds. Undefined for other targets. */
export function heldDeployment(rollout: Rollout): ObjectReference | undefined {
  const { deployment } = (isMeshUpgrade(rollout) ? {} : targetFieldOf(rollout)) as {
    readonly deployment?: { readonly name?: unknown };
  };
  if (typeof deployment?.name !== "string") return undefined;
  const { namespace = "" } = rollout.metadata;
  return { apiVersion: "apps/v1", kind: "Deployment", plural: "deployments", name: deployment.name, namespace };
}

/**
 * Journal entries of the Deployment's hold, derived from the annotation in which the engine has written this Canary's
 * name.
 */
export function entriesOfHold(
  { metadata: { name } }: Rollout,
  object: ObjectReference,
  { metadata: { annotations, uid }, spec }: UntypedObject,
): readonly JournalEntry[] {
  if (name === undefined || annotations?.[holderAnnotation] !== name) return [];
  const entry = (pointer: string, written: unknown): JournalEntry => ({
    type: "field",
    step: "hold",
    setup: true,
    object,
    pointer,
    written,
    ...(uid === undefined ? {} : { uid }),
  });
  const { paused } = (spec ?? {}) as { readonly paused?: unknown };
  return [entry(annotationPointer(holderAnnotation), name), ...(paused === true ? [entry("/spec/paused", true)] : [])];
}

/** The object that two rollouts must not change at the same time. */
export function targetOf(rollout: Rollout): string {
  if (isMeshUpgrade(rollout)) return "mesh";
  const [field, target] = Object.entries(targetFieldOf(rollout))[0] ?? ["", {}];
  const {
    name = "",
    namespace = rollout.metadata.namespace ?? "",
    rule,
    route,
    service,
    stable,
    routes,
  } = target as Record<string, unknown> & { name?: string; namespace?: string };
  // Canaries with the target `namespaces` may move different routes, so the routes identify the target. In targets of
  // other types, `routes` is a kind.
  const moved = Array.isArray(routes) ? [stable, routes] : (rule ?? route ?? service ?? stable ?? "");
  return JSON.stringify([field, namespace, name, moved]);
}

/** A digest of what a run moves. It uses the stored target, because another release may have other defaults. */
function movesOf(rollout: Rollout, { spec }: UntypedObject): string {
  if (isMeshUpgrade(rollout)) return `revision ${rollout.spec.from.revision} to ${rollout.spec.to.revision}`;
  return JSON.stringify((spec as { readonly target?: object } | undefined)?.target ?? {});
}

/**
 * The problem of a running rollout whose spec now has another target, or other revisions. The webhook refuses such a
 * change, but it cannot do so while no engine runs. With the change, the run would forget what it has moved, and treat
 * its finished steps as done for other objects. `raw`: the rollout as it is stored.
 */
export function strayProblem(rollout: Rollout, raw: UntypedObject, status: RolloutStatus): string | undefined {
  const [before, now] = [status.moves, movesOf(rollout, raw)];
  if (before === undefined || !isUnderWay(status) || isSameMove(before, now, rollout)) return undefined;
  const { name = "", namespace = "" } = rollout.metadata;
  const [field, undo] = isMeshUpgrade(rollout)
    ? ["spec.from and spec.to", `upgrade rollback ${name}`]
    : ["spec.target", `canary abort ${name} -n ${namespace}`];
  return `${field}: must not change while the rollout is under way: it moves ${before}, got ${now}. Put it back, or undo the rollout first: serin ${undo}`;
}

function isSameMove(before: string, now: string, rollout: Rollout): boolean {
  return before === now || (!isMeshUpgrade(rollout) && jsonEqualWithoutNulls(JSON.parse(before), JSON.parse(now)));
}

/** A digest of what the spec changes, without people's orders. */
export function specCandidate(rollout: Rollout): string {
  const changes = isMeshUpgrade(rollout)
    ? { from: rollout.spec.from, to: rollout.spec.to }
    : { target: rollout.spec.target, steps: rollout.spec.steps };
  return createHash("sha256").update(JSON.stringify(changes)).digest("hex").slice(0, 12);
}

/**
 * Whether the spec differs from that of the last run, so that another run begins when that one has ended. True before
 * the first run. False for a watched target.
 */
export function asksForRun(rollout: Rollout, { candidate }: RolloutStatus): boolean {
  return !isWatched(rollout) && candidate !== specCandidate(rollout);
}

function lastOrders({ spec }: UntypedObject): OrdersMark {
  const { approvals, fullPromotion } = (spec ?? {}) as Partial<RolloutOrdersSpec>;
  const approval = Array.isArray(approvals) ? (approvals as RolloutOrdersSpec["approvals"]).at(-1) : undefined;
  return {
    ...(approval === undefined ? {} : { approval }),
    ...(fullPromotion === undefined ? {} : { fullPromotion }),
  };
}

export function ordersOf(rollout: Rollout, raw: UntypedObject): RolloutOrders {
  const { spec, metadata } = rollout;
  const orderedBy = metadata.deletionTimestamp === undefined ? whoOrdered(spec, raw) : undefined;
  return {
    commands: commandsOf(rollout),
    generation: metadata.generation ?? 0,
    paused: spec.paused,
    abort: spec.abort,
    ...(copiedUid(rollout) !== undefined ? { isCopy: true } : {}),
    ...(orderedBy === undefined ? {} : { orderedBy }),
    automaticRollback: spec.rollback === "Automatic",
    approvals: spec.approvals,
    ...(spec.fullPromotion === undefined ? {} : { fullPromotion: spec.fullPromotion }),
    last: lastOrders(raw),
    ...withoutJournalOf(metadata),
    moves: movesOf(rollout, raw),
    settleTimeoutMs: spec.settleTimeoutSeconds * 1000,
    ...(metadata.deletionTimestamp === undefined ? {} : { deletion: spec.onDeletion }),
    holdsAllNamespaces: !isMeshUpgrade(rollout),
  };
}

function withoutJournalOf({ annotations }: Rollout["metadata"]): Pick<RolloutOrders, "withoutJournal"> {
  const withoutJournal = annotations?.[withoutJournalAnnotation];
  return withoutJournal === undefined ? {} : { withoutJournal };
}

/**
 * The uid of the object of which this one is a copy. Undefined if it is no copy. A person who takes the copy over
 * removes the mark.
 */
export function copiedUid({ metadata: { annotations, uid } }: Rollout): string | undefined {
  const worked = annotations?.[ownUidAnnotation];
  return worked === uid ? undefined : worked;
}

function commandsOf(rollout: Rollout): RolloutCommands {
  const isUpgrade = isMeshUpgrade(rollout);
  const kind = isUpgrade ? "MeshUpgrade" : "Canary";
  return {
    approve: rolloutCommand(kind, rollout, "approve"),
    undo: rolloutCommand(kind, rollout, "rollback"),
    resume: rolloutCommand(kind, rollout, "resume"),
    retry: rolloutCommand(kind, rollout, "retry"),
    ...(isUpgrade ? {} : { promote: rolloutCommand(kind, rollout, "promote") }),
    edit: `kubectl edit ${kubectlObject(kind, rollout.metadata)}`,
    annotate: `kubectl annotate --overwrite ${kubectlObject(kind, rollout.metadata)}`,
    journal: journalNameOf({ kind, metadata: rollout.metadata }),
  };
}

/**
 * The user's name, which is written together with the order. If there is none, the name of the program that wrote the
 * order.
 */
function whoOrdered({ abort, orderedBy }: Rollout["spec"], raw: UntypedObject): string | undefined {
  const writer = whoWrote(raw, abort ? "/spec/abort" : "/spec/paused");
  if (orderedBy === undefined || writer === undefined || whoWrote(raw, "/spec/orderedBy/at") !== writer) return writer;
  return orderedBy.why === "" ? orderedBy.by : `${orderedBy.by}: ${orderedBy.why}`;
}

/** The orders in an object that its parser refuses. They suffice to undo the rollout. */
export function ordersOfRefused(raw: Rollout): RolloutOrders {
  const spec = (raw.spec ?? {}) as Partial<RolloutOrdersSpec>;
  return {
    commands: commandsOf(raw),
    generation: raw.metadata.generation ?? 0,
    paused: false,
    abort: spec.abort === true,
    automaticRollback: true,
    approvals: [],
    last: {},
    ...withoutJournalOf(raw.metadata),
    settleTimeoutMs: Number.MAX_SAFE_INTEGER,
    ...(raw.metadata.deletionTimestamp === undefined
      ? {}
      : { deletion: spec.onDeletion === "Leave" ? "Leave" : "Rollback" }),
    holdsAllNamespaces: !isMeshUpgrade(raw),
  };
}
