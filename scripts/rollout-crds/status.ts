import { maxPlannedSteps, pauseReasons, rolloutPhases } from "../../src/api/serin/index.ts";
import { anyObject, anything, flag, list, object, oneOf, text, type Schema } from "./schema.ts";

const long: Schema = { type: "integer", format: "int64" };
/** Keeps unknown fields, because a newer engine may write more. */
const open = { "x-kubernetes-preserve-unknown-fields": true };
const evidence: Schema = { type: "array", items: { type: "string" } };

/** The status of a Canary and of a MeshUpgrade (`RolloutStatus`). */
export const status: Schema = object(
  {
    observedGeneration: long,
    phase: oneOf(rolloutPhases),
    progress: text("Steps done of steps planned."),
    phaseSince: text("When it came to its phase."),
    message: text(),
    pauseReason: {
      ...oneOf(pauseReasons),
      description:
        "Why it does not go on, while it is Paused, Waiting or Stuck. Absent if an older engine wrote the status.",
    },
    pausedBy: text("The freeze, rollout or group that it waits for, if the reason names one."),
    startedAt: text(),
    endedAt: text(),
    run: { ...long, description: "Counts the changes that this object has rolled out." },
    candidate: text("A digest of what is rolled out, or was last."),
    weight: { ...long, description: "Percent of the traffic that the canary has." },
    step: object(
      {
        id: text(),
        title: text(),
        startedAt: text(),
        settledAt: text(),
        settlingMs: long,
        settledForMs: long,
        settlingLeft: long,
        stalledMs: long,
        waitingSince: text("Since when it waits, or when it came nearer last."),
        waitsUntil: text("When it gives up unless it comes nearer, or when its soak ends."),
        lingers: flag(),
        waitingFor: evidence,
        checks: {
          type: "array",
          items: object(
            {
              type: text(),
              name: text(),
              verdict: oneOf(["pass", "fail", "wait", "error"]),
              evidence: text(),
              matrix: anything(),
              statistic: anything(),
            },
            [],
            open,
          ),
        },
      },
      [],
      open,
    ),
    completedSteps: {
      type: "array",
      items: object({ id: text(), title: text(), startedAt: text(), endedAt: text(), evidence }, [], open),
    },
    plannedSteps: list(
      object({ id: text(), title: text(), ordinal: { type: "integer" }, untilApproved: flag() }, [], open),
      maxPlannedSteps,
    ),
    undo: anyObject("Where putting back is."),
    groupRun: text(),
    cause: text("Why it was rolled back, with the evidence."),
    rolledBackInMs: long,
    conditions: {
      type: "array",
      items: object(
        {
          type: text(),
          status: oneOf(["True", "False", "Unknown"]),
          reason: text(),
          message: text(),
          lastTransitionTime: { type: "string", format: "date-time" },
          observedGeneration: long,
        },
        ["type", "status"],
      ),
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["type"],
    },
  },
  [],
  open,
);
