import assert from "node:assert/strict";
import { test } from "node:test";
import { array, assert as holds, constantFrom, oneof, property, record, string, constant } from "fast-check";
import { createLogger, silentLogger, systemClock } from "../../../base/index.ts";
import { HandClock } from "../../../base/testing/index.ts";
import { FilterCounter } from "../../terms/filter-statistics.ts";
import { testRequest } from "../../testing/filter-request.ts";
import type { ScriptMessage } from "./lua-message.ts";
import { LuaLoadFailure, LuaScripts } from "./lua-script.ts";

type Fields = readonly (readonly [name: string, value: string])[];

const services = {
  clock: systemClock,
  log: silentLogger,
  callCluster: () => Promise.reject(new Error("no cluster")),
};

function fieldsAfter(source: string, fields: Fields): { fields: Fields; errors: number } {
  let now = fields;
  const message: ScriptMessage = {
    kind: "request",
    request: testRequest(),
    fields: {
      list: () => now,
      values: (name) => now.filter(([other]) => other === name).map(([, value]) => value),
      set: (name, values) => {
        now = [...now.filter(([other]) => other !== name), ...values.map((value) => [name, value] as const)];
      },
    },
    body: () => new Promise(() => undefined),
    setBody: () => undefined,
    trailers: () => undefined,
  };
  const errors = new FilterCounter();
  const scripts = new LuaScripts(services);
  const script = scripts.compile(`function envoy_on_request(h)\n${source}\nend`, "test");
  const context = { filter: "lua", filterContext: undefined, services, signal: () => new AbortController().signal };
  script.run("request", message, context, errors);
  return { fields: now, errors: errors.value };
}

const quoted = (text: string): string =>
  `"${[...Buffer.from(text, "latin1")].map((byte) => `\\${String(byte).padStart(3, "0")}`).join("")}"`;

test("the header functions agree with a list of fields under any sequence of operations", () => {
  const name = constantFrom("a", "B", "x-c", "X-D");
  const value = string({ unit: constantFrom(...Array.from("aZ09 ,;=\"'\\\t\u00e4\u00ff[]%")) });
  const step = oneof(
    record({ kind: constantFrom("add", "replace"), name, value }),
    record({ kind: constant("remove"), name, value: constant("") }),
  );
  holds(
    property(array(step, { maxLength: 12 }), array(record({ name, value }), { maxLength: 4 }), (steps, first) => {
      const start = first.map((field) => [field.name.toLowerCase(), field.value] as const);
      let model: Fields = start;
      for (const { kind, name: fieldName, value: to } of steps) {
        const key = fieldName.toLowerCase();
        if (kind === "add") {
          const own = model.filter(([other]) => other === key);
          model = [...model.filter(([other]) => other !== key), ...own, [key, to]];
        } else {
          model = model.filter(([other]) => other !== key);
          if (kind === "replace") model = [...model, [key, to]];
        }
      }
      const code = steps.map(({ kind, name: field, value: to }) =>
        kind === "remove" ? `hs:remove(${quoted(field)})` : `hs:${kind}(${quoted(field)}, ${quoted(to)})`,
      );
      const checks = ["a", "b", "x-c", "x-d"].map((key) => {
        const values = model.filter(([other]) => other === key).map(([, own]) => own);
        const last = values.at(-1);
        return [
          `assert(hs:get("${key}") == ${values.length === 0 ? "nil" : quoted(values.join(","))})`,
          `assert(hs:getNumValues("${key}") == ${values.length})`,
          last === undefined || last === ""
            ? `assert(hs:getAtIndex("${key}", ${values.length}) == nil)`
            : `assert(hs:getAtIndex("${key}", ${values.length - 1}) == ${quoted(last)})`,
        ].join("\n");
      });
      const counted = `local n = 0 for k, v in pairs(hs) do n = n + 1 end assert(n == ${model.length})`;
      const after = fieldsAfter(["local hs = h:headers()", ...code, ...checks, counted].join("\n"), start);
      assert.deepEqual(after, { fields: model, errors: 0 });
    }),
    { numRuns: 60 },
  );
});

test("headers cannot change while a script iterates over them", () => {
  const source = "for key in pairs(h:headers()) do h:headers():remove(key) end";
  assert.deepEqual(fieldsAfter(source, [["a", "1"]]), { fields: [["a", "1"]], errors: 1 });
});

/** A clock that jumps each time it is read while `isBusy`, so that a script that looks at it often is overdue. */
class BusyClock extends HandClock {
  isBusy = false;

  override steadyMs(): number {
    if (this.isBusy) this.pass(200);
    return super.steadyMs();
  }
}

const longLoad = "for i = 1, 1000000 do end function envoy_on_request() end";

test("a script whose loading took too long is loaded again after growing pauses", () => {
  const clock = new BusyClock();
  const scripts = new LuaScripts({ ...services, clock });
  clock.isBusy = true;
  const script = scripts.optional(longLoad, "test");
  for (const pauseMs of [10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 600_000, 600_000]) {
    clock.isBusy = false;
    const failure = script.attempt("test");
    assert.ok(failure instanceof LuaLoadFailure);
    assert.match(failure.message, /longer than 250 ms/);
    clock.pass(pauseMs - 1000);
    assert.equal(scripts.optional(longLoad, "test"), script);
    assert.equal(script.attempt("test"), failure, `${pauseMs} ms`);
    clock.pass(1000);
    clock.isBusy = true;
    assert.notEqual(script.attempt("test"), failure, `${pauseMs} ms`);
  }
  clock.isBusy = false;
  clock.pass(600_000);
  assert.equal(script.loaded, undefined);
  assert.equal(scripts.optional(longLoad, "test").loaded?.hasRequest, true);
});

test("a script that fails or does not compile is not loaded again while it is kept", () => {
  const clock = new HandClock();
  const scripts = new LuaScripts({ ...services, clock });
  for (const source of ["x = = 1", "error('no')"]) {
    const script = scripts.optional(source, "test");
    const failure = script.attempt("test");
    clock.pass(1_000_000);
    assert.equal(scripts.optional(source, "test"), script);
    assert.equal(script.attempt("test"), failure);
  }
});

test("a script is loaded again if its memory did not suffice", () => {
  const clock = new HandClock();
  const scripts = new LuaScripts({ ...services, clock }, { maxMemoryBytes: 1_000_000, maxRunMs: 250 });
  const script = scripts.optional('x = string.rep("x", 2000000)', "test");
  const failure = script.attempt("test");
  clock.pass(10_000);
  const next = script.attempt("test");
  assert.ok(next instanceof LuaLoadFailure && next !== failure);
  assert.match(next.message, /not enough memory/);
});

test("a script that itself raises Lua's error of missing memory is not loaded again, because another load would not help", () => {
  const clock = new HandClock();
  const script = new LuaScripts({ ...services, clock }).optional('error("not enough memory")', "test");
  const failure = script.attempt("test");
  clock.pass(1_000_000);
  assert.equal(script.attempt("test"), failure);
});

test("a script that does not load is logged once a minute, and its message is cut and without control characters", () => {
  const lines: string[] = [];
  const clock = new HandClock();
  const log = createLogger({ scope: "lua", write: (line) => lines.push(line), clock });
  const scripts = new LuaScripts({ ...services, clock, log });
  const source = 'error("a\\nforged\\tline " .. string.rep("x", 1000000))';
  const script = scripts.optional(source, "listener a");
  assert.match(lines[0] ?? "", /\tlistener a: script load error: script:1: a\\x0aforged\\x09line x+…\n$/);
  assert.ok((lines[0] ?? "").length < 600);
  clock.pass(59_999);
  scripts.optional(source, "listener a");
  script.attempt("filter b");
  assert.equal(lines.length, 1);
  clock.pass(1);
  script.attempt("filter b");
  script.attempt("filter b");
  assert.match(lines[1] ?? "", /\tfilter b: script load error/);
  assert.equal(lines.length, 2);
});

test("a stream that ends while its script waits leaves nothing behind", async () => {
  const script = new LuaScripts(services).compile("function envoy_on_request(h) h:body() end", "test");
  const over = new AbortController();
  const message: ScriptMessage = {
    kind: "request",
    request: testRequest(),
    fields: { list: () => [], values: () => [], set: () => undefined },
    body: () => new Promise(() => undefined),
    setBody: () => undefined,
    trailers: () => undefined,
  };
  const context = { filter: "lua", filterContext: undefined, services, signal: () => over.signal };
  const run = script.run("request", message, context, new FilterCounter());
  assert.equal(script.running, 1);
  over.abort();
  assert.equal(await run, undefined);
  assert.equal(script.running, 0);
});

test("a script finds the functions of Lua 5.1 and LuaJIT, and no unsafe ones", () => {
  const source = `
    assert(math.pow(2, 3) == 8 and unpack({4, 5}) == 4 and select("#", table.unpack({1, nil, 3}, 1, 3)) == 3)
    assert(loadstring("return 1 + 1")() == 2 and load("return x", "n", "t", {x = 7})() == 7)
    local f = function() return inner end
    setfenv(f, {inner = 3})
    assert(f() == 3 and getfenv(f).inner == 3)
    assert(("a,b"):gsub(",", ";") == "a;b" and string.rep("x", 3, "-") == "x-x-x")
    assert(string.format("%s %d %5.1f %%", nil, 3, 1.25) == "nil 3   1.2 %" or string.format("%.0f", 0.5) == "0")
    assert(bit.tohex(255) == "000000ff" and bit.bxor(5, 3) == 6 and bit.rshift(-1, 28) == 15 and bit.lshift(1, 31) == -2147483648)
    assert(require("bit") == bit and not pcall(require, "ffi"))
    local ok, caught = xpcall(function(a) error({code = a}) end, function(e) return e.code end, 9)
    assert(not ok and caught == 9)
    local co = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b * 2 end)
    assert(co(1) == 2 and co(5) == 10)
    local all = {}
    for k, v in pairs({a = 1}) do all[k] = v end
    assert(all.a == 1 and #table.pack(1, 2) == 2 and math.log(8, 2) == 3)
    assert(os.date("!%Y-%m-%d %H:%M:%S", 86399) == "1970-01-01 23:59:59" and os.time({year = 1970, month = 1, day = 2, hour = 0}) == 86400)
    assert(tostring(10 / 2) == "5" and 2 ^ 53 == 9007199254740992)
    for _, gone in ipairs({"io", "package", "module", "dofile", "loadfile", "debug", "newproxy"}) do assert(_G[gone] == nil, gone) end
    assert(os.execute == nil and os.getenv == nil and os.remove == nil and getmetatable(h) == false)
    assert(not pcall(loadstring, "\\27Lua"))
  `;
  assert.equal(fieldsAfter(source, []).errors, 0);
});
