import assert from "node:assert/strict";
import { test } from "node:test";
import { dotsAt, flowOf, thinned } from "./traffic.ts";

test("a busier edge has more and faster dots, within bounds", () => {
  const flows = [0.1, 1, 10, 100, 10_000].map((rate) => flowOf("e", rate, 300, 0));
  for (const [index, flow] of flows.entries()) {
    const before = flows[index - 1];
    if (before === undefined) continue;
    assert.ok(flow.dots >= before.dots && flow.pace >= before.pace);
  }
  assert.ok((flows[0]?.dots ?? 0) >= 1 && (flows[4]?.dots ?? 99) <= 8);
});

test("the share of error dots is the measured share", () => {
  const flow = flowOf("e", 50, 300, 0.2);
  let dots = 0;
  let errors = 0;
  for (let seconds = 0; seconds < 4000; seconds += 1 / flow.pace) {
    for (const { error } of dotsAt(flow, "e", seconds)) {
      dots += 1;
      if (error) errors += 1;
    }
  }
  assert.ok(Math.abs(errors / dots - 0.2) < 0.02, `${errors} of ${dots}`);
});

test("a dot keeps its kind from start to end", () => {
  const flow = flowOf("e", 2, 300, 0.5);
  const seen = new Map<number, boolean>();
  let before = -1;
  for (let seconds = 0; seconds < 0.9 / flow.pace; seconds += 0.05) {
    const [first] = dotsAt(flow, "e", seconds);
    if (first === undefined) throw new Error("no dot");
    if (first.t >= before && before >= 0) assert.equal(first.error, seen.get(0));
    else seen.clear();
    seen.set(0, first.error);
    before = first.t;
  }
});

test("moving dots are bounded for any number of edges, and spread over them", () => {
  const flows = Array.from({ length: 4000 }, (_, index) => flowOf(`edge ${index}`, 20, 300, 0));
  const wanted = flows.reduce((sum, { dots }) => sum + dots, 0);
  const shown = flows.map((flow) => thinned(flow, wanted).dots);
  const half = shown.slice(0, 2000).reduce((sum, dots) => sum + dots, 0);
  const whole = shown.reduce((sum, dots) => sum + dots, 0);
  assert.ok(whole > 600 && whole < 1200, `${whole}`);
  assert.ok(half > whole * 0.4 && half < whole * 0.6, `${half} of ${whole}`);
});
