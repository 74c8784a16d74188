import assert from "node:assert/strict";
import { test } from "node:test";
import { blockers, type Contender } from "../decide/index.ts";
import { ContenderTable } from "./contender-table.ts";

function contender(name: string, options: Partial<Contender> = {}): Contender {
  return {
    key: `MeshUpgrade ${name}`,
    kind: "MeshUpgrade",
    name,
    createdAtMs: 1,
    phase: "Progressing",
    underWay: true,
    wantsToBegin: false,
    holds: [],
    wants: [],
    target: "mesh",
    lingers: false,
    done: false,
    ...options,
  };
}

const second = contender("b", { phase: "Planned", underWay: false, wantsToBegin: true, wants: ["shop"] });

/** The blockers of the second upgrade, after the first one has decided a round. */
function waits(before: Contender, after: Contender, isStored: boolean): readonly string[] {
  const table = new ContenderTable();
  table.set(second);
  table.decided(before, after);
  if (isStored) table.stored(after.key);
  return blockers({ self: second, all: table.all, freezes: [], maxConcurrent: 8 }).map(({ text }) => text);
}

const holding = contender("a", { holds: ["shop"], phase: "Settling" });
const between = contender("a");
const lingering = contender("a", { phase: "Retiring", lingers: true });
const completed = contender("a", { phase: "Completed", underWay: false, done: true });
const first = "MeshUpgrade a goes first: only one MeshUpgrade at a time";

test("a namespace that a decision releases stays held until the decision is stored", () => {
  assert.deepEqual(waits(holding, between, false), [first, "MeshUpgrade a has reserved namespace shop"]);
  assert.deepEqual(waits(holding, between, true), [first]);
  for (const after of [lingering, completed]) {
    assert.deepEqual(waits(between, after, false), [first]);
    assert.deepEqual(waits(between, after, true), []);
  }
});

test("a namespace that a decision takes is held at once", () => {
  const idle = contender("a", { phase: "Planned", underWay: false, wantsToBegin: true });
  assert.deepEqual(waits(idle, holding, false), [first, "MeshUpgrade a has reserved namespace shop"]);
});

test("after a failed write the next round uses the stored state", () => {
  const table = new ContenderTable();
  table.decided(holding, between);
  table.set(holding);
  table.stored(holding.key);
  assert.deepEqual(table.all, [holding]);
});

test("the other members see only the stored progress of a group member", () => {
  const table = new ContenderTable();
  table.decided(contender("a", { nextOrdinal: 1 }), contender("a", { nextOrdinal: 2 }));
  assert.equal(table.all[0]?.nextOrdinal, 1);
  table.stored("MeshUpgrade a");
  assert.equal(table.all[0]?.nextOrdinal, 2);
  table.decided(contender("a", { nextOrdinal: 2 }), contender("a", { done: true }));
  assert.deepEqual([table.all[0]?.nextOrdinal, table.all[0]?.done], [2, false]);
});
