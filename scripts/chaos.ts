// Runs a mesh under load, and injects a fault every ten seconds, while a Canary or a MeshUpgrade is always under way.
//   npm run chaos -- --minutes N [--seed N] [--rate X] [--json]
import { resolve } from "node:path";
import { describeError, seededRandom, systemClock } from "../src/base/index.ts";
import { inTime } from "./chaos/chaos.ts";
import { keepLogs } from "./chaos/keep-logs.ts";
import { ChaosRun, endLimitMs, stageLimitMs } from "./chaos/play.ts";
import { summarise } from "./chaos/summary.ts";
import { runWithLab } from "./lab/run-with-lab.ts";
import { numberOption } from "./arguments/number-option.ts";
import { scriptArguments } from "./arguments/script-arguments.ts";
import { LoadReports } from "./proofs/upgrade-proof/load-totals.ts";
import { ProofLab } from "./proofs/upgrade-proof/proof-lab.ts";
import { revisions, type Proof } from "./proofs/upgrade-proof/proof.ts";

const { values: flags } = scriptArguments(
  {
    command: "npm run chaos --",
    help: {
      minutes: "for how many minutes to inject faults",
      seed: "the seed of the faults' order",
      rate: "multiply the rates of all load generators by this factor",
      json: "print one JSON object as the last line",
      logs: "a new folder for the logs of the lab's processes and pods",
    },
  },
  {
    minutes: { type: "string", default: "10" },
    seed: { type: "string", default: "1" },
    rate: { type: "string", default: "0.3" },
    json: { type: "boolean", default: false },
    logs: { type: "string" },
  },
);
const streamSeconds = 20;
/** The size of the file system that this script mounts, so that a fault can fill it. */
const diskBytes = 512 * 2 ** 20;
const insideVariable = "SERIN_CHAOS_INSIDE";
/** The time limit for deleting the lab. Processes that still run after it end with the process namespace. */
const deleteLimitMs = 20_000;
/** The time after a signal in which the run prints its report. */
const reportLimitMs = 10_000;

function numberOf(flag: "minutes" | "seed" | "rate"): number {
  return numberOption(`--${flag}`, flags[flag]);
}

const minutes = numberOf("minutes");
const limitMs = stageLimitMs + minutes * 60_000 + endLimitMs;

async function main(): Promise<number> {
  const interrupt = new AbortController();
  // A parent process ends this one by closing its input, so that this one can still report its findings.
  process.stdin.on("end", () => interrupt.abort(new Error("ended by a signal"))).resume();
  const note = (text: string): void =>
    void process.stdout.write(`${new Date().toISOString().slice(11, 23)}  ${text}\n`);
  const lab = new ProofLab();
  const proof: Proof = {
    lab,
    reports: new LoadReports(lab.reportDirectories()),
    scale: { rate: numberOf("rate"), streamSeconds },
    ambientOnly: true,
    requests: 0,
    signal: interrupt.signal,
    revision: revisions.old,
    note,
  };
  const random = seededRandom(numberOf("seed"));
  const run = new ChaosRun({ proof, clock: systemClock, random }, minutes);
  const stopped: string[] = [];
  try {
    await inTime("the run", limitMs, async () => await run.play(), interrupt.signal);
  } catch (error) {
    stopped.push(`the run did not come to its end: ${describeError(error)}`);
  }
  // This also ends the parts of the run that are still active.
  interrupt.abort(new Error("the run is over"));
  const found = run.found();
  const { summary, problems } = summarise({ ...found, problems: [...stopped, ...found.problems] });
  for (const text of problems) note(`FAILED ${text}`);
  try {
    await inTime("the lab's end", deleteLimitMs, async () => {
      await run.stopLoad();
      if (flags.logs !== undefined) keepLogs(lab.cluster.stateDirectory, resolve(flags.logs));
      await lab.delete();
    });
  } catch (error) {
    note(describeError(error));
  }
  if (flags.json) process.stdout.write(`${JSON.stringify(summary)}\n`);
  else note(`${summary.ok ? "ok" : "NOT ok"}: ${JSON.stringify(summary)}`);
  return summary.ok ? 0 : 1;
}

if (process.env[insideVariable] === "yes") process.exit(await main());
process.env[insideVariable] = "yes";
const mount = `mount -t tmpfs -o size=${diskBytes},mode=755 serin-chaos "$TMPDIR" 2>/dev/null`;
const command = [process.execPath, import.meta.filename, ...process.argv.slice(2)];
process.exit(
  await runWithLab(command, {
    inner: `${mount}; "$0" "$@"; exit $?`,
    graceMs: deleteLimitMs + reportLimitMs,
    limitMs: limitMs + deleteLimitMs + reportLimitMs,
  }),
);
