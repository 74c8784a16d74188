import assert from "node:assert/strict";
import { test } from "node:test";
import { logLevelOf } from "./log-level.ts";

test("SERIN_LOG_LEVEL names a level; without it a process logs from info on, and another word is refused by name", () => {
  assert.equal(logLevelOf({ SERIN_LOG_LEVEL: "debug" }), "debug");
  assert.deepEqual([{}, { SERIN_LOG_LEVEL: "" }].map(logLevelOf), ["info", "info"]);
  assert.throws(
    () => logLevelOf({ SERIN_LOG_LEVEL: "verbose" }),
    /SERIN_LOG_LEVEL must be one of trace, debug, info, warn, error, got "verbose"$/,
  );
});
