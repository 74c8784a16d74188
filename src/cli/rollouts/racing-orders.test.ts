import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../../api/index.ts";
import { describeError, userError } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { FakeContext } from "../testing/fake-context.ts";
import { createProgram } from "../program.ts";

const whoAmI = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
const answers = { [whoAmI]: JSON.stringify({ status: { userInfo: { username: "ann" } } }) };

const canary = (resourceVersion: string, spec: object = {}, phase = "Paused"): UntypedObject => ({
  apiVersion: "rollout.serin.dev/v1alpha1",
  kind: "Canary",
  metadata: { name: "web", namespace: "shop", uid: "first", resourceVersion },
  spec: { target: { httpRoute: { name: "web" } }, approvals: [], paused: false, abort: false, ...spec },
  status: {
    observedGeneration: 1,
    phase,
    ...(phase === "Paused" ? { pauseReason: "approval" } : {}),
    progress: "1/2",
    message: "",
    run: 1,
    completedSteps: [],
    plannedSteps: [{ id: "step-2", title: "50 %", untilApproved: true }],
    step: { id: "step-2", title: "50 %", startedAt: "2026-01-01T00:00:00Z", checks: [] },
    conditions: [],
  },
});

test("a second approval without a step, directly after the step change, is refused and names how to approve", async () => {
  const context = new FakeContext({ objects: { Canary: [canary("1", {}, "Judging")] }, answers });
  const given = async (...words: readonly string[]): Promise<string> =>
    await createProgram(context)
      .parseAsync(["canary", "promote", "web", "-n", "shop", ...words], { from: "user" })
      .then(() => context.output, describeError);
  const refused = await given();
  assert.match(refused, /shop\/web: no step waits for an approval: the rollout is Judging at 50 %\n/);
  assert.match(
    refused,
    /approve step step-2 when it waits, or approve it in advance: serin canary promote web -n shop --step step-2/,
  );
  assert.deepEqual(context.applied, []);
  assert.equal(await given("--step", "step-2"), "Canary shop/web: step-2 approved by ann\n");
});

test("an approval without a step does not go to the next step, which began to wait when somebody else approved the first", async () => {
  const approval = { step: "step-1", by: "bob", why: "", at: "2026-01-01T00:00:00Z" };
  const waiting = (completed: readonly string[], approvals: readonly object[], phase?: string): UntypedObject => {
    const object = canary("1", { approvals }, phase);
    const completedSteps = completed.map((id) => ({ id, title: id, startedAt: "", endedAt: "", evidence: [] }));
    return { ...object, status: { ...(object["status"] as object), completedSteps } };
  };
  const given = async (object: UntypedObject, ...words: readonly string[]): Promise<string> => {
    const context = new FakeContext({ objects: { Canary: [object] }, answers });
    return await createProgram(context)
      .parseAsync(["canary", "promote", "web", "-n", "shop", ...words], { from: "user" })
      .then(() => context.output, describeError);
  };
  const approved = "Canary shop/web: step-2 approved by ann\n";
  for (const phase of ["Paused", "Stuck"]) {
    const refused = await given(waiting(["step-1"], [approval], phase));
    assert.match(
      refused,
      /Canary shop\/web: step step-1 was approved by bob at 2026-01-01T00:00:00Z, and step step-2 \(50 %\) waits now/,
    );
    assert.match(refused, /the step that you have looked at: serin canary promote web -n shop --step step-2$/);
  }
  assert.equal(await given(waiting(["step-1"], [approval]), "--step", "step-2"), approved);
  assert.equal(await given(waiting(["step-1"], [])), approved, "step-1 has never waited for a person");
  assert.equal(await given(waiting([], [{ ...approval, step: "step-3" }])), approved, "step-3 was approved in advance");
});

test("an approval does not overrule a failure that came meanwhile", async () => {
  const { output, taken } = await promoted(canary("2", {}, "Stuck"));
  assert.match(output, /Canary shop\/web: it has become Stuck meanwhile: .*so your order was not given/);
  assert.deepEqual(taken, []);
});

test("a pause, its end or an abort does not apply to another Canary that was created with the name", async () => {
  for (const [verb, spec] of [
    ["pause", {}],
    ["resume", { paused: true }],
    ["abort", {}],
  ] as const) {
    const context = new FakeContext({ objects: { Canary: [canary("1", spec)] }, answers });
    const client = await context.connect();
    const patchMerge = async (_kind: unknown, _name: string, _namespace: unknown, patch: UntypedObject) => {
      if (patch.metadata.uid !== "second")
        throw userError("invalid", "metadata.uid: Invalid value: field is immutable");
      return await Promise.resolve(patch);
    };
    const second = { ...canary("2"), metadata: { ...canary("2").metadata, uid: "second" } };
    const get = async () => await Promise.resolve(second);
    const remade = { ...client, patchMerge, get } as unknown as KubeClient;
    const output = await createProgram(Object.assign(context, { connect: async () => remade }))
      .parseAsync(["canary", verb, "web", "-n", "shop"], { from: "user" })
      .then(() => context.output, describeError);
    assert.match(output, /shop\/web: it was deleted, and somebody has created another one .*your order was not given/);
  }
});

/** Runs an order while somebody writes the Canary. Returns the output and the patches that the server accepts. */
async function promoted(
  now: UntypedObject,
  ...words: readonly string[]
): Promise<{ readonly output: string; readonly taken: readonly unknown[] }> {
  const context = new FakeContext({ objects: { Canary: [canary("1")] }, answers });
  const client = await context.connect();
  const taken: unknown[] = [];
  const patchMerge = async (_kind: unknown, _name: string, _namespace: unknown, patch: UntypedObject) => {
    if (patch.metadata.resourceVersion !== now.metadata.resourceVersion)
      throw userError("conflict", "the object has been modified");
    taken.push(patch);
    return patch;
  };
  let reads = 0;
  const get = async (): Promise<UntypedObject> => (++reads === 1 ? canary("1") : now);
  const racing = { ...client, get, patchMerge } as unknown as KubeClient;
  const output = await createProgram(Object.assign(context, { connect: async () => racing }))
    .parseAsync(["canary", "promote", "web", "-n", "shop", ...words], { from: "user" })
    .then(() => context.output, describeError);
  return { output, taken };
}

test("a full promotion does not overrule a pause or an abort that somebody else has ordered meanwhile", async () => {
  for (const [spec, what] of [
    [{ paused: true }, "paused it"],
    [{ abort: true }, "ordered its rollback"],
  ] as const) {
    const { output, taken } = await promoted(canary("2", spec), "--full");
    assert.match(output, new RegExp(`Canary shop/web: somebody else has ${what} meanwhile, so your order was not`));
    assert.match(output, /look at it with `serin canary status web -n shop`/);
    assert.deepEqual(taken, []);
  }
});

test("an order is given although the engine has written the Canary meanwhile, and an approval also to a paused one", async () => {
  for (const [now, words] of [
    [canary("2"), ["--full"]],
    [canary("2"), []],
    [canary("2", { paused: true }), []],
  ] as const) {
    const { output, taken } = await promoted(now, ...words);
    assert.match(output, /by (order of )?ann\n$/);
    assert.equal(taken.length, 1);
  }
});

test("of two retries that have both seen the deletion, the second does not replace the run of the first", async () => {
  const context = new FakeContext({ objects: { Canary: [canary("1", {}, "RolledBack")] } });
  const client = await context.connect();
  let reads = 0;
  const get = async (): Promise<UntypedObject | undefined> =>
    ++reads === 1 ? canary("1", {}, "RolledBack") : undefined;
  // Another command creates the object between this command's last read and its write.
  const create: KubeClient["create"] = async (_kind, object, { dryRun } = {}) => {
    if (dryRun !== true) throw userError("already-exists", "canaries web already exists");
    return await Promise.resolve(object);
  };
  const racing = { ...client, get, create } as unknown as KubeClient;
  const output = await createProgram(Object.assign(context, { connect: async () => racing }))
    .parseAsync(["canary", "retry", "web", "-n", "shop"], { from: "user" })
    .then(() => context.output, describeError);
  assert.match(output, /Canary shop\/web: somebody else has started it again meanwhile/);
  assert.deepEqual(context.applied, ["delete Canary/web"]);
});

test("an exception of a freeze holds for the uid of the rollout, and for its name if the user sees no such rollout", async () => {
  const windows = [{ start: "2026-12-20T18:00:00", end: "2027-01-04T08:00:00" }];
  const freeze = { metadata: { name: "holidays", resourceVersion: "7" }, spec: { reason: "peak", windows } };
  const except = async (
    canaries: readonly UntypedObject[],
    refusals: Readonly<Record<string, Error>> = {},
  ): Promise<readonly unknown[]> => {
    const context = new FakeContext({ objects: { Freeze: [freeze], Canary: canaries }, answers, refusals });
    const client = await context.connect();
    let exceptions: unknown;
    const patchMerge = async (_kind: unknown, _name: string, _namespace: unknown, patch: typeof freeze) => {
      ({ exceptions } = patch.spec as { readonly exceptions?: unknown });
      return await Promise.resolve(patch);
    };
    const recording = { ...client, patchMerge } as unknown as KubeClient;
    await createProgram(Object.assign(context, { connect: async () => recording })).parseAsync(
      ["freeze", "except", "holidays", "--canary", "shop/web", "--reason", "outage"],
      { from: "user" },
    );
    return [context.output, exceptions];
  };
  const exception = { kind: "Canary", namespace: "shop", name: "web", reason: "outage", by: "ann" };
  assert.deepEqual(await except([canary("1")]), [
    "freeze holidays exempts shop/web: outage\n",
    [{ ...exception, uid: "first" }],
  ]);
  const unseen = [
    "freeze holidays exempts shop/web (every one of this name, because you can read no such object now): outage\n",
    [exception],
  ];
  assert.deepEqual(await except([]), unseen);
  assert.deepEqual(await except([canary("1")], { Canary: userError("forbidden", "canaries is forbidden") }), unseen);
});
