// Runs the house checks and the whole test suite, group by group, and ends with `N passed, N failed`.
//   npm test [-- [--only check|unit|netns|e2e|interop] [--changed [REVISION]] [--list] [--once] [path/to/one.test.ts …]]
// --changed runs the checks and the tests that a change can touch (since the revision, or since the line parted from the main line).
// interop runs only when it is named: it drives other people's programs, which scripts/fetch-*.sh bring.
// With CI=true a case that was skipped counts as failed.
// A file that failed is run a second time, alone, and counts as it ends then; it is named as unsteady, and what failed stays printed.
// --once does without, to hunt for such files.
// Whatever ends this process, no process and no file of a test stays behind.
import { spawn, spawnSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { FileCounts } from "./count-reporter.ts";
import { labNamespaces, makeScratch, ownProcesses, withinNamespaces } from "./run-with-lab.ts";
import { filesOf, groups, type Group } from "./suite/groups.ts";
import { parseOptions, usage, type Options } from "./suite/options.ts";
import { planOfChange } from "./suite/plan-of-change.ts";

interface Counts {
  passed: number;
  failed: number;
  skipped: string[];
}

/** What a run of some files came to; those that did not end have no counts. */
interface FilesRun {
  readonly ended: string;
  readonly counts: Map<string, FileCounts>;
}

const groupTimeoutMs: Readonly<Record<Group, number>> = {
  unit: 900_000,
  netns: 600_000,
  e2e: 4_200_000,
  interop: 5_400_000,
};
/** Of one case: the walkthroughs are one each, and other people's programs take their time. */
const caseTimeoutMs: Readonly<Record<Group, number>> = {
  unit: 600_000,
  netns: 600_000,
  e2e: 600_000,
  interop: 1_800_000,
};
/** How long a group that is ended may take to put its things away. */
const graceMs = 10_000;
const maxUnitFilesAtOnce = 4;
/** With more failed files than this the failure is no chance, and none is run a second time. */
const maxSecondRuns = 4;
const root = join(import.meta.dirname, "..");

/**
 * unit: each lane has a network of its own, so that who looks for a server that is gone does not find another file's at its port.
 * netns: namespaces of their own, so that nothing they make can reach the host. e2e: a lab's daemons end with the test that made it.
 */
const ownNamespaces = ["unshare", "-Unmuipf", "-r", ...ownProcesses];
const namespacesOf: Readonly<Record<Group, readonly string[]>> = {
  unit: ownNamespaces,
  netns: ownNamespaces,
  e2e: labNamespaces,
  interop: labNamespaces,
};

function wrap(group: Group, command: readonly string[]): string[] {
  const own = group === "netns" ? "SERIN_OWN_NETWORK=1 " : "";
  return withinNamespaces(
    namespacesOf[group],
    command,
    namespacesOf[group] === ownNamespaces ? `ip link set lo up; ${own}exec "$0" "$@"` : undefined,
  );
}

async function runGroup(
  group: Group,
  files: readonly string[],
  secondRuns: boolean,
  wrapped: boolean,
): Promise<Counts> {
  const endsAtMs = performance.now() + groupTimeoutMs[group];
  const run = (some: readonly string[]): Promise<FilesRun> =>
    runFiles(group, some, Math.max(1, endsAtMs - performance.now()), wrapped);
  const lanes = group === "unit" ? Math.min(maxUnitFilesAtOnce, availableParallelism(), files.length) : 1;
  const runs = await Promise.all(
    Array.from({ length: lanes }, (_, lane) => run(files.filter((_file, index) => index % lanes === lane))),
  );
  const counts = new Map(runs.flatMap(({ counts: ofLane }) => [...ofLane]));
  const failed = files.filter((file) => (counts.get(file)?.failed ?? 1) > 0);
  if (secondRuns && failed.length <= maxSecondRuns) {
    for (const file of failed) {
      process.stdout.write(`a second time, alone: ${file}\n`);
      const again = (await run([file])).counts.get(file);
      if (again === undefined || again.failed > 0 || again.passed === 0) continue;
      counts.set(file, again);
      process.stdout.write(`unsteady: ${file}: it passed the second time\n`);
    }
  }
  const total: Counts = { passed: 0, failed: 0, skipped: [] };
  for (const file of files) {
    const ofFile = counts.get(file);
    if (ofFile === undefined) process.stdout.write(`FAILED  ${file}: it did not end\n`);
    total.passed += ofFile?.passed ?? 0;
    total.failed += ofFile?.failed ?? 1;
    total.skipped.push(...(ofFile?.skipped ?? []));
  }
  const wrong = failed.length === 0 ? runs.find(({ ended }) => ended !== "0") : undefined;
  if (wrong !== undefined) {
    process.stdout.write(`${group}: the test run itself failed: ${wrong.ended}\n`);
    total.failed += 1;
  }
  return total;
}

/** Runs files one after another. */
async function runFiles(
  group: Group,
  files: readonly string[],
  timeoutMs: number,
  wrapped: boolean,
): Promise<FilesRun> {
  const scratch = makeScratch();
  const report = join(scratch, "counts");
  const command = [
    process.execPath,
    "--disable-warning=ExperimentalWarning",
    "--test",
    "--test-concurrency=1",
    `--test-timeout=${caseTimeoutMs[group]}`,
    `--test-reporter=${join(root, "scripts/count-reporter.ts")}`,
    `--test-reporter-destination=${report}`,
    ...files,
  ];
  const putAway = (): void => rmSync(scratch, { recursive: true, force: true, maxRetries: 3 });
  const ended = await runToEnd(
    wrapped ? wrap(group, command) : command,
    { ...process.env, TMPDIR: scratch },
    timeoutMs,
    putAway,
  );
  const counts = new Map(
    readLines(report).map((line): [string, FileCounts] => {
      const ofFile = JSON.parse(line) as FileCounts;
      return [ofFile.file, ofFile];
    }),
  );
  putAway();
  return { ended, counts };
}

/** What `npm run check` runs, each counted as one case. */
const checks: Readonly<Record<string, readonly string[]>> = {
  format: ["node_modules/.bin/oxfmt", "--check", "."],
  types: [process.execPath, "node_modules/typescript-native/bin/tsc", "-p", "."],
  "types of the page": [process.execPath, "node_modules/typescript-native/bin/tsc", "-p", "src/dashboard/web"],
  lint: ["node_modules/.bin/oxlint", "--type-aware"],
  "import rules": ["node_modules/.bin/depcruise", "src"],
  "dead code": ["node_modules/.bin/knip"],
};
const checkTimeoutMs = 180_000;

function runChecks(): Counts {
  const counts: Counts = { passed: 0, failed: 0, skipped: [] };
  for (const [name, [program = "", ...args]] of Object.entries(checks)) {
    // Their first lines ask for `node`; it is to be this one, which may not be the machine's.
    const env = { ...process.env, PATH: `${join(root, "node_modules/.bin")}:${process.env["PATH"] ?? ""}` };
    const { status, stdout, stderr, error } = spawnSync(program, args, {
      cwd: root,
      env,
      encoding: "utf8",
      timeout: checkTimeoutMs,
    });
    if (status === 0) {
      counts.passed += 1;
      continue;
    }
    counts.failed += 1;
    process.stdout.write(`FAILED  ${name}: ${error?.message ?? `exit ${status}`}\n${stdout}${stderr}\n`);
  }
  return counts;
}

/** Each ends a command that runs and puts its files away. */
const running = new Set<() => void>();

/** Runs a command as a process group; answers its exit code as text, or what ended it. */
async function runToEnd(
  command: readonly string[],
  env: NodeJS.ProcessEnv,
  timeoutMs: number,
  putAway: () => void,
): Promise<string> {
  const [program = "", ...args] = command;
  const child = spawn(program, args, { cwd: root, env, stdio: ["ignore", "inherit", "inherit"], detached: true });
  const { pid } = child;
  const signalAll = (signal: NodeJS.Signals): void => {
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // They have ended already.
    }
  };
  let reason: string | undefined;
  let kill: NodeJS.Timeout | undefined;
  const timer = setTimeout(() => {
    reason = `it took more than ${timeoutMs / 1000} s`;
    signalAll("SIGTERM");
    kill = setTimeout(() => signalAll("SIGKILL"), graceMs);
  }, timeoutMs);
  const end = (): void => {
    signalAll("SIGKILL");
    putAway();
  };
  running.add(end);
  const ended = await new Promise<string>((resolve) => {
    child.on("error", (error) => resolve(error.message));
    child.on("close", (code, signal) => resolve(String(code ?? signal)));
  });
  clearTimeout(timer);
  clearTimeout(kill);
  signalAll("SIGKILL");
  running.delete(end);
  return reason ?? ended;
}

function readLines(path: string): string[] {
  try {
    return readFileSync(path, "utf8")
      .split("\n")
      .filter((line) => line !== "");
  } catch {
    return [];
  }
}

function unavailable(group: Group): string | undefined {
  const [program = "", ...args] = wrap(group, ["true"]);
  const probe = spawnSync(program, args, { encoding: "utf8" });
  if (probe.status === 0) return undefined;
  return `namespaces cannot be made here (${probe.error?.message ?? probe.stderr.trim()}); bin/serin doctor says what to do`;
}

/** The files of each group that this run is to run. */
function plan(options: Options): Map<Group, readonly string[]> {
  const chosen = groups.filter((group) =>
    options.group === undefined ? group !== "interop" : group === options.group,
  );
  const files = new Map(
    chosen.map((group) => [
      group,
      filesOf(root, group).filter((file) => options.files.length === 0 || options.files.includes(file)),
    ]),
  );
  return options.changed === undefined ? files : planOfChange(root, files, options.changed.since, options.group);
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(usage);
    return;
  }
  const files = plan(options);
  if (options.list) {
    for (const file of [...files.values()].flat()) process.stdout.write(`${file}\n`);
    return;
  }
  const checks = options.files.length === 0 && (options.group === undefined || options.group === "check");
  const total = await runAll(files, checks, options.once);
  for (const skipped of total.skipped) process.stdout.write(`not run: ${skipped}\n`);
  if (process.env["CI"] === "true") total.failed += total.skipped.length;
  // A change that no test can see is no failure.
  const nothingChosen = options.changed !== undefined && !checks && [...files.values()].flat().length === 0;
  if (nothingChosen) process.stdout.write("no test file can be touched by this change: nothing ran\n");
  process.stdout.write(`${total.passed} passed, ${total.failed} failed\n`);
  process.exitCode = total.failed === 0 && (total.passed > 0 || nothingChosen) ? 0 : 1;
}

async function runAll(files: ReadonlyMap<Group, readonly string[]>, checks: boolean, once: boolean): Promise<Counts> {
  const total: Counts = { passed: 0, failed: 0, skipped: [] };
  if (checks) {
    const { passed, failed } = runChecks();
    process.stdout.write(`check: ${passed} passed, ${failed} failed\n`);
    total.passed += passed;
    total.failed += failed;
  }
  for (const [group, ofGroup] of files) {
    if (ofGroup.length === 0) continue;
    const reason = unavailable(group);
    if (reason !== undefined && group !== "unit") {
      total.skipped.push(`${group}: ${ofGroup.length} files (${reason})`);
      continue;
    }
    process.stdout.write(`\n${group}: ${ofGroup.length} files\n`);
    const begin = performance.now();
    const counts = await runGroup(group, ofGroup, !once, reason === undefined);
    process.stdout.write(
      `${group}: ${counts.passed} passed, ${counts.failed} failed, ${((performance.now() - begin) / 1000).toFixed(1)} s\n`,
    );
    total.passed += counts.passed;
    total.failed += counts.failed;
    total.skipped.push(...counts.skipped);
  }
  return total;
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    for (const end of running) end();
    process.exit(1);
  });
}
await main();
