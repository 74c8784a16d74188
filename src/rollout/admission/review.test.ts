import assert from "node:assert/strict";
import { test } from "node:test";
import type { AdmissionReview } from "../../api/admission-review/index.ts";
import { reviewRollout } from "./review.ts";

const approval = { step: "step-1", by: "ann", why: "looks good", at: "2026-01-31T12:00:00Z" };
const target = { httpRoute: { name: "shop", stable: { name: "shop", port: 80 }, canary: { name: "next", port: 80 } } };

async function review(spec: object, more: Partial<NonNullable<AdmissionReview["request"]>> = {}): Promise<string> {
  const object = { metadata: { name: "shop", namespace: "shop" }, spec: { target, steps: [{ weight: 10 }], ...spec } };
  const kind = { group: "rollout.serin.dev", kind: "Canary" };
  const { response } = await reviewRollout({
    request: { uid: "1", kind, name: "shop", operation: "UPDATE", userInfo: { username: "ann" }, object, ...more },
  });
  return response.allowed ? "allowed" : (response.status?.message ?? "");
}

test("every fault is reported at its field", async () => {
  const answer = await review({ steps: [{ weight: 101 }, { scale: { replicas: 1 } }], colour: "red" });
  assert.match(answer, /Canary "shop" is not valid:/);
  assert.match(answer, /spec\.steps\[0\]\.weight: must be from 0 to 100, got 101/);
  assert.match(answer, /spec\.steps\[1\]\.scale: needs target\.deployment/);
  assert.match(answer, /spec\.colour/);
});

test("approvers must name themselves, and earlier approvals stay valid", async () => {
  assert.equal(await review({ approvals: [approval] }), "allowed");
  const asBob = { userInfo: { username: "bob" } };
  assert.match(
    await review({ approvals: [approval] }, asBob),
    /spec\.approvals\[0\]\.by: must name the user who writes it \(bob\), got "ann"/,
  );
  const oldObject = {
    spec: { approvals: [{ why: approval.why, at: approval.at, by: approval.by, step: approval.step }] },
  };
  assert.equal(await review({ approvals: [approval, { ...approval, by: "bob" }] }, { ...asBob, oldObject }), "allowed");
  assert.match(await review({ fullPromotion: { by: "ann" } }, asBob), /spec\.fullPromotion\.by/);
  const promoted = { spec: { fullPromotion: { by: "ann", at: approval.at } } };
  assert.equal(await review({ paused: true, ...promoted.spec }, { ...asBob, oldObject: promoted }), "allowed");
  assert.match(
    await review({ fullPromotion: { by: "ann", at: "2026-02-01T12:00:00Z" } }, { ...asBob, oldObject: promoted }),
    /spec\.fullPromotion\.by/,
  );
});

test("a freeze with an invalid rule is refused before anything depends on it", async () => {
  const kind = { group: "rollout.serin.dev", kind: "Freeze" };
  const freeze = (rrule: string) => ({
    metadata: { name: "nights" },
    spec: { reason: "nights", windows: [{ start: "2026-01-01T22:00:00", rrule, durationSeconds: 3600 }] },
  });
  assert.match(
    await review({}, { kind, name: "nights", object: freeze("FREQ=SOMETIMES") }),
    /Freeze "nights" is not valid:\n.*spec\.windows\[0\]\.rrule: .*SOMETIMES/,
  );
  assert.equal(await review({}, { kind, name: "nights", object: freeze("FREQ=DAILY;BYDAY=MO,FR") }), "allowed");
});

test("a Canary under way cannot change its target, and a MeshUpgrade under way cannot change its revisions", async () => {
  const oldOf = (spec: object, phase: string, completedSteps: readonly object[] = [{ id: "one" }]): object => ({
    metadata: { name: "shop", namespace: "shop" },
    spec,
    status: { phase, completedSteps },
  });
  const before = { target: { httpRoute: { ...target.httpRoute, name: "other" } }, steps: [{ weight: 10 }] };
  assert.equal(
    await review({}, { oldObject: oldOf(before, "Judging") }),
    'Canary "shop" is not valid:\nspec.target: must not change, because the Canary is under way (Judging). Undo it first: serin canary abort shop -n shop',
  );
  assert.equal(await review({}, { oldObject: oldOf({ target, steps: [{ weight: 20 }] }, "Judging") }), "allowed");
  assert.equal(await review({}, { oldObject: oldOf(before, "Stuck", []) }), "allowed", "nothing is written yet");
  const inFirstStep = { ...oldOf(before, "Stuck", []), status: { phase: "Stuck", startedAt: "2026-01-01T00:00:00Z" } };
  assert.match(await review({}, { oldObject: inFirstStep }), /spec\.target: must not change/);
  assert.equal(await review({}, { oldObject: oldOf(before, "Completed") }), "allowed");
  const web = (name: string): object => ({ target: { deployment: { name, service: "web" } }, steps: [{ weight: 10 }] });
  const other = { object: { metadata: { name: "shop" }, spec: web("other") } };
  assert.equal(
    await review({}, { ...other, oldObject: oldOf(web("web"), "Watching") }),
    'Canary "shop" is not valid:\nspec.target.deployment: must stay Deployment "web" with Service "web", which the Canary holds. Delete the Canary, which releases them, and create another',
  );
  assert.equal(await review({}, { ...other, oldObject: oldOf(web("other"), "Watching") }), "allowed");
  const upgrade = (from: string, to: string, extra: object = {}): object => ({
    from: { revision: from },
    to: { revision: to },
    ...extra,
  });
  const kind = { group: "rollout.serin.dev", kind: "MeshUpgrade" };
  const changed = { kind, object: { metadata: { name: "up" }, spec: upgrade("a", "c", { soakSeconds: 5 }) } };
  assert.equal(
    await review({}, { ...changed, oldObject: { ...oldOf(upgrade("a", "b"), "Paused"), metadata: { name: "up" } } }),
    'MeshUpgrade "shop" is not valid:\nspec.to.revision: must stay "b", got "c", because the MeshUpgrade is under way (Paused). Undo it first: serin upgrade rollback up',
  );
  assert.equal(await review({}, { ...changed, oldObject: oldOf(upgrade("a", "c"), "Paused") }), "allowed");
});

test("deletions and other kinds are allowed", async () => {
  assert.equal(await review({ steps: [] }, { operation: "DELETE" }), "allowed");
  assert.equal(await review({ steps: [] }, { kind: { group: "", kind: "Pod" } }), "allowed");
});

test("a write that keeps an invalid spec passes, so that its object can be deleted", async () => {
  const invalid = { steps: [{ weight: 101 }] };
  const object = { metadata: { name: "shop", finalizers: [] }, spec: invalid };
  assert.equal(
    await review({}, { object, oldObject: { metadata: { name: "shop", finalizers: ["one"] }, spec: { ...invalid } } }),
    "allowed",
  );
  assert.match(
    await review({}, { object, oldObject: { metadata: { name: "shop" }, spec: { steps: [] } } }),
    /is not valid/,
  );
});

test("a spec that cannot work is refused at its field: queries, falling weights, a canary that is the stable version", async () => {
  const query = {
    provider: "mesh",

    expression: 'sum(rate(istio_requests_total{destination_service_name="{{canary.service}}"}[{{window}}]',
  };
  assert.match(
    await review({ checks: [{ type: "query", name: "errors", query, max: 1 }] }),
    /spec\.checks\[0\]\.query\.expression: is not valid PromQL: /,
  );
  const closed = { provider: "mesh", expression: `${query.expression}))` };
  assert.equal(await review({ checks: [{ type: "query", name: "errors", query: closed, max: 1 }] }), "allowed");
  assert.match(
    await review({ steps: [{ weight: 50 }, { weight: 10 }] }),
    /spec\.steps\[1\]\.weight: must not be below the 50 of an earlier step, got 10/,
  );
  const same = { httpRoute: { ...target.httpRoute, canary: target.httpRoute.stable } };
  assert.match(await review({ target: same }), /spec\.target\.httpRoute\.canary: must differ from the stable backend/);
});

test("an installation of another revision or an unknown profile is refused, and a setting without effect gets a warning", async () => {
  const upgrade = async (install: object): Promise<readonly [string, readonly string[]]> => {
    const object = {
      metadata: { name: "up" },
      spec: { from: { revision: "old" }, to: { revision: "new", install: [install] } },
    };
    const kind = { group: "rollout.serin.dev", kind: "MeshUpgrade" };
    const { response } = await reviewRollout({ request: { uid: "1", kind, name: "up", operation: "CREATE", object } });
    return [response.status?.message ?? "", response.warnings ?? []];
  };
  assert.match(
    (await upgrade({ profile: "minmal", revision: "new" }))[0],
    /spec\.to\.install\[0\]\.profile: .*minimal/,
  );
  assert.match(
    (await upgrade({ revision: "other" }))[0],
    /spec\.to\.install\[0\]\.revision: must be the revision of the upgrade \(new\), got "other"/,
  );
  assert.match((await upgrade({}))[0], /spec\.to\.install\[0\]\.revision: must be the revision of the upgrade \(new\)/);
  const typed = await upgrade({ revision: "new", meshConfig: { accessLogFil: "/dev/stdout" } });
  assert.deepEqual(typed, [
    "",
    ["spec.to.install[0].meshConfig.accessLogFil: is not known and has no effect; did you mean accessLogFile?"],
  ]);
});

test("an approval must name a step that waits for one, and an order must name its author", async () => {
  const plannedSteps = [
    { id: "step-1", title: "weight 10" },
    { id: "step-2", title: "weight 50", untilApproved: true },
  ];
  const oldObject = { spec: {}, status: { phase: "Judging", conditions: [], plannedSteps } };
  const approving = async (step: string): Promise<string> =>
    await review({ approvals: [{ ...approval, step }] }, { oldObject });
  assert.match(await approving("1"), /spec\.approvals\[0\]\.step: there is no step "1"; steps that wait: step-2/);
  assert.match(await approving("step-1"), /spec\.approvals\[0\]\.step: step "step-1" does not wait for an approval/);
  assert.equal(await approving("step-2"), "allowed");
  const order = { paused: true, orderedBy: { by: "bob", why: "", at: approval.at } };
  assert.match(
    await review(order, { oldObject }),
    /spec\.orderedBy\.by: must name the user who writes it \(ann\), got "bob"/,
  );
});

test("an approval of another keeps its place in the list, because the place says to which run it belongs", async () => {
  const [first, second, third] = ["1", "2", "3"].map((step) => ({ ...approval, by: "bob", step }));
  const own = { ...approval, step: "4" };
  const oldObject = { spec: { approvals: [first, own, second, third] } };
  const writing = async (...approvals: readonly unknown[]): Promise<string> =>
    await review({ approvals }, { oldObject });
  for (const list of [
    [first, own, second, third],
    [first, own, second, third, { ...own, step: "5" }],
    [second, third, { ...own, step: "5" }],
    [third, own],
    [own],
    [],
  ])
    assert.equal(await writing(...list), "allowed", JSON.stringify(list));
  for (const [at, list] of [
    [0, [first]],
    [0, [first, own, second]],
    [0, [second]],
    [1, [third, second]],
    [4, [first, own, second, third, second]],
  ] as const)
    assert.ok(
      (await writing(...list)).includes(
        `spec.approvals[${at}]: must keep its place, with all approvals that came after`,
      ),
      JSON.stringify(list),
    );
});

test("orders in the name of others are refused in a new rollout, also with the mark of a copy", async () => {
  const orders = {
    approvals: [approval],
    orderedBy: { by: "ann", why: "", at: approval.at },
    fullPromotion: { by: "ann", why: "", at: approval.at },
  };
  for (const annotations of [{}, { "rollout.serin.dev/uid": "unknown" }]) {
    const object = {
      metadata: { name: "shop", namespace: "shop", annotations },
      spec: { target, steps: [{ weight: 10 }], ...orders },
    };
    const kind = { group: "rollout.serin.dev", kind: "Canary" };
    const request = { uid: "1", kind, name: "shop", operation: "CREATE", userInfo: { username: "velero" }, object };
    const { allowed, status } = (await reviewRollout({ request })).response;
    assert.equal(allowed, false);
    for (const field of ["approvals[0]", "orderedBy", "fullPromotion"])
      assert.ok(status?.message.includes(`spec.${field}.by: must name the user who writes it (velero), got "ann"`));
  }
});
