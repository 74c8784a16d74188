import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../../api/index.ts";
import type { Canary, OrdersMark, RolloutStatus } from "../../api/serin/index.ts";
import { initialStatus } from "../decide/index.ts";
import { meantRule, movedRoutes, ruleIndex } from "../plan/index.ts";
import { journalNameOf } from "./journal-name.ts";
import {
  type Rollout,
  entriesOfHold,
  heldDeployment,
  ordersOf,
  parseRollout,
  strayProblem,
  targetOf,
} from "./rollout-object.ts";

const target = { httpRoute: { name: "shop", stable: { name: "shop", port: 80 }, canary: { name: "next", port: 80 } } };

function ordersIn(
  run: number,
  startedAt?: string,
): { readonly approved: readonly string[]; readonly promoted: boolean } {
  const approvals = ["2026-01-01T10:00:00Z", "2026-01-01T12:00:00Z"].map((at, index) => ({
    step: `step-${index + 1}`,
    by: "ann",
    why: "",
    at,
  }));
  const spec = { target, steps: [{ weight: 10 }], approvals, fullPromotion: { by: "ann", why: "" } };
  const status = { run, ...(startedAt === undefined ? {} : { startedAt }) };
  const parsed = parseRollout({
    apiVersion: "rollout.serin.dev/v1alpha1",
    kind: "Canary",
    metadata: { name: "shop", namespace: "shop" },
    spec,
    status,
  } as unknown as Rollout);
  assert.ok("rollout" in parsed);
  return {
    approved: parsed.rollout.spec.approvals.map(({ step }) => step),
    promoted: parsed.rollout.spec.fullPromotion !== undefined,
  };
}

test("an approval of an earlier run does not apply to a later one", () => {
  assert.deepEqual(ordersIn(1, "2026-01-01T11:00:00Z"), { approved: ["step-1", "step-2"], promoted: true });
  assert.deepEqual(ordersIn(2, "2026-01-01T11:00:00Z"), { approved: ["step-2"], promoted: false });
  assert.deepEqual(ordersIn(2), { approved: [], promoted: false });
});

test("orders of a later run are those that came after its beginning, whatever their times", () => {
  const approval = (step: string, at: string) => ({ step, by: "ann", why: "", at });
  const [ahead, behind] = [approval("step-1", "2030-01-01T00:00:00Z"), approval("step-2", "2020-01-01T00:00:00Z")];
  const promotion = { by: "ann", why: "", at: "2030-01-01T00:00:00Z" };
  const parsed = (ordersBefore: OrdersMark, fullPromotion = promotion) => {
    const spec = { target, steps: [{ weight: 10 }], approvals: [ahead, behind], fullPromotion };
    const status = { run: 2, startedAt: "2026-01-01T11:00:00Z", ordersBefore };
    const metadata = { name: "shop", namespace: "shop" };
    const kind = { apiVersion: "rollout.serin.dev/v1alpha1", kind: "Canary" };
    const found = parseRollout({ ...kind, metadata, spec, status } as unknown as Rollout);
    assert.ok("rollout" in found);
    const { rollout } = found;
    return {
      approved: rollout.spec.approvals.map(({ step }) => step),
      promoted: rollout.spec.fullPromotion !== undefined,
      last: ordersOf(rollout, { ...rollout, spec }).last,
    };
  };
  const last = { approval: behind, fullPromotion: promotion };
  assert.deepEqual(parsed({ approval: ahead, fullPromotion: promotion }), {
    approved: ["step-2"],
    promoted: false,
    last,
  });
  assert.deepEqual(parsed(last), { approved: [], promoted: false, last });
  assert.deepEqual(parsed({}), { approved: ["step-1", "step-2"], promoted: true, last });
});

test("a run whose target or revisions were changed in the middle, while no webhook was there, is not continued", () => {
  const parsed = (httpRoute: object): readonly [Rollout, UntypedObject] => {
    const spec = { target: { httpRoute: { ...target.httpRoute, ...httpRoute } }, steps: [{ weight: 10 }] };
    const kind = { apiVersion: "rollout.serin.dev/v1alpha1", kind: "Canary" };
    const raw = { ...kind, metadata: { name: "shop", namespace: "shop" }, spec };
    const found = parseRollout(raw as unknown as Rollout);
    assert.ok("rollout" in found);
    return [found.rollout, raw];
  };
  const { moves = "" } = ordersOf(...parsed({}));
  const underWay: RolloutStatus = { ...initialStatus, phase: "Judging", startedAt: "2026-01-01T11:00:00Z", moves };
  const problemOf = (httpRoute: object, status = underWay): string | undefined =>
    strayProblem(...parsed(httpRoute), status);
  assert.equal(problemOf({}), undefined);
  const { name, ...others } = target.httpRoute;
  assert.equal(problemOf({ ...others, name, namespace: null }), undefined);
  assert.match(
    problemOf({ name: "other" }) ?? "",
    /^spec\.target: must not change .*"shop".*, got .*"other".*\. Put it back, or .* serin canary abort shop -n shop$/,
  );
  assert.match(problemOf({ canary: { name: "later", port: 80 } }) ?? "", /it moves .*"next".*, got .*"later"/);
  assert.equal(problemOf({ name: "other" }, { ...underWay, phase: "RolledBack" }), undefined);
  const { moves: _moves, ...older } = underWay;
  assert.equal(problemOf({ name: "other" }, older), undefined, "an older engine began it");
  const upgrade = {
    kind: "MeshUpgrade",
    metadata: { name: "up" },
    spec: { from: { revision: "a" }, to: { revision: "c" } },
  };
  assert.match(
    strayProblem(upgrade as unknown as Rollout, upgrade, { ...underWay, moves: "revision a to b" }) ?? "",
    /it moves revision a to b, got revision a to c\. .* serin upgrade rollback up$/,
  );
});

test("a rollout with the longest name has a journal that can be stored", () => {
  const named = (name: string): string => journalNameOf({ kind: "Canary", metadata: { name, namespace: "shop" } });
  assert.equal(named("web"), "canary.shop.web");
  const long = named("x".repeat(253));
  assert.match(long, /^canary\.shop\.x+-[0-9a-f]{12}$/);
  assert.equal(long.length, 253);
  assert.notEqual(long, named(`${"x".repeat(252)}y`));
});

test("a rollout with the uid of another object is a copy, and the orders that it came with do not apply to its first run", () => {
  const approval = { step: "step-1", by: "ann", why: "", at: "2026-01-01T10:00:00Z" };
  const spec = { target, steps: [{ weight: 10 }], approvals: [approval] };
  const copy = (uid: string, status?: object): Rollout =>
    ({
      apiVersion: "rollout.serin.dev/v1alpha1",
      kind: "Canary",
      metadata: { name: "shop", namespace: "shop", uid: "u2", annotations: { "rollout.serin.dev/uid": uid } },
      spec,
      ...(status === undefined ? {} : { status }),
    }) as unknown as Rollout;
  const isCopy = (rollout: Rollout): boolean => {
    const parsed = parseRollout(rollout);
    assert.ok("rollout" in parsed);
    return ordersOf(parsed.rollout, { metadata: {} }).isCopy === true;
  };
  assert.deepEqual([isCopy(copy("u1")), isCopy(copy("unknown")), isCopy(copy("u2"))], [true, true, false]);
  const parsed = parseRollout(copy("u2", { ...initialStatus, run: 1, ordersBefore: { approval } }));
  assert.deepEqual("rollout" in parsed && parsed.rollout.spec.approvals, []);
});

test("commands of kubectl name the Canary's group, because kubectl takes the short name for Flagger's kind", () => {
  const canary = {
    apiVersion: "rollout.serin.dev/v1alpha1",
    kind: "Canary",
    metadata: { name: "shop", namespace: "prod" },
  };
  const spec = { target, steps: [{ weight: 10 }] };
  const parsed = parseRollout({ ...canary, spec } as unknown as Rollout);
  assert.ok("rollout" in parsed);
  assert.equal(
    ordersOf(parsed.rollout, { metadata: {} }).commands.edit,
    "kubectl edit canary.rollout.serin.dev shop -n prod",
  );
});

test("the hold of a Deployment that names its Canary has a journal again, and that of another Canary or a person has none", () => {
  const canary = (deployment?: object): Rollout =>
    ({
      kind: "Canary",
      metadata: { name: "web", namespace: "shop" },
      spec: { target: deployment === undefined ? target : { deployment } },
    }) as unknown as Rollout;
  assert.equal(heldDeployment(canary()), undefined);
  assert.equal(heldDeployment({ kind: "MeshUpgrade", metadata: {}, spec: {} } as unknown as Rollout), undefined);
  const object = heldDeployment(canary({ name: "app", service: "app" }));
  assert.deepEqual([object?.kind, object?.namespace, object?.name], ["Deployment", "shop", "app"]);
  assert.ok(object);
  const held = (by: string | undefined, paused: boolean) =>
    entriesOfHold(canary(), object, {
      metadata: { uid: "d1", ...(by === undefined ? {} : { annotations: { "rollout.serin.dev/held-by": by } }) },
      spec: { paused },
    }).map((entry) => entry.type === "field" && [entry.pointer, entry.prior, entry.setup]);
  const annotation = ["/metadata/annotations/rollout.serin.dev~1held-by", undefined, true];
  assert.deepEqual(held("web", true), [annotation, ["/spec/paused", undefined, true]]);
  assert.deepEqual(held("web", false), [annotation]);
  assert.deepEqual(held("other", true), []);
  assert.deepEqual(held(undefined, true), []);
});

test("two Canaries of one pair of namespaces have one target only if they move the same routes", () => {
  const moving = (...routes: readonly string[]): string =>
    targetOf({
      kind: "Canary",
      metadata: { name: "c", namespace: "shop" },
      spec: { target: { namespaces: { stable: "a", canary: "b", routes: routes.map((name) => ({ name })) } } },
    } as unknown as Rollout);
  assert.equal(moving("web"), moving("web"));
  assert.notEqual(moving("web"), moving("api"));
  const services = (routes: string): string =>
    targetOf({
      kind: "Canary",
      metadata: { name: "c", namespace: "shop" },
      spec: { target: { services: { stable: "a", canary: "b", routes } } },
    } as unknown as Rollout);
  assert.equal(services("HTTPRoute"), services("VirtualService"));
});

test("a target that another release parses to other defaults is the same target for the rule that its position means", () => {
  const backend = (name: string) => ({ name, port: 80 });
  const spec = {
    target: { httpRoute: { name: "web", rule: 0, stable: backend("a"), canary: backend("b") } },
    steps: [{ weight: 10 }],
  };
  const metadata = { name: "web", namespace: "shop" };
  const found = parseRollout({ kind: "Canary", metadata, spec } as unknown as Rollout);
  assert.ok("rollout" in found);
  const canary = found.rollout as Canary;
  const [{ object, pointer } = assert.fail()] = movedRoutes(canary);
  const rule = (value: string) => ({ matches: [{ path: { value } }] });
  const meant = meantRule(canary, { routes: [{ object, pointer, list: [rule("/shop")] }] });
  const { httpRoute } = canary.spec.target as { readonly httpRoute: object };
  const later = { httpRoute: { ...httpRoute, newField: "default" } };
  const [route = assert.fail()] = movedRoutes({
    ...canary,
    spec: { target: later as unknown as Canary["spec"]["target"] },
    ...(meant === undefined ? {} : { status: { meantRule: meant } }),
  });
  assert.equal(ruleIndex(route, [rule("/added"), rule("/shop")]), 1);
});
