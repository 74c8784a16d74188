import { name } from "./orders.ts";
import { integer, list, object, oneOf, rules, strings, text, type Schema } from "./schema.ts";

const kinds = ["Canary", "MeshUpgrade"];
const time = (description: string): Schema =>
  text(
    `${description} A local time in timeZone, such as 2026-12-20T18:00:00, or a time with an offset, such as 2026-12-20T18:00:00+01:00. From 1970 on.`,
    { pattern: "^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}(:\\d{2})?(Z|[+-]\\d{2}:\\d{2})?$" },
  );

const window: Schema = object(
  {
    start: time("When the window begins. With rrule, when its first occurrence may begin."),
    end: time("When the window ends. Required without rrule, and not allowed with it."),
    rrule: text(
      "When the window recurs: one recurrence rule of RFC 5545. FREQ is YEARLY, MONTHLY, WEEKLY, DAILY or HOURLY. Each occurrence begins at the time of day of start, unless the rule says otherwise. Example: FREQ=WEEKLY;BYDAY=FR means every Friday.",
      { maxLength: 1024 },
    ),
    durationSeconds: integer(
      60,
      31_622_400,
      "How long each occurrence of rrule lasts, in seconds. Required with rrule, and not allowed without it. Example: 230400 means 64 hours, from Friday at 16:00 to Monday at 8:00.",
    ),
  },
  ["start"],
  rules(
    ["has(self.rrule) != has(self.end)", "must have exactly one of end and rrule"],
    ["has(self.rrule) == has(self.durationSeconds)", "durationSeconds is required with rrule, and only allowed there"],
  ),
);

/** The schema of a Freeze's spec, which `parseFreeze` parses. */
export const freezeSpec: Schema = object(
  {
    reason: text("The reason, which the status of each rollout that waits shows.", { maxLength: 1024 }),
    timeZone: text("The time zone of the windows: an IANA name, such as Europe/Berlin. Default: UTC.", {
      maxLength: 64,
    }),
    windows: list(window, 64, {
      minItems: 1,
      description:
        "The times of the freeze. Each window has a start and an end, or a start, a recurrence rule and a duration. Example: [{start: 2026-12-20T18:00:00, end: 2027-01-04T08:00:00}].",
    }),
    kinds: list(oneOf(kinds), 2, {
      description: "The kinds of rollouts to which the freeze applies: Canary, MeshUpgrade. Default: both.",
    }),
    namespaces: strings(
      1024,
      "The namespaces of the Canaries to which the freeze applies. It does not limit MeshUpgrades. Default: all namespaces.",
    ),
    exceptions: list(
      object(
        {
          kind: oneOf(kinds, "The kind of the rollout that may continue."),
          namespace: text("The namespace of the Canary. Default: every namespace. A MeshUpgrade has none.", name),
          name: text("The name of the rollout.", name),
          uid: text(
            "The metadata.uid of the rollout, so that the exception does not apply to a later rollout of the same name. serin freeze except sets it. Default: every rollout of the name.",
            { maxLength: 128 },
          ),
          reason: text("The reason for the exception.", { maxLength: 1024 }),
          by: text("The user who permits it.", { maxLength: 256 }),
        },
        ["kind", "name", "reason"],
      ),
      256,
      {
        description:
          "Rollouts that may continue during the freeze. Example: [{kind: Canary, namespace: shop, name: fix, reason: outage}]. Default: none.",
      },
    ),
  },
  ["reason", "windows"],
  {
    description:
      "When no rollout may begin a step, and which rollouts may do so nevertheless. A freeze that the engine cannot read applies to all rollouts.",
  },
);
