import assert from "node:assert/strict";
import { test } from "node:test";
import { logFormatWarning, logLevelOf, logsAsJson } from "./log-level.ts";

test("SERIN_LOG_LEVEL names a level, by default info, and an unknown level is refused", () => {
  assert.equal(logLevelOf({ SERIN_LOG_LEVEL: "debug" }), "debug");
  assert.deepEqual([{}, { SERIN_LOG_LEVEL: "" }].map(logLevelOf), ["info", "info"]);
  assert.throws(
    () => logLevelOf({ SERIN_LOG_LEVEL: "verbose" }),
    /SERIN_LOG_LEVEL must be one of trace, debug, info, warn, error, got "verbose"$/,
  );
});

test("upstream's argument, or the variable of upstream's ztunnel, asks for a log in JSON", () => {
  assert.equal(logsAsJson(["discovery", "--log_as_json"], {}), true);
  assert.equal(logsAsJson(["--log_as_json=true"], {}), true);
  assert.equal(logsAsJson([], { LOG_FORMAT: "json" }), true);
  assert.equal(logsAsJson(["--log_as_json=false"], { LOG_FORMAT: "plain" }), false);
});

test("a log format that does not exist is a warning", () => {
  assert.deepEqual([{}, { LOG_FORMAT: "json" }, { LOG_FORMAT: "plain" }].map(logFormatWarning), [
    undefined,
    undefined,
    undefined,
  ]);
  assert.equal(logFormatWarning({ LOG_FORMAT: "jsn" }), 'LOG_FORMAT must be plain or json, got "jsn": plain applies');
});
