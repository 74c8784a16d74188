import assert from "node:assert/strict";
import { test } from "node:test";
import { describeError, systemClock, transientError, userError } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import type { CliContext } from "../context.ts";
import { createProgram } from "../program.ts";
import { FakeContext } from "../testing/fake-context.ts";

const rollout = (phase: string): object => ({
  apiVersion: "rollout.serin.dev/v1alpha1",
  kind: "Canary",
  metadata: { name: "web", namespace: "shop" },
  spec: { target: { httpRoute: { name: "web" } } },
  status: statusOf(phase),
});

const statusOf = (phase: string): object => ({
  phase,
  progress: "1/2",
  message: "",
  completedSteps: [],
  conditions: [],
});

/** Watches a rollout whose API server gives these answers, one after the other. Returns how the watch ended. */
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

/** Watches a Canary of a Deployment, which has these phases and these numbers of updated pods, one after the other. */
async function watchedDeployment(
  ...looks: readonly (readonly [phase: string, updatedReplicas: number, fails?: true])[]
) {
  const left = [...looks];
  let [, updatedReplicas, fails] = looks[0] ?? assert.fail();
  const client = {
    list: async () => {
      const [phase, ...more] = left.shift() ?? assert.fail("it asks again after its end");
      [updatedReplicas, fails] = more;
      const target = { deployment: { name: "web", service: "web" } };
      return await Promise.resolve({ items: [{ ...rollout(phase), spec: { target, steps: [{ weight: 50 }] } }] });
    },
    get: async () => {
      if (fails === true) throw transientError("unavailable", "the API server is away");
      return await Promise.resolve({
        metadata: { name: "web", generation: 3 },
        status: { observedGeneration: 3, replicas: 2, updatedReplicas },
      });
    },
  };
  const context = Object.assign(new FakeContext(), {
    connect: async () => await Promise.resolve(client as unknown as KubeClient),
    clock: { ...systemClock, sleep: async () => await Promise.resolve() },
  });
  const end = await createProgram(context)
    .parseAsync(["canary", "status", "web", "-w"], { from: "user" })
    .then(() => "done", describeError);
  return { end, told: context.errors, left: left.length };
}

test("a watch that begins right after a change of the Deployment follows that change, not the end of the run before", async () => {
  const told = "Deployment web has a change that the engine has not begun to roll out; waiting for it\n";
  for (const phase of ["Watching", "Completed", "RolledBack"]) {
    const looks = [
      [phase, 0],
      [phase, 0],
      ["Judging", 0],
      ["Completed", 2],
    ] as const;
    assert.deepEqual(await watchedDeployment(...looks), { end: "done", told, left: 0 }, phase);
  }
  assert.deepEqual(await watchedDeployment(["Watching", 2]), { end: "done", told: "", left: 0 });
  const failed = await watchedDeployment(["RolledBack", 2]);
  assert.notEqual(failed.end, "done");
  assert.equal(failed.told, "");
});

test("a watch goes on when the Deployment cannot be read for a moment", async () => {
  const { end, told, left } = await watchedDeployment(["Judging", 0], ["Completed", 2, true], ["Completed", 2]);
  assert.deepEqual([end, told, left], ["done", "the API server is away; trying again\n", 0]);
});

test("an undo that was ordered with -w is followed, and ends well when the rollout is rolled back", async () => {
  const looks = ["Completed", "RollingBack", "RolledBack"];
  const upgrade = (phase: string, generation: number): object => ({
    apiVersion: "rollout.serin.dev/v1alpha1",
    kind: "MeshUpgrade",
    metadata: { name: "to-next", uid: "u", resourceVersion: "1", generation },
    spec: { from: { revision: "a" }, to: { revision: "b" } },
    status: {
      observedGeneration: phase === "Completed" ? 1 : 2,
      phase,
      progress: "1/1",
      message: "",
      completedSteps: [],
      conditions: [],
    },
  });
  let generation = 1;
  const whoAmI = { status: 201, text: JSON.stringify({ status: { userInfo: { username: "ann" } } }) };
  const client = {
    list: async () =>
      await Promise.resolve({
        items: [upgrade(generation === 1 ? "Completed" : (looks.shift() ?? assert.fail()), generation)],
      }),
    get: async () => await Promise.resolve(upgrade("Completed", generation)),
    raw: async () => await Promise.resolve(whoAmI),
    patchMerge: async () => await Promise.resolve(upgrade("Completed", (generation = 2))),
  };
  const context = Object.assign(new FakeContext(), {
    connect: async () => await Promise.resolve(client as unknown as KubeClient),
    clock: { ...systemClock, sleep: async () => await Promise.resolve() },
  });
  const end = await createProgram(context)
    .parseAsync(["upgrade", "rollback", "to-next", "-w"], { from: "user" })
    .then(() => "done", describeError);
  assert.equal(end, "done");
  assert.match(context.output, /is being undone[^]*RolledBack/);
  assert.deepEqual(looks, []);
});

async function judged(terminal: Partial<CliContext>): Promise<FakeContext> {
  const since = { phaseSince: "2026-06-01T00:00:00Z", step: { id: "a", title: "weight 50" } };
  const judging = { ...rollout("Judging"), status: { ...statusOf("Judging"), ...since } };
  const answers: (object | Error)[] = [judging, judging, busy, judging, rollout("Completed")];
  let nowMs = Date.parse(since.phaseSince);
  const list = async (): Promise<object> => {
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return await Promise.resolve({ items: [answer] });
  };
  const context = Object.assign(new FakeContext(), {
    connect: async () => await Promise.resolve({ list } as unknown as KubeClient),
    clock: { ...systemClock, nowMs: () => nowMs, sleep: async () => await Promise.resolve(void (nowMs += 1_000)) },
    ...terminal,
  });
  await createProgram(context).parseAsync(["canary", "status", "web", "-w"], { from: "user" });
  return context;
}

test("a watch in a pipe prints each line once, although time passes", async () => {
  const lines = (await judged({})).output.split("\n");
  assert.deepEqual(
    lines.filter((line) => line.includes("since")),
    ["  since 2026-06-01T00:00:00Z"],
  );
});

test("a watch on a terminal redraws its text, and draws it anew below an error", async () => {
  const { output } = await judged({ colour: true, columns: () => 80 });
  assert.match(output, /\(1 s ago\)/);
  const redrawn = [...output.replaceAll("\u001b[", "<").matchAll(/(<\d+A)?\r<J/g)].map(([, up]) => up !== undefined);
  assert.deepEqual(redrawn, [false, true, false, true]);
});
