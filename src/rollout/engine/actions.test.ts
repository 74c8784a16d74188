import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger, systemClock, transientError } from "../../base/index.ts";
import type { RolloutJournal } from "../../api/serin/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { JournalStore } from "../act/journal-store.ts";
import { initialStatus, type Decision, type DecisionReason } from "../decide/index.ts";
import { Actions, type ActionsOptions } from "./actions.ts";
import type { Rollout } from "./rollout-object.ts";

const rollout = {
  apiVersion: "rollout.serin.dev/v1alpha1",
  kind: "Canary",
  metadata: { name: "web", namespace: "shop", uid: "u" },
  spec: {},
} as unknown as Rollout;

function decided(reason: DecisionReason, message: string): Decision {
  return { status: { ...initialStatus, run: 1 }, actions: [{ type: "event", reason, message, warning: false }] };
}

test("a decision whose record the server refuses at first is in the history nevertheless, once and in its place", async () => {
  let stored: RolloutJournal | undefined;
  let version = 0;
  let nowMs = 0;
  let fault: "refused" | "unanswered" | undefined;
  const write = async (_kind: unknown, body: RolloutJournal): Promise<RolloutJournal> => {
    if (fault === "refused") throw transientError("api-server", "etcd has no leader");
    version += 1;
    stored = { ...body, metadata: { ...body.metadata, resourceVersion: String(version) } };
    if (fault === "unanswered") throw transientError("api-server", "the connection was reset");
    return await Promise.resolve(stored);
  };
  const client = { get: async () => await Promise.resolve(stored), create: write, update: write };
  const actions = new Actions({
    journals: new JournalStore(client as unknown as KubeClient, systemClock),
    events: { record: () => undefined },
    notifier: { notify: () => undefined },
    metrics: { decision: () => undefined },
    mayWrite: () => true,
    clock: { nowMs: () => (nowMs += 1000) },
    log: silentLogger,
  } as unknown as ActionsOptions);
  const messages = (): readonly string[] => (stored?.decisions ?? []).map(({ message }) => message);

  await actions.perform(rollout, decided("StepDone", "step 1"));
  fault = "refused";
  await assert.rejects(actions.perform(rollout, decided("StepDone", "step 2")), /no leader/);
  await actions.storeDecisions(rollout);
  assert.deepEqual(messages(), ["step 1"], "it is still refused, and the round goes on");
  fault = undefined;
  await actions.perform(rollout, decided("StepDone", "step 3"));
  assert.deepEqual(messages(), ["step 1", "step 2", "step 3"]);

  fault = "unanswered";
  await assert.rejects(actions.perform(rollout, decided("StepDone", "step 4")), /was reset/);
  fault = undefined;
  await actions.storeDecisions(rollout);
  assert.deepEqual(messages().slice(3), ["step 4"]);

  fault = "refused";
  await assert.rejects(actions.perform(rollout, decided("StepDone", "step 5")), /no leader/);
  fault = undefined;
  await actions.recordCompletion(rollout, decided("Completed", "done"));
  assert.deepEqual(messages().slice(4), ["step 5", "done"], "the end stays the last decision of its run");
});
