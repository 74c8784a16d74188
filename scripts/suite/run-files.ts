// Runs test files in their own namespaces, and returns the result of each.
import { spawnSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pruneCompileCache } from "../../src/bundle/index.ts";
import type { FileCounts } from "./count-reporter.ts";
import { labNamespaces, makeScratch, ownProcesses, withinNamespaces } from "../lab/run-with-lab.ts";
import { goEnvironment } from "./go-environment.ts";
import type { Group } from "./groups.ts";
import { patienceOf, runToEnd } from "./run-session.ts";

/** The result of running some files. A file that did not end has no counts. */
export interface FilesRun {
  readonly ended: string;
  readonly counts: ReadonlyMap<string, FileCounts>;
}

export interface RunOptions {
  readonly group: Group;
  readonly files: readonly string[];
  /** Whether all files run in one process, or each in its own. */
  readonly shared: boolean;
  readonly timeoutMs: number;
  readonly wrapped: boolean;
  /** Environment variables in addition to those of this process. */
  readonly environment: Readonly<Record<string, string>>;
  /** Whether the files run at the lowest priority. */
  readonly yields: boolean;
}

/** The time limit of one case. A walkthrough is one case, and other projects' programs are slow. */
const caseTimeoutMs: Readonly<Record<Group, number>> = {
  unit: 600_000,
  netns: 60_000,
  e2e: 1_200_000,
  interop: 1_800_000,
};
/**
 * How long a file's process may go on after its last test. The time includes the file's own hooks. A hook of an
 * end-to-end file deletes a lab.
 */
const exitWithinMs: Readonly<Record<Group, number>> = { unit: 60_000, netns: 60_000, e2e: 180_000, interop: 180_000 };
const root = join(import.meta.dirname, "../..");
/**
 * The compile cache that all files and runs share, so that programs and labs start faster. Each user has one, because
 * Node's cache files are private.
 */
const compileCache = join(root, `.cache/compiled-${process.getuid?.() ?? 0}`);

/**
 * V8 collects the whole heap whenever 64 MB of memory outside it have been allocated, such as buffers and WebAssembly's
 * memories. In a process with six test files of Lua scripts and spans, it did so 111 times, which took half of their
 * processor time. With these flags, a process collects the whole heap when it has grown to 400 MB, with the memory
 * outside it. A file with its own process gains little, and Node starts more slowly with such flags.
 */
const flagsOfSharedProcess = [
  "--external-memory-accounted-in-global-limit",
  "--initial-old-space-size=400",
  "--no-memory-reducer",
];

/** Removes code from the compile cache that tests compiled from files in temporary folders. No later run uses it. */
export function pruneTestsCompileCache(): void {
  pruneCompileCache({ directory: compileCache, nowMs: Date.now() });
}

/**
 * How the processes of a group are isolated. `unit`: each process has its own network, so that a test that connects to
 * a stopped server does not reach another test's server on the same port. `netns`: each process has its own namespaces,
 * so that a test cannot change the host's network. `e2e`: a lab's daemons end with the test that made the lab.
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

/** Returns the reason why this machine cannot create the group's namespaces. Returns undefined if it can. */
export function unavailable(group: Group): string | undefined {
  const [program = "", ...args] = wrap(group, ["true"]);
  const probe = spawnSync(program, args, { encoding: "utf8" });
  if (probe.status === 0) return undefined;
  return `namespaces cannot be created here (${probe.error?.message ?? probe.stderr.trim()}); bin/serin doctor says what to do`;
}

/** Runs files one after another, and prints those that failed or were slow. */
export async function runFiles(options: RunOptions): Promise<FilesRun> {
  const { group, files, shared, timeoutMs, wrapped, environment, yields } = options;
  const patience = patienceOf(yields);
  const scratch = makeScratch();
  const report = join(scratch, "counts");
  const command = [
    process.execPath,
    "--disable-warning=ExperimentalWarning",
    ...(shared ? flagsOfSharedProcess : []),
    "--test",
    // By default, Node starts a process for each file in addition to the first one. For a single file, the first one
    // would have nothing else to do.
    ...(shared || files.length === 1 ? ["--test-isolation=none"] : ["--test-concurrency=1"]),
    `--test-timeout=${patience * caseTimeoutMs[group]}`,
    `--import=${join(root, "scripts/suite/end-of-tests.ts")}`,
    ...(group === "unit" || group === "netns"
      ? [`--import=${join(root, "scripts/suite/threads-from-bundle.ts")}`]
      : []),
    ...(files.some(hasProperties) ? [`--import=${join(root, "scripts/suite/seed-properties.ts")}`] : []),
    `--test-reporter=${join(root, "scripts/suite/count-reporter.ts")}`,
    `--test-reporter-destination=${report}`,
    ...files,
  ];
  const putAway = (): void => rmSync(scratch, { recursive: true, force: true, maxRetries: 3 });
  const env = {
    NODE_COMPILE_CACHE: compileCache,
    // Interop runs servers in Go, which live for a long time.
    ...(group === "interop" ? {} : goEnvironment),
    ...environment,
    ...process.env,
    TMPDIR: scratch,
    SERIN_TEST_EXIT_MS: String(patience * exitWithinMs[group]),
    SERIN_TEST_PATIENCE: String(patience),
  };
  const { ended, output } = await runToEnd({
    command: wrapped ? wrap(group, command) : command,
    env,
    timeoutMs,
    yields,
    putAway,
  });
  const counts = new Map(
    readLines(report).map((line): [string, FileCounts] => {
      const ofFile = JSON.parse(line) as FileCounts;
      return [ofFile.file, ofFile];
    }),
  );
  putAway();
  const [only, ...others] = [...counts.values()];
  if (only !== undefined && others.length === 0 && only.failed === 0 && ended !== "0") {
    only.failed = 1;
    only.summary = `FAILED  ${only.file}: its tests passed, and its process ended with ${ended}\n`;
  }
  for (const { summary } of counts.values()) process.stdout.write(summary);
  if (ended !== "0" && output.trim() !== "") process.stdout.write(`  The process printed:\n${output.trimEnd()}\n`);
  return { ended, counts };
}

function hasProperties(file: string): boolean {
  return /from "fast-check";/.test(readFileSync(join(root, file), "utf8"));
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
