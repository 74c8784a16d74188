import type { RolloutActionOffer, RolloutRow, RolloutView, ViewHead } from "../../../api/dashboard/index.ts";
import { refusal } from "../../problem.ts";

const minuteMs = 60_000;

export function syntheticRolloutRow(nowMs: number): RolloutRow {
  return {
    kind: "Canary",
    namespace: "shop",
    name: "checkout",
    phase: "Paused",
    progress: "3/6",
    message: "20 % waits for an approval",
    pauseReason: "approval",
    cause: "",
    target: "HTTPRoute shop/checkout",
    step: "20 %",
    weight: 20,
    startedAtMs: nowMs - (nowMs % minuteMs) - 12 * minuteMs,
    waitsForPerson: true,
  };
}

export function syntheticRollbackRow(nowMs: number): RolloutRow {
  const { pauseReason: _paused, ...row } = syntheticRolloutRow(nowMs);
  return {
    ...row,
    name: "refunds",
    phase: "RolledBack",
    message: "",
    cause: "20 %: error-rate: 4.1 % of the canary's 900 requests failed",
    target: "HTTPRoute shop/refunds",
    waitsForPerson: false,
  };
}

const titles = ["mirror 10 %", "5 %", "20 %", "50 %", "100 %", "retire the old version"];
const offer = (
  action: RolloutActionOffer["action"],
  title: string,
  changes: readonly string[],
  more: Partial<RolloutActionOffer> = {},
): RolloutActionOffer => ({
  action,
  title,
  changes,
  command: `serin canary ${action} checkout -n shop`,
  asksWhy: false,
  ...more,
});

const actions: readonly RolloutActionOffer[] = [
  offer(
    "approve",
    "Approve",
    ["Step 3 (20 %) ends, and step 4 begins: HTTPRoute shop/checkout gets the weights 50 and 50"],
    { asksWhy: true },
  ),
  offer("pause", "Pause", ["Nothing moves any more until it is resumed; the weights stay 80 and 20"]),
  offer("resume", "Resume", [], { refusedBecause: "it is not paused by an order" }),
  offer(
    "promote",
    "Promote fully",
    ["All steps to come are left out: HTTPRoute shop/checkout gets the weight 100 for checkout-v2"],
    { asksWhy: true, command: "serin canary promote checkout --full -n shop" },
  ),
  offer(
    "rollback",
    "Roll back",
    ["HTTPRoute shop/checkout gets back the weight 100 for checkout-v1", "Deployment shop/checkout-v2 is scaled to 0"],
    { command: "serin canary abort checkout -n shop" },
  ),
];

export function syntheticRollout(given: Readonly<Record<string, string | number>>, head: ViewHead): RolloutView {
  const known = [syntheticRolloutRow(head.atMs), syntheticRollbackRow(head.atMs)];
  const row = known.find(({ kind, name }) => kind === given["kind"] && name === given["name"]);
  if (row === undefined) throw refusal("not-found", `there is no ${given["kind"]} ${given["name"]}`);
  const at = momentsOf(row);
  const undo = { startedAt: at(10), elapsedMs: 400, waitedMs: 0, waitingFor: [], next: "RolledBack" } as const;
  const samples = Math.floor((head.atMs % 3_600_000) / 100);
  return {
    head: {
      ...head,
      row,
      uid: "synthetic",
      run: 4,
      paused: false,
      currentStep: {
        id: "step-2",
        title: "20 %",
        startedAt: at(8),
        settledAt: at(9),
        checks: [],
        waitingFor: row.waitsForPerson ? ["an approval"] : [],
      },
      ...(row.phase === "RolledBack" ? { undo } : {}),
      approvals: [
        {
          step: "step-1",
          by: "ana@example.org",
          why: "looked good in staging",
          atMs: (row.startedAtMs ?? 0) + 7 * minuteMs,
        },
      ],
      actions,
      canaryBackend: "checkout-v2.shop",
      stableBackend: "checkout-v1.shop",
      canaryWorkloads: ["shop/checkout-v2"],
      stableWorkloads: ["shop/checkout-v1"],
      olderDecisions: 0,
      yaml: "apiVersion: rollout.serin.dev/v1alpha1\nkind: Canary\nmetadata:\n  name: checkout\n  namespace: shop\nspec:\n  target:\n    httpRoute: checkout\n",
    },
    tables: {
      steps: stepsOf(row),
      checks: checksAfter(samples),
      ...historyOf(row),
    },
  };
}

/** Returns a function for the time that is so many minutes after the rollout's start. */
function momentsOf({ startedAtMs = 0 }: RolloutRow): (minutes: number) => string {
  return (minutes) => new Date(startedAtMs + minutes * minuteMs).toISOString();
}

function stepsOf(row: RolloutRow): RolloutView["tables"]["steps"] {
  const at = momentsOf(row);
  const steps = titles.map((title, index) => {
    const state = index < 2 ? ("done" as const) : index === 2 ? ("current" as const) : ("to come" as const);
    const weight = [0, 5, 20, 50, 100, 100][index] ?? 0;
    const completed = {
      id: `step-${index}`,
      title,
      startedAt: at(index * 4),
      endedAt: at(index * 4 + 4),
      evidence: ["error-rate: 0.10 % of the canary's 4,210 requests failed, 0.11 % of the stable version's"],
    };
    return [
      `step-${index}`,
      { id: `step-${index}`, title, ordinal: index + 1, state, weight, ...(state === "done" ? { completed } : {}) },
    ] as const;
  });
  return Object.fromEntries(steps);
}

function checksAfter(samples: number): RolloutView["tables"]["checks"] {
  return {
    "step-2/error-rate": {
      step: "step-2",
      type: "error-rate",
      verdict: "pass",
      evidence: `0.10 % of the canary's ${samples} requests failed, 0.11 % of the stable version's`,
      explanation:
        "fails when the canary's share of failed requests is above the stable version's by more than 1 %, with 95 % certainty",
      comparison: {
        unit: "share",
        canary: 0.001,
        stable: 0.0011,
        bound: 0.0111,
        canarySamples: samples,
        stableSamples: samples * 4,
      },
    },
    "step-2/latency": {
      step: "step-2",
      type: "latency",
      verdict: "wait",
      evidence: "p99 31 ms against 28 ms; 400 samples more are needed",
      explanation: "fails when the canary's p99 is above 1.2 times the stable version's",
      comparison: {
        unit: "ms",
        canary: 31,
        stable: 28,
        bound: 33.6,
        canarySamples: samples,
        stableSamples: samples * 4,
      },
    },
  };
}

function historyOf(row: RolloutRow): Pick<RolloutView["tables"], "decisions" | "events"> {
  const at = momentsOf(row);
  return {
    decisions: {
      "0001": { at: at(0), run: 4, decision: "StepStarted", step: "step-0", message: "mirror 10 % began" },
      "0002": {
        at: at(4),
        run: 4,
        decision: "StepDone",
        step: "step-0",
        message: "mirror 10 % is done",
        evidence: ["no request failed"],
      },
      "0003": { at: at(7), run: 4, decision: "Approved", step: "step-1", message: "approved", by: "ana@example.org" },
    },
    events: {
      a: {
        atMs: (row.startedAtMs ?? 0) + 8 * minuteMs,
        type: "Normal",
        reason: "StepStarted",
        message: "20 % began",
        count: 1,
        object: "Canary shop/checkout",
      },
    },
  };
}
