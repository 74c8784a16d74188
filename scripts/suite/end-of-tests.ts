// Test files load this module first. It ends a process that continues after its tests. The file then fails with the
// names of what keeps the process open, and does not hold up the run.
import { readFileSync } from "node:fs";
import { relative } from "node:path";
import { isMainThread } from "node:worker_threads";

const exitWithinMs = Number(process.env["SERIN_TEST_EXIT_MS"]);

/** Workers and forked programs inherit Node's flags, so they load this module too although they have no tests. */
const hasTests =
  isMainThread &&
  (process.execArgv.includes("--test-isolation=none") ||
    (process.env["NODE_TEST_CONTEXT"] !== undefined && /\.test\.[jt]s$/.test(process.argv[1] ?? "")));

if (hasTests && exitWithinMs > 0) {
  const { after } = await import("node:test");
  // Hooks of the file itself run after this one, so the time limit includes them.
  after(() => {
    setTimeout(giveUp, exitWithinMs).unref();
  });
}

function giveUp(): never {
  const file = relative(process.cwd(), process.argv[1] ?? "the file");
  const children = childProcesses().map((child) => `the process ${child}`);
  process.stderr.write(
    `${file}: its tests ended ${exitWithinMs / 1000} s ago, but the process goes on. Still open: ${[...counted(process.getActiveResourcesInfo()), ...children].join(", ")}\n`,
  );
  process.exit(1);
}

function counted(names: readonly string[]): string[] {
  return [...new Set(names)].map((name) => {
    const count = names.filter((other) => other === name).length;
    return count === 1 ? name : `${name} (${count})`;
  });
}

/** Returns the command lines of this process's children, or none if the kernel does not report them. */
function childProcesses(): string[] {
  try {
    const pids = readFileSync(`/proc/self/task/${process.pid}/children`, "utf8").trim().split(" ");
    return pids
      .filter((pid) => pid !== "")
      .map((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim());
  } catch {
    return [];
  }
}
