// The seeded simulation of the rollout engine: its real decisions against a model of a cluster in which everything
// fails.
//   npm run sim [-- --matrix] [-- --json] [-- --from N] [-- --seeds N] [-- --workers N] [-- --seed N]
import { availableParallelism } from "node:os";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { canaryMatrix, simulateCanary } from "../src/rollout/sim/canary-matrix.ts";
import type { CellResult } from "../src/rollout/sim/matrix-cell.ts";
import { scenarioOf } from "../src/rollout/sim/seeds/scenario-of-seed.ts";
import { shrink } from "../src/rollout/sim/shrink.ts";
import { simulate, unendedText } from "../src/rollout/sim/simulate.ts";
import { simulateUpgrade, upgradeMatrix } from "../src/rollout/sim/upgrade-matrix.ts";
import { numberOption } from "./arguments/number-option.ts";
import { scriptArguments } from "./arguments/script-arguments.ts";

interface Share {
  readonly from: number;
  readonly to: number;
  readonly step: number;
}

interface Failure {
  readonly seed: number;
  readonly failure: string;
}

const defaultSeeds = 10_000;
const shownFailures = 10;

function failuresOf({ from, to, step }: Share): Failure[] {
  const failures: Failure[] = [];
  for (let seed = from; seed <= to; seed += step) {
    const { failure } = simulate(scenarioOf(seed));
    if (failure !== undefined) failures.push({ seed, failure });
  }
  return failures;
}

/** Simulates all seeds. With N workers, each takes every Nth seed, so that all have the same amount of work. */
async function simulateAll(from: number, seeds: number, workers: number): Promise<Failure[]> {
  const shares = Array.from({ length: workers }, async (_one, index): Promise<Failure[]> => {
    const worker = new Worker(new URL(import.meta.url), {
      workerData: { from: from + index, to: from + seeds - 1, step: workers } satisfies Share,
    });
    return await new Promise((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
    });
  });
  return (await Promise.all(shares)).flat().toSorted((a, b) => a.seed - b.seed);
}

/** Replays a seed. Prints the shortest history that still fails, and its result. */
function replay(seed: number): boolean {
  const { scenario, result } = shrink(scenarioOf(seed));
  process.stdout.write(
    `seed ${seed}: ${JSON.stringify(scenario)}\n${result.history.map((line) => `  ${line}\n`).join("")}`,
  );
  process.stdout.write(result.failure === undefined ? "  no rule was broken\n" : `  BROKEN: ${result.failure}\n`);
  return result.failure === undefined;
}

/** Simulates the upgrade of every mesh of the matrix and every Canary, forward, and back from every step. */
function simulateMatrix(json: boolean): number {
  const began = performance.now();
  const upgrades = upgradeMatrix().map((mesh) => simulateUpgrade(mesh));
  const canaries = canaryMatrix().map((cell) => simulateCanary(cell));
  const runsOf = (results: readonly CellResult[]): number => results.reduce((sum, { runs }) => sum + runs, 0);
  const failures = [...upgrades, ...canaries].flatMap((cell) => cell.failures);
  for (const failure of failures.slice(0, shownFailures)) process.stdout.write(`${failure}\n`);
  const seconds = Math.round((performance.now() - began) / 100) / 10;
  process.stdout.write(
    `${upgrades.length} meshes, ${runsOf(upgrades)} upgrades, ${canaries.length} applications, ${runsOf(canaries)} canaries, ${failures.length} failed, ${seconds} s\n`,
  );
  if (json)
    process.stdout.write(
      `${JSON.stringify({ meshes: upgrades.length, upgrades: runsOf(upgrades), applications: canaries.length, canaries: runsOf(canaries), failed: failures.length, seconds, failures: failures.slice(0, shownFailures) })}\n`,
    );
  return failures.length === 0 ? 0 : 1;
}

async function main(): Promise<number> {
  const { values } = scriptArguments(
    {
      command: "npm run sim --",
      help: {
        from: "the first seed (default: 1)",
        seeds: "the number of seeds (default: 10,000)",
        seed: "run one seed; if it fails, shorten it as far as it still fails",
        workers: "the number of processes (default: 2)",
        matrix: "upgrade every kind of mesh and roll out every kind of Canary, to the end and back from each step",
        json: "print one JSON object as the last line",
      },
    },
    {
      from: { type: "string" },
      seeds: { type: "string" },
      seed: { type: "string" },
      workers: { type: "string" },
      matrix: { type: "boolean" },
      json: { type: "boolean" },
    },
  );
  if (values.matrix === true) return simulateMatrix(values.json === true);
  if (values.seed !== undefined) return replay(numberOption("--seed", values.seed, { isWhole: true })) ? 0 : 1;
  const from = numberOption("--from", values.from ?? "1", { isWhole: true });
  const seeds = numberOption("--seeds", values.seeds ?? String(defaultSeeds), { isWhole: true });
  const workers = numberOption("--workers", values.workers ?? String(Math.min(2, availableParallelism())), {
    isWhole: true,
  });
  const began = performance.now();
  const failures = await simulateAll(from, seeds, workers);
  for (const { seed, failure } of failures.slice(0, shownFailures)) process.stdout.write(`seed ${seed}: ${failure}\n`);
  const [first] = failures;
  if (first !== undefined) replay(first.seed);
  const seconds = Math.round((performance.now() - began) / 100) / 10;
  const unended = failures.filter(({ failure }) => failure.startsWith(unendedText)).length;
  process.stdout.write(`${seeds} seeds, ${failures.length} failed, ${unended} of them unended, ${seconds} s\n`);
  if (values.json === true)
    process.stdout.write(
      `${JSON.stringify({ from, seeds, failed: failures.length, unended, seconds, workers, failures: failures.slice(0, shownFailures) })}\n`,
    );
  return failures.length === 0 ? 0 : 1;
}

if (isMainThread) process.exitCode = await main();
else parentPort?.postMessage(failuresOf(workerData as Share));
