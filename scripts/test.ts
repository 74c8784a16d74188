// Runs the whole test suite, group by group, and ends with `N passed, N failed`.
//   npm test [-- --only unit|netns|e2e] [-- path/to/one.test.ts …]
// With CI=true a case that was skipped counts as failed.
import { spawn, spawnSync } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

interface Counts {
  passed: number;
  failed: number;
  skipped: string[];
}

const groups = ["unit", "netns", "e2e"] as const;
type Group = (typeof groups)[number];

const groupTimeoutMs: Readonly<Record<Group, number>> = { unit: 300_000, netns: 400_000, e2e: 1_200_000 };
const root = join(import.meta.dirname, "..");

function filesOf(group: Group): string[] {
  const all = globSync(["src/**/*.test.ts", "scripts/**/*.test.ts", "samples/**/*.test.ts", "test/support/**/*.test.ts"], { cwd: root })
    .filter((file) => !file.startsWith("src/dashboard/web/"))
    .sort();
  if (group === "unit") return all.filter((file) => !file.endsWith(".netns.test.ts"));
  if (group === "netns") return all.filter((file) => file.endsWith(".netns.test.ts"));
  return globSync("test/e2e/**/*.test.ts", { cwd: root }).sort();
}

/** The wrapper that gives netns tests namespaces of their own; nothing they make can reach the host. */
function wrap(group: Group, command: string[]): string[] {
  if (group !== "netns") return command;
  const inner = 'ip link set lo up; exec "$0" "$@"';
  return ["unshare", "-Unmuipf", "-r", "--kill-child=KILL", "--mount-proc", "sh", "-c", inner, ...command];
}

async function runGroup(group: Group, files: string[]): Promise<Counts> {
  const scratch = mkdtempSync(join(tmpdir(), "serin-test-"));
  const report = join(scratch, "counts.json");
  const concurrency = group === "unit" ? "2" : "1";
  const command = wrap(group, [
    process.execPath,
    "--test",
    `--test-concurrency=${concurrency}`,
    "--test-timeout=600000",
    "--test-reporter=dot",
    "--test-reporter-destination=stderr",
    `--test-reporter=${join(root, "scripts/count-reporter.ts")}`,
    `--test-reporter-destination=${report}`,
    ...files,
  ]);
  const [program = "", ...args] = command;
  const child = spawn(program, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
  const timer = setTimeout(() => child.kill("SIGKILL"), groupTimeoutMs[group]);
  const code = await new Promise<number>((resolve) => child.on("close", (status) => resolve(status ?? 1)));
  clearTimeout(timer);
  let counts: Counts;
  try {
    counts = JSON.parse(readFileSync(report, "utf8")) as Counts;
  } catch {
    process.stdout.write(`${group}: the test run ended without a report (exit ${code})\n`);
    counts = { passed: 0, failed: 1, skipped: [] };
  }
  if (code !== 0 && counts.failed === 0) counts.failed = 1;
  rmSync(scratch, { recursive: true, force: true });
  return counts;
}

function unavailable(group: Group): string | undefined {
  if (group === "unit") return undefined;
  const probe = spawnSync("unshare", ["-Unmuipf", "-r", "--mount-proc", "true"], { encoding: "utf8" });
  if (probe.status === 0) return undefined;
  return `user namespaces cannot be made here (${probe.stderr?.trim() ?? "no unshare"}); bin/serin doctor says what to do`;
}

async function main(): Promise<void> {
  const args = process.argv.slice(2);
  if (args.includes("--help")) {
    process.stdout.write("npm test [-- --only unit|netns|e2e] [files…]\n");
    return;
  }
  const onlyAt = args.indexOf("--only");
  const only = onlyAt === -1 ? undefined : args.splice(onlyAt, 2)[1];
  const chosen = groups.filter((group) => only === undefined || group === only);
  const total: Counts = { passed: 0, failed: 0, skipped: [] };
  for (const group of chosen) {
    const files = filesOf(group).filter((file) => args.length === 0 || args.includes(file));
    if (files.length === 0) continue;
    const reason = unavailable(group);
    if (reason !== undefined) {
      total.skipped.push(`${group}: ${files.length} files (${reason})`);
      continue;
    }
    process.stdout.write(`\n${group}: ${files.length} files\n`);
    const counts = await runGroup(group, files);
    process.stdout.write(`${group}: ${counts.passed} passed, ${counts.failed} failed\n`);
    total.passed += counts.passed;
    total.failed += counts.failed;
    total.skipped.push(...counts.skipped);
  }
  for (const skipped of total.skipped) process.stdout.write(`not run: ${skipped}\n`);
  if (process.env["CI"] === "true") total.failed += total.skipped.length;
  process.stdout.write(`${total.passed} passed, ${total.failed} failed\n`);
  process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;
}

await main();
