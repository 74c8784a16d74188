import { maxApprovals, notificationEvents } from "../../../src/api/serin/index.ts";
import { flag, integer, list, object, oneOf, text, type Schema } from "./schema.ts";

const daySeconds = 86_400;
export const monthSeconds = 2_592_000;
export const name = { maxLength: 253 };

const user = (what: string): Schema =>
  text(`The user ${what}, as the API server reports it. The webhook of the engine refuses another name.`, {
    maxLength: 256,
  });
const reason = text("The reason, for the history.", { maxLength: 1024 });
const time = (more = ""): Schema => text(`The time in RFC 3339, such as 2026-01-31T12:00:00Z.${more}`);

/** The schemas of the fields by which people steer a rollout. `parseOrders` parses them. */
export const orders: Readonly<Record<string, Schema>> = {
  rollback: oneOf(
    ["Automatic", "Manual"],
    "What happens when a check or a step fails. Automatic: the engine undoes all changes. Manual: the rollout is Stuck until a person approves the step or aborts. Default: Automatic.",
  ),
  onDeletion: oneOf(
    ["Rollback", "Leave"],
    "What happens if this object is deleted while it is under way. Rollback: the engine undoes all changes first. Leave: the changes stay, except those of a Canary with target.deployment. After the end, the changes stay in either case. Default: Rollback.",
  ),
  paused: flag(
    "true: the engine starts no further step until it is false again. serin canary pause and serin upgrade pause set it. Default: false.",
  ),
  abort: flag(
    "true: the engine undoes all changes, in any phase, also after the end. serin canary abort and serin upgrade rollback set it. Default: false.",
  ),
  orderedBy: object({ by: user("who set paused or abort last"), why: reason, at: time() }, ["by", "at"], {
    description: "Who last set paused or abort, when and why. The serin commands write it.",
  }),
  approvals: list(
    object(
      {
        step: text("The id of the step, as status.step.id and status.plannedSteps show it. Example: step-2.", name),
        by: user("who approves"),
        why: reason,
        at: time(),
      },
      ["step", "by", "at"],
    ),
    maxApprovals,
    {
      description:
        "The steps that people have approved: those with pause.untilApproved, with a check of type approval, or that failed under rollback: Manual. serin canary promote and serin upgrade approve append to the list. An approval applies to the current run only.",
    },
  ),
  fullPromotion: object(
    {
      by: user("who gave the order"),
      why: reason,
      at: time(" Without it, the order applies only to the first run of the object."),
    },
    ["by"],
    {
      description:
        "Goes to the last step at once, without pauses and checks. serin canary promote --full sets it. It applies to the current run only.",
    },
  ),
  group: text(
    "The name of a group of rollouts, in any namespaces in which their authors may create Canaries. Its members begin each step together. If one of them is rolled back, all are. Default: no group.",
    name,
  ),
  settleTimeoutSeconds: integer(
    1,
    daySeconds,
    "How long a step may take to settle without progress before it fails, in seconds. A step has settled when its pods are ready and every proxy has acknowledged the changed configuration. Default: 300.",
  ),
  notifications: list(
    object(
      {
        url: text(
          "The URL that gets the events: http or https. For a Canary, it must be a Service of the Canary's own namespace, or a host that the installation allows (ALLOWED_HOSTS of the engine). Example: http://hooks.shop/rollouts.",
          { pattern: "^https?://", maxLength: 2048 },
        ),
        events: list(oneOf(notificationEvents), notificationEvents.length, {
          description: `The events that are sent: ${notificationEvents.join(", ")}. Default: all of them.`,
        }),
      },
      ["url"],
    ),
    8,
    {
      description:
        "Servers that get each event as a POST of {event, kind, namespace, name, step, message, cause, at} in JSON. Default: none.",
    },
  ),
};

export const pause: Schema = object(
  {
    durationSeconds: integer(
      0,
      monthSeconds,
      "How long to wait, in seconds, counted from the time when the step settles.",
    ),
    untilApproved: flag(
      "true: waits until a person approves, by serin canary promote NAME or serin upgrade approve NAME. Default: false.",
    ),
  },
  [],
  {
    description:
      "What the step waits for in addition to its checks. At least one of the fields is required. Example: {durationSeconds: 300}.",
  },
);
