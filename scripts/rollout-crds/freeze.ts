import { name } from "./orders.ts";
import { integer, list, object, oneOf, rules, strings, text, type Schema } from "./schema.ts";

const kind = oneOf(["Canary", "MeshUpgrade"]);
const time = text("Local time in the freeze's time zone, or with an offset of its own.", {
  pattern: "^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}(:\\d{2})?(Z|[+-]\\d{2}:\\d{2})?$",
});

/** The spec of a Freeze (`parseFreeze`). */
export const freezeSpec: Schema = object(
  {
    reason: text("Why, for who is held up by it.", { maxLength: 1024 }),
    timeZone: text("IANA name; UTC by default.", { maxLength: 64 }),
    windows: list(
      object(
        {
          start: time,
          end: time,
          rrule: text("RFC 5545.", { maxLength: 1024 }),
          durationSeconds: integer(60, 31_622_400),
        },
        ["start"],
        rules(
          ["has(self.rrule) != has(self.end)", "a window has exactly one of end and rrule"],
          ["has(self.rrule) == has(self.durationSeconds)", "durationSeconds belongs to an rrule"],
        ),
      ),
      64,
      { minItems: 1 },
    ),
    kinds: list(kind, 2),
    namespaces: strings(1024, "Of Canaries, those in these namespaces."),
    exceptions: list(
      object(
        {
          kind,
          namespace: text("", name),
          name: text("", name),
          uid: text("", { maxLength: 128 }),
          reason: text("", { maxLength: 1024 }),
          by: text("", { maxLength: 256 }),
        },
        ["kind", "name", "reason"],
      ),
      256,
    ),
  },
  ["reason", "windows"],
);
