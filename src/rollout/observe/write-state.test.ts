import assert from "node:assert/strict";
import { test } from "node:test";
import { SerinError, type Tree } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { parseCanary, type Canary, type JournalEntry } from "../../api/serin/index.ts";
import { withEntries, withPrior, withStored } from "../act/journal-entries.ts";
import type { ObjectAccess } from "../act/object-access.ts";
import { performWrite } from "../act/perform-write.ts";
import type { UndoContext } from "../act/undo-context.ts";
import { undoEntry } from "../act/undo-entry.ts";
import { UndoPlay } from "../act/undo-play.ts";
import type { Step } from "../decide/index.ts";
import { writeActions } from "../decide/step-writes.ts";
import { movedRoutes, planCanary, reference, type RouteInWorld } from "../plan/index.ts";
import { routeFrom } from "./canary-world/route-in-world.ts";
import { askedWriteState, writeState } from "./write-state.ts";

/** One HTTPRoute in memory, with the last writer of its rules. */
class StoredRoute {
  rules: readonly Tree[];
  /** An admission webhook that changes what the engine writes. */
  webhook = (written: readonly Tree[]): readonly Tree[] => written;
  #writer = "kubectl";

  constructor(rules: readonly Tree[]) {
    this.rules = rules;
  }

  get object(): UntypedObject {
    const managed = { manager: this.#writer, operation: "Update" as const, fieldsV1: { "f:spec": { "f:rules": {} } } };
    const metadata = { name: "shop", namespace: "shop", uid: "1", managedFields: [managed] };
    return { metadata, spec: { rules: this.rules } };
  }

  edit(change: (rules: readonly Tree[]) => readonly Tree[]): void {
    this.rules = change(this.rules);
    this.#writer = "kubectl";
  }

  get access(): ObjectAccess {
    return {
      get: async () => await Promise.resolve(this.object),
      setField: async (_object: unknown, _pointer: string, value: unknown, expected: unknown) => {
        assert.deepEqual(this.rules, expected, "the server compares before it sets");
        this.rules = this.webhook(value as readonly Tree[]);
        this.#writer = "serin-rollout";
        return await Promise.resolve(this.rules);
      },
      preview: async (_object: unknown, _pointer: string, value: unknown) =>
        await Promise.resolve(this.webhook(value as readonly Tree[])),
      release: async () => await Promise.resolve(),
    } as unknown as ObjectAccess;
  }
}

/** A Canary that moves one rule of the route, with its journal. */
class Rollout {
  readonly #canary: Canary;
  readonly #route: StoredRoute;
  journal: readonly JournalEntry[] = [];

  constructor(route: StoredRoute, name: string, rule: number, steps: readonly Tree[]) {
    const { value, errors } = parseCanary({
      apiVersion: "rollout.serin.dev/v1alpha1",
      kind: "Canary",
      metadata: { name, namespace: "shop" },
      spec: {
        target: {
          httpRoute: { name: "shop", rule, stable: { name, port: 80 }, canary: { name: `${name}-next`, port: 80 } },
        },
        steps,
      },
    });
    assert.deepEqual(errors, []);
    assert.ok(value);
    this.#canary = value;
    this.#route = route;
  }

  /**
   * Plans again, as each round does, and carries out the writes of a step. Returns their states. With `crashes`, the
   * engine ends before it has journaled what the server has made of a write.
   */
  async doStep(id: string, { crashes = false } = {}): Promise<readonly string[]> {
    const routes = movedRoutes(this.#canary).map((route): RouteInWorld =>
      routeFrom(route, this.journal, this.#route.object),
    );
    const steps = planCanary(this.#canary, { routes, missingGrants: [], subjects: [] });
    const step = steps.find((one) => one.id === id) as Step;
    const { access, object } = this.#route;
    const at = { step: id, journal: this.journal };
    const states = await Promise.all(
      step.writes.map(async (write) => await askedWriteState(access, write, object, at)),
    );
    for (const action of writeActions(step, states)) {
      if (action.type === "journal") this.journal = withEntries(this.journal, action.entries);
      if (action.type !== "write" || action.write.type !== "field") continue;
      const written = action.write.value;
      const stored = await performWrite(access, action.write, action.prior);
      if (crashes) break;
      this.journal = withStored(this.journal, action.write, { written, stored });
    }
    return states.map((state) => (state.state === "conflict" ? state.detail : state.state));
  }

  async undo({ crashes = false } = {}): Promise<string | undefined> {
    const context = {
      notAcknowledged: async () => await Promise.resolve(undefined),
      notServedYet: async () => await Promise.resolve(undefined),
      heldBack: async () => await Promise.resolve(undefined),
      otherRollout: async () => await Promise.resolve(undefined),
      keepRestored: async (entry: JournalEntry, restored: unknown) => {
        if (crashes) throw new SerinError("internal", "unexpected", "the engine ends");
        this.journal = withPrior(this.journal, entry, restored);
        await Promise.resolve();
      },
    } as unknown as UndoContext;
    const play = new UndoPlay(this.journal, false);
    for (let entry = play.next(); entry !== undefined; entry = play.next())
      play.tell(await undoEntry(this.#route.access, entry, context, play.original, play.between));
    return play.report.conflict;
  }
}

const path = (value: string): Tree => ({ path: { type: "PathPrefix", value } });
const backend = (name: string, weight = 1): Tree => ({ group: "", kind: "Service", name, port: 80, weight });
const rule = (name: string): Tree => ({ matches: [path(`/${name}`)], backendRefs: [backend(name)] });
const rules = [rule("web"), rule("api")];
const divided = (name: string, weight: number): readonly Tree[] => [
  backend(name, 100 - weight),
  backend(`${name}-next`, weight),
];
const steps = [{ weight: 10 }, { weight: 50 }];

test("a timeout and a rule that somebody adds during a run survive the next step and the undo", async () => {
  const route = new StoredRoute(rules);
  const canary = new Rollout(route, "web", 0, steps);
  await canary.doStep("step-1");
  route.edit(([web, ...others]) => [{ ...web, timeouts: { request: "5s" } }, rule("new"), ...others]);
  assert.deepEqual(await canary.doStep("step-1"), ["done"], "the rollout does not stop");
  assert.deepEqual(await canary.doStep("step-2"), ["pending"]);
  const web = { ...rule("web"), timeouts: { request: "5s" } };
  assert.deepEqual(route.rules, [{ ...web, backendRefs: divided("web", 50) }, rule("new"), rule("api")]);
  assert.deepEqual(await canary.doStep("step-2"), ["done"]);
  assert.equal(await canary.undo(), undefined);
  assert.deepEqual(route.rules, [web, rule("new"), rule("api")]);
});

test("somebody's other weights stop the rollout, which names the object, the field and the writer", async () => {
  const route = new StoredRoute(rules);
  const canary = new Rollout(route, "web", 0, steps);
  await canary.doStep("step-1");
  route.edit(([web, ...others]) => [{ ...web, backendRefs: divided("web", 20) }, ...others]);
  const [state = ""] = await canary.doStep("step-1");
  assert.match(state, /^HTTPRoute shop\/shop: \/spec\/rules was changed by kubectl: expected /);
  assert.deepEqual(route.rules[0]?.["backendRefs"], divided("web", 20), "it is left alone");
  assert.match((await canary.undo()) ?? "", /^HTTPRoute shop\/shop \/spec\/rules was changed by kubectl since step/);
});

const withWeight = (rules: readonly Tree[], weight: number): readonly Tree[] =>
  rules.map((rule) => {
    const [stable, next] = (rule["backendRefs"] ?? []) as readonly Tree[];
    return next === undefined ? rule : { ...rule, backendRefs: [{ ...stable, weight }, next] };
  });

test("a rule that somebody adds to a list with weights of a webhook is no conflict, in a step and in the undo", async () => {
  const route = new StoredRoute(rules);
  const canary = new Rollout(route, "web", 0, steps);
  route.webhook = (written) => withWeight(written, 7);
  await canary.doStep("step-1");
  route.edit((list) => [rule("new"), ...list]);
  assert.deepEqual(await canary.doStep("step-1"), ["pending"], "the engine writes its weights again");
  route.edit((list) => [...list, rule("last")]);
  assert.deepEqual(await canary.doStep("step-2"), ["pending"]);
  route.edit(([added, web, ...others]) => [added ?? {}, { ...web, timeouts: { request: "5s" } }, ...others]);
  const before = rules.map((known) => (known === rules[0] ? { ...known, timeouts: { request: "5s" } } : known));
  assert.equal(await canary.undo(), undefined);
  assert.deepEqual(route.rules, [rule("new"), ...before, rule("last")]);
});

test("a step goes on with the edits of others when a webhook has ended", async () => {
  const route = new StoredRoute(rules);
  const canary = new Rollout(route, "web", 0, steps);
  route.webhook = (written) => withWeight(written, 7);
  await canary.doStep("step-1");
  route.edit((list) => [rule("new"), ...list]);
  route.webhook = (written) => written;
  await canary.doStep("step-1");
  assert.deepEqual(route.rules, [rule("new"), { ...rule("web"), backendRefs: divided("web", 10) }, rule("api")]);
  assert.deepEqual(await canary.doStep("step-1"), ["done"]);
});

test("a webhook that changes what the undo restores, and an edit meanwhile, do not stop the undo", async () => {
  const route = new StoredRoute(rules);
  const canary = new Rollout(route, "web", 0, steps);
  await canary.doStep("step-1");
  await canary.doStep("step-2");
  const restored = [{ ...rule("web"), backendRefs: [backend("other")] }, rule("api")];
  route.webhook = () => restored;
  assert.equal(await canary.undo(), undefined);
  route.edit((list) => [...list, rule("new")]);
  assert.equal(await canary.undo(), undefined, "the next pass finds the edit of the rewritten list");
});

test("an edit is no conflict although the engine ended before it journaled what a webhook made of its write", async () => {
  const edits: readonly ((list: readonly Tree[]) => readonly Tree[])[] = [
    (list) => [rule("new"), ...list],
    (list) => list.map((known) => ({ ...known, timeouts: { request: "5s" } })),
  ];
  for (const edit of edits) {
    const route = new StoredRoute(rules);
    const canary = new Rollout(route, "web", 0, steps);
    await canary.doStep("step-1");
    route.webhook = (written) => withWeight(written, 7);
    await canary.doStep("step-2", { crashes: true });
    route.edit(edit);
    assert.deepEqual(await canary.doStep("step-2"), ["pending"], "the engine writes its weights again");
    assert.equal(await canary.undo(), undefined);
    assert.deepEqual(route.rules, edit(rules));
    await canary.doStep("step-1", { crashes: true });
    route.edit(edit);
    assert.equal(await canary.undo(), undefined, "an undo directly after the crash");
    assert.deepEqual(route.rules, edit(edit(rules)));
    route.edit((list) => withWeight(list, 30));
  }
});

test("an edit does not stop an undo that ended before it journaled what a webhook made of the prior list", async () => {
  const route = new StoredRoute(rules);
  const canary = new Rollout(route, "web", 0, steps);
  await canary.doStep("step-1");
  route.webhook = (written) => written.map((known) => ({ ...known, backendRefs: [backend("other")] }));
  await assert.rejects(canary.undo({ crashes: true }), /the engine ends/);
  const [web, api] = [rule("web"), rule("api")].map((known) => ({ ...known, backendRefs: [backend("other")] }));
  route.edit((list) => [...list, rule("new")]);
  assert.equal(await canary.undo(), undefined);
  assert.deepEqual(route.rules, [web, api, rule("new")]);
  assert.equal(await canary.undo(), undefined, "the next pass knows the list");
});

test("somebody's own weights are a conflict although the engine ended before it journaled a rewritten list", async () => {
  const route = new StoredRoute(rules);
  const canary = new Rollout(route, "web", 0, steps);
  route.webhook = (written) => withWeight(written, 7);
  await canary.doStep("step-1", { crashes: true });
  route.edit((list) => withWeight(list, 30));
  assert.match((await canary.doStep("step-1"))[0] ?? "", /was changed by kubectl/);
  assert.match((await canary.undo()) ?? "", /was changed by kubectl/);
  route.webhook = (written) => written;
  assert.match((await canary.doStep("step-1"))[0] ?? "", /was changed by kubectl/);
});

test("somebody's own weights in a list that a webhook has rewritten are a conflict", async () => {
  const route = new StoredRoute(rules);
  const canary = new Rollout(route, "web", 0, steps);
  route.webhook = (written) => withWeight(written, 7);
  await canary.doStep("step-1");
  route.edit((list) => withWeight(list, 30));
  assert.match((await canary.doStep("step-1"))[0] ?? "", /was changed by kubectl/);
});

test("two Canaries of different rules of a route keep each other's weights, and undo only their own", async () => {
  const route = new StoredRoute(rules);
  const [web, api] = [new Rollout(route, "web", 0, steps), new Rollout(route, "api", 1, steps)];
  await web.doStep("step-1");
  await api.doStep("step-1");
  assert.deepEqual(await web.doStep("step-1"), ["done"]);
  await web.doStep("step-2");
  await api.doStep("step-2");
  const weights = (): unknown[] => route.rules.map(({ backendRefs }) => backendRefs);
  assert.deepEqual(weights(), [divided("web", 50), divided("api", 50)]);
  assert.equal(await web.undo(), undefined);
  assert.deepEqual(weights(), [[backend("web")], divided("api", 50)]);
  assert.equal(await api.undo(), undefined);
  assert.deepEqual(route.rules, rules);
});

test("a step restarts a workload once, also if an engine of another release wrote its time in another form", () => {
  const object = reference("argoproj.io/v1alpha1", "Rollout", "web", "shop");
  const pointer = "/spec/restartAt";
  const write = { type: "field", object, pointer, value: "2026-01-01T00:00:13Z", restart: "time" } as const;
  const own: JournalEntry = {
    type: "field",
    step: "wave-1/shop",
    object,
    pointer,
    written: "2026-01-01T00:00:12.345Z",
  };
  const stateOf = (restartAt: string | undefined, journal: readonly JournalEntry[] = [own]): string =>
    writeState(write, { metadata: { name: "web" }, spec: { restartAt } }, "wave-1/shop", journal).state;
  assert.equal(stateOf("2026-01-01T00:00:12.345Z"), "done");
  assert.equal(stateOf("2026-01-01T00:00:12Z"), "done", "Argo's controller has written it");
  assert.equal(stateOf("2026-01-01T01:00:00Z"), "done", "somebody has restarted it again since");
  assert.equal(stateOf("2026-01-01T00:00:11Z"), "pending", "somebody has put an earlier time back");
  assert.equal(stateOf(undefined), "pending");
  assert.equal(stateOf("2026-01-01T00:00:12Z", []), "pending", "that was before the upgrade");
  assert.equal(stateOf("2026-01-01T00:00:12Z", [{ ...own, step: "wave-1/other" }]), "pending");
});
