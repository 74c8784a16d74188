import assert from "node:assert/strict";
import { test } from "node:test";
import { describeShortage, parseWaitedMs } from "./processor-shortage.ts";

const figures = (total: number): string =>
  `some avg10=96.36 avg60=96.54 avg300=94.60 total=${total}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n`;

test("the kernel's total gives the share of time in which processes waited for a processor", () => {
  assert.equal(
    describeShortage(parseWaitedMs(figures(1_000_000)), parseWaitedMs(figures(46_000_000)), 60_000),
    "processes waited for a processor in 75 % of the time",
  );
});

test("the report says when a kernel has no pressure figures", () => {
  assert.equal(parseWaitedMs(""), undefined);
  assert.match(describeShortage(undefined, undefined, 60_000), /does not report/);
});
