import assert from "node:assert/strict";
import { test } from "node:test";
import { blockers, groupView, type Blocker } from "./blockers.ts";
import type { Contender, MovedRule } from "./contender.ts";

function contender(name: string, options: Partial<Contender> = {}): Contender {
  return {
    key: `Canary shop/${name}`,
    kind: "Canary",
    namespace: "shop",
    name,
    createdAtMs: 1,
    phase: "Planned",
    underWay: false,
    wantsToBegin: true,
    holds: [],
    wants: ["shop"],
    target: name,
    lingers: false,
    done: false,
    ...options,
  };
}

const moving = { phase: "Progressing", underWay: true, wantsToBegin: false, holds: ["shop"] } as const;

interface Options {
  readonly freezes?: readonly Blocker[];
  readonly maxConcurrent?: number;
}

function asked(self: Contender, others: readonly Contender[], options: Options = {}): readonly string[] {
  return found(self, others, options).map(({ text }) => text);
}

function found(self: Contender, others: readonly Contender[], options: Options = {}): readonly Blocker[] {
  return blockers({
    self,
    all: [self, ...others],
    freezes: options.freezes ?? [],
    maxConcurrent: options.maxConcurrent ?? 8,
  });
}

test("only one rollout at a time may hold a namespace, and the message names it", () => {
  assert.deepEqual(asked(contender("a"), [contender("b", moving)]), ["Canary shop/b has reserved namespace shop"]);
  assert.deepEqual(asked(contender("a", { wants: ["other"] }), [contender("b", moving)]), []);
});

test("a rollout that others wait for, and that waits for a person itself, is named with its phase and its status command", () => {
  const wave: Contender = { ...contender("u"), key: "MeshUpgrade u", kind: "MeshUpgrade", target: "mesh" };
  assert.deepEqual(asked(wave, [contender("b", { ...moving, phase: "Paused" })]), [
    "Canary shop/b has reserved namespace shop, and is Paused until a person acts (serin canary status b -n shop)",
  ]);
  assert.deepEqual(asked(contender("a"), [{ ...wave, ...moving, phase: "Stuck" }]), [
    "MeshUpgrade u has reserved namespace shop, and is Stuck until a person acts (serin upgrade status u)",
  ]);
});

test("a rollout whose undo is stuck, and a member of the group that waits for a person, are named with their command", () => {
  const undoing = contender("b", { ...moving, phase: "RollingBack", isStuck: true });
  assert.deepEqual(asked(contender("a"), [undoing]), [
    "Canary shop/b has reserved namespace shop, and is Stuck until a person acts (serin canary status b -n shop)",
  ]);
  assert.deepEqual(asked(contender("a"), [contender("b", { ...moving, phase: "Waiting" })]), [
    "Canary shop/b has reserved namespace shop, and waits itself (serin canary status b -n shop)",
  ]);
  const member = { ...moving, group: "g", groupRun: "r", nextOrdinal: 2 };
  const late = contender("b", { ...member, phase: "Paused", nextOrdinal: 1 });
  const acts = "Paused until a person acts (serin canary status b -n shop)";
  assert.deepEqual(asked(contender("a", member), [late]), [
    `group g: Canary shop/b has not reached step 2; Canary shop/b is ${acts}`,
  ]);
  const done = contender("a", { ...member, done: true });
  assert.deepEqual(groupView(done, [done, late])?.notDone, [`Canary shop/b, which is ${acts}`]);
});

test("the older of two waiting rollouts begins first, and no rollout waits for one that waits for a person", () => {
  const younger = contender("a", { createdAtMs: 2 });
  assert.deepEqual(asked(younger, [contender("b")]), ["Canary shop/b came first and waits for namespace shop"]);
  assert.deepEqual(asked(contender("b"), [younger]), []);
  assert.deepEqual(asked(younger, [contender("b", { wantsToBegin: false, phase: "Paused" })]), []);
});

test("one mesh upgrade runs at a time, and it holds a namespace only while a step moves it", () => {
  const upgrade = (name: string, options: Partial<Contender> = {}): Contender =>
    contender(name, { key: `MeshUpgrade ${name}`, kind: "MeshUpgrade", target: "mesh", ...options });
  assert.deepEqual(asked(upgrade("b", { wants: [] }), [upgrade("a", { ...moving, holds: [] })]), [
    "MeshUpgrade a goes first: only one MeshUpgrade at a time",
  ]);
  assert.deepEqual(
    asked(upgrade("b", { wants: [] }), [upgrade("a", { ...moving, phase: "Retiring", holds: [], lingers: true })]),
    [],
    "one that only waits for connections to end writes nothing",
  );
  assert.deepEqual(asked(contender("c"), [upgrade("a", { ...moving, holds: [], wants: [] })]), []);
  assert.deepEqual(
    asked(upgrade("a", { ...moving, holds: [] }), [contender("c", { createdAtMs: 0 })]),
    [],
    "who has begun waits for nobody who has not",
  );
});

test("a limit, two canaries on one target and a freeze delay the start", () => {
  assert.match(
    asked(contender("a", { wants: ["x"] }), [contender("b", moving)], { maxConcurrent: 1 })[0] ?? "",
    /1 rollouts are under way, the limit is 1: Canary shop\/b$/,
  );
  const held = ["b", "c", "d"].map((name) => contender(name, { ...moving, phase: name === "b" ? "Judging" : "Stuck" }));
  assert.match(
    asked(contender("a", { wants: ["x"] }), held, { maxConcurrent: 3 })[0] ?? "",
    /; Canary shop\/c is Stuck until a person acts \(serin canary status c -n shop\), and so are 1 more$/,
  );
  assert.match(
    asked(contender("a", { wants: [], target: "t" }), [contender("b", { ...moving, target: "t" })])[0] ?? "",
    /Canary shop\/b moves the same target/,
  );
  const freezes: readonly Blocker[] = [{ reason: "freeze", by: "holidays", text: "freeze holidays until then" }];
  assert.deepEqual(found(contender("a"), [], { freezes }), freezes);
  assert.deepEqual(found(contender("a", moving), [], { freezes }), freezes, "a step of one under way as well");
});

test("a group counts once for the limit, so that Canaries of one namespace do not keep all other rollouts from beginning", () => {
  const group = Array.from({ length: 8 }, (_, index) =>
    contender(`m${index}`, { ...moving, phase: "Paused", group: "g", groupRun: "run" }),
  );
  assert.deepEqual(asked(contender("a", { wants: ["x"] }), group), []);
  const others = Array.from({ length: 7 }, (_, index) => contender(`o${index}`, { ...moving, holds: [`n${index}`] }));
  assert.match(asked(contender("a", { wants: ["x"] }), [...group, ...others])[0] ?? "", /^8 rollouts are under way/);
});

test("members of a group share their namespaces and begin each step together", () => {
  const member = (name: string, options: Partial<Contender>): Contender =>
    contender(name, { group: "g", groupRun: "run", ...moving, ...options });
  assert.deepEqual(asked(member("a", { nextOrdinal: 2 }), [member("b", { nextOrdinal: 1 })]), [
    "group g: Canary shop/b has not reached step 2",
  ]);
  assert.deepEqual(asked(member("a", { nextOrdinal: 2 }), [member("b", { nextOrdinal: 2 })]), []);
  assert.deepEqual(asked(member("a", { nextOrdinal: 2 }), [member("b", { nextOrdinal: 1, done: true })]), []);
  const waits = { phase: "Waiting", underWay: false, wantsToBegin: true, holds: [] } as const;
  assert.equal(asked(member("a", { nextOrdinal: 1 }), [member("b", waits)]).length, 1);
  assert.deepEqual(
    asked(member("a", { nextOrdinal: 1 }), [member("b", { ...waits, done: true })]),
    [],
    "no step is left",
  );
  assert.match(
    asked(contender("a", { group: "g" }), [member("b", { phase: "RolledBack", underWay: false })])[0] ?? "",
    /was rolled back; change it, or take it out of the group/,
  );
});

test("a member that is rolled back takes the other members of its run with it, even completed ones, but no other run's", () => {
  const failed = contender("b", {
    group: "g",
    groupRun: "run",
    phase: "RollingBack",
    underWay: true,
    wantsToBegin: false,
  });
  const completed = (groupRun: string): Contender =>
    contender("a", { group: "g", groupRun, phase: "Completed", wantsToBegin: false });
  assert.equal(
    groupView(completed("run"), [completed("run"), failed])?.failed,
    "group g: Canary shop/b was rolled back",
  );
  assert.equal(groupView(completed("another"), [completed("another"), failed])?.failed, undefined);
  assert.deepEqual(groupView(failed, [failed, completed("run")])?.notFollowing, ["Canary shop/a"]);
});

test("a member without steps does not wait for one that begins only after a person acts on a rollback", () => {
  const done = contender("a", { group: "g", phase: "Waiting", wantsToBegin: false });
  const waits = contender("b", { group: "g", phase: "Waiting" });
  const failed = contender("c", { group: "g", phase: "RolledBack", wantsToBegin: false });
  assert.deepEqual(groupView(done, [done, waits])?.notDone, ["Canary shop/b"]);
  assert.deepEqual(groupView(done, [done, waits, failed])?.notDone, []);
});

test("a member that would begin at a later step, by a full promotion, waits for the others, and they do not wait for it", () => {
  const grouped = { group: "g", wants: [] } as const;
  const jumps = contender("a", { ...grouped, nextOrdinal: 2 });
  const behind = contender("b", { ...grouped, ...moving, nextOrdinal: 1 });
  assert.deepEqual(asked(behind, [jumps]), []);
  assert.deepEqual(asked(jumps, [behind]), ["group g: Canary shop/b has not reached step 2"]);
});

test("a group does not wait for a member that waits for the target of another, so both end one after the other", () => {
  const grouped = { group: "g", wants: [], target: "t", nextOrdinal: 1 } as const;
  const first = contender("a", { ...grouped, ...moving, groupRun: "run" });
  const rival = contender("b", { ...grouped, phase: "Waiting" });
  assert.deepEqual(asked(rival, [first]), ["Canary shop/a moves the same target"]);
  assert.deepEqual(asked(first, [rival]), []);
  const done = { ...first, done: true };
  assert.deepEqual(groupView(done, [done, rival])?.notDone, []);
  assert.deepEqual(groupView(done, [done, { ...rival, target: "another" }])?.notDone, ["Canary shop/b"]);
});

test("Canaries of one route wait for each other, unless they move different rules whose places stay", () => {
  const list = "HTTPRoute shop/web /spec/rules";
  const waits = (other: Partial<MovedRule>, own: Partial<MovedRule>): boolean => {
    const [first, second] = [other, own].map((rule) => [{ list, addsRules: false, ...rule }]);
    const moved = contender("a", { ...moving, group: "g", holds: [], routes: first ?? [] });
    return asked(contender("b", { group: "g", wants: [], routes: second ?? [] }), [moved]).length > 0;
  };
  assert.ok(!waits({ rule: 0 }, { rule: 1 }));
  assert.ok(waits({ rule: 0 }, { rule: 0 }));
  assert.ok(waits({ rule: 0, addsRules: true }, { rule: 1 }), "the added rule changes the place of rule 1");
  assert.ok(waits({ rule: 0 }, { rule: 1, addsRules: true }));
  assert.ok(!waits({ rule: "a", addsRules: true }, { rule: "b" }));
  assert.ok(waits({ rule: "a" }, { rule: 1 }), "they may be the same rule");
  assert.ok(
    waits({ rule: 0, identity: "x" }, { rule: 1, identity: "x" }),
    "both mean the same rule since an insertion",
  );
  assert.ok(!waits({ rule: 0, identity: "x" }, { rule: 1, identity: "y" }));
  assert.ok(waits({}, { rule: 1 }), "one moves every rule");
  assert.ok(!waits({ list: "HTTPRoute shop/other /spec/rules", rule: 0 }, { rule: 0 }));
});

test("each blocker has a reason and a name, so that no program reads its text", () => {
  const reasons = (self: Contender, others: readonly Contender[], options: Options = {}) =>
    found(self, others, options).map(({ reason, by }) => [reason, by]);
  const member = (name: string, options: Partial<Contender>): Contender =>
    contender(name, { group: "g", groupRun: "run", ...moving, ...options });
  assert.deepEqual(reasons(contender("a"), [contender("b", moving)]), [["rollout", "Canary shop/b"]]);
  assert.deepEqual(reasons(contender("a", { createdAtMs: 2 }), [contender("b")]), [["rollout", "Canary shop/b"]]);
  assert.deepEqual(reasons(contender("a", { wants: [], target: "t" }), [contender("b", { ...moving, target: "t" })]), [
    ["rollout", "Canary shop/b"],
  ]);
  assert.deepEqual(reasons(contender("a", { wants: ["x"] }), [contender("b", moving)], { maxConcurrent: 1 }), [
    ["limit", undefined],
  ]);
  assert.deepEqual(reasons(member("a", { nextOrdinal: 2 }), [member("b", { nextOrdinal: 1 })]), [["group", "g"]]);
  assert.deepEqual(
    reasons(contender("a", { group: "g" }), [member("b", { phase: "RolledBack", underWay: false, holds: [] })]),
    [["group-failed", "Canary shop/b"]],
  );
});
