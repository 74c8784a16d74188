import assert from "node:assert/strict";
import { test } from "node:test";
import { describeShortage, parseWaitedMs } from "./processor-shortage.ts";

const figures = (total: number): string =>
  `some avg10=96.36 avg60=96.54 avg300=94.60 total=${total}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n`;

test("the share of time in which processes waited for a processor comes from the kernel's total", () => {
  assert.equal(
    describeShortage(parseWaitedMs(figures(1_000_000)), parseWaitedMs(figures(46_000_000)), 60_000),
    "processes waited for a processor in 75 % of the time",
  );
});

test("a kernel without pressure figures is said so", () => {
  assert.equal(parseWaitedMs(""), undefined);
  assert.match(describeShortage(undefined, undefined, 60_000), /does not tell/);
});
