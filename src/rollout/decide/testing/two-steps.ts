// A rollout of two steps, and what the engine passes to decide() for it.
import { decide, initialStatus } from "../decide.ts";
import type { DecideInput, Decision, RolloutCommands, RolloutOrders } from "../input.ts";
import type { Observation } from "../observation.ts";
import type { Step } from "../step.ts";

export const object = { apiVersion: "v1", kind: "ConfigMap", plural: "configmaps", name: "c", namespace: "n" };
export const plain = { writes: [], settle: [], checks: [] };
export const first: Step = {
  ...plain,
  id: "one",
  title: "one",
  namespaces: ["n"],
  weight: 10,
  settle: [{ type: "ready", object }],
};
export const last: Step = { ...plain, id: "two", title: "two", namespaces: ["m"], essential: true };

const commands: RolloutCommands = {
  approve: "serin canary promote c -n n",
  undo: "serin canary abort c -n n",
  resume: "serin canary resume c -n n",
  retry: "serin canary retry c -n n",
  edit: "kubectl edit canary c -n n",
  annotate: "kubectl annotate --overwrite canary c -n n",
  journal: "canary.n.c",
};
export const orders: RolloutOrders = {
  commands,
  generation: 3,
  paused: false,
  abort: false,
  automaticRollback: true,
  approvals: [],
  last: {},
  settleTimeoutMs: 300_000,
  holdsAllNamespaces: true,
};
export const nowMs = Date.parse("2026-01-01T00:00:00Z");

/** The first round of the rollout, with the given parts replaced. */
export function input(options: Partial<DecideInput> = {}): DecideInput {
  return {
    orders,
    status: initialStatus,
    steps: [first, last],
    change: { candidate: "v1", watched: false },
    observation: undefined,
    journal: { run: 0, setup: 0, completed: false },
    blockers: [],
    elapsedMs: 100,
    nowMs,
    ...options,
  };
}

/** The reasons of a decision's events, and the types of its other actions. */
export function reasons({ actions }: Decision): string[] {
  return actions.flatMap((action) => (action.type === "event" ? [action.reason] : [action.type]));
}

export const begun = decide(input()).status;
export const waiting: Observation = { writes: [], settle: [{ state: "waiting", detail: "0 of 1 ready" }], checks: [] };
export const met: Observation = { writes: [], settle: [{ state: "met" }], checks: [] };
