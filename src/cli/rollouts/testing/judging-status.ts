import type { RolloutStatus } from "../../../api/serin/index.ts";

export const judgingStatus: RolloutStatus = {
  observedGeneration: 1,
  phase: "Judging",
  progress: "1/3",
  message: "weight 90/10: request-success-rate: 20 answers",
  weight: 10,
  run: 2,
  completedSteps: [
    {
      id: "step-1",
      title: "requests with traffic: test",
      startedAt: "2026-01-31T12:00:00Z",
      endedAt: "2026-01-31T12:03:12Z",
      evidence: ["request-success-rate: 0 of 200"],
    },
  ],
  step: {
    id: "step-2",
    title: "weight 90/10",
    startedAt: "2026-01-31T12:03:12Z",
    settledAt: "2026-01-31T12:03:13Z",
    checks: [{ type: "request-success-rate", verdict: "wait", evidence: "20 answers" }],
  },
  plannedSteps: ["step-1", "step-2", "step-3"].map((id) => ({ id, title: id === "step-3" ? "weight 0/100" : id })),
  conditions: [],
};
