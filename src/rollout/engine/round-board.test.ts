import assert from "node:assert/strict";
import { test } from "node:test";
import type { Freeze, MeantRule, RolloutStatus } from "../../api/serin/index.ts";
import { initialStatus, type Step } from "../decide/index.ts";
import { contenderOf } from "./contender-table.ts";
import { RoundBoard } from "./round-board.ts";
import { ordersOf, parseRollout, type Rollout } from "./rollout-object.ts";

const backend = (name: string) => ({ name, port: 80 });
const raw = {
  apiVersion: "rollout.serin.dev/v1alpha1",
  kind: "Canary",
  metadata: { name: "web", namespace: "shop" },
  spec: {
    target: { httpRoute: { name: "web", stable: backend("a"), canary: backend("b") } },
    steps: [{ weight: 10 }],
  },
};
const steps: readonly Step[] = [{ id: "step-1", title: "10 %", writes: [], settle: [], checks: [] }];

function decided(freezes: readonly Freeze[] | undefined, status: RolloutStatus = initialStatus): RolloutStatus {
  const found = parseRollout(raw as unknown as Rollout);
  assert.ok("rollout" in found);
  const { rollout } = found;
  const decision = new RoundBoard(8).decide(
    { key: "Canary shop/web", rollout, status, orders: ordersOf(rollout, raw), heldUp: false },
    {
      steps,
      change: { candidate: "v1", watched: false },
      observation: undefined,
      journal: { run: 0, setup: 0, completed: false },
      freezes,
    },
    { steadyMs: 0, nowMs: Date.parse("2026-01-01T00:00:00Z") },
  );
  return decision.status;
}

test("no step begins while the server has not listed the freezes, but an undo goes on", () => {
  const { phase, pauseReason, message } = decided(undefined);
  assert.deepEqual([phase, pauseReason], ["Waiting", "freeze"]);
  assert.match(message, /has not listed the freezes .* one may be in force; if this lasts: kubectl get freezes/);
  assert.equal(decided([]).phase, "Progressing");
  assert.equal(decided(undefined, { ...initialStatus, phase: "RollingBack" }).phase, "RolledBack");
});

test("a new Canary does not begin while another one moves the rule that its position means now", () => {
  const board = new RoundBoard(8);
  const route = "gateway.networking.k8s.io/v1/HTTPRoute/shop/web /spec/rules";
  const meant = { route, target: "t", index: 1, from: 1, known: ["shop"], length: 2 };
  const phaseOf = (name: string, rule: number, meantRule: MeantRule): string => {
    const target = { httpRoute: { ...raw.spec.target.httpRoute, rule } };
    const stored = { ...raw, metadata: { ...raw.metadata, name }, spec: { ...raw.spec, target } };
    const found = parseRollout(stored as unknown as Rollout);
    assert.ok("rollout" in found);
    const { rollout } = found;
    const seen = { key: `Canary shop/${name}`, rollout, orders: ordersOf(rollout, stored), heldUp: false };
    const decision = board.decide(
      { ...seen, status: initialStatus },
      {
        steps,
        change: { candidate: "v1", watched: false, meantRule },
        observation: undefined,
        journal: { run: 0, setup: 0, completed: false },
        freezes: [],
      },
      { steadyMs: 0, nowMs: Date.parse("2026-01-01T00:00:00Z") },
    );
    board.table.stored(seen.key);
    return decision.status.phase;
  };
  assert.equal(phaseOf("first", 0, { ...meant, rule: 0 }), "Progressing");
  assert.equal(phaseOf("second", 1, { ...meant, rule: 1 }), "Waiting");
  assert.equal(phaseOf("third", 2, { ...meant, rule: 2, known: ["cart"] }), "Progressing", "another rule");
});

test("an abort of a rollout that waits for its first run does not hide the faults of its target, because it undoes nothing", () => {
  const found = parseRollout(raw as unknown as Rollout);
  assert.ok("rollout" in found);
  const { rollout } = found;
  const orders = { ...ordersOf(rollout, raw), abort: true };
  const mustPutBack = (status: Partial<RolloutStatus>): boolean =>
    new RoundBoard(1).mustPutBack({ rollout, orders, status: { ...initialStatus, ...status } });
  assert.equal(mustPutBack({ phase: "Watching" }), false);
  assert.equal(mustPutBack({ phase: "Watching", run: 1 }), true);
  assert.equal(mustPutBack({ phase: "Judging", run: 1 }), true);
  assert.equal(mustPutBack({ phase: "RolledBack", run: 1 }), false);
});

test("a member of a group whose last weight an edit has opened again waits for the others, and reserves its namespaces", () => {
  const spec = { ...raw.spec, group: "g" };
  const found = parseRollout({ ...raw, spec } as unknown as Rollout);
  assert.ok("rollout" in found);
  const { rollout } = found;
  const board = new RoundBoard(8);
  const other = { ...raw, metadata: { ...raw.metadata, name: "other" }, spec } as unknown as Rollout;
  const startedAt = "2026-01-01T00:00:00Z";
  const plannedSteps = [{ id: "step-1", title: "100 %", ordinal: 1 }];
  board.table.set(
    contenderOf(other, { ...initialStatus, phase: "Judging", startedAt, plannedSteps }, { wants: [], heldUp: false }),
  );
  // The plan had steps with the weights 10, 50 and 100, and somebody has removed the first one.
  const left: readonly Step[] = [50, 100].map((weight, index) => ({
    ...(steps[0] ?? assert.fail()),
    id: `step-${index + 1}`,
    weight,
    ordinal: index + 1,
    namespaces: ["shop"],
  }));
  const completedSteps = left.map(({ id }) => ({ id, title: id, evidence: [] }));
  const status = { ...initialStatus, phase: "Progressing", startedAt, run: 1, weight: 50, completedSteps } as const;
  const { status: next } = board.decide(
    {
      key: "Canary shop/web",
      rollout,
      status: status as unknown as RolloutStatus,
      orders: ordersOf(rollout, raw),
      heldUp: false,
    },
    {
      steps: left,
      change: { candidate: "v1", watched: false },
      observation: undefined,
      journal: { run: 2, setup: 0, completed: false },
      freezes: [],
    },
    { steadyMs: 0, nowMs: Date.parse(startedAt) },
  );
  assert.deepEqual([next.phase, next.pauseReason, next.step], ["Waiting", "group", undefined]);
  assert.deepEqual(board.table.all.find(({ key }) => key === "Canary shop/web")?.wants, ["shop"]);
});
