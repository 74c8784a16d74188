import assert from "node:assert/strict";
import { test } from "node:test";
import { followLog, foundNote, levelOf, logNote, maxFinds, maxLogLines, splitFinds, splitLog } from "./log-lines.ts";

test("lines keep their numbers when more arrive", () => {
  const first = followLog(undefined, ["a", "b", "c"]);
  const second = followLog(first, ["b", "c", "d", "e"]);
  assert.deepEqual(second, { first: 1, lines: ["a", "b", "c", "d", "e"] });
  assert.equal(followLog(second, ["d", "e"]), second);
});

test("repeated lines are not mistaken for the overlap", () => {
  const before = followLog(undefined, ["x", "x", "y", "x", "x"]);
  assert.deepEqual(followLog(before, ["x", "x", "z"]).lines, ["x", "x", "y", "x", "x", "z"]);
});

test("a restarted log continues with higher numbers", () => {
  assert.deepEqual(followLog({ first: 5, lines: ["a", "b"] }, ["n", "m"]), { first: 7, lines: ["n", "m"] });
});

test("the oldest lines are dropped above the limit", () => {
  const many = Array.from({ length: maxLogLines + 10 }, (_unused, index) => `line ${index}`);
  const { first, lines } = followLog(undefined, many);
  assert.deepEqual([first, lines.length, lines[0]], [11, maxLogLines, "line 10"]);
});

test("colours of terminals are left out of lines, and characters that nobody sees are named", () => {
  assert.deepEqual(splitLog("\u001B[1;31merror\u001B[0m\r\nb\u202Ec\u001B]0;t\u0007\n"), [
    "error",
    "b⟨U+202E⟩c⟨U+001B⟩]0;t⟨U+0007⟩",
  ]);
});

test("a final line break is no line, and an empty line is one", () => {
  assert.deepEqual(splitLog("a\n\nb\n"), ["a", "", "b"]);
});

test("a level is recognized at the beginning of a line", () => {
  assert.deepEqual(['{"level":"error"}', "2026-01-01T00:00:00Z warn xds", "GET /terrors 200"].map(levelOf), [
    "error",
    "warn",
    "plain",
  ]);
});

test("matches alternate with other text, in any case", () => {
  assert.deepEqual(splitFinds("an Error, an error", "error"), ["an ", "Error", ", an ", "error", ""]);
  assert.deepEqual(splitFinds("abc", ""), ["abc"]);
});

test("the note above a log counts its lines, and says that earlier ones are missing", () => {
  assert.equal(logNote(1, false), "1 line");
  assert.match(logNote(5000, true), /^5,000 lines; .*left out$/);
});

test("the note above search results says how many of them are shown", () => {
  assert.equal(foundNote({ found: 2, lines: 1200, search: "a" }), "2 lines of 1,200 with “a”");
  assert.match(foundNote({ found: maxFinds + 1, lines: 5000, search: "a" }), /, the last 1,000 are shown$/);
  assert.doesNotMatch(foundNote({ found: maxFinds, lines: 5000, search: "a" }), /are shown/);
});

test("a long run of carriage returns within a line takes no longer than other text", () => {
  assert.deepEqual(splitLog("a\r\r\nb"), ["a", "b"]);
  const before = process.cpuUsage();
  splitLog(`${"\r".repeat(200_000)}x\n`);
  const { user, system } = process.cpuUsage(before);
  // A search from every character of the run would take more than ten seconds.
  assert.ok(user + system < 3_000_000, `${user + system} µs`);
});
