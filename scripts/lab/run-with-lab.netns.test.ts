import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { eventually } from "../../test/support/eventually.ts";
import { processesOf } from "../../test/support/processes.ts";

const runner = `
import { runWithLab } from ${JSON.stringify(join(import.meta.dirname, "run-with-lab.ts"))};
const [options, ...command] = process.argv.slice(1);
process.exit(await runWithLab(command, JSON.parse(options)));
`;
/** A command that prints that it runs, and leaves a daemon and a file behind. */
const daemon = "sleep 3600 & echo left > $TMPDIR/file; echo runs;";

interface Run {
  readonly child: ChildProcess;
  readonly directory: string;
  readonly output: () => string;
  readonly code: Promise<number | null>;
}

async function begin(options: object, line: string): Promise<Run> {
  const directory = mkdtempSync(join(tmpdir(), "rl-"));
  const words = ["--input-type=module", "-e", runner, JSON.stringify(options), "sh", "-c", `${daemon} ${line}`];
  const env = { ...process.env, TMPDIR: directory, PATH: `${process.env["PATH"] ?? ""}:${directory}` };
  const child = spawn(process.execPath, words, { env, stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString("utf8");
  });
  const code = new Promise<number | null>((resolve) => void child.on("close", resolve));
  await eventually("the command runs", () => Promise.resolve(output.includes("runs") ? true : undefined));
  assert.notDeepEqual(readdirSync(directory), []);
  return { child, directory, output: () => output, code };
}

/** Waits until no process and no file of the run is left. */
async function nothingIsLeft({ directory }: Run): Promise<void> {
  await eventually("nothing is left", () => {
    const left = [...processesOf(directory).map(({ words }) => words.join(" ")), ...readdirSync(directory)];
    return Promise.resolve(left.length === 0 ? true : undefined);
  });
  rmSync(directory, { recursive: true });
}

for (const signal of ["SIGTERM", "SIGKILL"] as const)
  test(`a run that ${signal} ends leaves no process and no file`, async () => {
    const run = await begin({}, "sleep 3600");
    run.child.kill(signal);
    await run.code;
    await nothingIsLeft(run);
  });

test("a command with a grace period may print its last words after a signal", async () => {
  const run = await begin({ graceMs: 60_000 }, "cat; echo last words; exit 0");
  run.child.kill("SIGTERM");
  assert.equal(await run.code, 1);
  assert.match(run.output(), /ended by SIGTERM\nlast words/);
  await nothingIsLeft(run);
});

test("a command that hangs ends after its limit and its grace period", async () => {
  const run = await begin({ graceMs: 300, limitMs: 2_000 }, "sleep 3600");
  assert.equal(await run.code, 1);
  assert.match(run.output(), /ended by its time limit of 2 s/);
  await nothingIsLeft(run);
  assert.equal(existsSync(run.directory), false);
});
