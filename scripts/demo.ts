// The demo: creates a lab and a mesh, upgrades an application and the mesh by canary under load, and rolls bad releases
// back.
//   npm run demo [-- --json] [-- --keep] [-- --calm] [-- --workers 2]
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { describeError } from "../src/base/index.ts";
import { createLab, deployApps, installMesh } from "./demo/acts/lab-and-mesh.ts";
import { proveMutualTls } from "./demo/acts/proof-of-mtls.ts";
import {
  canaryTheApp,
  ladderOf,
  lastConnection,
  refusingZtunnel,
  rejectedConfig,
  startLoad,
  upgradeTheMesh,
} from "./demo/acts/rollouts.ts";
import { clusterName, kubeconfigPath, runSerin } from "./demo/lab.ts";
import { askToKeep } from "./demo/leave.ts";
import { memoryOf, processesBelow } from "./demo/memory.ts";
import { holdDemo } from "./demo/one-demo.ts";
import { playActs, type Act, type Stage } from "./demo/stage.ts";
import { PrintedSteps } from "./demo/printed-steps.ts";
import { PlainView, seconds, TerminalView, type LiveFacts, type StepRow, type View } from "./demo/view.ts";
import { oneBundle } from "./lab/one-bundle.ts";
import { scriptArguments } from "./arguments/script-arguments.ts";
import { parseWorkers, WorkerCensus } from "./lab/worker-census.ts";

const acts: readonly Act[] = [
  createLab,
  installMesh,
  deployApps,
  proveMutualTls,
  startLoad,
  canaryTheApp,
  upgradeTheMesh,
  rejectedConfig,
  refusingZtunnel,
  lastConnection,
];
/** Acts in which no request may fail. In the other acts, the bad release may answer with an error. */
const mustNotFail: readonly Act[] = [startLoad, canaryTheApp, upgradeTheMesh, lastConnection];

/**
 * Text that only the command line of the lab's first process contains. All other processes of the lab descend from it.
 */
const labProcesses = `clusters/${clusterName}`;

interface Summary {
  readonly ok: boolean;
  readonly requests: number;
  readonly failed: number;
  readonly seconds: number;
  readonly steps: readonly {
    readonly name: string;
    readonly seconds: number;
    readonly requests: number;
    readonly failed: number;
  }[];
  readonly memoryMb: Readonly<Record<string, number>>;
  readonly rolledBack: readonly { readonly cause: string; readonly seconds: number }[];
  /** The number of data planes by their number of workers, if `--workers` was given. */
  readonly workers?: Readonly<Record<number, number>>;
}

interface Options {
  readonly json: boolean;
  readonly keep: boolean;
  readonly calm: boolean;
  readonly workers: readonly [number, number] | undefined;
}

async function main({ json, keep, ...choices }: Options): Promise<number> {
  mkdirSync(dirname(kubeconfigPath), { recursive: true });
  Object.assign(process.env, oneBundle());
  const interrupt = new AbortController();
  process.on("SIGINT", () => interrupt.abort(new Error("interrupted")));
  process.on("SIGTERM", () => interrupt.abort(new Error("terminated")));
  const rows = acts.map(({ name }) => waitingRow(name));
  const live = process.stdout.isTTY && !json;
  const facts = (): LiveFacts => factsOf(stage);
  const view: View = live
    ? new TerminalView(process.stdout, rows, facts)
    : new PlainView((text) => void process.stdout.write(text));
  const stage: Stage = {
    lab: undefined,
    load: undefined,
    connection: undefined,
    gatewayAddress: "",
    ladder: [],
    rolledBack: [],
    releases: undefined,
    printedSteps: new PrintedSteps(),
    mayStay: keep || live,
    ...choices,
    rows,
    view,
    signal: interrupt.signal,
    note: (text) => {
      showProgress(stage, text);
      view.line(text);
    },
    progress: (text) => showProgress(stage, text),
  };
  const begin = performance.now();
  // Only the terminal's view shows the ladder, for which the whole list of pods has to be read.
  const ladder = live ? setInterval(() => void refreshLadder(stage), 500) : undefined;
  const census = choices.workers && new WorkerCensus(() => processesBelow(labProcesses)).begin();
  let counted: Readonly<Record<number, number>> | undefined;
  let problem: unknown;
  let memoryMb: Record<string, number> = {};
  try {
    await playActs(acts, stage);
    counted = choices.workers && census?.end(choices.workers);
    memoryMb = memoryOf(labProcesses);
  } catch (error) {
    problem = error;
  }
  clearInterval(ladder);
  const counts = await stage.load?.stop();
  stage.connection?.abandon();
  view.close();
  const summary = summarise(stage, {
    problem,
    requests: counts?.requests ?? 0,
    failed: counts?.failed ?? 0,
    durationMs: performance.now() - begin,
    memoryMb,
    workers: counted,
  });
  printSummary(stage, summary, problem);
  const stays = keep || (live && problem === undefined && (await leave(interrupt.signal)));
  if (!stays) await runSerin(["cluster", "delete", "--name", clusterName]);
  if (json) process.stdout.write(`${JSON.stringify(summary)}\n`);
  return summary.ok ? 0 : 1;
}

function waitingRow(name: string): StepRow {
  return { name, state: "waiting", startedMs: 0, endedMs: 0, requests: 0, failed: 0, note: "" };
}

function showProgress(stage: Stage, text: string): void {
  const row = stage.rows.find(({ state }) => state === "running");
  if (row !== undefined) row.note = text;
}

let lastRequests = 0;
let lastAtMs = 0;
let perSecond = 0;

function factsOf({ load, connection, ladder }: Stage): LiveFacts {
  const counts = load?.counts ?? { requests: 0, failed: 0, answers: {} };
  const now = performance.now();
  if (now - lastAtMs > 1000) {
    perSecond = Math.round(((counts.requests - lastRequests) * 1000) / Math.max(1, now - lastAtMs));
    lastRequests = counts.requests;
    lastAtMs = now;
  }
  const text =
    connection === undefined
      ? "not open yet"
      : (connection.broken ?? `${connection.answeredLines} lines, ${connection.receivedBytes} bytes came back`);
  return { ...counts, perSecond, medianMs: load?.medianMs ?? 0, connection: text, ladder };
}

async function refreshLadder(stage: Stage): Promise<void> {
  if (stage.lab === undefined) return;
  stage.ladder = await ladderOf(stage.lab).catch(() => stage.ladder);
}

interface Outcome {
  readonly problem: unknown;
  readonly requests: number;
  readonly failed: number;
  readonly durationMs: number;
  readonly memoryMb: Record<string, number>;
  readonly workers: Readonly<Record<number, number>> | undefined;
}

function summarise(stage: Stage, { problem, requests, failed, durationMs, memoryMb, workers }: Outcome): Summary {
  const round = (value: number): number => Math.round(value / 100) / 10;
  const clean = stage.rows
    .filter(({ name }) => mustNotFail.some((act) => act.name === name))
    .every((row) => row.failed === 0);
  return {
    ok: problem === undefined && clean && stage.rolledBack.length === 2,
    requests,
    failed,
    seconds: round(durationMs),
    steps: stage.rows.map((row) => ({
      name: row.name,
      seconds: round(Math.max(0, row.endedMs - row.startedMs)),
      requests: row.requests,
      failed: row.failed,
    })),
    memoryMb,
    rolledBack: stage.rolledBack.map(({ cause, seconds: took }) => ({ cause, seconds: took })),
    ...(workers === undefined ? {} : { workers }),
  };
}

function printSummary(stage: Stage, summary: Summary, problem: unknown): void {
  const out = (text: string): void => void process.stdout.write(`${text}\n`);
  out("");
  for (const step of summary.steps)
    out(
      `  ${step.name.padEnd(28)} ${seconds(step.seconds * 1000).padStart(8)}  ${String(step.requests).padStart(6)} requests  ${step.failed} failed`,
    );
  for (const failure of stage.load?.failures ?? [])
    out(`  FAILED ${failure.at} ${failure.path} ${failure.cause} (${failure.group})`);
  for (const { cause, seconds: took } of summary.rolledBack) out(`  rolled back in ${took.toFixed(1)} s: ${cause}`);
  const memory = Object.entries(summary.memoryMb).toSorted(([, a], [, b]) => b - a);
  if (memory.length > 0)
    out(
      `  memory (PSS): ${memory.map(([name, mb]) => `${name} ${mb} MB`).join(", ")}; ${Math.round(memory.reduce((sum, [, mb]) => sum + mb, 0))} MB in all`,
    );
  for (const [workers, count] of Object.entries(summary.workers ?? {}))
    out(`  ${count} data planes had ${workers} worker${workers === "1" ? "" : "s"}`);
  out(`  ${summary.requests} requests, ${summary.failed} failed, ${seconds(summary.seconds * 1000)}`);
  if (problem !== undefined) out(`  The demo failed: ${describeError(problem)}`);
}

/** Prints how to look around in the lab, and asks whether to keep it. The lab runs until the user answers. */
async function leave(signal: AbortSignal): Promise<boolean> {
  const urls = await runSerin(["cluster", "urls", "--name", clusterName]);
  process.stdout.write(`
  Look around while it runs:
    browser   ${urls.output.trim().split("\n").join("\n              ")}
    kubectl   export KUBECONFIG=${kubeconfigPath}; kubectl get pods -A; kubectl get canary,meshupgrade -A
    inside    bin/serin cluster shell --name ${clusterName}
    remove    bin/serin cluster delete --name ${clusterName}
`);
  return askToKeep({ input: process.stdin, output: process.stdout }, signal);
}

const { values } = scriptArguments(
  {
    command: "npm run demo --",
    help: {
      json: "print one JSON object as the last line",
      keep: "keep the cluster",
      calm: "send fewer requests while the mesh changes, for a machine that has other work too",
      workers: "the workers of each gateway and ztunnel; two numbers, such as 1,2, for the old and the new revision",
    },
  },
  {
    json: { type: "boolean", default: false },
    keep: { type: "boolean", default: false },
    calm: { type: "boolean", default: false },
    workers: { type: "string" },
  },
);
try {
  await holdDemo(`${clusterName}-${process.getuid?.() ?? 0}`);
  const workers = values.workers === undefined ? undefined : parseWorkers(values.workers);
  process.exitCode = await main({ ...values, workers });
} catch (error) {
  process.stderr.write(`The demo failed: ${describeError(error)}\n`);
  process.exitCode = 1;
}
