// Runs Istio's own integration tests against the mesh in the lab, suite by suite.
//   npm run interop -- istio-suite
// Verdicts are kept in .cache/interop/istio-suite/results, so that an interrupted run can continue with --resume.
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { loadavg } from "node:os";
import { join } from "node:path";
import { spawnSync } from "node:child_process";
import { describeError } from "../src/base/index.ts";
import { ancestorsOf, CaseRecord, choosesFunction, patternFor } from "./istio-suite/case-record.ts";
import { attemptSuite, builds } from "./istio-suite/suite-attempt.ts";
import { chosenSuites, excludedTests, folderOf, suites, type Suite } from "./istio-suite/suites.ts";
import { parseMesh, resultsFolder, type MeshUnderTest } from "./istio-suite/mesh-under-test.ts";
import { comparisonTable, suiteTable, totalsOf, type SuiteOutcome } from "./istio-suite/suite-table.ts";
import { numberOption } from "./arguments/number-option.ts";
import { scriptArguments } from "./arguments/script-arguments.ts";

const minuteMs = 60_000;
const setUpName = "(set-up)";
/** The maximum number of attempts at a suite. A new one follows a test that hung, or a process that ended early. */
const maximalAttempts = 20;

const help = `npm run interop -- istio-suite [options]
  --only SUITES      the suites to run, separated by commas; pilot means all suites whose names begin with pilot
                     (default: all)
  --run REGEXP       run only the tests whose names match, as with go test -run
  --failed           run only the cases that failed in the record
  --resume           skip the cases that have a result in the record
  --minutes N        end the run after N minutes; --resume continues it
  --case-minutes N   how long one case may take (default: 5)
  --mesh MESH        serin, or upstream for Istio's control plane and ztunnel, which have their own record
  --workers N        the workers of each proxy and ztunnel; such runs have their own record
  --report           run nothing, and count the results in the records; if both meshes ran, compare them
  --json             print one JSON object as the last line
suites: ${suites.map(({ name }) => name).join(" ")}
`;

const { values: flags } = scriptArguments(
  { command: "npm run interop -- istio-suite", help },
  {
    only: { type: "string", default: "" },
    run: { type: "string" },
    failed: { type: "boolean", default: false },
    resume: { type: "boolean", default: false },
    minutes: { type: "string", default: "100000" },
    "case-minutes": { type: "string", default: "5" },
    mesh: { type: "string", default: "serin" },
    workers: { type: "string" },
    report: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
);

/** The value of `--workers`. It is one number, because the suites install a single revision. */
const wantedWorkers =
  flags.workers === undefined ? undefined : numberOption("--workers", flags.workers, { isWhole: true });
const limitMinutes = numberOption("--minutes", flags.minutes);
const caseMinutes = numberOption("--case-minutes", flags["case-minutes"]);

function note(text: string): void {
  process.stdout.write(`${new Date().toISOString().slice(11, 19)}  ${text}\n`);
}

/** Returns the test functions of a suite, read from its sources. */
function testsOf(suite: Suite): readonly string[] {
  const directory = join(builds, "source/tests/integration", folderOf(suite));
  return readdirSync(directory)
    .filter((file) => file.endsWith("_test.go"))
    .flatMap((file) => [
      ...readFileSync(join(directory, file), "utf8").matchAll(/^func (Test\w+)\(\w+ \*testing\.T\)/gm),
    ])
    .map(([, name = ""]) => name);
}

function isChosenFunction(name: string): boolean {
  return flags.run === undefined || choosesFunction(flags.run, name);
}

async function runSuite(suite: Suite, mesh: MeshUnderTest, record: CaseRecord, until: number): Promise<void> {
  const excluded = excludedTests(suite);
  const functions = testsOf(suite).filter((name) => isChosenFunction(name) && !excluded.includes(name));
  const again = flags.failed
    ? record
        .cases()
        .filter(({ verdict, test }) => verdict === "failed" && test !== setUpName)
        .map(({ test }) => test)
    : [];
  if (flags.failed && again.length === 0) return;
  // A parent of a failed case may have no verdict, because it did not end. It also gets none in this run, which repeats
  // only some of its cases.
  const unended = new Set(again.flatMap(ancestorsOf).filter((test) => !record.has(test)));
  if (!flags.resume) forgetChosen(record, again);
  for (let attempt = 1; attempt <= maximalAttempts; attempt++) {
    const left = functions.filter((name) => !record.has(name));
    if (left.length === 0 || performance.now() > until) return;
    const run = again.length > 0 ? patternFor(again) : (flags.run ?? patternFor(left));
    note(`${suite.name}: ${String(left.length)} test functions are left, load ${String(loadavg()[0]?.toFixed(1))}`);
    const { end, verdicts, outside } = await attemptSuite({
      suite,
      mesh,
      workers: wantedWorkers,
      record,
      run,
      skip: patternFor([...excluded, ...record.ended().filter((test) => test !== setUpName)]),
      caseDeadlineMs: caseMinutes * minuteMs,
      setUpDeadlineMs: 3 * caseMinutes * minuteMs,
      until,
      note,
    });
    if (end === "out-of-time") return;
    if (verdicts === 0) {
      // Istio skips some suites in a cluster like this one. Such a suite ends successfully without a test.
      const verdict = /Skipping suite/.test(outside) ? "skipped" : "failed";
      record.add({ test: setUpName, verdict, seconds: 0, at: new Date().toISOString(), why: outside });
      return;
    }
    record.forget((test) => test === setUpName || unended.has(test));
    if (flags.run !== undefined || flags.failed) return;
  }
}

function forgetChosen(record: CaseRecord, again: readonly string[]): void {
  if (flags.failed) {
    // Parent tests get a new verdict together with the cases below them.
    const isAbove = (test: string): boolean => again.some((name) => name === test || name.startsWith(`${test}/`));
    record.forget((test) => test === setUpName || isAbove(test));
  } else if (flags.run === undefined) record.forget(() => true);
  else record.forget((test) => test === setUpName || isChosenFunction(test.split("/")[0] ?? ""));
}

function recordFile(suite: Suite, mesh: MeshUnderTest): string {
  return join(builds, resultsFolder(mesh, wantedWorkers), `${suite.name}.jsonl`);
}

/** Returns the table of the cases that have run with both meshes. */
function besideUpstream(outcomes: readonly SuiteOutcome[], mesh: MeshUnderTest): string {
  const other = mesh === "serin" ? "upstream" : "serin";
  const others = suites.map((suite) => {
    const record = new CaseRecord(recordFile(suite, other));
    record.load();
    return { suite: suite.name, record };
  });
  return mesh === "serin" ? comparisonTable(outcomes, others) : comparisonTable(others, outcomes);
}

async function main(): Promise<number> {
  const mesh = parseMesh(flags.mesh);
  const chosen = chosenSuites(flags.only);
  const until = performance.now() + limitMinutes * minuteMs;
  const outcomes: SuiteOutcome[] = [];
  for (const suite of chosen) {
    const file = recordFile(suite, mesh);
    const record = new CaseRecord(file);
    record.load();
    // These tests may have verdicts from before they were excluded.
    for (const test of excludedTests(suite))
      if (record.has(test)) record.forget((name) => name === test || name.startsWith(`${test}/`));
    if (!flags.report) {
      const fetched = spawnSync(join(import.meta.dirname, "fetch/istio-suite.sh"), [suite.name], { stdio: "inherit" });
      if (fetched.status !== 0) throw new Error(`${suite.name} could not be built`);
      if (!flags.resume && flags.run === undefined && !flags.failed)
        rmSync(file.replace(/jsonl$/, "log"), { force: true });
      await runSuite(suite, mesh, record, until);
    }
    outcomes.push({ suite: suite.name, record });
  }
  process.stdout.write(suiteTable(outcomes) + besideUpstream(outcomes, mesh));
  const totals = totalsOf(outcomes, flags.only === "");
  process.stdout.write(flags.json ? `${JSON.stringify(totals)}\n` : "");
  return totals.failed === 0 ? 0 : 1;
}

process.exit(
  await main().catch((error: unknown) => {
    process.stderr.write(`${describeError(error)}\n`);
    return 1;
  }),
);
