import assert from "node:assert/strict";
import { test } from "node:test";
import { stageAct } from "./stage-keys.ts";

test("an arrow key walks to a node, and with Shift it moves the sight", () => {
  assert.deepEqual(stageAct({ key: "ArrowRight", shiftKey: false }), { does: "walk", direction: "right" });
  assert.deepEqual(stageAct({ key: "ArrowRight", shiftKey: true }), { does: "pan", x: -80, y: 0 });
  assert.deepEqual(stageAct({ key: "ArrowUp", shiftKey: true }), { does: "pan", x: 0, y: 80 });
});

test("plus zooms in, with or without Shift, and minus undoes it", () => {
  const plus = stageAct({ key: "+", shiftKey: true });
  const minus = stageAct({ key: "-", shiftKey: false });
  assert.deepEqual(plus, stageAct({ key: "=", shiftKey: false }));
  assert.ok(plus?.does === "zoom" && minus?.does === "zoom");
  assert.equal(plus.factor * minus.factor, 1);
});

test("a key without an act is left to the browser", () => {
  assert.equal(stageAct({ key: "Tab", shiftKey: false }), undefined);
});
