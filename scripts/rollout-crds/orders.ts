import { maxApprovals, notificationEvents } from "../../src/api/serin/index.ts";
import { flag, integer, list, object, oneOf, text, type Schema } from "./schema.ts";

const daySeconds = 86_400;
export const monthSeconds = 2_592_000;
export const name = { maxLength: 253 };

/** The fields of every rollout's spec by which people steer it (`parseOrders`). */
export const orders: Readonly<Record<string, Schema>> = {
  rollback: oneOf(["Automatic", "Manual"], "Manual: a failed check makes it Stuck, and a person decides."),
  onDeletion: oneOf(["Rollback", "Leave"], "What deleting the object does while it is under way."),
  paused: flag("Holds before the next action."),
  abort: flag("Puts everything back, whatever the phase."),
  orderedBy: object(
    { by: text("", { maxLength: 256 }), why: text("", { maxLength: 1024 }), at: text("RFC 3339.") },
    ["by", "at"],
    { description: "Who set paused or abort last, and why." },
  ),
  approvals: list(
    object(
      {
        step: text("The step's id, as status shows it.", name),
        by: text("", { maxLength: 256 }),
        why: text("", { maxLength: 1024 }),
        at: text("RFC 3339."),
      },
      ["step", "by", "at"],
    ),
    maxApprovals,
    { description: "Who let which step go on, and why." },
  ),
  fullPromotion: object(
    { by: text("", { maxLength: 256 }), why: text("", { maxLength: 1024 }), at: text("RFC 3339.") },
    ["by"],
    { description: "Goes to the last step at once, without pauses and checks." },
  ),
  group: text("Rollouts of one group take each step together; when one fails all are rolled back.", name),
  settleTimeoutSeconds: integer(1, daySeconds, "How long a step may take to settle before it has failed."),
  notifications: list(
    object(
      {
        url: text("Gets a POST of JSON for each event.", { pattern: "^https?://", maxLength: 2048 }),
        events: list(oneOf(notificationEvents), notificationEvents.length),
      },
      ["url"],
    ),
    8,
  ),
};

export const pause: Schema = object({
  durationSeconds: integer(0, monthSeconds),
  untilApproved: flag("Waits for a person: promote, or approve."),
});
