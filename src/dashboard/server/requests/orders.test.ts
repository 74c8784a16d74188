import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../../../api/index.ts";
import { userError } from "../../../base/index.ts";
import { requestRig } from "../testing/request-rig.ts";
import { syntheticIdentity } from "../testing/synthetic-access.ts";

const canary = (status: object = {}, spec: object = {}): UntypedObject => ({
  apiVersion: "rollout.serin.dev/v1alpha1",
  kind: "Canary",
  metadata: { name: "shop", namespace: "prod", resourceVersion: "7", uid: "u" },
  spec: { target: {}, approvals: [], paused: false, abort: false, ...spec },
  status: {
    phase: "Paused",
    conditions: [],
    completedSteps: [],
    step: { id: "step-2", title: "20 %", startedAt: "2026-01-01T11:00:00Z", checks: [] },
    ...status,
  },
});
const orderOf = (action: string, more: object = {}): object => ({
  kind: "Canary",
  namespace: "prod",
  name: "shop",
  action,
  why: "",
  step: "",
  ...more,
});

test("orders are written like the command line's, in the user's name, and audited", async () => {
  const { api, audit, ask } = requestRig({ objects: [canary()] });
  await ask("POST /api/action", orderOf("approve", { why: "looks good", step: "step-2" }));
  await ask("POST /api/action", orderOf("pause"));
  await ask("POST /api/action", orderOf("rollback"));
  const orderedBy = { by: "ana@example.org", why: "", at: "2026-01-01T12:00:00.000Z" };
  assert.deepEqual(api.patches, [
    {
      metadata: { resourceVersion: "7" },
      spec: {
        approvals: [{ step: "step-2", by: "ana@example.org", why: "looks good", at: "2026-01-01T12:00:00.000Z" }],
      },
    },
    { metadata: { uid: "u" }, spec: { paused: true, orderedBy } },
    { metadata: { uid: "u" }, spec: { abort: true, paused: false, orderedBy } },
  ]);
  assert.deepEqual(
    audit.records(() => true).map(({ user, what, result, detail }) => [user, what, result, detail]),
    [
      ["ana@example.org", "rollback Canary prod/shop", "done", ""],
      ["ana@example.org", "pause Canary prod/shop", "done", ""],
      ["ana@example.org", "approve Canary prod/shop", "done", "looks good"],
    ],
  );
  assert.deepEqual(
    api.objects.filter(({ kind, metadata }) => kind === undefined && metadata.name?.startsWith("shop.") === true)
      .length,
    3,
    "each order is an Event of its object",
  );
});

test("an order for another step is a conflict, one without the right is forbidden, and neither writes anything", async () => {
  const { api, audit, ask } = requestRig({ objects: [canary()] });
  await assert.rejects(ask("POST /api/action", orderOf("approve", { step: "step-1" })), { code: "conflict" });
  await assert.rejects(ask("POST /api/action", orderOf("resume")), { code: "conflict" });
  await assert.rejects(ask("POST /api/action", orderOf("approve", { name: "gone" })), { code: "not-found" });
  api.allows = ({ verb }) => verb !== "patch";
  await assert.rejects(ask("POST /api/action", orderOf("pause")), {
    code: "forbidden",
    message: /you may not patch canaries in namespace prod/,
  });
  await assert.rejects(ask("POST /api/action", orderOf("pause"), syntheticIdentity({ authentication: "anonymous" })), {
    code: "forbidden",
    message: /own account/,
  });
  assert.deepEqual(api.patches, []);
  // Refused requests without a login are not recorded, so that they do not displace other records.
  assert.deepEqual(
    audit.records(() => true).map(({ user, result }) => [user, result]),
    Array.from({ length: 4 }, () => ["ana@example.org", "refused"]),
  );
});

test("a full promotion does not overrule a pause that somebody else has ordered meanwhile", async () => {
  const { api, ask } = requestRig({ objects: [canary()] });
  const read = api.get.bind(api);
  api.get = async (...given) => {
    const seen = await read(...given);
    const { metadata } = canary();
    api.objects.splice(0, 1, { ...canary({}, { paused: true }), metadata: { ...metadata, resourceVersion: "8" } });
    return seen;
  };
  await assert.rejects(ask("POST /api/action", orderOf("promote")), {
    code: "conflict",
    message: "shop: somebody else has paused it meanwhile",
  });
  assert.equal(api.patches.length, 1, "the server has refused the only one");
});

test("a full promotion does not overrule a pause that the user has not seen when confirming", async () => {
  const { api, ask } = requestRig({ objects: [canary({ run: 3 }, { paused: true })] });
  const order = (action: string, seen: object): object => orderOf(action, { step: "step-2", run: 3, ...seen });
  await assert.rejects(ask("POST /api/action", order("promote", { paused: false })), {
    code: "conflict",
    message: "shop: somebody else has paused it meanwhile",
  });
  await assert.rejects(ask("POST /api/action", orderOf("promote", {})), { code: "conflict" });
  assert.deepEqual(api.patches, []);
  await ask("POST /api/action", order("promote", { paused: true }));
  await ask("POST /api/action", order("rollback", { paused: false }));
  assert.equal(api.patches.length, 2, "a rollback needs no look at a pause");
});

test("an order for an earlier run's step does not apply to the same step of the next run", async () => {
  const { api, ask } = requestRig({ objects: [canary({ run: 4 })] });
  for (const action of ["approve", "promote"])
    await assert.rejects(ask("POST /api/action", orderOf(action, { step: "step-2", run: 3 })), {
      code: "conflict",
      message: "shop: another run has begun meanwhile",
    });
  assert.deepEqual(api.patches, []);
  await ask("POST /api/action", orderOf("promote", { step: "step-2", run: 4 }));
  assert.equal(api.patches.length, 1);
});

test("no order for a rollout applies to another one that was created with its name, not even in the middle", async () => {
  const { api, ask } = requestRig({ objects: [canary({ run: 1 })] });
  const remade = { code: "conflict", message: /^shop: it was deleted, and somebody has created another one/ };
  for (const action of ["approve", "promote", "pause", "rollback", "retry"])
    await assert.rejects(ask("POST /api/action", orderOf(action, { run: 1, uid: "earlier" })), remade, action);
  assert.deepEqual(api.patches, []);
  await ask("POST /api/action", orderOf("pause", { uid: "u" }));
  // The API server refuses a patch that contains another uid than the object.
  api.patchMerge = async () => {
    const second = canary({ run: 1 });
    api.objects.splice(0, 1, { ...second, metadata: { ...second.metadata, uid: "second" } });
    return await Promise.reject(userError("invalid", "metadata.uid: Invalid value: field is immutable"));
  };
  await assert.rejects(ask("POST /api/action", orderOf("rollback", { uid: "u" })), remade);
});

test("an approval of a step that waits does not overrule a failure that the user has not seen", async () => {
  const { api, ask } = requestRig({
    objects: [canary({ phase: "Stuck", pauseReason: "check", message: "20 %: 5 errors" })],
  });
  for (const action of ["approve", "promote"])
    await assert.rejects(ask("POST /api/action", orderOf(action, { step: "step-2", stuck: false })), {
      code: "conflict",
      message: "shop: it has become Stuck meanwhile: 20 %: 5 errors",
    });
  assert.deepEqual(api.patches, []);
  await ask("POST /api/action", orderOf("approve", { step: "step-2", stuck: true }));
  assert.equal(api.patches.length, 1);
});

test("an order that does not say whether its user saw a failure is given, as a page of an earlier release gives it", async () => {
  const { api, ask } = requestRig({ objects: [canary({ phase: "Stuck", pauseReason: "check", message: "5 errors" })] });
  await ask("POST /api/action", orderOf("approve", { step: "step-2" }));
  await ask("POST /api/action", orderOf("promote", { step: "step-2" }));
  assert.equal(api.patches.length, 2);
});

test("a retry recreates an ended rollout without its orders", async () => {
  const { api, ask } = requestRig({ objects: [canary({ phase: "RolledBack" }, { abort: true })] });
  await ask("POST /api/action", orderOf("retry"));
  const [again] = api.objects.filter(({ kind }) => kind === "Canary");
  assert.deepEqual(again?.["spec"], { target: {} });
  assert.equal(again.metadata.resourceVersion, undefined);
});

test("of two retries that have both seen the deletion, the second does not replace the run of the first", async () => {
  const { api, ask } = requestRig({ objects: [canary({ phase: "RolledBack" })] });
  const create = api.create.bind(api);
  api.create = async (kind, object, options) => {
    if (options?.dryRun !== true && kind.kind === "Canary") throw userError("already-exists", "shop already exists");
    return await create(kind, object, options);
  };
  await assert.rejects(ask("POST /api/action", orderOf("retry")), {
    code: "conflict",
    message: "shop: somebody else has started it again meanwhile",
  });
  assert.deepEqual(api.objects.filter(({ kind }) => kind === "Canary").length, 0);
});

test("a rollout that the server would refuse to recreate is not deleted", async () => {
  const { api, ask } = requestRig({ objects: [canary({ phase: "RolledBack" })] });
  api.admits = ({ kind }) => kind !== "Canary";
  await assert.rejects(ask("POST /api/action", orderOf("retry")));
  assert.equal(api.objects.filter(({ kind }) => kind === "Canary").length, 1);
});

test("a deleted rollout is recreated for a retry, even if the user has left", async () => {
  const { api, ask } = requestRig({ objects: [canary({ phase: "RolledBack" })] });
  const left = new AbortController();
  // A finalizer delays the deletion. The page is closed meanwhile.
  const remove = api.delete.bind(api);
  api.delete = async (...given) => {
    left.abort();
    setTimeout(() => void remove(...given), 10);
    await Promise.resolve();
  };
  await ask("POST /api/action", orderOf("retry"), undefined, left.signal);
  assert.equal(api.objects.filter(({ kind }) => kind === "Canary").length, 1);
});

test("a rollout with fields of a wrong type can be aborted and approved", async () => {
  for (const odd of [{ completedSteps: 3 }, { completedSteps: [null] }, { conditions: "none" }]) {
    const { api, ask } = requestRig({ objects: [canary(odd)] });
    await ask("POST /api/action", orderOf("approve", { step: "step-2" }));
    await ask("POST /api/action", orderOf("rollback"));
    assert.equal(api.patches.length, 2, JSON.stringify(odd));
  }
});
