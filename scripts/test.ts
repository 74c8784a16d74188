// Runs the house checks and the whole test suite, group by group, and ends with `N passed, N failed`.
//   npm test [-- --only check|unit|netns|e2e|interop] [-- path/to/one.test.ts …]
// interop runs only when it is named: it drives other people's programs, which scripts/fetch-*.sh bring.
// With CI=true a case that was skipped counts as failed.
// Whatever ends this process, no process and no file of a test stays behind.
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import type { FileCounts } from "./count-reporter.ts";

interface Counts {
  passed: number;
  failed: number;
  skipped: string[];
}

const groups = ["unit", "netns", "e2e", "interop"] as const;
type Group = (typeof groups)[number];

const groupTimeoutMs: Readonly<Record<Group, number>> = { unit: 300_000, netns: 400_000, e2e: 2_100_000, interop: 2_700_000 };
/** Of one case: the walkthroughs are one each, and other people's programs take their time. */
const caseTimeoutMs: Readonly<Record<Group, number>> = { unit: 600_000, netns: 600_000, e2e: 600_000, interop: 1_800_000 };
/** How long a group that is ended may take to put its things away. */
const graceMs = 10_000;
const maxUnitFilesAtOnce = 4;
const root = join(import.meta.dirname, "..");

function filesOf(group: Group): string[] {
  const all = globSync(["src/**/*.test.ts", "scripts/**/*.test.ts", "samples/**/*.test.ts", "test/support/**/*.test.ts"], { cwd: root }).sort();
  if (group === "unit") return all.filter((file) => !file.endsWith(".netns.test.ts"));
  if (group === "netns") return all.filter((file) => file.endsWith(".netns.test.ts"));
  return globSync(`test/${group}/**/*.test.ts`, { cwd: root }).sort();
}

/** Ends its command when this process is gone, and all that the command has started with it. */
const ownProcesses = ["--kill-child=KILL", "--mount-proc"];
const asRoot = process.getuid?.() === 0;

const labNamespaces = asRoot ? ["unshare", "-mpf", ...ownProcesses] : ["unshare", "-U", "--map-current-user", "-mpf", ...ownProcesses];

/** netns: namespaces of their own, so that nothing they make can reach the host. e2e: a lab's daemons end with the test that made it. */
const namespacesOf: Readonly<Record<Group, readonly string[] | undefined>> = {
  unit: undefined,
  netns: ["unshare", "-Unmuipf", "-r", ...ownProcesses],
  e2e: labNamespaces,
  interop: labNamespaces,
};

function wrap(group: Group, command: readonly string[]): string[] {
  const namespaces = namespacesOf[group];
  if (namespaces === undefined) return [...command];
  // For e2e the shell stays, as the namespace's PID 1: it reaps the daemons that a test leaves to it.
  const inner = group === "netns" ? 'ip link set lo up; SERIN_OWN_NETWORK=1 exec "$0" "$@"' : '"$0" "$@"; exit $?';
  return ["setpriv", "--pdeathsig", "KILL", ...namespaces, "sh", "-c", inner, ...command];
}

async function runGroup(group: Group, files: readonly string[]): Promise<Counts> {
  // A short name: the paths of sockets below it may have 107 characters.
  const scratch = mkdtempSync(join(tmpdir(), "st-"));
  chmodSync(scratch, 0o755);
  const report = join(scratch, "counts");
  const command = wrap(group, [
    process.execPath,
    "--disable-warning=ExperimentalWarning",
    "--test",
    `--test-concurrency=${group === "unit" ? Math.min(maxUnitFilesAtOnce, availableParallelism()) : 1}`,
    `--test-timeout=${caseTimeoutMs[group]}`,
    `--test-reporter=${join(root, "scripts/count-reporter.ts")}`,
    `--test-reporter-destination=${report}`,
    ...files,
  ]);
  const putAway = (): void => rmSync(scratch, { recursive: true, force: true, maxRetries: 3 });
  const ended = await runToEnd(command, { ...process.env, TMPDIR: scratch }, groupTimeoutMs[group], putAway);
  const counts = readCounts(report, files);
  if (ended !== "0" && counts.failed === 0) {
    process.stdout.write(`${group}: the test run itself failed: ${ended}\n`);
    counts.failed = 1;
  }
  putAway();
  return counts;
}

/** What `npm run check` runs, each counted as one case. */
const checks: Readonly<Record<string, readonly string[]>> = {
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
    const { status, stdout, stderr, error } = spawnSync(program, args, { cwd: root, env, encoding: "utf8", timeout: checkTimeoutMs });
    if (status === 0) {
      counts.passed += 1;
      continue;
    }
    counts.failed += 1;
    process.stdout.write(`FAILED  ${name}: ${error?.message ?? `exit ${status}`}\n${stdout}${stderr}\n`);
  }
  return counts;
}

/** Ends what runs and puts its files away. */
let endRunning: (() => void) | undefined;

/** Runs a command as a process group; answers its exit code as text, or what ended it. */
async function runToEnd(command: readonly string[], env: NodeJS.ProcessEnv, timeoutMs: number, putAway: () => void): Promise<string> {
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
  endRunning = () => {
    signalAll("SIGKILL");
    putAway();
  };
  const ended = await new Promise<string>((resolve) => {
    child.on("error", (error) => resolve(error.message));
    child.on("close", (code, signal) => resolve(String(code ?? signal)));
  });
  clearTimeout(timer);
  clearTimeout(kill);
  signalAll("SIGKILL");
  endRunning = undefined;
  return reason ?? ended;
}

/** A file that has no line in the report did not end, which is one failure. */
function readCounts(report: string, files: readonly string[]): Counts {
  const total: Counts = { passed: 0, failed: 0, skipped: [] };
  const missing = new Set(files);
  for (const line of readLines(report)) {
    const counts = JSON.parse(line) as FileCounts;
    missing.delete(counts.file);
    total.passed += counts.passed;
    total.failed += counts.failed;
    total.skipped.push(...counts.skipped);
  }
  for (const file of missing) process.stdout.write(`FAILED  ${file}: it did not end\n`);
  total.failed += missing.size;
  return total;
}

function readLines(path: string): string[] {
  try {
    return readFileSync(path, "utf8").split("\n").filter((line) => line !== "");
  } catch {
    return [];
  }
}

function unavailable(group: Group): string | undefined {
  if (namespacesOf[group] === undefined) return undefined;
  const [program = "", ...args] = wrap(group, ["true"]);
  const probe = spawnSync(program, args, { encoding: "utf8" });
  if (probe.status === 0) return undefined;
  return `namespaces cannot be made here (${probe.error?.message ?? probe.stderr.trim()}); bin/serin doctor says what to do`;
}

async function main(): Promise<void> {
  const args = process.argv.slice(2);
  if (args.includes("--help")) {
    process.stdout.write("npm test [-- --only check|unit|netns|e2e|interop] [files…]\n");
    return;
  }
  const onlyAt = args.indexOf("--only");
  const only = onlyAt === -1 ? undefined : args.splice(onlyAt, 2)[1];
  if (only !== undefined && only !== "check" && !groups.some((group) => group === only)) throw new Error(`--only ${only}: expected one of check, ${groups.join(", ")}`);
  const chosen = groups.filter((group) => (only === undefined ? group !== "interop" : group === only));
  const total: Counts = { passed: 0, failed: 0, skipped: [] };
  if (args.length === 0 && (only === undefined || only === "check")) {
    const { passed, failed } = runChecks();
    process.stdout.write(`check: ${passed} passed, ${failed} failed\n`);
    total.passed += passed;
    total.failed += failed;
  }
  for (const group of chosen) {
    const files = filesOf(group).filter((file) => args.length === 0 || args.includes(file));
    if (files.length === 0) continue;
    const reason = unavailable(group);
    if (reason !== undefined) {
      total.skipped.push(`${group}: ${files.length} files (${reason})`);
      continue;
    }
    process.stdout.write(`\n${group}: ${files.length} files\n`);
    const begin = performance.now();
    const counts = await runGroup(group, files);
    process.stdout.write(`${group}: ${counts.passed} passed, ${counts.failed} failed, ${((performance.now() - begin) / 1000).toFixed(1)} s\n`);
    total.passed += counts.passed;
    total.failed += counts.failed;
    total.skipped.push(...counts.skipped);
  }
  for (const skipped of total.skipped) process.stdout.write(`not run: ${skipped}\n`);
  if (process.env["CI"] === "true") total.failed += total.skipped.length;
  process.stdout.write(`${total.passed} passed, ${total.failed} failed\n`);
  process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    endRunning?.();
    process.exit(1);
  });
}
await main();
