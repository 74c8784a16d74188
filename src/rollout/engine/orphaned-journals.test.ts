import assert from "node:assert/strict";
import { test } from "node:test";
import type { Logger } from "../../base/index.ts";
import type { DecisionRecord, JournalEntry, RolloutJournal } from "../../api/serin/index.ts";
import type { EventRecorder, KubeClient } from "../../kube/index.ts";
import { OrphanedJournals } from "./orphaned-journals.ts";

const entry: JournalEntry = {
  type: "field",
  step: "step-1",
  object: { apiVersion: "v1", kind: "Service", plural: "services", namespace: "shop", name: "web" },
  pointer: "/spec/selector",
};
const decided = (decision: string): DecisionRecord => ({ at: "", run: 1, decision, message: "" });
const journal = (name: string, entries: readonly JournalEntry[], decision = "Started"): RolloutJournal => ({
  metadata: { name, uid: name },
  formatVersion: 2,
  entries,
  decisions: [decided(decision)],
});

function looking(journals: readonly RolloutJournal[], owned: readonly string[]) {
  const reports: string[] = [];
  const orphans = new OrphanedJournals({
    client: {
      list: async () => await Promise.resolve({ items: journals }),
      get: async (_: unknown, name: string) =>
        await Promise.resolve(journals.find(({ metadata }) => metadata.name === name)),
    } as unknown as KubeClient,
    events: {
      record: (_: unknown, __: unknown, { message }: { message: string }) => reports.push(message),
    } as unknown as EventRecorder,
    log: { warn: () => undefined } as unknown as Logger,
    owned: () => new Set(owned),
  });
  return { orphans, reports };
}

test("the changes of a rollout that was removed without its undo are reported once, with what a person can do", async () => {
  const { orphans, reports } = looking([journal("canary.shop.web", [entry])], []);
  await orphans.lookAtAll();
  await orphans.lookAt("canary.shop.web");
  assert.deepEqual(reports, [
    "the rollout of RolloutJournal canary.shop.web was removed without its undo, and 1 of its changes are left: Service shop/web /spec/selector; create the rollout again, and the engine undoes them first, or keep them: kubectl delete rolloutjournal canary.shop.web",
  ]);
});

test("the journal of a rollout that exists, or whose changes stay for good, is not reported", async () => {
  const { orphans, reports } = looking(
    [
      journal("canary.shop.here", [entry]),
      journal("canary.shop.done", [entry], "Completed"),
      journal("canary.shop.undone", []),
    ],
    ["canary.shop.here"],
  );
  await orphans.lookAtAll();
  await orphans.lookAt("canary.shop.never");
  assert.deepEqual(reports, []);
  const held = looking([journal("canary.shop.held", [entry, { ...entry, setup: true }], "Completed")], []);
  await held.orphans.lookAtAll();
  assert.equal(held.reports.length, 1, "a Deployment that stays held");
});
