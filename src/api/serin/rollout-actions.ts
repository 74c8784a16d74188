import { shellQuoted } from "../../base/index.ts";
import type { RolloutAction, RolloutActionOffer } from "../rollout-action.ts";
import { keyOf } from "../meta.ts";
import type { Canary } from "./canary.ts";
import type { MeshUpgrade } from "./mesh-upgrade.ts";
import {
  approvalsSince,
  approvalsSinceFailure,
  isSameOrder,
  maxApprovals,
  type Approval,
  type OrderedBy,
} from "./rollout-orders.ts";
import type { JournalEntry, ObjectReference } from "./rollout-journal.ts";
import {
  isEndPhase,
  isRestingPhase,
  authorAnnotation,
  ownUidAnnotation,
  maxPlannedSteps,
  type RolloutStatus,
  type StepStatus,
} from "./rollout-status.ts";

export type Rollout = Canary | MeshUpgrade;
export type RolloutKind = "Canary" | "MeshUpgrade";

/** The user's rights for rollouts in this rollout's namespace. */
export interface RolloutRights {
  readonly patch: boolean;
  /** Whether the user may delete and create, which a retry requires. */
  readonly replace: boolean;
}

/** The steps that `complete` approves: the soak, and the wait for dependents of the old revision. */
export const completingSteps: readonly string[] = ["soak", "dependents"];

const actionsByKind: Readonly<Record<RolloutKind, readonly RolloutAction[]>> = {
  Canary: ["approve", "pause", "resume", "promote", "rollback", "retry"],
  MeshUpgrade: ["approve", "pause", "resume", "complete", "rollback", "retry"],
};

const titles: Readonly<Record<RolloutAction, string>> = {
  approve: "Approve",
  pause: "Pause",
  resume: "Resume",
  promote: "Promote fully",
  rollback: "Roll back",
  complete: "Complete",
  retry: "Begin again",
};

/** The command line's verbs, where they differ from the page's. */
const canaryCommands: Partial<Record<RolloutAction, string>> = {
  approve: "promote",
  promote: "promote --full",
  rollback: "abort",
};
const asksWhy: ReadonlySet<RolloutAction> = new Set(["approve", "promote", "complete"]);

/** The spec fields that `pause`, `resume` and `rollback` set. The engine does the rest. */
const orderSpecs = {
  pause: { paused: true },
  resume: { paused: false },
  rollback: { abort: true, paused: false },
} as const;

/**
 * All orders of the kind for a page, each with its changes, or with the reason why it cannot be given now. `journal`
 * contains the changes so far.
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

/** Why the order cannot be given. Undefined if it can. */
export function refusalOf(
  kind: RolloutKind,
  rollout: Rollout,
  action: RolloutAction,
  rights: RolloutRights,
): string | undefined {
  if (!actionsByKind[kind].includes(action)) return `a ${kind} does not support this command`;
  const where = kind === "Canary" ? ` canaries in namespace ${rollout.metadata.namespace ?? ""}` : " mesh upgrades";
  if (action === "retry" ? !rights.replace : !rights.patch)
    return `you may not ${action === "retry" ? "delete and create" : "patch"}${where}`;
  const { spec, status } = rollout;
  if (action === "retry") return retryProblem(rollout);
  if (action === "rollback") {
    if (status?.phase === "RolledBack") return "it is already rolled back";
    return spec.abort || status?.phase === "RollingBack" ? "it is being rolled back" : undefined;
  }
  if (action === "resume" && (holdsNextRun(rollout) || isRestored(rollout))) return undefined;
  if (isEndPhase(status?.phase)) return `it has ended as ${phaseOf(status)}`;
  if (spec.abort || status?.phase === "RollingBack") return "it is being rolled back";
  if (action === "pause") return spec.paused ? "it is already paused" : undefined;
  if (action === "resume") return spec.paused ? undefined : "nobody has paused it";
  const step = status?.step;
  if (step === undefined) return `no step is running: it is ${phaseOf(status)}`;
  if (action === "complete")
    return completingSteps.includes(step.id) ? undefined : `it is not in its soak: the step is ${step.title}`;
  if (action === "promote") return isPromoted(rollout) ? "it is already promoted" : undefined;
  const problem = approvalProblem(rollout, step.id);
  if (problem !== undefined) return problem;
  const given = approvalsThatCount(rollout, step).findLast((approval) => approval.step === step.id);
  return given === undefined ? undefined : `${step.title} was approved by ${given.by}`;
}

function retryProblem(rollout: Rollout): string | undefined {
  const { status } = rollout;
  if (hasEnded(rollout)) return undefined;
  return isRestingPhase(status?.phase)
    ? "a change of its Deployment begins the next run"
    : `it has not ended: it is ${phaseOf(status)}`;
}

/**
 * The approvals of this run. If an earlier release wrote the status, it has only times, and all approvals are returned.
 */
function approvalsOfRun(rollout: Rollout): readonly Approval[] {
  const { status } = rollout;
  const all = approvalsOf(rollout);
  return status?.ordersBefore === undefined ? all : approvalsSince(all, status.ordersBefore);
}

/** The approvals of this run. For a failed step, an approval must be newer than the failure. */
function approvalsThatCount(rollout: Rollout, step: StepStatus): readonly Approval[] {
  const { status } = rollout;
  const ofRun = approvalsOfRun(rollout);
  if (status === undefined) return ofRun;
  const isStuck = status.conditions.some(({ type, status: on }) => type === "Stuck" && on === "True");
  if (isStuck) return approvalsSinceFailure(ofRun, step, status.conditions);
  // A status that an earlier release wrote has only times.
  return status.ordersBefore === undefined
    ? ofRun.filter(({ at }) => Date.parse(at) >= Date.parse(step.startedAt))
    : ofRun;
}

/** Whether the full promotion applies to this run, and not to an earlier one. */
function isPromoted({ spec, status }: Rollout): boolean {
  const { fullPromotion } = spec;
  if (fullPromotion === undefined) return false;
  if (status?.ordersBefore === undefined && (status?.run ?? 0) <= 1) return true;
  if (status?.ordersBefore !== undefined) return !isSameOrder(fullPromotion, status.ordersBefore.fullPromotion);
  const { at = "" } = fullPromotion;
  return status?.startedAt !== undefined && Date.parse(at) >= Date.parse(status.startedAt);
}

/**
 * The id of the step that waits for a person now. Undefined if no step does. An approval without the name of a step
 * would then approve a step that nobody has looked at, such as the one after a step that somebody else has just
 * approved.
 */
export function waitingStepOf({ status }: Rollout): string | undefined {
  const { phase, pauseReason, step } = status ?? {};
  if (step === undefined || isEndPhase(phase)) return undefined;
  if (phase === "Stuck") return step.id;
  // A status of an earlier release has no reason.
  return phase === "Paused" && (pauseReason === undefined || pauseReason === "approval") ? step.id : undefined;
}

/**
 * The last approval of a finished step of this run. After such an approval, an order that names no step may be meant
 * for the approved step. The person may have seen that step wait before somebody else approved it. Undefined if there
 * is no such approval.
 */
export function approvalBefore(rollout: Rollout): Approval | undefined {
  const { status } = rollout;
  if (status === undefined) return undefined;
  const done = doneSteps(status);
  return approvalsOfRun(rollout).findLast(({ step }) => done.has(step) && step !== status.step?.id);
}

/**
 * The id of the first unfinished step, from the current one on, that is planned to wait for an approval. A person may
 * approve it in advance. Undefined if there is no such step.
 */
export function nextApprovalOf({ status }: Rollout): string | undefined {
  if (status === undefined) return undefined;
  const { plannedSteps = [], step } = status;
  const current = plannedSteps.findIndex(({ id }) => id === step?.id);
  const done = doneSteps(status);
  return plannedSteps
    .slice(Math.max(0, current))
    .find(({ id, untilApproved }) => untilApproved === true && !done.has(id) && !completingSteps.includes(id))?.id;
}

function doneSteps({ completedSteps = [] }: Partial<RolloutStatus>): ReadonlySet<string> {
  return new Set(completedSteps.map(({ id }) => id));
}

/** Whether nothing changes any longer, and no change of the target would start another run. */
export function hasEnded({ spec, status }: Rollout): boolean {
  return isEndPhase(status?.phase) && !("target" in spec && "deployment" in spec.target);
}

/**
 * A merge patch that approves the steps. It replaces the whole list, so it is only valid for this version of the
 * object.
 */
export function approvalPatch(rollout: Rollout, steps: readonly string[], ordered: OrderedBy): unknown {
  const added = steps.map((step): Approval => ({ step, ...ordered }));
  return {
    metadata: { resourceVersion: rollout.metadata.resourceVersion },
    spec: { approvals: [...approvalsOf(rollout), ...added].slice(-maxApprovals) },
  };
}

/**
 * A merge patch that pauses, resumes or rolls back, with the person's name. It contains the uid, so the server refuses
 * it for another object of the same name. If the last run of a Canary is undone, resuming takes back the abort, so that
 * the next change begins a run. If the object is a copy of another one, resuming makes the person its author, because
 * the account that restored it may have other rights.
 */
export function orderPatch(rollout: Rollout, order: keyof typeof orderSpecs, orderedBy: OrderedBy): unknown {
  const released = order === "resume" && holdsNextRun(rollout) ? { abort: false } : {};
  const { uid } = rollout.metadata;
  const metadata = {
    ...(uid === undefined ? {} : { uid }),
    ...(order === "resume" && isRestored(rollout) ? { annotations: { [authorAnnotation]: "" } } : {}),
  };
  return {
    ...(Object.keys(metadata).length === 0 ? {} : { metadata }),
    spec: { ...orderSpecs[order], ...released, orderedBy },
  };
}

/** Whether the rollout is a copy of another object and has not begun. */
function isRestored({ status }: Rollout): boolean {
  return status?.phase === "Paused" && status.pauseReason === "restored";
}

/**
 * Whether an earlier abort, which is completed, prevents the next change of a watched Deployment from beginning a run.
 */
function holdsNextRun({ spec, status }: Rollout): boolean {
  return spec.abort && status?.phase === "RolledBack" && "target" in spec && "deployment" in spec.target;
}

/** Why an approval of the step would have no effect. Undefined if it would have one, or if nothing is planned yet. */
export function approvalProblem({ status }: Rollout, id: string): string | undefined {
  const { plannedSteps: planned, step } = status ?? {};
  if (planned === undefined || planned.length === 0 || completingSteps.includes(id)) return undefined;
  const done = doneSteps(status ?? {});
  const waiting = planned
    .filter((plannedStep) => plannedStep.untilApproved === true && !done.has(plannedStep.id))
    .map((plannedStep) => plannedStep.id);
  const those = waiting.length === 0 ? "no step waits for a person" : `steps that wait: ${waiting.join(", ")}`;
  const found = planned.find((plannedStep) => plannedStep.id === id);
  if (found === undefined)
    return planned.length >= maxPlannedSteps || step?.id === id ? undefined : `there is no step "${id}"; ${those}`;
  if (done.has(id) && step?.id !== id) return `step "${id}" has already finished; ${those}`;
  if (found.untilApproved === true) return undefined;
  if (status?.phase === "Stuck" && step?.id === id) {
    const { pauseReason } = status;
    // A status of an earlier release has no reason.
    if (pauseReason === undefined || pauseReason === "check" || pauseReason === "step") return undefined;
    return `an approval does not help step "${id}", which is stuck: ${status.message}`;
  }
  return `step "${id}" does not wait for an approval; ${those}`;
}

/** A merge patch that skips to the last step. It is only valid for this version of the object. */
export function fullPromotionPatch({ metadata: { resourceVersion } }: Rollout, ordered: OrderedBy): unknown {
  return { metadata: { resourceVersion }, spec: { fullPromotion: ordered, paused: false } };
}

/** Why an order for one rollout is not given to another rollout of the same name. */
export const remadeProblem = "it was deleted, and somebody has created another one of its name meanwhile";

/**
 * Why an order is not given to a rollout that has changed since the person looked at it. Undefined if the order is
 * given. A person who has looked at one version must not approve the next version, whose run may begin at the same
 * moment. An order for a step that waits must not overrule a failure of that step that the person has not seen. A full
 * promotion also ends a pause and skips the checks, so it must not overrule an order that the person has not seen.
 */
export function changeAgainst(
  order: "approve" | "complete" | "promote",
  seen: Rollout,
  { metadata, spec, status }: Rollout,
): string | undefined {
  // The first run has no number until it begins.
  if (metadata.uid !== seen.metadata.uid) return remadeProblem;
  if (Math.max(1, status?.run ?? 1) !== Math.max(1, seen.status?.run ?? 1)) return "another run has begun meanwhile";
  if (status?.phase === "Stuck" && seen.status?.phase !== "Stuck")
    return `it has become Stuck meanwhile: ${status.message}`;
  if (order !== "promote") return undefined;
  const [before, now] = [standingOrders(seen.spec), standingOrders(spec)];
  if (now.abort !== before.abort)
    return `somebody else has ${now.abort ? "ordered its rollback" : "taken its rollback back"} meanwhile`;
  if (now.paused !== before.paused) return `somebody else has ${now.paused ? "paused" : "resumed"} it meanwhile`;
  return undefined;
}

/** The fields are optional in an object that no webhook has completed. */
function standingOrders({ abort, paused }: { readonly abort?: boolean; readonly paused?: boolean }): {
  readonly abort: boolean;
  readonly paused: boolean;
} {
  return { abort: abort === true, paused: paused === true };
}

/** The object for a retry. It has no earlier orders, and the person who retries becomes its author. */
export function retriedRollout<Value extends Rollout>(rollout: Value): Value {
  const { name, namespace, labels, annotations } = rollout.metadata;
  const {
    abort: _abort,
    paused: _paused,
    orderedBy: _ordered,
    approvals: _approvals,
    fullPromotion: _full,
    ...spec
  } = rollout.spec;
  const { [authorAnnotation]: _author, [ownUidAnnotation]: _uid, ...others } = annotations ?? {};
  const metadata = {
    ...(name === undefined ? {} : { name }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(labels === undefined ? {} : { labels }),
    ...(Object.keys(others).length === 0 ? {} : { annotations: others }),
  };
  return { apiVersion: rollout.apiVersion, kind: rollout.kind, metadata, spec } as unknown as Value;
}

/** Empty for objects from before this field existed. */
function approvalsOf({ spec }: Pick<Rollout, "spec">): readonly Approval[] {
  return (spec as { approvals?: readonly Approval[] }).approvals ?? [];
}

function phaseOf(status: RolloutStatus | undefined): string {
  return status?.phase ?? "not seen by the engine yet";
}

/** The command that gives the order to this rollout, such as `serin canary abort web -n shop`. */
export function rolloutCommand(
  kind: RolloutKind,
  { metadata: { name = "", namespace } }: Pick<Rollout, "metadata">,
  action: RolloutAction,
): string {
  const [verb = action, ...flags] = (kind === "Canary" ? (canaryCommands[action] ?? action) : action).split(" ");
  const words = [
    "serin",
    kind === "Canary" ? "canary" : "upgrade",
    verb,
    name,
    ...flags,
    ...(namespace === undefined ? [] : ["-n", namespace]),
  ];
  return words.join(" ");
}

/**
 * The command, limited to one step. Without the limit, a person who copies the command could approve the next step, if
 * somebody else has approved this one in the meantime. A wave's name may have blanks.
 */
export function commandForStep(command: string, step: string): string {
  return `${command} --step ${/^[\w./+:-]+$/.test(step) ? step : shellQuoted(step)}`;
}

function changesOf(rollout: Rollout, action: RolloutAction, journal: readonly JournalEntry[]): readonly string[] {
  const { status } = rollout;
  const step = status?.step;
  switch (action) {
    case "approve":
      return step === undefined
        ? []
        : [`Step ${step.title} continues when its checks have passed.`, nextStepText(status, step)];
    case "pause":
      return ["The engine changes nothing more until you resume. The changes so far stay."];
    case "resume":
      if (holdsNextRun(rollout)) return ["The abort is taken back. The next change of the Deployment begins a run."];
      if (isRestored(rollout))
        return ["It begins with its first step, with your rights. Orders from before do not apply to it."];
      return [step === undefined ? "It continues where it stopped." : `It continues with step ${step.title}.`];
    case "promote":
      return [
        `The remaining steps are skipped, with their pauses and checks${remainingText(status)}.`,
        "The new version gets all of the traffic at once.",
      ];
    case "complete":
      return [
        "The soak ends now.",
        "The old revision is retired. The engine moves what still depends on it, or reports what blocks the retirement.",
      ];
    case "rollback":
      return undoText(status, journal);
    case "retry":
      return [
        "The object is deleted and created again, without earlier commands; its history is kept.",
        "It starts again with its first step.",
      ];
  }
}

function nextStepText(status: RolloutStatus | undefined, step: StepStatus): string {
  const planned = status?.plannedSteps ?? [];
  const next = planned[planned.findIndex(({ id }) => id === step.id) + 1];
  return next === undefined ? "It is the last step." : `The next step is ${next.title}.`;
}

function remainingText(status: RolloutStatus | undefined): string {
  const planned = status?.plannedSteps ?? [];
  const at = planned.findIndex(({ id }) => id === status?.step?.id);
  const left = at === -1 ? [] : planned.slice(at + 1, -1);
  return left.length === 0 ? "" : `: ${left.map(({ title }) => title).join(", ")}`;
}

const maxUndoLines = 40;

/** Lists the changes in reverse, in the order of undo. */
function undoText(status: RolloutStatus | undefined, journal: readonly JournalEntry[]): readonly string[] {
  if (journal.length === 0) {
    const done = [
      ...(status?.completedSteps ?? []).map(({ title }) => title),
      ...(status?.step === undefined ? [] : [status.step.title]),
    ];
    return done.length === 0
      ? ["Nothing has been changed; the rollout ends."]
      : [`The changes of these steps are undone, the last first: ${done.toReversed().join(", ")}.`];
  }
  const lines = lastingChanges(journal).map(entryText);
  return lines.length <= maxUndoLines
    ? lines
    : [...lines.slice(0, maxUndoLines), `and ${lines.length - maxUndoLines} more changes are undone.`];
}

/**
 * The changes of an undo that remain at its end, in the order of the undo. If a field gets several values, only the
 * last one counts. Fields of an object that the undo deletes are left out.
 */
function lastingChanges(journal: readonly JournalEntry[]): readonly JournalEntry[] {
  const created = new Set<string>();
  const fields = new Set<string>();
  const lasting = journal.filter((entry) => {
    const object = objectText(entry.object);
    if (entry.type === "created") created.add(object);
    if (entry.type !== "field") return true;
    const field = `${object} ${entry.pointer}`;
    if (created.has(object) || fields.has(field)) return false;
    fields.add(field);
    return true;
  });
  return lasting.toReversed();
}

function entryText(entry: JournalEntry): string {
  const object = objectText(entry.object);
  if (entry.type === "created") return `${object} is deleted.`;
  if (entry.type === "deleted") return `${object} is created again.`;
  const prior = entry.prior === undefined ? "is removed" : `is set back to ${shortJson(entry.prior)}`;
  return `${object}: ${entry.pointer} ${prior}${entry.restart === undefined ? "." : "; its pods are replaced."}`;
}

function objectText({ kind, name, namespace }: ObjectReference): string {
  return `${kind} ${keyOf({ metadata: { name, ...(namespace === undefined ? {} : { namespace }) } })}`;
}

const maxValueLength = 80;

/** The value as JSON. Only the beginning of a long value would tell little, so such a value is only mentioned. */
function shortJson(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length <= maxValueLength ? text : "its earlier value";
}
