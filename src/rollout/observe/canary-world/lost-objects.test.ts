import assert from "node:assert/strict";
import { test } from "node:test";
import type { Canary, JournalEntry, RolloutStatus } from "../../../api/serin/index.ts";
import { initialStatus } from "../../decide/index.ts";
import { reference } from "../../plan/index.ts";
import type { CanarySources } from "./canary-sources.ts";
import { requireRouting } from "./lost-objects.ts";

const route = reference("gateway.networking.k8s.io/v1", "HTTPRoute", "web", "shop");
const written: JournalEntry = { type: "field", step: "step-1", object: route, pointer: "/spec/rules" };
const made: JournalEntry = { type: "created", step: "routes", object: route, setup: true };
const at = "2026-01-01T00:00:00Z";
const doneStep = (id: string) => ({ id, title: id, startedAt: at, endedAt: at, evidence: [] });
const underWay: RolloutStatus = { ...initialStatus, phase: "Judging", startedAt: at };

/** Why the rollout cannot go on. `isThere`: whether the route still exists. */
async function refusalOf(
  entry: JournalEntry | readonly JournalEntry[],
  status: RolloutStatus,
  isThere = false,
): Promise<string | undefined> {
  const sources = {
    objects: { get: async () => await Promise.resolve(isThere ? { metadata: {} } : undefined) },
    view: { recently: async (_key: string, ask: () => Promise<unknown>) => await ask() },
  } as unknown as CanarySources;
  return await requireRouting(sources, { metadata: { name: "web" }, status } as unknown as Canary, [entry].flat()).then(
    () => undefined,
    (error: unknown) => (error as Error).message,
  );
}

test("a route that somebody deletes while a Canary moves it holds the Canary up, with its name", async () => {
  const during = { ...underWay, step: { id: "step-1", title: "", startedAt: at, checks: [] } };
  const after = { ...underWay, completedSteps: [doneStep("step-1")] };
  for (const status of [during, after]) {
    assert.equal(
      await refusalOf(written, status),
      "spec.target: HTTPRoute shop/web was deleted while this Canary moves it; create it again as it was, and the rollout continues",
    );
    assert.equal(await refusalOf(written, status, true), undefined);
  }
});

test("the journal of an earlier run asks for no route", async () => {
  const completed = { ...underWay, phase: "Completed" as const, completedSteps: [doneStep("step-1")] };
  for (const status of [completed, initialStatus, underWay]) assert.equal(await refusalOf(written, status), undefined);
});

test("a route that the Canary made and somebody deleted is named, also while the Canary waits for a change", async () => {
  const watching = { ...initialStatus, phase: "Watching" as const, completedSteps: [doneStep("routes")] };
  assert.equal(
    await refusalOf(made, watching),
    "spec.target: HTTPRoute shop/web, which this Canary made, was deleted; delete this Canary, which undoes its changes, and create it again",
  );
  assert.equal(await refusalOf(made, initialStatus), undefined, "the preparation makes it again");
  const judging = { ...underWay, completedSteps: [doneStep("routes"), doneStep("step-1")] };
  assert.match((await refusalOf([made, written], judging)) ?? "", /, which this Canary made, was deleted; delete this/);
});
