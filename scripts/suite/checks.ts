// Runs the steps of `npm run check`, except the house rules of tidy.test.ts, which are among the unit tests. Each step
// counts as one case.
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { goEnvironment } from "./go-environment.ts";
import { patienceOf, runToEnd } from "./run-session.ts";

const lanes = 2;
/**
 * The number of threads of a check: a lane's share of the cores. More threads take more processor time in total. On two
 * cores, lint takes 28 s with two threads and 21 s with one, because each thread's checker works out the types that it
 * needs by itself.
 */
const threads = String(Math.max(1, Math.floor(availableParallelism() / lanes)));
const compiler = [process.execPath, "node_modules/typescript-native/bin/tsc"] as const;
/** The checks, the longest ones first. Most of them use one core. */
const checks = {
  lint: ["node_modules/.bin/oxlint", "--type-aware"],
  "dead code": ["node_modules/.bin/knip"],
  types: [...compiler, "-p", ".", "--checkers", threads],
  "types of the page": [...compiler, "-p", "src/dashboard/web"],
  format: ["node_modules/.bin/oxfmt", "--check", "."],
  "import rules": [process.execPath, "scripts/rules/check-imports.ts"],
  "folder circles": [process.execPath, "scripts/rules/check-folder-circles.ts"],
} as const satisfies Readonly<Record<string, readonly string[]>>;
/** The folder with results of the last check of a change. The next check of a change reuses them. */
const resultsOfChanges = ".cache/checks";
/** The time limit of a check. On an idle machine, a check takes much less. */
const checkTimeoutMs = 360_000;
const programs = join(import.meta.dirname, "../../node_modules/.bin");

export interface ChangeToCheck {
  /** Returns the sources to lint, or undefined for all sources. */
  readonly findLint: () => readonly string[] | undefined;
}

/**
 * Returns the checks of a change. They lint only some sources, and the compiler and the search for dead code read only
 * the files that changed since the last check of a change. A check of everything uses no earlier results.
 */
function checksOfChange({ findLint }: ChangeToCheck): Readonly<Record<string, readonly string[]>> {
  const { lint, ...others } = checks;
  const sources = findLint();
  return {
    ...(sources?.length === 0 ? {} : { lint: [...lint, ...(sources ?? [])] }),
    ...others,
    types: [...checks.types, "--incremental", "--tsBuildInfoFile", `${resultsOfChanges}/types.tsbuildinfo`],
    "dead code": [...checks["dead code"], "--cache", "--cache-location", `${resultsOfChanges}/dead-code`],
  };
}

export interface ChecksRun {
  /** Whether the checks run at the lowest priority. */
  readonly yields: boolean;
  /** The change to check. If absent, everything is checked. */
  readonly change?: ChangeToCheck | undefined;
}

/** Runs the checks and prints their failures. */
export async function runChecks({
  yields,
  change,
}: ChecksRun): Promise<{ readonly passed: number; readonly failed: number }> {
  let [passed, failed] = [0, 0];
  const queue = Object.entries(change === undefined ? checks : checksOfChange(change)).values();
  const lane = async (): Promise<void> => {
    for (const [name, command] of queue) {
      const problem = await runCheck(command, yields);
      if (problem === undefined) passed += 1;
      else {
        failed += 1;
        process.stdout.write(`FAILED  ${name}: ${problem}\n`);
      }
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return { passed, failed };
}

/** Returns the reason of a failure, with the check's output. Returns undefined if the check passed. */
async function runCheck(command: readonly string[], yields: boolean): Promise<string | undefined> {
  // The programs' first line starts `node` from PATH. It must be the Node that runs this script.
  const env = {
    ...goEnvironment,
    GOMAXPROCS: threads,
    ...process.env,
    PATH: `${programs}:${process.env["PATH"] ?? ""}`,
  };
  const { ended, output } = await runToEnd({ command, env, timeoutMs: patienceOf(yields) * checkTimeoutMs, yields });
  return ended === "0" ? undefined : `${command.join(" ")}: ended with ${ended}\n${output}`;
}
