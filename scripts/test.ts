// Runs the house checks and the whole test suite, group by group, and ends with `N passed, N failed`. See
// docs/testing.md.
// `npm test -- --help` lists the options. The group interop runs only with `--only interop`, because it drives other
// projects' programs, which scripts/fetch/*.sh download.
// With CI=true a skipped case counts as failed.
// A failed file runs a second time, alone, and the second result applies. The run reports it as unsteady, and keeps the
// first failure's output.
// --once skips the second run, to find such files.
// No process and no file of a test stays behind, whatever ends this process.
import { readFileSync } from "node:fs";
import { availableParallelism, loadavg, totalmem } from "node:os";
import { join } from "node:path";
import type { FileCounts } from "./suite/count-reporter.ts";
import { oneBundle } from "./lab/one-bundle.ts";
import { batchesOf, needsOwnProcess, runInTurns, type Batch } from "./suite/batches.ts";
import { runChecks, type ChecksRun } from "./suite/checks.ts";
import { readDurations, recordDurations } from "./suite/durations.ts";
import { chosenFiles, filesOf, groups, type Group } from "./suite/groups.ts";
import { parseOptions, usage, type Options } from "./suite/options.ts";
import { planOfChange } from "./suite/plan-of-change.ts";
import { planOfSmoke } from "./suite/plan-of-smoke.ts";
import { pruneTestsCompileCache, runFiles, unavailable, type FilesRun } from "./suite/run-files.ts";
import { endAllRuns, patienceOf } from "./suite/run-session.ts";
import { GroupLimit, runAgain } from "./suite/second-runs.ts";
import { UsageError } from "./suite/usage-error.ts";
import { groupsBeside, isIdle, isPatient, needsWholeMachine, turnOfPatient } from "./suite/whole-machine.ts";

interface Counts {
  passed: number;
  failed: number;
  skipped: string[];
}

const groupTimeoutMs: Readonly<Record<Group, number>> = {
  unit: 900_000,
  netns: 600_000,
  e2e: 4_200_000,
  interop: 5_400_000,
};
/**
 * The maximum number of processes or labs that run side by side. It is also never more than the machine's cores. One
 * lab seldom keeps two cores busy. Unit files have one lane more.
 */
const maxLanes: Readonly<Record<Group, number>> = { unit: 4, netns: 2, e2e: 2, interop: 1 };
/**
 * The number of lanes of unit files beyond the number of cores. Their processes wait for a third of their time, in
 * which this lane uses the processor. Durations are recorded without it.
 */
const extraUnitLanes = 1;
/** The memory of the largest lab. A machine that has less for each lane runs fewer lanes. */
const labBytes = 5 * 2 ** 30;
/** The assumed duration of a file without a record. A quick file has none (`shortestMs` in `suite/durations.ts`). */
const unknownMs: Readonly<Record<Group, number>> = { unit: 100, netns: 2_000, e2e: 60_000, interop: 60_000 };
/** The time limit of files that share a process. After it, each file runs again in its own process. */
const sharedTimeoutMs = 600_000;
/**
 * The maximum number of failed files that run a second time. With more, the failures are no coincidence, and none runs
 * again.
 */
const maxSecondRuns = 4;
const root = join(import.meta.dirname, "..");
const measuredMs: Record<string, number> = {};

interface GroupRun {
  readonly group: Group;
  readonly files: readonly string[];
  readonly secondRuns: boolean;
  readonly wrapped: boolean;
  readonly lanes: number | undefined;
  readonly records: boolean;
  /** Whether the group runs at the lowest priority, beside another group. */
  readonly beside: boolean;
  /** Resolves when everything that runs beside this group has ended. */
  readonly besideEnded?: Promise<void>;
  /** Called when a lane of the group has nothing left to do, while other lanes may still run. */
  readonly onFreeLane?: () => void;
}

interface FirstRuns {
  /** Whether some files have failed and will run a second time. */
  readonly runsAgain: boolean;
  /** Runs the failed files a second time, alone, and returns the counts of the group. */
  readonly end: () => Promise<Counts>;
}

/** Runs each file of the group once. */
async function runGroup(options: GroupRun): Promise<FirstRuns> {
  const { group, files, secondRuns, wrapped, lanes: wantedLanes, records, beside, besideEnded, onFreeLane } = options;
  // A group that runs beside another group may have to wait until that group has ended, so its time limits are longer.
  const patience = patienceOf(beside);
  const limit = new GroupLimit(patience * groupTimeoutMs[group], () => performance.now());
  // The bundle stays valid, because a run of the tests changes no sources.
  const needsBundle = group === "e2e" || (group !== "interop" && files.some(startsFromBundle));
  const environment = needsBundle ? oneBundle() : {};
  const run = async (some: readonly string[], shared: boolean, yields = false): Promise<FilesRun> => {
    const sharedMs = shared ? patience * sharedTimeoutMs : Infinity;
    const timeoutMs = Math.min(limit.leftMs, sharedMs);
    return await runFiles({ group, files: some, shared, timeoutMs, wrapped, environment, yields });
  };
  const shares = (file: string): boolean =>
    group === "unit" && !needsOwnProcess(file, readFileSync(join(root, file), "utf8"));
  const lanes = wantedLanes ?? lanesOf(group) + (group === "unit" && !records ? extraUnitLanes : 0);
  const batches = batchesOf(files, { shares, durations: readDurations(), unknownMs: unknownMs[group], lanes });
  const alone = batches.filter((batch) => batch.files.some(needsWholeMachine));
  // Batches with a low priority take longer than usual, so their durations must not be recorded.
  const patient = batches
    .filter((batch) => !records && batch.files.every(isPatient))
    .toSorted((a, b) => turnOfPatient(a.files[0] ?? "") - turnOfPatient(b.files[0] ?? ""));
  const idle = batches.filter((batch) => batch.files.every(isIdle));
  const others = batches.filter((batch) => ![alone, patient, idle].some((some) => some.includes(batch)));
  const roomBesideLanes = Math.floor(totalmem() / labBytes) - lanes;
  const ending = besideEnded === undefined ? {} : { besideEnded };
  const free = onFreeLane === undefined ? {} : { onFreeLane };
  const turns = { alone, patient, idle, others, roomBesideLanes, ...ending, ...free };
  const runs = await runInTurns(turns, lanes, (batch, yields) => run(batch.files, batch.shared, yields || beside));
  const counts = new Map(runs.flatMap(({ counts: ofBatch }) => [...ofBatch]));
  const lost = await runLost(batches, counts, async (some) => {
    limit.beginAnew();
    return await run(some, false, beside);
  });
  const failed = files.filter((file) => (counts.get(file)?.failed ?? 1) > 0);
  const runsAgain = secondRuns && failed.length > 0 && failed.length <= maxSecondRuns;
  const end = async (): Promise<Counts> => {
    if (runsAgain) await runAgain(failed, counts, limit, async (file) => (await run([file], false)).counts.get(file));
    const total = sum(files, counts);
    const wrong = failed.length === 0 && !lost ? runs.find(({ ended }) => ended !== "0") : undefined;
    if (wrong !== undefined) {
      process.stdout.write(`${group}: the test run itself failed: ${wrong.ended}\n`);
      total.failed += 1;
    }
    return total;
  };
  return { runsAgain, end };
}

/**
 * Whether the test starts the program, or so many worker threads of a data plane that a bundle saves time even if it
 * must be made first.
 */
function startsFromBundle(file: string): boolean {
  return (
    /^src\/(?:proxy|ztunnel)\/workers\//.test(file) || readFileSync(join(root, file), "utf8").includes('bin/serin"')
  );
}

function lanesOf(group: Group): number {
  const room = group === "unit" ? Infinity : Math.max(1, Math.floor(totalmem() / labBytes));
  return Math.min(maxLanes[group], availableParallelism(), room);
}

/**
 * Runs the files again that did not end because their shared process ended early. Each runs in its own process, because
 * one of them may have ended the shared one. Returns whether there were any.
 */
async function runLost(
  batches: readonly Batch[],
  counts: Map<string, FileCounts>,
  run: (files: readonly string[]) => Promise<FilesRun>,
): Promise<boolean> {
  const lost = batches.filter(({ shared }) => shared).flatMap(({ files }) => files.filter((file) => !counts.has(file)));
  if (lost.length === 0) return false;
  process.stdout.write(`their process did not end well, so each runs again in its own: ${lost.join(" ")}\n`);
  for (const [file, again] of (await run(lost)).counts) counts.set(file, again);
  return true;
}

function sum(files: readonly string[], counts: ReadonlyMap<string, FileCounts>): Counts {
  const total: Counts = { passed: 0, failed: 0, skipped: [] };
  for (const file of files) {
    const ofFile = counts.get(file);
    if (ofFile === undefined) process.stdout.write(`FAILED  ${file}: it did not end\n`);
    else measuredMs[file] = ofFile.durationMs;
    total.passed += ofFile?.passed ?? 0;
    total.failed += ofFile?.failed ?? 1;
    total.skipped.push(...(ofFile?.skipped ?? []));
  }
  return total;
}

interface Plan {
  readonly files: Map<Group, readonly string[]>;
  /** What to check after a change. Absent if the run does not depend on a change. */
  readonly change?: ChecksRun["change"];
}

function plan(options: Options): Plan {
  const chosen = groups.filter((group) =>
    options.group === undefined ? group !== "interop" : group === options.group,
  );
  const files = chosenFiles(new Map(chosen.map((group) => [group, filesOf(root, group)])), options.files);
  if (options.smoke) return { files: planOfSmoke(root, files, readDurations()) };
  if (options.changed === undefined) return { files };
  const { tests, ...change } = planOfChange(root, files, options.changed.since, options.group);
  return { files: tests, change };
}

async function runAll({ files, change }: Plan, checks: boolean, { once, lanes, record }: Options): Promise<Counts> {
  const total: Counts = { passed: 0, failed: 0, skipped: [] };
  const check = async (yields: boolean): Promise<void> => {
    const beginMs = performance.now();
    const { passed, failed } = await runChecks({ yields, change });
    process.stdout.write(`check: ${passed} passed, ${failed} failed, ${secondsSince(beginMs)}\n`);
    total.passed += passed;
    total.failed += failed;
  };
  /** Runs the failed files again, for each group beside the end-to-end group. Called after the end-to-end group. */
  const unended: (() => Promise<void>)[] = [];
  const run = async (
    group: Group,
    beside: boolean,
    events: Pick<GroupRun, "besideEnded" | "onFreeLane"> = {},
  ): Promise<void> => {
    const ofGroup = files.get(group) ?? [];
    if (ofGroup.length === 0) return;
    const reason = unavailable(group);
    if (reason !== undefined && group !== "unit") {
      total.skipped.push(`${group}: ${ofGroup.length} files (${reason})`);
      return;
    }
    process.stdout.write(`\n${group}: ${ofGroup.length} files${beside ? ", beside the next group" : ""}\n`);
    const beginMs = performance.now();
    const wrapped = reason === undefined;
    const { runsAgain, end } = await runGroup({
      group,
      files: ofGroup,
      secondRuns: !once,
      wrapped,
      lanes,
      records: record,
      beside,
      ...events,
    });
    const report = async (): Promise<void> => {
      const counts = await end();
      process.stdout.write(`${group}: ${counts.passed} passed, ${counts.failed} failed, ${secondsSince(beginMs)}\n`);
      total.passed += counts.passed;
      total.failed += counts.failed;
      total.skipped.push(...counts.skipped);
    };
    if (beside && runsAgain) unended.push(report);
    else await report();
  };
  // Batches with a low priority take longer than usual, so their durations must not be recorded.
  const beside = record ? [] : groupsBeside(files.get("e2e") ?? [], lanes ?? lanesOf("e2e"));
  const checksBeside = checks && beside.length > 0;
  if (checks && !checksBeside) await check(false);
  const runBeside = async (): Promise<void> => {
    if (checksBeside) await check(true);
    // A group begins as soon as a lane of the one before is free, because the last files of a group use few lanes.
    const runs: Promise<void>[] = [];
    for (const group of beside) {
      const freeLane = Promise.withResolvers<void>();
      runs.push(run(group, true, { onFreeLane: freeLane.resolve }).finally(freeLane.resolve));
      await freeLane.promise;
    }
    await Promise.all(runs);
  };
  const ranBeside = runBeside();
  for (const group of files.keys()) if (!beside.includes(group)) await run(group, false, { besideEnded: ranBeside });
  await ranBeside;
  for (const report of unended) await report();
  return total;
}

function secondsSince(beginMs: number): string {
  return `${((performance.now() - beginMs) / 1000).toFixed(1)} s`;
}

/** Returns the machine's load: processes that ran or waited for a core, averaged over the last minute. */
function load(): string {
  return (loadavg()[0] ?? 0).toFixed(1);
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(usage);
    return;
  }
  const planned = plan(options);
  const { files } = planned;
  if (options.list) {
    for (const file of [...files.values()].flat()) process.stdout.write(`${file}\n`);
    return;
  }
  const [beginMs, beginLoad] = [performance.now(), load()];
  const checks = options.files.length === 0 && (options.group === undefined || options.group === "check");
  const total = await runAll(planned, checks, options);
  if (options.record)
    recordDurations(
      readDurations(),
      measuredMs,
      groups.flatMap((group) => filesOf(root, group)),
    );
  if (options.files.length === 0) pruneTestsCompileCache();
  for (const skipped of total.skipped) process.stdout.write(`not run: ${skipped}\n`);
  if (process.env["CI"] === "true") total.failed += total.skipped.length;
  // It is no failure if a change touches no test.
  const nothingChosen = options.changed !== undefined && !checks && [...files.values()].flat().length === 0;
  if (nothingChosen) process.stdout.write("no test file can be touched by this change: nothing ran\n");
  process.stdout.write(
    `${secondsSince(beginMs)} on ${availableParallelism()} cores; load ${beginLoad} at the begin, ${load()} at the end\n`,
  );
  process.stdout.write(`${total.passed} passed, ${total.failed} failed\n`);
  process.exitCode = total.failed === 0 && (total.passed > 0 || nothingChosen) ? 0 : 1;
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    endAllRuns();
    process.exit(1);
  });
}
try {
  await main();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
