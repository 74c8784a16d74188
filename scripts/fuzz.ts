// Fuzzes the parsers that read untrusted bytes, guided by block coverage.
//   node scripts/fuzz.ts --minutes N [TARGET …] [--json] [--seed N] [--record]
// --record writes a minimal set of inputs with the same coverage into scripts/fuzz/corpus, which `npm test` replays.
import { writeFileSync } from "node:fs";
import { Worker } from "node:worker_threads";
import type { Finding, FuzzOrder, FuzzReport } from "./fuzz/fuzz-worker.ts";
import { corpusFile, targetNames } from "./fuzz/target.ts";
import { numberOption } from "./arguments/number-option.ts";
import { scriptArguments } from "./arguments/script-arguments.ts";

interface Outcome extends FuzzReport {
  readonly name: string;
  readonly minutes: number;
}

const maxInputBytes = 1 << 20;
const beatHeadBytes = 8;
/** An input that uses more processor time than this counts as a hang. Wall time would mislead on a busy machine. */
const endlessMs = 10_000;
const beatIntervalMs = 1000;
const msPerMinute = 60_000;
/** If the heap grows by more bytes than this, the code leaks. Caches and compiled code grow by less. */
const maxGrownBytes = 24 << 20;
const maxRestarts = 5;

const { values, positionals } = scriptArguments(
  {
    command: "npm run fuzz --",
    positionals: "[TARGET …]",
    help: {
      minutes: "the time for each target",
      seed: "repeat the run with this seed",
      json: "print one JSON object as the last line",
      record: "write the smallest inputs that reach the same code into scripts/fuzz/corpus",
    },
  },
  {
    minutes: { type: "string", default: "1" },
    seed: { type: "string" },
    json: { type: "boolean", default: false },
    record: { type: "boolean", default: false },
  },
);

/**
 * Runs a target until its time is over, or until an input never ends. The hang is then the only finding of the report.
 */
async function runOnce(name: string, seed: number, durationMs: number): Promise<FuzzReport> {
  const beat = new SharedArrayBuffer(beatHeadBytes + maxInputBytes);
  const order: FuzzOrder = { name, seed, durationMs, beat };
  const worker = new Worker(new URL("./fuzz/fuzz-worker.ts", import.meta.url), { workerData: order });
  const counts = new Int32Array(beat, 0, 2);
  const { promise, resolve, reject } = Promise.withResolvers<FuzzReport>();
  let executions = 0;
  let before = process.cpuUsage();
  const watchdog = setInterval(() => {
    const now = counts[0] ?? 0;
    const { user } = process.cpuUsage(before);
    if (now !== executions || now === 0) {
      executions = now;
      before = process.cpuUsage();
    } else if (user / 1000 > endlessMs) {
      const input = Buffer.from(beat, beatHeadBytes, counts[1]).toString("hex");
      const finding: Finding = { kind: "hang", message: "never ended", input };
      resolve({ executions, reached: 0, blocks: 0, findings: [finding], grownBytes: 0, corpus: [] });
    }
  }, beatIntervalMs);
  worker.once("message", resolve);
  worker.once("error", reject);
  try {
    return await promise;
  } finally {
    clearInterval(watchdog);
    await worker.terminate();
  }
}

async function fuzz(name: string, seed: number, minutes: number): Promise<Outcome> {
  const start = performance.now();
  const hangs: Finding[] = [];
  let executions = 0;
  for (let restart = 0; ; restart += 1) {
    const leftMs = minutes * msPerMinute - (performance.now() - start);
    const report = await runOnce(name, seed + restart, Math.max(beatIntervalMs, leftMs));
    executions += report.executions;
    if (report.blocks > 0 || restart === maxRestarts)
      return {
        ...report,
        name,
        executions,
        findings: [...hangs, ...report.findings],
        minutes: (performance.now() - start) / msPerMinute,
      };
    hangs.push(...report.findings);
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function countOf({ findings }: Outcome, kind: Finding["kind"]): number {
  return findings.filter((finding) => finding.kind === kind).length;
}

/** Returns the texts as JSON in ASCII. Each character of a text stands for one byte. */
function asciiJson(texts: readonly string[]): string {
  const escape = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return `${JSON.stringify(texts, null, 2).replace(/[\u007f-\uffff]/g, escape)}\n`;
}

function report(outcome: Outcome): void {
  const { name, minutes, executions, reached, blocks, grownBytes, findings } = outcome;
  print(
    [
      name.padEnd(20),
      `${minutes.toFixed(1)} min`,
      `${executions} executions`,
      `${reached} of ${blocks} blocks`,
      `${countOf(outcome, "crash")} crashes`,
      `${countOf(outcome, "hang")} hangs`,
      `heap ${(grownBytes / (1 << 20)).toFixed(1)} MiB${grownBytes > maxGrownBytes ? ": it grows" : ""}`,
    ].join("  "),
  );
  for (const { kind, message, input } of findings)
    print(`  ${kind} of ${input}\n    ${message.replaceAll("\n", "\n    ")}`);
}

function chosenTargets(): string[] {
  const known = targetNames();
  for (const name of positionals)
    if (!known.includes(name)) throw new Error(`there is no target ${name}; give one of ${known.join(", ")}`);
  return positionals.length > 0 ? positionals : known;
}

const minutes = numberOption("--minutes", values.minutes);
const seed =
  values.seed === undefined
    ? Date.now() % 1_000_000
    : numberOption("--seed", values.seed, { isWhole: true, minimum: 0 });
const outcomes: Outcome[] = [];
for (const name of chosenTargets()) {
  const outcome = await fuzz(name, seed, minutes);
  outcomes.push(outcome);
  if (!values.json) report(outcome);
  if (values.record) writeFileSync(corpusFile(name), asciiJson(outcome.corpus));
}

const sum = (pick: (outcome: Outcome) => number): number => outcomes.reduce((total, one) => total + pick(one), 0);
const totals = {
  targets: outcomes.length,
  minutes: Number(sum((one) => one.minutes).toFixed(1)),
  executions: sum((one) => one.executions),
  blocks: sum((one) => one.reached),
  crashes: sum((one) => countOf(one, "crash")),
  hangs: sum((one) => countOf(one, "hang")),
  growing: outcomes.filter(({ grownBytes }) => grownBytes > maxGrownBytes).map(({ name }) => name),
};
if (values.json) {
  const rows = outcomes.map(({ corpus, ...outcome }) => ({ ...outcome, corpus: corpus.length }));
  print(JSON.stringify({ ...totals, seed, perTarget: rows }));
} else
  print(
    `${totals.targets} targets, ${totals.minutes} minutes, ${totals.executions} executions, ${totals.blocks} blocks reached, ` +
      `${totals.crashes} crashes, ${totals.hangs} hangs (seed ${seed})`,
  );
if (totals.crashes + totals.hangs + totals.growing.length > 0) process.exitCode = 1;
