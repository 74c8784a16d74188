import assert from "node:assert/strict";
import { test } from "node:test";
import { array, assert as holds, constantFrom, property, string, tuple } from "fast-check";
import { systemClock, type Clock } from "../../../base/index.ts";
import { HandClock } from "../../../base/testing/index.ts";
import { defaultLuaLimits, LuaInterpreter } from "./lua-interpreter.ts";
import { longestQuickText, LuaPattern, PatternError } from "./lua-pattern.ts";
import { textOf, type LuaValue } from "./lua-value.ts";

const patient = { ...defaultLuaLimits, maxRunMs: 60_000 };

/** Runs a script. Returns what it gave to `print`, or the message of its failure. */
function printed(source: string, clock: Clock = systemClock, limits = patient): string[] {
  const lines: string[] = [];
  const answer = (operation: string, given: readonly LuaValue[]): readonly LuaValue[] => {
    if (operation === "print") lines.push(textOf(given[0]));
    return operation === "clock" ? [0] : [];
  };
  const script = `function envoy_on_request()\n${source}\nend`;
  const progress = new LuaInterpreter(script, { answer }, clock, limits).start("request", 1).go();
  if (progress.kind === "failed") lines.push(progress.message);
  return lines;
}

const literal = (text: string): string =>
  `"${Array.from(Buffer.from(text, "latin1"), (byte) => `\\${String(byte).padStart(3, "0")}`).join("")}"`;

function searched(text: string, pattern: string): string {
  const memory = Buffer.from(`\0${text}\0${pattern}\0`, "latin1");
  const to = 1 + text.length;
  try {
    const both = { memory, from: 1, to, patternFrom: to + 1, patternTo: memory.length - 1 };
    const found = new LuaPattern(both, () => undefined).search(1, true);
    if (found === undefined) return "nil";
    const captures = found.captures.map((capture) =>
      typeof capture === "number" ? capture : memory.toString("latin1", capture.from, capture.to),
    );
    return [found.from, found.to - 1, ...captures].join(" ");
  } catch (error) {
    assert.ok(error instanceof PatternError);
    return error.message;
  }
}

test("patterns match as those of the interpreter's own functions do, and are refused with the same messages", () => {
  const piece = constantFrom(
    ..."a b . %a %A %d %s %S %w %p %z %% %. %1 %2 %b() %bab %f[%w] %f [ab] [^a] [a-c] [%d_] [] []a] [ ( ) () ^ $ * + - ? \0 %".split(
      " ",
    ),
  );
  const text = string({ unit: constantFrom(...Array.from("aab  c1_(.)\0\u00e4")), maxLength: 12 });
  const pattern = array(piece, { maxLength: 6 }).map((pieces) => pieces.join(""));
  holds(
    property(array(tuple(text, pattern), { minLength: 30, maxLength: 30 }), (pairs) => {
      const lines = printed(
        `local function show(ok, ...)
           local parts = {}
           for i = 1, select("#", ...) do parts[i] = tostring((select(i, ...))) end
           print((table.concat(parts, " "):gsub("^%a+:%d+: ", "")))
         end
         ${pairs.map(([s, p]) => `show(pcall(string.find, ${literal(s)}, ${literal(p)}))`).join("\n")}`,
      );
      assert.deepEqual(
        lines.map((line, index) => [...(pairs[index] ?? []), line]),
        pairs.map(([s, p]) => [s, p, plainOr(s, p)]),
      );
    }),
    { numRuns: 40 },
  );
});

/** string.find treats a pattern as plain text if no character before a zero byte is special. */
function plainOr(text: string, pattern: string): string {
  if (/^[^\0]*[$^*+?.([%-]/.test(pattern)) return searched(text, pattern);
  const at = text.indexOf(pattern);
  return at < 0 ? "nil" : `${at + 1} ${at + pattern.length}`;
}

test("functions for patterns give the same results for texts of any length", () => {
  const count = 3000;
  const lines = printed(
    `
    local s = string.rep("ab12  ", ${count})
    print(s:find("(%d+)(%s+)(%a+)x-b"))
    print(s:find("b(%d-)(%s-)a", -15))
    print(s:match("(%d+)(%s+)(%a+)"))
    print(s:match("%d+%s+%a+1"))
    print(s:match("()%d+()%s+a"))
    print(s:match("z.*y.*z") == nil, s:find("z.*y.*z") == nil)
    local n = 0
    for letters, digits in s:gmatch("(%a+)x*(%d+)%s*") do
      assert(letters == "ab" and digits == "12")
      n = n + 1
    end
    print(n)
    n = 0
    for _ in s:gmatch("x*y*z*") do n = n + 1 end
    print(n == #s + 1)
    local swapped, c = s:gsub("(%a+)x*(%d+)(%s*)", "%2%1%%%0,%3")
    print(swapped == string.rep("12ab%ab12  ,  ", ${count}), c)
    print(select(2, s:gsub("(%a+)x*(%d+)(%s*)", "", 7)))
    print((s:gsub("(%a+)x*(%d+)(%s*)", { ab = "T" })) == string.rep("T", ${count}))
    print((s:gsub("%a+x*%d+%s*", function(all) return all == "ab12  " and 1 or nil end)) == string.rep("1", ${count}))
    print((s:gsub("^(%a+)x*(%d+)(%s*)", "")) == string.rep("ab12  ", ${count} - 1))
    print((s:gsub("x*y*z*", "-")) == s:gsub(".", "-%0") .. "-")
    print(s:find(s, 1, true))
    print(s:find(s .. "q", 1, true), s:find(s:sub(1, -2) .. "q"))
    local ok, text = pcall(function() s = s:gsub("(%a+)x*(%d+)%s*", "%5") end)
    print(text)
    ok, text = pcall(function() s = s:find("(%a+x*%d+%s*") end)
    print(text)`,
  );
  assert.deepEqual(lines, [
    "3\t8\t12\t  \ta",
    "17990\t17995\t12\t  ",
    "12\t  \tab",
    "12  ab1",
    "3\t5",
    "true\ttrue",
    "3000",
    "true",
    "true\t3000",
    "7",
    "true",
    "true",
    "true",
    "true",
    "1\t18000",
    "nil\tnil",
    "script:28: invalid capture index",
    "script:30: unfinished capture",
  ]);
});

test("a text that is searched by counted steps has the results of a short one in every detail", () => {
  const lines = printed(`
    local function count(...) return select("#", ...) end
    local function results(...)
      local texts = {}
      for at = 1, select("#", ...) do texts[at] = tostring((select(at, ...))) end
      return (table.concat(texts, " "):gsub("%S+:%d+: ", ""):gsub("argument #%d to '%a+'", "argument"))
    end
    local function same(run)
      local short, long = results(pcall(run, "ab12  ")), results(pcall(run, string.rep("ab12  ", 3000)))
      print(short == long and "same" or short .. " and " .. long)
    end
    same(function(s) return tostring(s:match("z.*y.*z")), count(s:match("z.*y.*z")), count(s:find("z.*y.*z")) end)
    same(function(s) return count(s:gmatch("(z+)x*(y+)z*")()) end)
    same(function(s) return s:find("b.-1.-2", 1.9) end)
    same(function(s) return s:find("b.-1.-2", 0/0) end)
    same(function(s) return s:find("a.-b.-1", -#s - 5.5) end)
    same(function(s) return s:match("(%a+)x*(%d+)", "2") end)
    same(function(s) return s:match("(%a+)x*(%d+)", "x") end)
    same(function(s) return s:gsub("(%a+)x*(%d+)(%s*)", "<%", 1):sub(1, 2) end)
    same(function(s) return select(2, (s .. s):gsub("(%a+)x*(%d+)(%s*)", "", 1.5)) end)`);
  assert.deepEqual(lines, Array(9).fill("same"));
});

test("a pattern whose time grows with a power of the text's length is interrupted", () => {
  /** A clock that jumps each time it is read. */
  class FastClock extends HandClock {
    override steadyMs(): number {
      this.pass(100);
      return super.steadyMs();
    }
  }
  const text = `local s = string.rep("a", 20000)`;
  for (const call of [
    `s:find("a-a-a-a-b")`,
    `s:match(".-.-.-b")`,
    `for _ in s:gmatch("a*a*a*b") do end`,
    `for _ in string.gfind(s, "a*a*a*b") do end`,
    `s:gsub("a+a+a+b", "")`,
    `s:find("(a*)%1%1b")`,
    `(s:rep(3)):find("%b()%b()%bab%bac")`.replace("s:rep(3)", `string.rep("(", 100000)`),
  ])
    assert.deepEqual(
      printed(
        `${text}\n${call.startsWith("for") ? call : `local _ = ${call}`}\nprint("went on")`,
        new FastClock(),
        defaultLuaLimits,
      ),
      ["the script ran longer than 250 ms without a pause"],
      call,
    );
});

test("the C functions serve as long as a pattern's repetitions can take little time", () => {
  const longest = (pattern: string): number => {
    const memory = Buffer.from(pattern);
    return Math.floor(longestQuickText(memory, 0, memory.length));
  };
  assert.equal(longest("^abc"), Infinity);
  assert.equal(longest("%s+"), 6_666_666);
  assert.equal(longest("(%w+)=(%w+)"), Math.floor((2e7 / 11) ** (1 / 2)));
  assert.equal(longest("^%s*(.-)%s*$"), Math.floor((2e7 / 12) ** (1 / 3)));
  assert.equal(longest("a?a?a?b"), Math.floor(2e7 / 7 / 8));
  assert.equal(longest("[^%]-]*x[a*]"), Math.floor((2e7 / 12) ** (1 / 2)));
  assert.equal(longest("%b()x"), Math.floor((2e7 / 5) ** (1 / 2)));
  assert.ok(longest("a?".repeat(1000)) < 1);
});
