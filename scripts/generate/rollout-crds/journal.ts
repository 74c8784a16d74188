import { maxDecisions } from "../../../src/api/serin/index.ts";
import { anyObject, anything, flag, integer, list, object, oneOf, text, type Schema } from "./schema.ts";

const reference = object(
  {
    apiVersion: text("The group and version of the object. Example: apps/v1."),
    kind: text("The kind of the object."),
    plural: text("The plural of the kind in the API's paths. Example: deployments."),
    name: text("The name of the object."),
    namespace: text("The namespace of the object. Absent if it has none."),
  },
  [],
  { description: "The object that the rollout changed." },
);

export const journalEntries: Schema = {
  type: "array",
  description:
    "The changes that the rollout has made, in their order, with the values from before. Undo takes them back from the last to the first. The engine writes this list. Do not edit it.",
  items: object(
    {
      type: oneOf(
        ["field", "created", "deleted"],
        "What the change did. field: it wrote or removed a field. created or deleted: it created or deleted the object.",
      ),
      step: text("The id of the step that made the change."),
      object: reference,
      pointer: text(
        "The changed field as a JSON pointer (RFC 6901). Only for type field. Example: /spec/http/0/route.",
      ),
      uid: text(
        "The metadata.uid of the object when the value in prior was read. If the object has another uid now, somebody has created it again.",
      ),
      prior: anything("The value of the field before the change. Absent if the field was absent."),
      written: anything("The value that the rollout wrote. Absent if it removed the field."),
      planned: anything(
        "The list that the rollout planned to write, if the one in the field written also has what others have changed. The one in the field prior does not have that.",
      ),
      replaced: anything(
        "The value that the rollout wrote before the one in the field written, if its spec changed in between.",
      ),
      stored: anything(
        "The list that the rollout planned to write as the server has stored it, if an admission webhook has changed it.",
      ),
      replacedPlan: anything(
        "The list that the rollout planned to write before the one in the field planned, if the one in the field replaced also has what others have changed.",
      ),
      body: anyObject("The deleted object, from which undo creates it again. Only for type deleted."),
      restart: oneOf(
        ["template", "time"],
        "Set if the change replaces pods. template: it changed the pod template, and undo writes the former one. time: it wrote the time of a restart, and undo writes the current time, so that the pods restart again.",
      ),
      adopted: flag(
        "true: a user wrote the value, and the rollout carries it out. Undo leaves the field alone if it has changed since.",
      ),
      own: flag(
        "true: the object is a copy that the rollout usually makes itself. Undo restores the value in prior, even if somebody else has changed the field.",
      ),
      later: anything("The value that a user wrote while the rollout carried out an earlier one. Undo writes it last."),
      madeParents: integer(
        0,
        64,
        "The number of objects around the field that the rollout had to create. Undo removes those that are empty.",
      ),
      lacked: integer(
        1,
        100_000,
        "How many ready pods the workload lacked before the rollout first changed it. Undo does not wait for these. Absent if it lacked none.",
      ),
      undoGroup: text(
        "Entries with the same value are undone together: first the fields, then the pods that need them.",
      ),
      setup: flag("true: the change prepares the target, and stays until the rollout is deleted."),
    },
    ["type", "step", "object"],
  ),
};

export const journalDecisions: Schema = list(
  object(
    {
      at: text("The time of the decision in RFC 3339."),
      run: { type: "integer", description: "The number of the run, counted from 1." },
      decision: text(
        "The decision, which is also the reason of the Event: Started, StepStarted, StepDone, Approved, Paused, Resumed, RollingBack, Undone, RolledBack, Completed, Stuck, Waiting, Held, Deleted or JournalWritten.",
      ),
      step: text("The id of the step. Absent if the decision is about the whole rollout."),
      message: text("What was decided, for people."),
      by: text("The user who ordered it. Absent if nobody did."),
      evidence: {
        type: "array",
        items: { type: "string" },
        description: "What the checks had measured, or what the step waited for.",
      },
    },
    ["at", "decision"],
  ),
  maxDecisions,
  {
    description:
      "The decisions of the engine with the time, the user and the evidence, oldest first. serin canary history and serin upgrade history show them.",
  },
);
