import assert from "node:assert/strict";
import { test } from "node:test";
import type { RolloutStatus } from "../../api/serin/index.ts";
import { describeError } from "../../base/index.ts";
import { createProgram } from "../program.ts";
import { FakeContext, type FakeCluster } from "../testing/fake-context.ts";
import { renderHistory } from "./history.ts";
import { durationText, renderLadder } from "./ladder.ts";

const escape = "\u001b[";

const status: RolloutStatus = {
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

test("the ladder shows completed steps, the current one with its checks, and coming ones", () => {
  assert.equal(
    renderLadder("Canary shop/shop", status, { colour: false, verbose: false }),
    [
      "Canary shop/shop: Judging 1/3  canary 10 %  (run 2)",
      "  ✔ requests with traffic: test  3 min 12 s",
      "  ▸ weight 90/10",
      "      … request-success-rate: 20 answers",
      "  ○ weight 0/100",
      "",
    ].join("\n"),
  );
});

test("the ladder's last line shows since when it waits, until when, and the next command", () => {
  const since = "2026-01-31T12:03:12.345Z";
  const until = "2026-01-31T12:08:12.345Z";
  const last = (more: Partial<RolloutStatus>, title = "Canary shop/web"): string =>
    renderLadder(title, { ...status, plannedSteps: [], phaseSince: since, ...more }, { colour: false, verbose: false })
      .trimEnd()
      .split("\n")
      .at(-1)
      ?.trim() ?? "";
  const settling = {
    id: "step-2",
    title: "weight 90/10",
    startedAt: since,
    checks: [],
    waitingFor: ["Deployment web: 1 of 3 ready"],
    waitingSince: since,
    waitsUntil: until,
  };
  assert.deepEqual(
    [
      last({ phase: "Settling", step: settling }),
      last({ phase: "Soaking", step: { ...settling, waitingFor: [] } }),
      last({ phase: "Soaking", step: { ...settling, waitingFor: [] } }, "MeshUpgrade up"),
      last({ phase: "Paused", pauseReason: "approval", message: "weight 90/10: a text" }),
      last({ phase: "Paused", pauseReason: "order", message: "approve: a text" }, "MeshUpgrade up"),
      last({ phase: "Paused", message: "weight 90/10: waits for approval" }),
      last({ phase: "Waiting", pauseReason: "freeze", pausedBy: "holidays", message: "a text" }),
      last({ phase: "Waiting", message: `waits: freeze holidays until ${until} (quiet)` }),
      last({ phase: "Waiting", message: "waits: Canary a/b has reserved namespace shop" }),
      last({ phase: "Stuck", message: "x" }),
      last({ phase: "Judging" }),
    ],
    [
      "since 2026-01-31T12:03:12Z; it fails at 2026-01-31T12:08:12Z unless it makes progress",
      "since 2026-01-31T12:03:12Z, until 2026-01-31T12:08:12Z",
      "since 2026-01-31T12:03:12Z, until 2026-01-31T12:08:12Z; end it: serin upgrade complete up",
      "since 2026-01-31T12:03:12Z: let it continue: serin canary promote web -n shop",
      "since 2026-01-31T12:03:12Z: let it continue: serin upgrade resume up",
      "since 2026-01-31T12:03:12Z",
      "since 2026-01-31T12:03:12Z; it continues by itself, or: serin freeze except holidays --canary shop/web --reason WHY",
      "since 2026-01-31T12:03:12Z; it continues by itself",
      "since 2026-01-31T12:03:12Z; it continues by itself",
      "since 2026-01-31T12:03:12Z: fix it, or undo it: serin canary abort web -n shop",
      "since 2026-01-31T12:03:12Z",
    ],
  );
});

test("lines are cut to the terminal's width, not counting colours", () => {
  const lines = renderLadder(
    "Canary shop/shop",
    { ...status, cause: "x".repeat(100) },
    { colour: true, verbose: false, columns: 30 },
  ).split("\n");
  for (const line of lines)
    assert.ok(
      line
        .split(escape)
        .reduce((length, part, index) => length + part.length - (index === 0 ? 0 : part.indexOf("m") + 1), 0) < 30,
      line,
    );
  assert.ok(lines.some((line) => line.endsWith("xxx")));
});

test("durations are printed in readable units", () => {
  assert.deepEqual([4.21, 192, 7500].map(durationText), ["4.2 s", "3 min 12 s", "2 h 5 min"]);
});

test("history lists each decision with its author and evidence", () => {
  const at = "2026-01-31T12:00:00.123Z";
  assert.equal(
    renderHistory([
      {
        at,
        run: 1,
        decision: "StepDone",
        step: "step-1",
        message: "weight 90/10",
        evidence: ["request-success-rate: 0 of 200"],
      },
      { at, run: 2, decision: "Approved", step: "step-2", message: "looks good", by: "ann" },
    ]),
    [
      "run 1",
      "  2026-01-31T12:00:00Z  StepDone  [step-1]  weight 90/10",
      "      request-success-rate: 0 of 200",
      "",
      "run 2",
      "  2026-01-31T12:00:00Z  Approved by ann  [step-2]  looks good",
      "",
    ].join("\n"),
  );
});

async function refusal(...args: string[]): Promise<string> {
  const context = new FakeContext();
  try {
    await createProgram(context).parseAsync(args, { from: "user" });
  } catch (error) {
    return describeError(error);
  }
  return context.output;
}

test("missing arguments are reported before any request to a cluster", async () => {
  assert.match(await refusal("freeze", "add"), /a freeze needs a name/);
  assert.match(
    await refusal("freeze", "add", "x", "--until", "tomorrow"),
    /spec\.windows\[0\]\.end: must be a time such as/,
  );
  assert.match(
    await refusal("freeze", "add", "x", "--reason", "r", "--rrule", "FREQ=DAILY", "--duration", "soon"),
    /--duration: must look like 90m/,
  );
  assert.match(await refusal("check", "explain"), /the types are request-success-rate/);
  assert.match(await refusal("check", "explain", "request-success-rate"), /\w/);
});

const ended = {
  apiVersion: "rollout.serin.dev/v1alpha1",
  kind: "Canary",
  metadata: { name: "web", namespace: "shop" },
  spec: { target: { httpRoute: { name: "web" } }, abort: true },
  status: { ...status, phase: "RolledBack" },
};

async function retried(cluster: FakeCluster): Promise<{ readonly said: string; readonly applied: readonly string[] }> {
  const context = new FakeContext({ objects: { Canary: [ended] }, ...cluster });
  const program = createProgram(context);
  const said = await program
    .parseAsync(["canary", "retry", "web", "-n", "shop"], { from: "user" })
    .then(() => context.output, describeError);
  return { said, applied: context.applied };
}

test("a rollout is not deleted for a retry that the server would refuse", async () => {
  const refused = await retried({ unwritable: { Canary: new Error("spec.steps: must not be empty") } });
  assert.match(refused.said, /spec\.steps: must not be empty/);
  assert.deepEqual(refused.applied, []);
});

const whoAmI = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

/** What an order says and writes, where the Canary `web` waits in the given namespace and the default one is `default`. */
async function ordered(
  namespace: string,
  ...words: readonly string[]
): Promise<{ readonly said: string; readonly applied: readonly string[] }> {
  const plannedSteps = [{ id: "step-2", title: "weight 90/10", untilApproved: true }];
  const waiting = {
    ...ended,
    metadata: { name: "web", namespace },
    status: { ...status, phase: "Paused", plannedSteps },
  };
  const answers = { [whoAmI]: JSON.stringify({ status: { userInfo: { username: "ann" } } }) };
  const context = new FakeContext({ objects: { Canary: [waiting] }, answers });
  const said = await createProgram(context)
    .parseAsync(["canary", ...words], { from: "user" })
    .then(() => context.output, describeError);
  return { said, applied: context.applied };
}

test("an order without -n never affects another namespace's rollout of that name, and says where one exists", async () => {
  for (const words of [
    ["promote", "web"],
    ["promote", "web", "--full"],
    ["promote", "web", "--step", "step-2"],
    ["abort", "web"],
  ]) {
    const { said, applied } = await ordered("shop", ...words);
    assert.match(said, /there is no Canary "web" in namespace default/, words.join(" "));
    assert.match(said, /namespace shop has one: use -n shop/, words.join(" "));
    assert.deepEqual(applied, [], words.join(" "));
  }
});

test("an order without -n applies to the kubeconfig's namespace, and one with -n to that namespace", async () => {
  const own = await ordered("default", "promote", "web");
  assert.deepEqual(own, { said: "Canary default/web: step-2 approved by ann\n", applied: ["patch Canary/web"] });
  const named = await ordered("shop", "promote", "web", "-n", "shop");
  assert.deepEqual(named, { said: "Canary shop/web: step-2 approved by ann\n", applied: ["patch Canary/web"] });
});
