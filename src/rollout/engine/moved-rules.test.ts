import assert from "node:assert/strict";
import { test } from "node:test";
import { parseCanary, type Canary, type JournalEntry, type RolloutStatus } from "../../api/serin/index.ts";
import { initialStatus } from "../decide/index.ts";
import { contenderOf } from "./contender-table.ts";
import { reference } from "../plan/index.ts";
import { entriesOfMover, movedRules, moversOfPosition } from "./moved-rules.ts";

const header = { match: { headers: [{ name: "traffic", value: "test" }] } };

function canary(target: object, steps: readonly object[] = [{ weight: 10 }]): Canary {
  return { kind: "Canary", metadata: { name: "c", namespace: "shop" }, spec: { target, steps } } as unknown as Canary;
}

test("a Canary moves one rule of a list, or all, and its matches add rules", () => {
  const [stable, to] = [
    { name: "web", port: 80 },
    { name: "next", port: 80 },
  ];
  const list = "gateway.networking.k8s.io/HTTPRoute/shop/web /spec/rules";
  const httpRoute = { name: "web", rule: 1, stable, canary: to };
  assert.deepEqual(movedRules(canary({ httpRoute })), [{ list, rule: 1, addsRules: false }]);
  assert.deepEqual(movedRules(canary({ httpRoute }, [header, { weight: 10 }])), [{ list, rule: 1, addsRules: true }]);
  const routes = [{ kind: "HTTPRoute", name: "web" }];
  const namespaces = { stable: "shop", canary: "next", routes };
  assert.deepEqual(movedRules(canary({ namespaces })), [{ list, addsRules: false }]);
  const virtualService = { name: "web", protocol: "tcp", stable: { host: "web" }, canary: { host: "next" } };
  assert.match(movedRules(canary({ virtualService }))[0]?.list ?? "", /VirtualService\/shop\/web \/spec\/tcp$/);
  assert.deepEqual(movedRules(canary({ httpRoute: { name: 5 } })), [], "the parser refuses it");
});

test("a position whose rule the engine knows has the rule's identity", () => {
  const httpRoute = { name: "web", rule: 1, stable: { name: "web", port: 80 }, canary: { name: "next", port: 80 } };
  const route = "gateway.networking.k8s.io/v1/HTTPRoute/shop/web /spec/rules";
  const meantRule = { route, rule: 1, target: "t", index: 5, from: 4, known: ["a", "b"], length: 9 };
  assert.equal(movedRules(canary({ httpRoute }), { meantRule })[0]?.identity, "b");
  assert.equal(movedRules(canary({ httpRoute }))[0]?.identity, undefined);
  for (const other of [{ rule: 0 }, { name: "other" }])
    assert.equal(
      movedRules(canary({ httpRoute: { ...httpRoute, ...other } }), { meantRule })[0]?.identity,
      undefined,
      "the engine knows the rule of the former target",
    );
});

test("a parsed Canary moves the same rules as the stored one, whatever its checks are", () => {
  const httpRoute = { name: "web", rule: 1, stable: { name: "web", port: 80 }, canary: { name: "next", port: 80 } };
  const stored = canary({ httpRoute }, [header, { weight: 10 }]);
  const checks = [{ type: "request-success-rate", minSamples: 20 }, { ref: "errors" }];
  const { value, errors } = parseCanary({ ...stored, spec: { ...stored.spec, checks } });
  assert.deepEqual(errors, []);
  assert.deepEqual(movedRules(value ?? assert.fail()), movedRules(stored));
  assert.deepEqual(
    movedRules(stored).map(({ rule, addsRules }) => [rule, addsRules]),
    [[1, true]],
  );
});

function moving(name: string, httpRoute: object): Canary {
  const backend = (service: string) => ({ name: service, port: 80 });
  const target = { httpRoute: { name: "web", stable: backend("a"), canary: backend("b"), ...httpRoute } };
  const { metadata, ...moved } = canary(target);
  return { ...moved, metadata: { ...metadata, name } };
}

test("while a position is not known, the rollouts under way over the same list matter, and no others", () => {
  const begun = { ...initialStatus, phase: "Settling", startedAt: "2026-01-01T00:00:00Z" } as const;
  const facts = { wants: [], heldUp: false };
  const all = [
    contenderOf(moving("own", { rule: 1 }), begun, facts),
    contenderOf(moving("under-way", { rule: "main" }), begun, facts),
    contenderOf(moving("undone", { rule: 2 }), { ...begun, phase: "RollingBack" }, facts),
    contenderOf(moving("waits", { rule: 2 }), initialStatus, facts),
    contenderOf(moving("completed", { rule: 2 }), { ...begun, phase: "Completed" }, facts),
    contenderOf(moving("elsewhere", { name: "other" }), begun, facts),
  ];
  const names = (rule: number | string, status = {}): readonly string[] =>
    moversOfPosition(moving("own", { rule }), status, all).map(({ name }) => name);
  assert.deepEqual(names(1), ["under-way", "undone"]);
  assert.deepEqual(names("main"), [], "a name");
  const route = "gateway.networking.k8s.io/v1/HTTPRoute/shop/web /spec/rules";
  const meantRule = { route, rule: 1, target: "t", index: 0, from: 0, known: ["x"], length: 1 };
  assert.deepEqual(names(1, { meantRule }), [], "it is known");
  assert.deepEqual(names(2, { meantRule }), ["under-way", "undone"], "the record is that of another position");
});

test("a position does not count beside a rollout whose journal is gone, because its rules would count too", () => {
  const begun = { ...initialStatus, phase: "Settling", startedAt: "2026-01-01T00:00:00Z" } as const;
  const journaled = { objects: ["HTTPRoute shop/web"] };
  const lostJournal = { at: "2026-01-01T00:00:00Z", ...journaled };
  const entry: JournalEntry = { type: "created", step: "s", object: reference("v1", "Service", "web", "shop") };
  const gone = { entries: [], missing: true } as const;
  const mover = (status: RolloutStatus) =>
    contenderOf(moving("other", { rule: 2 }), status, { wants: [], heldUp: false });
  const refused = {
    code: "target-unclear",
    message: /journal of Canary shop\/other is gone, .*; write the rule's name, or wait: Canary shop\/other is Stuck/,
  };
  const lost = mover({ ...begun, phase: "Stuck", journaled, lostJournal });
  // The engine has made a new journal, which contains only decisions.
  assert.throws(() => entriesOfMover(lost, { entries: [] }), refused);
  assert.throws(() => entriesOfMover(mover({ ...begun, journaled }), gone), refused, "its own round comes later");
  assert.deepEqual(entriesOfMover(mover({ ...begun, journaled }), { entries: [entry] }), [entry]);
  assert.deepEqual(entriesOfMover(mover(begun), gone), [], "it has written nothing yet");
  const accepted = mover({ ...begun, phase: "RollingBack", lostJournal: { ...lostJournal, accepted: true } });
  assert.deepEqual(entriesOfMover(accepted, gone), [], "a person lets it end without its journal");
});
