import assert from "node:assert/strict";
import { test } from "node:test";
import { describeError, systemClock, transientError, userError } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { createProgram } from "../program.ts";
import { FakeContext } from "../testing/fake-context.ts";

const rollout = (phase: string): object => ({
  apiVersion: "rollout.serin.dev/v1alpha1",
  kind: "Canary",
  metadata: { name: "web", namespace: "shop" },
  spec: { target: { httpRoute: { name: "web" } } },
  status: { phase, progress: "1/2", message: "", completedSteps: [], conditions: [] },
});

/** Watches a rollout whose API server gives these answers, one after the other. Returns how that ended. */
async function watched(...answers: readonly (object | Error)[]) {
  const left = [...answers];
  const list = async (): Promise<object> => {
    const answer = left.shift();
    assert.ok(answer !== undefined, "it asks again after its end");
    if (answer instanceof Error) throw answer;
    return await Promise.resolve({ items: [answer] });
  };
  const context = Object.assign(new FakeContext(), {
    connect: async () => await Promise.resolve({ list } as unknown as KubeClient),
    clock: { ...systemClock, sleep: async () => await Promise.resolve() },
  });
  const end = await createProgram(context)
    .parseAsync(["canary", "status", "web", "-w", "--json"], { from: "user" })
    .then(() => "done", describeError);
  const phases = [...context.output.matchAll(/"phase":"(\w+)"/g)].map(([, phase]) => phase);
  return { end, phases, errors: context.errors, left: left.length };
}

const busy = transientError("busy", "the API server is busy");

test("a watched rollout is followed to its end, also while its API server does not answer for a moment", async () => {
  assert.deepEqual(await watched(rollout("Judging"), busy, busy, rollout("Judging"), rollout("Completed")), {
    end: "done",
    phases: ["Judging", "Completed"],
    errors: "the API server is busy; trying again\n".repeat(2),
    left: 0,
  });
});

test("a watch does not begin without an answer, and ends with an error of the user", async () => {
  assert.deepEqual(await watched(busy, rollout("Completed")), {
    end: "the API server is busy",
    phases: [],
    errors: "",
    left: 1,
  });
  const forbidden = userError("forbidden", "you may not list canaries");
  assert.deepEqual(await watched(rollout("Judging"), forbidden, rollout("Completed")), {
    end: "you may not list canaries",
    phases: ["Judging"],
    errors: "",
    left: 1,
  });
});
