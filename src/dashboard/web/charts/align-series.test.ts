import assert from "node:assert/strict";
import { test } from "node:test";
import { alignSeries, steadyRange, summaryOf } from "./align-series.ts";
import { axisTop, formatTick, formatValue } from "./chart-unit.ts";

test("unmeasured points are gaps, and times of another series are none", () => {
  const { timesMs, values } = alignSeries([
    { timesMs: [1000, 2000, 3000], values: [1, null, 3] },
    { timesMs: [2000, 4000], values: [5, Number.NaN] },
  ]);
  assert.deepEqual(timesMs, [1000, 2000, 3000, 4000]);
  assert.deepEqual(values, [
    [1, null, 3, undefined],
    [undefined, 5, undefined, null],
  ]);
});

test("points keep their times while the clock advances within a step", () => {
  const first = steadyRange(1_000_000, 600_000, 121);
  const later = steadyRange(1_004_999, 600_000, 121);
  assert.deepEqual(first, { fromMs: 400_000, toMs: 1_000_000 });
  assert.deepEqual(later, first);
  assert.deepEqual(steadyRange(1_005_000, 600_000, 121), { fromMs: 405_000, toMs: 1_005_000 });
});

test("a summary omits a series without figures, and has no last value where it ended", () => {
  assert.equal(summaryOf([null, undefined]), undefined);
  assert.deepEqual(summaryOf([4, 2, null]), { last: undefined, least: 2, greatest: 4, measured: 2 });
  assert.deepEqual(summaryOf([4, 2, undefined]), { last: 2, least: 2, greatest: 4, measured: 2 });
});

test("the axis includes the bound if it is in reach, and a share ends at 100 %", () => {
  assert.equal(axisTop("share", 0.95, undefined), 1);
  assert.ok(axisTop("share", 0, 0.05) > 0.05);
  assert.ok(axisTop("ms", 10, 100) > 100);
  assert.ok(axisTop("ms", 10, 1000) < 20);
  assert.equal(axisTop("rate", 0, undefined), 1);
});

test("figures and ticks have their unit", () => {
  assert.deepEqual(
    [formatValue("share", 0.0123), formatValue("ms", 4.2), formatValue("cores", 0.0123), formatValue("rate", null)],
    ["1.23 %", "4.20 ms", "0.012 cores", "–"],
  );
  assert.deepEqual(
    [formatTick("share", 0.025), formatTick("ms", 1500), formatTick("bytes", 2_000_000), formatTick("rate", 12_000)],
    ["2.5 %", "1.5 s", "2 MB", "12k"],
  );
});
