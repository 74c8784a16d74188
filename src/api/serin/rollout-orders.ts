import type { Condition } from "../meta.ts";
import type { Reader } from "../reader.ts";

/** The orders that a person may write in the spec. A Canary and a MeshUpgrade have the same ones. */
export interface RolloutOrdersSpec {
  readonly rollback: "Automatic" | "Manual";
  /**
   * What happens if somebody deletes the object during the rollout. After completion, its changes stay in either case.
   */
  readonly onDeletion: "Rollback" | "Leave";
  readonly paused: boolean;
  /** Who last set `paused` or `abort`, and why. The webhook rejects a name other than the writer's. */
  readonly orderedBy?: OrderedBy;
  /** Rolls everything back. Possible in any phase. */
  readonly abort: boolean;
  /** The approvals of steps. Those of earlier runs stay in the list, but do not apply to later runs. */
  readonly approvals: readonly Approval[];
  /** An order to skip to the last step, without pauses and checks. Absent means step by step. */
  readonly fullPromotion?: FullPromotion;
  /** Rollouts of one group take each step together. If one fails, all are rolled back. */
  readonly group?: string;
  /** How long a step may take to settle. It then fails. */
  readonly settleTimeoutSeconds: number;
  readonly notifications: readonly NotificationSpec[];
}

export interface OrderedBy {
  readonly by: string;
  readonly why: string;
  /** In RFC 3339. */
  readonly at: string;
}

export interface FullPromotion {
  readonly by: string;
  readonly why: string;
  /** In RFC 3339. An approval without a time applies to the first run only. */
  readonly at?: string;
}

export interface Approval {
  /** The id of the step in `status`. */
  readonly step: string;
  readonly by: string;
  readonly why: string;
  /** In RFC 3339. */
  readonly at: string;
}

/**
 * The last orders at some moment. Orders after it are found by their place in the list and not by their time, because
 * the clocks of persons and of the engine may differ by any amount.
 */
export interface OrdersMark {
  /** Absent if there was no approval. */
  readonly approval?: Approval;
  readonly fullPromotion?: FullPromotion;
}

/**
 * The approvals after the marked one. If the list no longer contains the marked approval, or if there was none, these
 * are all approvals.
 */
export function approvalsSince(
  approvals: readonly Approval[],
  { approval: last }: Pick<OrdersMark, "approval">,
): readonly Approval[] {
  if (last === undefined) return approvals;
  return approvals.slice(approvals.findLastIndex((approval) => isSameOrder(approval, last)) + 1);
}

/**
 * The approvals after the failure of a step. If an earlier release wrote the step's status, the times of the approvals
 * and of the failure decide.
 */
export function approvalsSinceFailure(
  approvals: readonly Approval[],
  { ordersBefore }: { readonly ordersBefore?: Pick<OrdersMark, "approval"> },
  conditions: readonly Condition[],
): readonly Approval[] {
  if (ordersBefore !== undefined) return approvalsSince(approvals, ordersBefore);
  const failedAt = conditions.find(({ type, status }) => type === "Stuck" && status === "True")?.lastTransitionTime;
  return failedAt === undefined ? [] : approvals.filter(({ at }) => Date.parse(at) >= Date.parse(failedAt));
}

export function isSameOrder(
  left: Approval | FullPromotion | undefined,
  right: Approval | FullPromotion | undefined,
): boolean {
  const textOf = ({ by, why, at, ...rest }: Partial<Approval>): string =>
    JSON.stringify([by, why, at, rest.step].map((value) => value ?? ""));
  return textOf(left ?? {}) === textOf(right ?? {});
}

export const notificationEvents = [
  "Started",
  "StepDone",
  "Waiting",
  "RollingBack",
  "RolledBack",
  "Completed",
  "Stuck",
] as const;
export type NotificationEvent = (typeof notificationEvents)[number];

/** Where to send events. Each is a POST with the JSON `{event, kind, namespace, name, step, message, cause, at}`. */
export interface NotificationSpec {
  readonly url: string;
  /** Absent in the user's spec means all events. */
  readonly events: readonly NotificationEvent[];
}

/** The limit for the approvals of all runs together. Beyond it, a new approval replaces the oldest. */
export const maxApprovals = 256;
const maxNotifications = 8;
const maxSettleSeconds = 86_400;
const defaultSettleSeconds = 300;

/** Reads the orders of a spec. The caller reads the other fields, and reports unknown ones. */
export function parseOrders(spec: Reader): RolloutOrdersSpec {
  const group = spec.string("group");
  if (group?.trim() === "") spec.error("must not be empty: it is the name that all members have in common", "group");
  const orderedBy = spec.object("orderedBy");
  const ordered = orderedBy === undefined ? undefined : parseOrderedBy(orderedBy);
  const full = spec.object("fullPromotion");
  const fullPromotion = full === undefined ? undefined : parseFullPromotion(full);
  const approvals = spec.objects("approvals");
  if (approvals.length > maxApprovals)
    spec.error(`must have at most ${maxApprovals} entries, got ${approvals.length}`, "approvals");
  const notifications = spec.objects("notifications");
  if (notifications.length > maxNotifications)
    spec.error(`must have at most ${maxNotifications} entries, got ${notifications.length}`, "notifications");
  return {
    rollback: spec.oneOf("rollback", ["Automatic", "Manual"]) ?? "Automatic",
    onDeletion: spec.oneOf("onDeletion", ["Rollback", "Leave"]) ?? "Rollback",
    paused: spec.boolean("paused") ?? false,
    abort: spec.boolean("abort") ?? false,
    approvals: approvals.map(parseApproval),
    ...(ordered === undefined ? {} : { orderedBy: ordered }),
    ...(fullPromotion === undefined ? {} : { fullPromotion }),
    ...(group === undefined ? {} : { group }),
    settleTimeoutSeconds: spec.integer("settleTimeoutSeconds", 1, maxSettleSeconds) ?? defaultSettleSeconds,
    notifications: notifications.map(parseNotification),
  };
}

function parseFullPromotion(full: Reader): FullPromotion {
  const at = full.string("at");
  if (at !== undefined) checkTime(full, at);
  const result = {
    by: full.required("by", full.string("by")) ?? "",
    why: full.string("why") ?? "",
    ...(at === undefined ? {} : { at }),
  };
  full.unknownFields();
  return result;
}

function parseOrderedBy(ordered: Reader): OrderedBy {
  const result = {
    by: ordered.required("by", ordered.string("by")) ?? "",
    why: ordered.string("why") ?? "",
    at: ordered.required("at", ordered.string("at")) ?? "",
  };
  checkTime(ordered, result.at);
  ordered.unknownFields();
  return result;
}

function checkTime(reader: Reader, at: string): void {
  if (at !== "" && Number.isNaN(Date.parse(at)))
    reader.error(`must be a time such as 2026-01-31T12:00:00Z, got "${at}"`, "at");
}

function parseApproval(approval: Reader): Approval {
  const result = {
    step: approval.required("step", approval.string("step")) ?? "",
    by: approval.required("by", approval.string("by")) ?? "",
    why: approval.string("why") ?? "",
    at: approval.required("at", approval.string("at")) ?? "",
  };
  checkTime(approval, result.at);
  approval.unknownFields();
  return result;
}

function parseNotification(notification: Reader): NotificationSpec {
  const url = notification.required("url", notification.string("url")) ?? "";
  if (notification.has("url") && !/^https?:\/\/[^/]/.test(url))
    notification.error(`must be an http or https URL, got "${url}"`, "url");
  const events = notification.strings("events").flatMap((word, index) => {
    const known = notificationEvents.find((event) => event === word);
    if (known === undefined)
      notification.error(`must be one of ${notificationEvents.join(", ")}, got "${word}"`, `events[${index}]`);
    return known === undefined ? [] : [known];
  });
  notification.unknownFields();
  return { url, events: events.length === 0 ? notificationEvents : events };
}

/** What a step waits for in addition to its checks. */
export interface PauseSpec {
  readonly durationSeconds?: number;
  readonly untilApproved?: boolean;
}

const maxPauseSeconds = 2_592_000;

export function parsePause(owner: Reader): PauseSpec | undefined {
  const pause = owner.object("pause");
  if (pause === undefined) return undefined;
  const durationSeconds = pause.integer("durationSeconds", 0, maxPauseSeconds);
  const untilApproved = pause.boolean("untilApproved");
  pause.unknownFields();
  // Refuse an empty pause. In other tools, it waits for a person, so its author may expect that.
  if (!pause.has("durationSeconds") && !pause.has("untilApproved"))
    pause.error("must have durationSeconds, or untilApproved: true to wait for a person");
  return {
    ...(durationSeconds === undefined ? {} : { durationSeconds }),
    ...(untilApproved === undefined ? {} : { untilApproved }),
  };
}
