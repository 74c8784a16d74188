import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../../api/index.ts";
import type { RolloutStatus } from "../../api/serin/index.ts";
import { describeError, userError } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";
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
      last({ phase: "Waiting", pauseReason: "group-failed", message: "group a: change Canary a/b" }),
      last({ phase: "Stuck", message: "x" }),
      last({ phase: "Judging" }),
      last({ phase: "Judging", step: { ...settling, waitingFor: [] } }),
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
      "since 2026-01-31T12:03:12Z",
      "since 2026-01-31T12:03:12Z: repair it, or undo it: serin canary abort web -n shop",
      "since 2026-01-31T12:03:12Z",
      "since 2026-01-31T12:03:12Z; without a new sample it is Stuck at 2026-01-31T12:08:12Z",
    ],
  );
});

test("the ladder shows what a person must do although the message begins with a check that is shown already", () => {
  const todo = "rollback is Manual, so a person decides: approve the step: serin canary promote shop -n shop";
  const stuck = (message: string): string =>
    renderLadder("Canary shop/shop", { ...status, phase: "Stuck", message }, { colour: false, verbose: false });
  const evidence = "request-success-rate: 20 answers";
  const lines = stuck(`weight 90/10: ${evidence}; ${todo}`).split("\n");
  assert.equal(lines.filter((line) => line.includes(evidence)).length, 1, "the evidence is shown once");
  assert.ok(lines.includes(`      ${todo}`), lines.join("\n"));
  assert.equal(stuck(`weight 90/10: ${evidence}`).split(evidence).length, 2);
});

test("checks with the same verdict and evidence share a line with their names", () => {
  const evidence = "istiod istio-system/istiod-1 has not reported which proxies it serves";
  const checks = ["xds-nacks", "pod-health", "xds-convergence"].map((type) => ({
    type,
    verdict: type === "pod-health" ? ("pass" as const) : ("error" as const),
    evidence: type === "pod-health" ? "3 pods are ready" : evidence,
  }));
  const step = { id: "step-2", title: "weight 90/10", startedAt: "", checks };
  const text = renderLadder("Canary a/b", { ...status, step, message: "" }, { colour: false, verbose: false });
  assert.match(text, /\n {6}! xds-nacks, xds-convergence: istiod .*\n {6}✔ pod-health: 3 pods are ready\n/);
});

test("the ladder of a rollout that waits between two steps shows what it waits for", () => {
  const { step: _step, ...between } = status;
  const lines = (more: Partial<RolloutStatus>): readonly string[] =>
    renderLadder("Canary shop/shop", { ...between, ...more }, { colour: false, verbose: false }).split("\n");
  const message = "waits: freeze holidays until 2027-01-04T08:00:00.000Z (peak)";
  assert.equal(lines({ phase: "Waiting", pauseReason: "freeze", message })[2], `  … ${message}`);
  assert.equal(
    lines({ phase: "Paused", pauseReason: "order", message: "paused by a person" })[2],
    "  … paused by a person",
  );
  assert.equal(
    lines({ phase: "Watching", message: "waits for a change to roll out" })[2],
    "  … waits for a change to roll out",
  );
  const cause = "spec.target: has no waypoint";
  assert.equal(lines({ phase: "Stuck", message: cause, cause }).filter((line) => line.includes(cause)).length, 1);
  assert.ok(!lines({ phase: "Progressing", message: "weight 50/50" }).some((line) => line.includes("50/50")));
});

test("the ladder shows that the engine has not acted on the last order yet, and advises not to repeat it", () => {
  const paused: RolloutStatus = { ...status, phase: "Paused", pauseReason: "approval" };
  const text = (more: Partial<RolloutStatus> = {}): string =>
    renderLadder("Canary a/b", { ...paused, ...more }, { colour: false, verbose: false, isBehind: true });
  assert.match(
    text(),
    /the engine has not acted on the last order or change yet; if this stays: kubectl -n serin-system/,
  );
  assert.doesNotMatch(text(), /promote/);
  assert.doesNotMatch(text({ phase: "Completed" }), /has not acted/);
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

test("history lists each decision with its author, and its evidence once", () => {
  const at = "2026-01-31T12:00:00.123Z";
  assert.equal(
    renderHistory([
      {
        at,
        run: 1,
        decision: "StepDone",
        step: "step-1",
        message: "weight 90/10; request-success-rate: 0 of 200",
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
  assert.match(await refusal("freeze", "add", "x", "--until", "tomorrow"), /--until: must be a time such as/);
  assert.match(
    await refusal("freeze", "add", "x", "--reason", "r", "--rrule", "FREQ=DAILY", "--duration", "soon"),
    /--duration: must look like 90m/,
  );
  assert.match(
    await refusal("freeze", "add", "x", "--kind", "Pod"),
    /freeze x: --reason: is required\n--until: .*\n--kind\[0\]: must be one of/,
  );
  assert.match(await refusal("check", "explain"), /the types are request-success-rate/);
  assert.match(await refusal("check", "explain", "request-success-rate"), /\w/);
});

const canaryText =
  "{apiVersion: rollout.serin.dev/v1alpha1, kind: Canary, metadata: {name: web}, spec: {target: {deployment: {name: web, service: web}}, steps: [{weight: 100}]}}";

test("a file with several objects is refused with the command that applies them, in plain words", async () => {
  const context = (): FakeContext => new FakeContext({ files: { "a.yaml": `${canaryText}\n---\n${canaryText}\n` } });
  for (const words of [
    ["canary", "create"],
    ["check", "explain"],
    ["freeze", "add"],
  ]) {
    const result = await createProgram(context())
      .parseAsync([...words, "-f", "a.yaml"], { from: "user" })
      .then(() => "accepted", describeError);
    assert.match(result, /a\.yaml: must contain one object, got 2\n.*kubectl apply -f a\.yaml/, words.join(" "));
  }
});

test("aliases that cannot be resolved, a wrong version and a wrong kind are errors that name the file", async () => {
  const resultOf = async (words: readonly string[], text: string): Promise<string> =>
    await createProgram(new FakeContext({ files: { "a.yaml": text } }))
      .parseAsync([...words, "-f", "a.yaml"], { from: "user" })
      .then(() => "accepted", describeError);
  const ten = Array.from({ length: 10 }, () => "*a").join(",");
  const bomb = `a: &a [1]\nb: &b [${ten}]\nc: &c [${ten.replaceAll("a", "b")}]\nd: [${ten.replaceAll("a", "c")}]\n`;
  for (const words of [
    ["canary", "create"],
    ["canary", "import"],
    ["freeze", "add"],
    ["check", "explain"],
    ["install", "--dry-run"],
  ]) {
    assert.match(await resultOf(words, bomb), /a\.yaml: the aliases .*hint: /s, words.join(" "));
    assert.match(await resultOf(words, "a: *b"), /a\.yaml: the aliases .* alias/, words.join(" "));
  }
  assert.match(
    await resultOf(["canary", "create"], canaryText.replace("v1alpha1", "v1")),
    /a\.yaml: apiVersion: must be rollout\.serin\.dev\/v1alpha1, got "rollout\.serin\.dev\/v1"/,
  );
  assert.match(await resultOf(["freeze", "add"], canaryText), /a\.yaml: kind: must be Freeze, got "Canary"/);
});

test("a file that is not YAML is a user's error of every verb that reads one", async () => {
  for (const words of [
    ["canary", "create"],
    ["check", "explain"],
    ["freeze", "add"],
  ]) {
    const result = await createProgram(new FakeContext({ files: { "a.yaml": "a: [1" } }))
      .parseAsync([...words, "-f", "a.yaml"], { from: "user" })
      .then(() => "accepted", describeError);
    assert.match(result, /a\.yaml: is not YAML: /, words.join(" "));
  }
});

const ended = {
  apiVersion: "rollout.serin.dev/v1alpha1",
  kind: "Canary",
  metadata: { name: "web", namespace: "shop" },
  spec: { target: { httpRoute: { name: "web" } }, abort: true },
  status: { ...status, phase: "RolledBack" },
};

async function retried(
  cluster: FakeCluster,
): Promise<{ readonly output: string; readonly applied: readonly string[] }> {
  const context = new FakeContext({ objects: { Canary: [ended] }, ...cluster });
  const program = createProgram(context);
  const output = await program
    .parseAsync(["canary", "retry", "web", "-n", "shop"], { from: "user" })
    .then(() => context.output, describeError);
  return { output, applied: context.applied };
}

test("a rollout is not deleted for a retry that the server would refuse", async () => {
  const refused = await retried({ unwritable: { Canary: new Error("spec.steps: must not be empty") } });
  assert.match(refused.output, /spec\.steps: must not be empty/);
  assert.deepEqual(refused.applied, []);
});

test("a retry that is sent twice does not delete the run that the first one has begun", async () => {
  const context = new FakeContext({
    objects: { Canary: [{ ...ended, metadata: { ...ended.metadata, uid: "first" } }] },
  });
  const client = await context.connect();
  const deleted: unknown[] = [];
  // The other retry has made the object again since this one read it.
  const remove: KubeClient["delete"] = async (_kind, _name, _namespace, { preconditions = {} } = {}) => {
    const { uid = "second" } = preconditions;
    if (uid !== "second") throw userError("conflict", "the UID in the precondition does not match");
    deleted.push(uid);
  };
  const program = createProgram(Object.assign(context, { connect: async () => ({ ...client, delete: remove }) }));
  const output = await program
    .parseAsync(["canary", "retry", "web", "-n", "shop"], { from: "user" })
    .then(() => context.output, describeError);
  assert.match(output, /Canary shop\/web: somebody else has started it again meanwhile/);
  assert.deepEqual(deleted, []);
  assert.deepEqual(context.applied, []);
});

test("the command that begins a Canary's next run can be pasted whole, and names a template that never was", async () => {
  const spec = { target: { deployment: { name: "web", service: "web" } } };
  const hint = async (nowMs: number): Promise<string> => {
    const resting = { ...ended, spec };
    const context = new FakeContext({ objects: { Canary: [resting] } });
    const program = createProgram(Object.assign(context, { clock: { ...context.clock, nowMs: () => nowMs } }));
    return await program
      .parseAsync(["canary", "retry", "web", "-n", "shop"], { from: "user" })
      .then(() => context.output, describeError);
  };
  const found = await hint(Date.UTC(2026, 0, 1));
  assert.match(found, /kubectl patch deployment web -n shop -p '\{.*"retried":"2026-01-01T00:00:00\.000Z".*\}'\s*$/);
  assert.notEqual(await hint(Date.UTC(2026, 0, 2)), found);
});

const whoAmI = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

test("an order for one version is not given to the next one, whose run begins in the same moment", async () => {
  for (const words of [["--full"], ["--step", "step-2"]]) {
    const inRun = (run: number): UntypedObject => ({
      ...ended,
      metadata: { ...ended.metadata, resourceVersion: String(run) },
      spec: { target: { deployment: { name: "web" } } },
      status: { ...status, run, plannedSteps: [{ id: "step-2", title: "", untilApproved: true }] },
    });
    const answers = { [whoAmI]: JSON.stringify({ status: { userInfo: { username: "ann" } } }) };
    const context = new FakeContext({ objects: { Canary: [inRun(1)] }, answers });
    const client = await context.connect();
    const taken: unknown[] = [];
    const patchMerge = async (_kind: unknown, _name: string, _namespace: unknown, patch: UntypedObject) => {
      const { resourceVersion = "2" } = (patch as Partial<UntypedObject>).metadata ?? {};
      if (resourceVersion !== "2") throw userError("conflict", "the object has been modified");
      taken.push(patch);
      return patch;
    };
    const racing = { ...client, get: async () => inRun(2), patchMerge } as unknown as KubeClient;
    const output = await createProgram(Object.assign(context, { connect: async () => racing }))
      .parseAsync(["canary", "promote", "web", "-n", "shop", ...words], { from: "user" })
      .then(() => context.output, describeError);
    assert.match(output, /Canary shop\/web: another run has begun meanwhile, so your order was not given/);
    assert.deepEqual(taken, []);
  }
});

/**
 * The output and the writes of an order. The Canary `web` waits in the given namespace, and the default namespace is
 * `default`.
 */
async function ordered(
  namespace: string,
  ...words: readonly string[]
): Promise<{ readonly output: string; readonly applied: readonly string[] }> {
  const plannedSteps = [{ id: "step-2", title: "weight 90/10", untilApproved: true }];
  const waiting = {
    ...ended,
    metadata: { name: "web", namespace },
    status: { ...status, phase: "Paused", plannedSteps },
  };
  const answers = { [whoAmI]: JSON.stringify({ status: { userInfo: { username: "ann" } } }) };
  const context = new FakeContext({ objects: { Canary: [waiting] }, answers });
  const output = await createProgram(context)
    .parseAsync(["canary", ...words], { from: "user" })
    .then(() => context.output, describeError);
  return { output, applied: context.applied };
}

test("an order without -n never affects another namespace's rollout of that name, and says where one exists", async () => {
  for (const words of [
    ["promote", "web"],
    ["promote", "web", "--full"],
    ["promote", "web", "--step", "step-2"],
    ["abort", "web"],
  ]) {
    const { output, applied } = await ordered("shop", ...words);
    assert.match(output, /there is no Canary "web" in namespace default/, words.join(" "));
    assert.match(output, /namespace shop has one: use -n shop/, words.join(" "));
    assert.deepEqual(applied, [], words.join(" "));
  }
});

test("an order without -n applies to the kubeconfig's namespace, and one with -n to that namespace", async () => {
  const own = await ordered("default", "promote", "web");
  assert.deepEqual(own, { output: "Canary default/web: step-2 approved by ann\n", applied: ["patch Canary/web"] });
  const named = await ordered("shop", "promote", "web", "-n", "shop");
  assert.deepEqual(named, { output: "Canary shop/web: step-2 approved by ann\n", applied: ["patch Canary/web"] });
});

async function outputOf(cluster: FakeCluster, ...words: readonly string[]): Promise<string> {
  const context = new FakeContext(cluster);
  const failure = await createProgram(context)
    .parseAsync(words, { from: "user" })
    .then(() => "", describeError);
  return context.output + failure;
}

test("an order that would change nothing is refused with the reason", async () => {
  const canaryOf = (phase: string, spec: object): object => ({
    ...ended,
    spec: { ...ended.spec, abort: false, paused: false, ...spec },
    status: { ...status, phase },
  });
  const outputFor = async (canary: object, ...words: readonly string[]): Promise<string> =>
    await outputOf({ objects: { Canary: [canary as typeof ended] } }, "canary", ...words, "-n", "shop");
  assert.match(
    await outputFor(canaryOf("RolledBack", {}), "pause", "web"),
    /Canary shop\/web: it has ended as RolledBack/,
  );
  assert.match(
    await outputFor(canaryOf("RolledBack", {}), "abort", "web"),
    /Canary shop\/web: it is already rolled back/,
  );
  assert.match(await outputFor(canaryOf("Judging", {}), "resume", "web"), /Canary shop\/web: nobody has paused it/);
  assert.match(
    await outputFor(canaryOf("RollingBack", { abort: true }), "promote", "web", "--full"),
    /it is being rolled back\n.*serin canary status web -n shop/,
  );
  assert.match(
    await outputFor(canaryOf("RolledBack", {}), "promote", "web"),
    /shop\/web: no step waits for an approval: the rollout is RolledBack/,
  );
  const upgrade = { ...canaryOf("RolledBack", {}), kind: "MeshUpgrade", metadata: { name: "up" } };
  assert.match(
    await outputOf({ objects: { MeshUpgrade: [upgrade] } }, "upgrade", "complete", "up"),
    /MeshUpgrade up: it has ended as RolledBack/,
  );
});

test("an upgrade is completed in its soak or before its retirement, and not while it still moves the mesh", async () => {
  const at = (id: string): object => ({
    ...ended,
    kind: "MeshUpgrade",
    metadata: { name: "up" },
    spec: { from: { revision: "old" }, to: { revision: "new" } },
    status: { ...status, phase: "Judging", step: { id, title: `step ${id}`, startedAt: "", checks: [] } },
  });
  const answers = { [whoAmI]: JSON.stringify({ status: { userInfo: { username: "ann" } } }) };
  const given = async (id: string, ...words: readonly string[]): Promise<string> =>
    await outputOf({ objects: { MeshUpgrade: [at(id) as typeof ended] }, answers }, "upgrade", ...words);
  const complete = async (id: string): Promise<string> => await given(id, "complete", "up");
  for (const words of [
    ["complete", "up"],
    ["complete", "up", "--step", "soak"],
    ["complete", "up", "--step", "dependents"],
    ["approve", "up", "--step", "soak"],
    ["approve", "up", "--step", "dependents"],
  ])
    assert.match(
      await given("wave-1/shop", ...words),
      /MeshUpgrade up: it is not in its soak: the step is step wave-1\/shop/,
      words.join(" "),
    );
  assert.equal(await given("soak", "approve", "up", "--step", "soak"), "MeshUpgrade up: soak approved by ann\n");
  assert.match(
    await given("soak", "approve", "up"),
    /up: no step waits for an approval: the rollout is Judging at step soak\n.*to end the soak: serin upgrade complete up/,
  );
  for (const id of ["soak", "dependents"])
    assert.equal(await complete(id), "MeshUpgrade up: soak, dependents approved by ann\n");
});

test("lists, states and histories are printed as JSON and YAML for programs", async () => {
  const journal = {
    metadata: { name: "canary.shop.web" },
    decisions: [{ at: "2026-01-31T12:00:00Z", run: 1, decision: "Started", message: "13 steps" }],
  };
  const cluster = { objects: { Canary: [ended], RolloutJournal: [journal] } } as unknown as FakeCluster;
  const parsed = JSON.parse(await outputOf(cluster, "canary", "list", "-A", "-o", "json")) as { items: unknown[] };
  assert.deepEqual(parsed.items, [ended]);
  assert.match(await outputOf(cluster, "canary", "list", "-o", "yaml"), /^apiVersion: v1\nkind: List\nitems:\n/);
  assert.match(
    await outputOf(cluster, "canary", "status", "web", "-o", "yaml"),
    /^status:\n(.*\n)*?  phase: RolledBack/m,
  );
  assert.match(await outputOf(cluster, "canary", "history", "web", "-o", "yaml"), /^rollout: web\ndecisions:\n/);
  assert.equal(
    await outputOf(cluster, "freeze", "list", "-o", "json"),
    `${JSON.stringify({ apiVersion: "v1", kind: "List", items: [] }, undefined, 4)}\n`,
  );
  assert.match(
    await outputOf(cluster, "canary", "list", "-A", "-n", "shop"),
    /-A means all namespaces, and -n says shop/,
  );
});

test("the list of freezes names the fault of one that cannot be read", async () => {
  const window = { start: "2026-12-20T18:00:00", end: "2027-01-04T08:00:00" };
  const freezes = [
    { metadata: { name: "holidays" }, spec: { reason: "peak", windows: [window], namespaces: ["shop"] } },
    { metadata: { name: "broken" }, spec: { reason: "peak", windows: "always" } },
  ];
  const text = await outputOf({ objects: { Freeze: freezes } }, "freeze", "list");
  assert.match(text, /holidays +2026-12-20T18:00:00 to 2027-01-04T08:00:00 UTC +all rollouts in shop +peak/);
  assert.match(text, /broken +always +all rollouts +in force because .*spec\.windows: must be a list.* remove broken/);
});

test("a history of a run that does not exist is refused, and the error lists the existing runs", async () => {
  const journal = {
    metadata: { name: "canary.shop.web" },
    decisions: [1, 2].map((run) => ({ at: "2026-01-31T12:00:00Z", run, decision: "Started", message: "" })),
  };
  const cluster = { objects: { RolloutJournal: [journal] } } as unknown as FakeCluster;
  assert.match(
    await outputOf(cluster, "canary", "history", "web", "--run", "9"),
    /has no run 9\n.*it has the runs 1, 2/,
  );
  assert.match(await outputOf(cluster, "canary", "history", "web", "--run", "x"), /--run must be the number of a run/);
  assert.match(await outputOf(cluster, "canary", "history", "web", "--run", "2"), /^run 2\n/);
});
