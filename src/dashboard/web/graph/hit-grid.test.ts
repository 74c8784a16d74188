import assert from "node:assert/strict";
import { test } from "node:test";
import { distanceToCurve, edgeCurve, pointOnCurve, type Placed } from "./edge-curve.ts";
import { HitGrid } from "./hit-grid.ts";

const card = (x: number, y: number): Placed => ({ x, y, width: 168, height: 40 });
const web = card(0, 0);
const cart = card(400, 120);
const grid = new HitGrid(
  [
    ["web", web],
    ["cart", cart],
  ],
  [
    ["web>cart", edgeCurve(web, cart)],
    ["cart>web", edgeCurve(cart, web)],
  ],
);

test("a point on a card or its rim hits that card", () => {
  assert.deepEqual(grid.at({ x: 83, y: -19 }, 6), { kind: "node", key: "web" });
  assert.deepEqual(grid.at({ x: 317, y: 139 }, 6), { kind: "node", key: "cart" });
  assert.equal(grid.at({ x: 0, y: 30 }, 6), undefined);
});

test("a point near an edge hits the nearest edge, and the two directions are distinguished", () => {
  const there = pointOnCurve(edgeCurve(web, cart), 0.5);
  const back = pointOnCurve(edgeCurve(cart, web), 0.5);
  assert.deepEqual(grid.at(there, 6), { kind: "edge", key: "web>cart" });
  assert.deepEqual(grid.at(back, 6), { kind: "edge", key: "cart>web" });
  assert.equal(grid.at({ x: there.x, y: there.y - 40 }, 6), undefined);
});

test("every found point is as near as the curve itself says", () => {
  const curve = edgeCurve(web, cart);
  const alone = new HitGrid([], [["e", curve]]);
  for (let x = -100; x <= 500; x += 7) {
    for (let y = -60; y <= 200; y += 7) {
      const near = distanceToCurve(curve, { x, y }, 24) <= 6;
      assert.equal(alone.at({ x, y }, 6) !== undefined, near, `${x},${y}`);
    }
  }
});

test("an edge starts and ends at the sides that face each other", () => {
  const right = edgeCurve(web, cart);
  assert.ok(right.x0 === 84 && right.x3 < 316);
  const below = edgeCurve(web, card(0, 200));
  assert.ok(below.x0 === 84 && below.x1 > 84 && below.x2 > 84);
  const self = edgeCurve(web, web);
  assert.ok(self.y1 < -20);
});
