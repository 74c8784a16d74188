import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogger, systemClock, threadCpuTimeMs } from "../../../base/index.ts";
import type { ClusterAnswer, ClusterRequest } from "../../terms/call-cluster.ts";
import { FilterCounter } from "../../terms/filter-statistics.ts";
import { testRequest } from "../../testing/filter-request.ts";
import { ScriptRequest } from "./lua-message.ts";
import { defaultLuaLimits } from "./lua-interpreter.ts";
import { LuaScripts, type LuaScript } from "./lua-script.ts";

/**
 * The maximum CPU time of a script. It is long enough for a loaded machine, and far below the minutes that these
 * scripts would take without their limits.
 */
const maxCpuMs = 4000;

/** Limits for tests of everything but the time limit, which a script could exceed on a loaded machine. */
const patient = { ...defaultLuaLimits, maxRunMs: 60_000 };

function harness(limits = patient) {
  const lines: string[] = [];
  const calls: ClusterRequest[] = [];
  const answer = Promise.withResolvers<ClusterAnswer>();
  const services = {
    clock: systemClock,
    log: createLogger({ scope: "lua", write: (line) => lines.push(line), clock: systemClock }),
    callCluster: async (call: ClusterRequest) => {
      calls.push(call);
      return await answer.promise;
    },
  };
  const scripts = new LuaScripts(services, limits);
  const signal = (): AbortSignal => new AbortController().signal;
  const run = (script: LuaScript, request = testRequest()) =>
    script.run(
      "request",
      new ScriptRequest(request, () => undefined),
      { filter: "lua", filterContext: undefined, services, signal },
      new FilterCounter(),
    );
  const scriptOf = (body: string): LuaScript => scripts.compile(`function envoy_on_request(h)\n${body}\nend`, "test");
  return { lines, calls, answer, run, scriptOf };
}

/** The message of the error with which a script ends, and the time that it took. */
function failureOf(body: string, limits = patient): { message: string; cpuMs: number } {
  const { lines, run, scriptOf } = harness(limits);
  const script = scriptOf(body);
  const before = threadCpuTimeMs();
  void run(script);
  return { message: lines.join(""), cpuMs: threadCpuTimeMs() - before };
}

const longText = 'local s = ("a"):rep(8e6)';
const endless: Readonly<Record<string, string>> = {
  "string.reverse": `${longText} while true do s:reverse() end`,
  "string.gsub": `${longText} while true do s:gsub("a", "b") end`,
  "string.rep": 'while true do ("ab"):rep(4e6) end',
  tonumber: 'local s = ("1"):rep(8e6) while true do tonumber(s) end',
  comparison: 'local a, b = ("a"):rep(3e6) .. "a", ("a"):rep(3e6) .. "b" while true do local x = a < b end',
  concatenation: `${longText} local t = "b" while true do local x = s .. t end`,
  "table.concat": 'local t = {} for i = 1, 1e5 do t[i] = "aaaaaaaa" end while true do table.concat(t) end',
  "table.insert": "local t = {} for i = 1, 5e5 do t[i] = 1 end while true do table.insert(t, 1, 1) table.remove(t) end",
  "table.sort": `local t = {}
    for i = 1, 4e5 do t[i] = i end
    local n = 0
    while true do n = n + 1 t[1 + n % 4e5] = n table.sort(t) end`,
  next: "local t = {} for i = 1, 5e5 do t[i + 0.5] = 1 end for i = 1, 5e5 do t[i + 0.5] = nil end while true do next(t) end",
  collectgarbage: "local t = {} for i = 1, 2e5 do t[i] = {} end while true do collectgarbage() end",
  loadstring: 'local s = ("x=1 "):rep(3e5) while true do loadstring(s) end',
  base64Escape: `${longText} while true do h:base64Escape(s) end`,
};

for (const [name, body] of Object.entries(endless))
  test(`the limit of time holds for a script that calls ${name} all the time`, () => {
    const { message, cpuMs } = failureOf(body, defaultLuaLimits);
    assert.match(message, /the script ran longer than 250 ms without a pause|not enough memory/);
    assert.ok(cpuMs < maxCpuMs, `took ${cpuMs} ms`);
  });

test("a script that was ended within a function runs again with the next request, and its waiting runs fail", async () => {
  const { lines, calls, answer, run, scriptOf } = harness(defaultLuaLimits);
  const script = scriptOf(`
    count = (count or 0) + 1
    h:headers():add("x-count", tostring(count))
    if count == 1 then h:httpCall("c", { [":method"] = "GET", [":path"] = "/", [":authority"] = "c" }, "", 30) end
    if count == 2 then ${endless["tonumber"]} end`);
  const waits = run(script);
  assert.equal(calls.length, 1);
  void run(script);
  assert.match(lines.join(""), /longer than 250 ms/);
  const request = testRequest();
  void run(script, request);
  assert.deepEqual(request.values("x-count"), ["1"]);
  answer.resolve({ status: 200, headers: [], body: Buffer.alloc(0) });
  await waits;
  assert.match(lines.join(""), /the script began again, and lost its globals and its waiting runs/);
});

const memory: readonly (readonly [title: string, body: string, message: RegExp])[] = [
  [
    "tables that contain each other",
    `local t = { 1, 1 } for i = 1, 30 do t = { t, t } end h:streamInfo():dynamicMetadata():set("a", "b", t)`,
    /the tables have more than 100000 entries/,
  ],
  [
    "a list with one long text many times",
    `local s = ("a"):rep(1e6) local t = {} for i = 1, 1e4 do t[i] = s end h:respond({ [":status"] = "200", x = t })`,
    /more than 64 MiB of text/,
  ],
  [
    "metadata without an end",
    `local s = ("a"):rep(1e5) for i = 1, 1e9 do h:streamInfo():dynamicMetadata():set("a", "b" .. i, s) end`,
    /may write 1048576 characters of headers and metadata/,
  ],
  [
    "headers without an end",
    `local s = ("a"):rep(1e5) for i = 1, 1e9 do h:headers():add("a" .. i, s) end`,
    /may write 1048576 characters of headers and metadata/,
  ],
  ["a format of a date with millions of fields", 'os.date(("%c"):rep(1e6))', /a format of a date may have/],
  [
    "a long body",
    `h:httpCall("c", { [":method"] = "POST", [":path"] = "/", [":authority"] = "c" }, ("a"):rep(1e5):rep(90), 30)`,
    /a body may have at most 8388608 bytes/,
  ],
];

for (const [title, body, expected] of memory)
  test(`a script cannot fill the proxy's memory by ${title}`, () => {
    const { message, cpuMs } = failureOf(body);
    assert.match(message, expected);
    assert.ok(cpuMs < maxCpuMs, `took ${cpuMs} ms`);
  });

test("a script may have a bounded number of unanswered calls for which it does not wait", () => {
  const { lines, calls, run, scriptOf } = harness();
  const script = scriptOf(`
    local headers = { [":method"] = "GET", [":path"] = "/", [":authority"] = "c" }
    for i = 1, 700 do h:httpCall("c", headers, "", 0, true) end`);
  void run(script);
  assert.equal(lines.length, 0);
  void run(script);
  assert.equal(calls.length, 1024);
  assert.match(lines.join(""), /at most 1024 asynchronous http calls/);
});

test("many scripts with large memories end each other, and a small one keeps its globals", () => {
  const { lines, run, scriptOf } = harness();
  const globals = (name: string): string => `
    if x == nil then x = 0 end
    x = x + 1
    h:headers():add("x-${name}", tostring(x))`;
  const small = scriptOf(globals("small"));
  void run(small);
  const large = Array.from({ length: 12 }, (_, index) =>
    scriptOf(`${globals("large")}
      if t == nil then
        t = {}
        local s = ("a"):rep(1e5)
        for i = 1, 30 do t[i] = s:rep(8) .. i .. ${index} end
      end`),
  );
  const before = process.memoryUsage.rss();
  for (const script of large) void run(script);
  assert.equal(lines.length, 0);
  const [first, last, kept] = [testRequest(), testRequest(), testRequest()];
  void run(small, kept);
  void run(large[11] as LuaScript, last);
  void run(large[0] as LuaScript, first);
  assert.deepEqual([kept.values("x-small"), last.values("x-large")], [["2"], ["2"]]);
  assert.deepEqual(first.values("x-large"), ["1"], "the first one ended for the last one");
  assert.ok(process.memoryUsage.rss() - before < 700 * 1024 * 1024);
});
