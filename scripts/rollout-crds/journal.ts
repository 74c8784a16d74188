import { maxDecisions } from "../../src/api/serin/index.ts";
import { anyObject, anything, flag, integer, list, object, oneOf, text, type Schema } from "./schema.ts";

const reference = object({ apiVersion: text(), kind: text(), plural: text(), name: text(), namespace: text() });

export const journalEntries: Schema = {
  type: "array",
  description: "What was changed, in order; undo plays it backwards.",
  items: object(
    {
      type: oneOf(["field", "created", "deleted"]),
      step: text(),
      object: reference,
      pointer: text("RFC 6901."),
      uid: text("Of the object that had the prior value. One with another uid was made since."),
      prior: anything(),
      written: anything(),
      replaced: anything("The value that the rollout had written before, if an edited plan has it write another one."),
      body: anyObject(),
      restart: oneOf(["template", "time"]),
      adopted: flag(),
      later: anything("Written by the user after what was adopted. Undo restores it at last."),
      madeParents: integer(0, 64),
      undoGroup: text(),
      setup: flag(),
    },
    ["type", "step", "object"],
  ),
};

export const journalDecisions: Schema = list(
  object(
    {
      at: text(),
      run: { type: "integer" },
      decision: text(),
      step: text(),
      message: text(),
      by: text(),
      evidence: { type: "array", items: { type: "string" } },
    },
    ["at", "decision"],
  ),
  maxDecisions,
  { description: "What was decided when, by whom, on which evidence." },
);
