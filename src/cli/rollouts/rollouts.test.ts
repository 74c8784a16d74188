import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../../api/index.ts";
import { describeError, userError } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { createProgram } from "../program.ts";
import { FakeContext, type FakeCluster } from "../testing/fake-context.ts";
import { judgingStatus as status } from "./testing/judging-status.ts";

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
    /freeze x has 3 errors:\n {2}--reason: is required\n {2}--until: .*\n {2}--kind\[0\]: must be one of/,
  );
  assert.match(await refusal("check", "explain"), /the types are request-success-rate/);
  assert.match(await refusal("check", "explain", "request-success-rate"), /\w/);
});

test("a misspelt check without a cluster is reported by its name, with the names that exist", async () => {
  for (const verb of ["explain", "run"])
    assert.match(
      await refusal("check", verb, "request-succes-rate"),
      /no built-in check has the name "request-succes-rate", and a Check of the cluster cannot be looked up: .+\n.*did you mean request-success-rate\? built-in checks: /,
      verb,
    );
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

test("a freeze whose name a flag with several values has taken says where the name belongs", async () => {
  const words = ["freeze", "add", "--reason", "r", "--namespaces", "a", "b", "holidays"];
  assert.match(
    await refusal(...words),
    /a freeze needs a name, and --namespaces has taken a, b, holidays\n.*write the name before the flags: serin freeze add holidays --namespaces a b …/,
  );
  assert.match(await refusal("freeze", "add", "--kind", "Canary", "holidays"), /--kind has taken Canary, holidays/);
});

test("a freeze takes lists with spaces or commas, and no namespace that cannot exist, which would block nothing", async () => {
  const freeze = ["freeze", "add", "holidays", "--reason", "r", "--until", "2027-01-04T08:00:00"];
  const specOf = async (...words: readonly string[]): Promise<object> => {
    const context = new FakeContext({});
    await createProgram(context).parseAsync([...freeze, ...words], { from: "user" });
    const [stored] = context.appliedObjects as UntypedObject[];
    assert.ok(stored !== undefined);
    const { kinds, namespaces } = stored["spec"] as Record<string, unknown>;
    return { kinds, namespaces };
  };
  const both = { kinds: ["Canary", "MeshUpgrade"], namespaces: ["a", "b"] };
  assert.deepEqual(await specOf("--kind", "Canary", "MeshUpgrade", "--namespaces", "a", "b"), both);
  assert.deepEqual(await specOf("--kind", "Canary,MeshUpgrade", "--namespaces=a,b"), both);
  assert.match(
    await refusal(...freeze, "--namespaces", "Shop"),
    /--namespaces: "Shop" cannot be the name of a namespace/,
  );
  assert.match(await refusal(...freeze, "--namespaces", ""), /--namespaces: names nothing\n.*leave --namespaces out/);
});

test("a freeze of a file takes neither the name of another one nor flags, which would have no effect", async () => {
  const text =
    "{apiVersion: rollout.serin.dev/v1alpha1, kind: Freeze, metadata: {name: holidays}, spec: {reason: r, windows: [{start: '2026-12-20T18:00:00', end: '2027-01-04T08:00:00'}]}}";
  const resultOf = async (...words: readonly string[]): Promise<string> => {
    const context = new FakeContext({ files: { "a.yaml": text } });
    return await createProgram(context)
      .parseAsync(["freeze", "add", ...words, "-f", "a.yaml"], { from: "user" })
      .then(() => context.output, describeError);
  };
  assert.match(await resultOf("easter"), /a\.yaml: metadata\.name must be easter, got holidays/);
  assert.match(await resultOf("--until", "2027-01-10T08:00:00"), /the whole Freeze, and --until would have no effect/);
  assert.match(await resultOf("holidays"), /^freeze holidays applies: /);
  assert.match(await resultOf(), /^freeze holidays applies: /);
});

test("aliases that cannot be resolved, keys that are maps, a wrong version and a wrong kind are errors that name the file", async () => {
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
    assert.match(await resultOf(words, "a: {{ b }}"), /a\.yaml: a key must be a string/, words.join(" "));
  }
  assert.match(
    await resultOf(["canary", "create"], canaryText.replace("v1alpha1", "v1")),
    /a\.yaml: apiVersion: must be rollout\.serin\.dev\/v1alpha1, got "rollout\.serin\.dev\/v1"/,
  );
  assert.match(
    await resultOf(["canary", "create"], canaryText.replace("weight: ", "wieght: ")),
    /a\.yaml has \d errors:\n {2}spec\.\S+: .*\n {2}spec\./,
  );
  assert.match(await resultOf(["freeze", "add"], canaryText), /a\.yaml: kind: must be Freeze, got "Canary"/);
  assert.match(
    await resultOf(["canary", "import"], "apiVersion: flagger.app/v1beta1\nkind: Canary\nspec: {}\n"),
    /a\.yaml: document 1: metadata\.name: is required/,
  );
});

test("an imported pod template keeps the values that kubectl reads in it", async () => {
  const rollout = `apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: { name: shop }
spec:
  selector: { matchLabels: { app: shop } }
  template:
    metadata: { labels: { app: shop, canary: "no" } }
    spec:
      containers: [{ name: shop, image: "example/shop:2", tty: yes }]
      volumes: [{ name: key, secret: { secretName: key, defaultMode: 0400 } }]
  strategy: { canary: { stableService: shop, canaryService: shop-canary, steps: [{ setWeight: 10 }] } }
`;
  const context = new FakeContext({ files: { "rollout.yaml": rollout } });
  await createProgram(context).parseAsync(["canary", "import", "-f", "rollout.yaml"], { from: "user" });
  assert.match(context.output, /canary: "no"/);
  assert.match(context.output, /tty: true/);
  assert.match(context.output, /defaultMode: 256/);
});

test("the members of a List, as kubectl prints it, are imported, and a wrong one is reported by its place", async () => {
  const canary = {
    apiVersion: "flagger.app/v1beta1",
    kind: "Canary",
    metadata: { name: "shop" },
    spec: { targetRef: { kind: "Deployment", name: "shop" }, analysis: { interval: "15s", stepWeight: 50 } },
  };
  const imported = async (...items: readonly unknown[]): Promise<string> => {
    const list = JSON.stringify({ apiVersion: "v1", kind: "List", items });
    const context = new FakeContext({ files: { "list.yaml": list } });
    return await createProgram(context)
      .parseAsync(["canary", "import", "-f", "list.yaml"], { from: "user" })
      .then(() => context.output, describeError);
  };
  assert.match(await imported(canary, { ...canary, metadata: { name: "web" } }), /name: shop\n[^]*name: web\n/);
  assert.equal(await imported(canary, 3), "list.yaml: document 1: items[1]: kind: is required");
  assert.equal(
    await imported({ ...canary, apiVersion: 1 }),
    "list.yaml: document 1: items[0]: apiVersion: must be a string, got 1",
  );
});

test("an imported Canary repeats equal parts, and has no aliases", async () => {
  const canary = `apiVersion: flagger.app/v1beta1
kind: Canary
metadata: { name: shop }
spec: { targetRef: { kind: Deployment, name: shop }, analysis: { interval: 15s, stepWeight: 20, maxWeight: 40 } }
`;
  const context = new FakeContext({ files: { "canary.yaml": canary } });
  await createProgram(context).parseAsync(["canary", "import", "-f", "canary.yaml"], { from: "user" });
  assert.match(context.output, /- weight: 40\n {6}pause:\n {8}durationSeconds: 15/);
  assert.doesNotMatch(context.output, /[&*]a1/);
});

test("a syntax error of a file or of standard input has its line and column in every verb that reads one", async () => {
  for (const words of [
    ["canary", "create"],
    ["canary", "import"],
    ["check", "explain"],
    ["freeze", "add"],
    ["upgrade", "plan"],
  ]) {
    const refusal = async (file: string): Promise<string> =>
      await createProgram(new FakeContext({ files: { [file]: "a: [1" } }))
        .parseAsync([...words, "-f", file], { from: "user" })
        .then(() => "accepted", describeError);
    assert.match(
      await refusal("a.yaml"),
      /^a\.yaml:1:6: this is not valid YAML: Flow sequence [^\n]*$/,
      words.join(" "),
    );
    assert.match(
      await refusal("-"),
      /^standard input:1:6: this is not valid YAML: Flow sequence [^\n]*$/,
      words.join(" "),
    );
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
  // Another retry has recreated the object since this one read it.
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
 * Runs an order. Returns its output and its writes. The Canary `web` waits in the given namespace, and the context's
 * namespace is `default`.
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
  const watching = canaryOf("RolledBack", {}) as { readonly spec: object; readonly status: object };
  const later = {
    ...watching,
    spec: { ...watching.spec, target: { deployment: { name: "web", service: "web" } } },
    status: { ...watching.status, run: 2, plannedSteps: [{ id: "step-1", title: "50 %", untilApproved: true }] },
  };
  assert.match(
    await outputFor(later, "promote", "web"),
    /no step waits for an approval.*\n.*a change of its Deployment begins the next run; look at its steps with/,
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

test("an approval while no step waits for one names the order that lets the rollout go on", async () => {
  const upgrade = (id: string, given: object, spec: object = {}): typeof ended =>
    ({
      ...ended,
      kind: "MeshUpgrade",
      metadata: { name: "up" },
      spec: { from: { revision: "old" }, to: { revision: "new" }, paused: false, abort: false, ...spec },
      status: { ...status, step: { id, title: `step ${id}`, startedAt: "", checks: [] }, ...given },
    }) as unknown as typeof ended;
  const approved = async (object: typeof ended): Promise<string> =>
    await outputOf({ objects: { MeshUpgrade: [object] } }, "upgrade", "approve", "up");
  const plannedSteps = [{ id: "dependents", title: "", untilApproved: true }];
  const paused = { phase: "Paused", pauseReason: "order" };
  assert.match(await approved(upgrade("wave-1", paused, { paused: true })), /to continue it: serin upgrade resume up$/);
  assert.match(await approved(upgrade("soak", paused, { paused: true })), /to continue it: serin upgrade resume up$/);
  assert.match(
    await approved(upgrade("dependents", { phase: "Retiring", plannedSteps })),
    /to allow the removal of the old revision: serin upgrade complete up$/,
  );
  for (const [id, planned] of [
    ["dependents", [{ id: "dependents", title: "" }]],
    ["wave-1", plannedSteps],
  ] as const)
    assert.match(
      await approved(upgrade(id, { phase: "Retiring", plannedSteps: planned })),
      /look at its steps with `serin upgrade status up`/,
      id,
    );
});

test("an unknown MeshUpgrade, which has no namespace, is reported with the existing ones", async () => {
  const status = async (...names: readonly string[]): Promise<string> =>
    await outputOf(
      { objects: { MeshUpgrade: names.map((name) => ({ metadata: { name } })) } },
      "upgrade",
      "status",
      "nothing",
    );
  assert.match(
    await status(),
    /there is no MeshUpgrade "nothing"\n {2}hint: there is none at all: kubectl get meshupgrades$/,
  );
  assert.match(await status("to-2", "to-1"), /hint: existing ones: to-1, to-2$/);
});

test("lists, states and histories are printed as JSON and YAML for programs", async () => {
  const journal = {
    metadata: { name: "canary.shop.web" },
    decisions: [{ at: "2026-01-31T12:00:00Z", run: 1, decision: "Started", message: "13 steps" }],
  };
  const cluster = { objects: { Canary: [ended], RolloutJournal: [journal] } } as unknown as FakeCluster;
  const parsed = JSON.parse(await outputOf(cluster, "canary", "list", "-A", "-o", "json")) as { items: unknown[] };
  for (const verb of [
    ["list", "-A"],
    ["status", "web"],
    ["history", "web"],
  ])
    assert.match(await outputOf(cluster, "canary", ...verb, "-o", "json"), /^\{\n {4}"\w+": /, verb[0]);
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

test("on a terminal, the list of rollouts and of freezes wraps its last column to the width", async () => {
  const cause = `weight 50/50: request-success-rate: ${"canary 12 of 48 failed, ".repeat(6)}`;
  const canary = { ...ended, status: { ...ended.status, cause } };
  const freeze = { metadata: { name: "broken" }, spec: { reason: "peak", windows: "always" } };
  const cluster = { objects: { Canary: [canary], Freeze: [freeze] } } as unknown as FakeCluster;
  for (const noun of ["canary", "freeze"]) {
    const context = Object.assign(new FakeContext(cluster), { columns: () => 100 });
    await createProgram(context).parseAsync([noun, "list"], { from: "user" });
    const lines = context.output.trimEnd().split("\n");
    assert.ok(lines.length > 2 && lines.every((line) => line.length <= 100), context.output);
  }
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
  assert.match(
    await outputOf(cluster, "canary", "history", "web", "--run", "x"),
    /--run: expected the number of a run/,
  );
  assert.match(await outputOf(cluster, "canary", "history", "web", "--run", "2"), /^run 2\n/);
});
