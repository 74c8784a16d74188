import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync, appendFileSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { CaseRecord, choosesFunction, patternFor } from "./case-record.ts";
import { chosenSuites, exclusions, folderOf, suites } from "./suites.ts";
import { parseMesh } from "./mesh-under-test.ts";
import { comparisonTable, reasonOf, suiteTable, totalsOf } from "./suite-table.ts";
import { TestOutput, type Verdict } from "./test-output.ts";

const at = "2026-01-01T00:00:00.000Z";

function recordOf(t: TestContext, verdicts: Readonly<Record<string, Verdict>>): CaseRecord {
  const directory = mkdtempSync(join(tmpdir(), "suite-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const record = new CaseRecord(join(directory, "below/record.jsonl"));
  for (const [name, verdict] of Object.entries(verdicts))
    record.add({
      test: name,
      verdict,
      seconds: 1,
      at,
      ...(verdict === "failed" ? { why: "first\nerror: no route\nlast" } : {}),
    });
  return record;
}

test("the output of a Go test is read event by event, however it is split", () => {
  const text = [
    "2026 info installing",
    "\u0016=== RUN   TestA",
    "\u0016=== RUN   TestA/b=c/d.e",
    "    a_test.go:7: a line",
    "cut off\u0016--- PASS: TestA/b=c/d.e (0.25s)",
    "\u0016=== NAME  TestA",
    "after",
    "\u0016--- FAIL: TestA (12.00s)",
    "\u0016=== NAME  ",
    "FAIL",
  ].join("\n");
  const wanted = [
    "line :2026 info installing",
    "run TestA",
    "run TestA/b=c/d.e",
    "line TestA/b=c/d.e:    a_test.go:7: a line",
    "line TestA/b=c/d.e:cut off",
    "passed TestA/b=c/d.e 0.25",
    "line TestA:after",
    "failed TestA 12",
    "line :FAIL",
  ];
  for (const size of [1, 7, text.length]) {
    const output = new TestOutput();
    const events = [];
    for (let from = 0; from < text.length; from += size) events.push(...output.feed(text.slice(from, from + size)));
    events.push(...output.end());
    assert.deepEqual(
      events.map((event) => {
        if (event.kind === "line") return `line ${event.test}:${event.text}`;
        return event.kind === "run" ? `run ${event.test}` : `${event.verdict} ${event.test} ${String(event.seconds)}`;
      }),
      wanted,
      `in pieces of ${String(size)}`,
    );
  }
});

test("cases are the tests without subtests, and those that failed by themselves", (t) => {
  const record = recordOf(t, {
    "TestA/one": "passed",
    "TestA/two": "failed",
    TestA: "failed",
    "TestB/one": "passed",
    TestB: "failed",
    TestC: "skipped",
    "TestD/one/deep": "passed",
  });
  assert.deepEqual(
    record.cases().map(({ test: name }) => name),
    ["TestA/one", "TestA/two", "TestB/one", "TestB", "TestC", "TestD/one/deep"],
  );
  assert.deepEqual(record.counts(), { cases: 6, passed: 3, failed: 2, skipped: 1 });
  // A resumed run leaves these out. Tests below one that has ended are left out with it.
  assert.deepEqual(record.ended(), ["TestA", "TestB", "TestC", "TestD/one/deep"]);
});

test("a group whose cases are all filtered out by upstream is no case", (t) => {
  const record = recordOf(t, { "TestA/to_b": "passed" });
  const why = "    run.go:90: cases from naked in primary-0 with b as destination are removed by filters ";
  record.add({ test: "TestA/to_c", verdict: "skipped", seconds: 0, at, why });
  assert.deepEqual(record.counts(), { cases: 1, passed: 1, failed: 0, skipped: 0 });
  assert.deepEqual(record.ended(), ["TestA/to_b", "TestA/to_c"]);
});

test("a record survives a restart without a truncated line, and forgets tests that run again", (t) => {
  const directory = mkdtempSync(join(tmpdir(), "suite-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const file = join(directory, "record.jsonl");
  const line = (name: string, verdict: Verdict): string =>
    `${JSON.stringify({ test: name, verdict, seconds: 1, at })}\n`;
  writeFileSync(file, line("TestA", "failed") + line("TestA", "passed") + line("TestB", "failed"));
  appendFileSync(file, '{"test":"TestC"');
  const record = new CaseRecord(file);
  record.load();
  assert.deepEqual(record.counts(), { cases: 2, passed: 1, failed: 1, skipped: 0 });
  record.forget((name) => name === "TestB");
  assert.equal(readFileSync(file, "utf8"), line("TestA", "passed"));
});

test("a pattern matches only its tests", () => {
  assert.equal(patternFor(["TestA/a.b[c]/d", "TestB"]), "^TestA$/^a\\.b\\[c\\]$/^d$|^TestB$");
});

test("a pattern chooses functions as Go reads it", () => {
  const chosen = (pattern: string): string[] =>
    ["TestA", "TestAB", "TestC"].filter((name) => choosesFunction(pattern, name));
  assert.deepEqual(chosen("^(TestA|TestC)$"), ["TestA", "TestC"]);
  assert.deepEqual(chosen("^TestA$/^one|two$|TestC/(three|four)"), ["TestA", "TestC"]);
  assert.deepEqual(chosen("Test[A|/]$|^\\(TestC"), ["TestA"]);
  assert.deepEqual(chosen("A"), ["TestA", "TestAB"]);
});

test("suites are chosen by group or by name", () => {
  assert.deepEqual(chosenSuites("").length, suites.length);
  assert.deepEqual(
    chosenSuites("telemetry.policy,helm.main").map(({ name }) => name),
    ["telemetry.policy.main", "telemetry.policy.dynamicdns", "helm.main"],
  );
  assert.throws(() => chosenSuites("pilots"), /there is no suite "pilots"; expected one of pilot\.main,/);
  assert.equal(folderOf({ name: "telemetry.policy.main" }), "telemetry/policy");
  const names = suites.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  for (const { suite, tests } of exclusions)
    assert.equal(names.includes(suite), tests !== undefined, `${suite} is excluded as a whole, or runs`);
});

test("the table has a line for each suite, and each failed case with its reason", (t) => {
  const outcomes = [
    { suite: "pilot.cni", record: recordOf(t, { "TestA/one": "failed", TestA: "failed", TestB: "passed" }) },
    { suite: "helm.main", record: recordOf(t, {}) },
  ];
  assert.deepEqual(suiteTable(outcomes).split("\n"), [
    "suite                                   cases   passed   failed  skipped",
    "pilot.cni                                   2        1        1        0",
    "",
    "pilot.cni TestA/one",
    "    error: no route",
    "",
  ]);
  assert.equal(reasonOf({ test: "TestA", verdict: "failed", seconds: 1, at, why: "one\n two" }), "two");
  assert.deepEqual(totalsOf(outcomes, false), { suites: 1, cases: 2, passed: 1, failed: 1, skipped: 0, excluded: 0 });
  const { cases, excluded } = totalsOf(outcomes, true);
  assert.ok(excluded > 0);
  assert.equal(cases, 2 + excluded);
});

test("the cases of both meshes stand side by side, with those whose verdicts differ", (t) => {
  const serin = recordOf(t, { "TestA/x": "passed", "TestA/y": "failed", "TestA/z": "failed", TestB: "passed" });
  const upstream = recordOf(t, { "TestA/x": "passed", "TestA/y": "failed", "TestA/z": "passed", TestC: "failed" });
  const table = comparisonTable([{ suite: "pilot.main", record: serin }], [{ suite: "pilot.main", record: upstream }]);
  assert.match(table, /^pilot\.main\s+3\s+2\s+1\s+1$/m);
  assert.match(table, /pilot\.main TestA\/z\n {4}Serin failed, upstream passed: error: no route/);
  assert.doesNotMatch(table, /TestA\/[xy]\n/);
});

test("there is no comparison before both meshes ran", (t) => {
  const record = recordOf(t, { TestA: "passed" });
  assert.equal(comparisonTable([{ suite: "pilot.main", record }], []), "");
});

test("an unknown mesh is refused with the known ones", () => {
  assert.throws(() => parseMesh("linkerd"), /--mesh linkerd: expected serin or upstream/);
});
