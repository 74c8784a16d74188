// Loads tenants' scripts in the form in which a shared Envoy gets them. test/interop/lua.test.ts does this with a real
// one.
import assert from "node:assert/strict";
import { test } from "node:test";
import { HandClock } from "../../src/base/testing/index.ts";
import { guardedScript } from "../../src/controlplane/translate/guarded-script.ts";
import { defaultLuaLimits, LuaInterpreter } from "../../src/proxy/filters/lua/lua-interpreter.ts";
import { jsonOfLua, type LuaValue } from "../../src/proxy/filters/lua/lua-value.ts";

const clock = new HandClock();
const clocks: ReadonlySet<string> = new Set(["clock", "time"]);

/** The calls that a guarded script makes for a request. Undefined if it has no function for requests. */
function requestOf(code: string): readonly (readonly unknown[])[] | undefined {
  const asked: (readonly unknown[])[] = [];
  const ask = (operation: string, given: readonly LuaValue[]): void =>
    void asked.push([operation, ...given.map(jsonOfLua)]);
  const host = {
    answer: (operation: string, given: readonly LuaValue[]): readonly LuaValue[] => {
      ask(operation, given);
      return clocks.has(operation) ? [0] : [];
    },
  };
  const script = new LuaInterpreter(guardedScript(code), host, clock, defaultLuaLimits);
  if (!script.has("request")) return undefined;
  const progress = script.start("request", 1).go();
  if (progress.kind === "waits") ask(progress.operation, progress.given);
  return asked.filter(([operation]) => !clocks.has(String(operation)));
}

test("a guarded script that does not load answers requests with 500, and logs the reason", () => {
  const faults: Readonly<Record<string, RegExp>> = {
    "x = = 1": /unexpected symbol/,
    "local a = [[ no end": /unfinished long string/,
    constructor: /'=' expected|syntax error/,
    'error("stop")': /stop/,
    "error({})": /no text/,
    "function envoy_on_response(h) end error()": /no text/,
    "setmetatable(_G, {__newindex = function() error('no') end}) error('stop')": /stop/,
  };
  for (const [code, reason] of Object.entries(faults)) {
    const asked = JSON.stringify(requestOf(code));
    assert.match(asked, /the script does not load, so requests get 500/, code);
    assert.match(asked, reason, code);
    assert.match(asked, /"respond".*":status","500"|"respond".*500/, code);
  }
});

test("a guarded script that loads has its own functions", () => {
  assert.equal(requestOf("function envoy_on_response(h) end"), undefined);
  assert.deepEqual(requestOf("function envoy_on_request(h) end"), []);
  assert.match(JSON.stringify(requestOf('function envoy_on_request(h) h:logErr("own") end')), /own/);
});

test("every text is loaded within a guarded script", () => {
  const brackets = ["]]", "]=]", "]==]]=]", "[[", "[=[", "]=", "]", "--[[", "--]=]"];
  for (const text of [...brackets, "\r\n]", "\n\r", "\0", "x\0]=]", '"', "\\", "\u2028"])
    assert.doesNotThrow(() => requestOf(text), JSON.stringify(text));
});
