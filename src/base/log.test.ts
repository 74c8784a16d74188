import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogger } from "./log.ts";
import { HandClock } from "./testing/index.ts";

test("the time of a line is ISO 8601 in UTC with milliseconds, within one second and across seconds", () => {
  const lines: string[] = [];
  const clock = new HandClock();
  const log = createLogger({ scope: "test", write: (line) => lines.push(line), clock });
  const expected: string[] = [];
  for (const ms of [0, 7, 43, 940, 9, 1, 1000, 86_399_000, 0.5, 31_536_000_000]) {
    clock.pass(ms);
    expected.push(`${new Date(clock.nowMs()).toISOString()}\tinfo\ttest\tdone\n`);
    log.info("done");
  }
  assert.deepEqual(lines, expected);
});

test("a value from others cannot send control characters to the terminal of a person who reads the log", () => {
  const lines: string[] = [];
  const log = createLogger({ scope: "test", write: (line) => lines.push(line), clock: new HandClock() });
  log.info("a proxy connected", { proxy: "\u001B]0;x\u0007web.shop", version: "\u009B31m" });
  assert.match(lines[0] ?? "", /proxy="\\u001b\]0;x\\u0007web\.shop" version="\\x9b31m"\n$/);
});
