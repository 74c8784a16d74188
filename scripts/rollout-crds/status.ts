import { maxPlannedSteps, rolloutPhases } from "../../src/api/serin/index.ts";
import { anything, list, object, oneOf, text, type Schema } from "./schema.ts";

const long: Schema = { type: "integer", format: "int64" };
const evidence: Schema = { type: "array", items: { type: "string" } };

/** The status of a Canary and of a MeshUpgrade (`RolloutStatus`). */
export const status: Schema = object({
  observedGeneration: long,
  phase: oneOf(rolloutPhases),
  progress: text("Steps done of steps planned."),
  message: text(),
  startedAt: text(),
  endedAt: text(),
  run: { ...long, description: "Counts the changes that this object has rolled out." },
  candidate: text("A digest of what is rolled out, or was last."),
  weight: { ...long, description: "Percent of the traffic that the canary has." },
  step: object({
    id: text(),
    title: text(),
    startedAt: text(),
    settledAt: text(),
    elapsedMs: long,
    settledMs: long,
    lastSeenAt: text(),
    waitingFor: evidence,
    checks: {
      type: "array",
      items: object({ type: text(), name: text(), verdict: oneOf(["pass", "fail", "wait", "error"]), evidence: text(), table: anything(), statistic: anything() }, [], {
        "x-kubernetes-preserve-unknown-fields": true,
      }),
    },
  }, [], { "x-kubernetes-preserve-unknown-fields": true }),
  completedSteps: { type: "array", items: object({ id: text(), title: text(), startedAt: text(), endedAt: text(), evidence }) },
  plannedSteps: list(object({ id: text(), title: text() }), maxPlannedSteps),
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
}, [], { "x-kubernetes-preserve-unknown-fields": true });
