import assert from "node:assert/strict";
import { test } from "node:test";
import {
  countOf,
  formatBytes,
  formatDuration,
  formatMs,
  formatRate,
  formatShare,
  formatZonedDate,
  timeZoneText,
} from "./format.ts";

test("figures have their unit and three significant digits", () => {
  assert.deepEqual([0, 0.004, 0.5, 12.34, 1204.2, 25_400].map(formatRate), [
    "0/s",
    "<0.01/s",
    "0.50/s",
    "12.3/s",
    "1,204/s",
    "25.4k/s",
  ]);
  assert.deepEqual([0.2, 4.2, 12.34, 1350].map(formatMs), ["200 µs", "4.20 ms", "12.3 ms", "1.35 s"]);
  assert.deepEqual([12, 1_500_000].map(formatBytes), ["12 B", "1.50 MB"]);
  assert.deepEqual([8_000, 120_000, 250_000, 1_500_000, 11_100_000, 1_000_000_000].map(formatDuration), [
    "8 s",
    "2 min",
    "4 min 10 s",
    "25 min",
    "3 h 5 min",
    "11 d",
  ]);
  assert.deepEqual(
    [364, 365, 761, 8 * 365 + 3].map((days) => formatDuration(days * 86_400_000)),
    ["364 d", "1 y", "2 y 31 d", "8 y"],
  );
});

test("a share below all is never shown as all, and one above nothing never as nothing", () => {
  assert.deepEqual([0, 0.00001, 0.0012, 0.5, 0.9996, 0.99999, 1].map(formatShare), [
    "0 %",
    "<0.01 %",
    "0.12 %",
    "50.0 %",
    "99.96 %",
    ">99.99 %",
    "100 %",
  ]);
});

test("an unmeasured value is not shown as zero", () => {
  assert.deepEqual(
    [
      formatRate(undefined),
      formatShare(undefined),
      formatMs(undefined),
      formatBytes(undefined),
      formatDuration(undefined),
    ],
    ["–", "–", "–", "–", "–"],
  );
});

test("counts use singular or plural nouns", () => {
  assert.deepEqual(
    [countOf(1, "pod"), countOf(2, "pod"), countOf(1204, "proxy", "proxies")],
    ["1 pod", "2 pods", "1,204 proxies"],
  );
});

test("a moment for comparison with other clocks has its year and time zone", () => {
  assert.match(
    formatZonedDate(Date.UTC(2026, 10, 20, 12, 2, 9)),
    /Nov 2026, \d\d:02:09 (UTC|GMT|[A-Z]{3,5})([+-][\d:]+)?$/,
  );
  assert.match(timeZoneText(), /^[A-Za-z_/+-]+( \(\w+([+-][\d:]+)?\))?$/);
});
