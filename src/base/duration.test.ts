import assert from "node:assert/strict";
import { test } from "node:test";
import { goDurationMs } from "./duration.ts";

test("Go's durations are parsed as in Go", () => {
  const texts = ["0", "10s", "1m30s", "1.5h", "-1s", "+.5s", "1h0m0.25s", "2us", "2µs", "3ns"];
  assert.deepEqual(
    texts.map(goDurationMs),
    [0, 10_000, 90_000, 5_400_000, -1000, 500, 3_600_250, 0.002, 0.002, 0.000003],
  );
});

test("other texts are not durations", () => {
  for (const text of ["", "1", "s", "1 s", "1d", "1m 30s", "--1s", "1e3s", "soon"])
    assert.equal(goDurationMs(text), undefined, text);
});
