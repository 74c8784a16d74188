import assert from "node:assert/strict";
import { test } from "node:test";
import { formatClock } from "../format.ts";
import { chartSummary, summarized, timeOfKey, wordsAt } from "./chart-words.ts";

const timesMs = [1000, 2000, 3000];
const lines = summarized([
  { label: "canary", tone: "canary", values: [4, 2, 3] },
  { label: "stable", tone: "stable", values: [5, null, null] },
]);
const measured = { unit: "ms", timesMs, lines, loading: false } as const;

test("without a chosen time, a screen reader hears the last values", () => {
  assert.equal(wordsAt(measured, undefined), "last: canary 3.00 ms, stable –");
});

test("the text names a chosen time with its values, and a gap has none", () => {
  assert.equal(wordsAt(measured, 1), `${formatClock(2000)}: canary 2.00 ms, stable –`);
});

test("a chart without values says whether they are still loading", () => {
  const empty = { ...measured, lines: summarized([{ label: "canary", tone: "canary", values: [null] }]) };
  assert.equal(wordsAt(empty, undefined), "no data");
  assert.equal(wordsAt({ ...empty, loading: true }, undefined), "loading");
  assert.equal(chartSummary({ ...empty, loading: true }), "canary: loading.");
});

test("the summary tells the range of each line", () => {
  assert.equal(
    chartSummary(measured),
    "canary: minimum 2.00 ms, maximum 4.00 ms, last value 3.00 ms. stable: minimum 5.00 ms, maximum 5.00 ms, last value –.",
  );
});

test("arrow keys stop at the first and the last time, and start from the last", () => {
  assert.equal(timeOfKey("ArrowLeft", undefined, 3), 1);
  assert.equal(timeOfKey("ArrowRight", 2, 3), 2);
  assert.equal(timeOfKey("PageUp", 2, 3), 0);
  assert.equal(timeOfKey("End", 0, 3), 2);
});

test("other keys do not move, nor does any key in a chart without times", () => {
  assert.equal(timeOfKey("a", 1, 3), undefined);
  assert.equal(timeOfKey("Home", undefined, 0), undefined);
});
