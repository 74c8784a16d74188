// The proof under load. The whole mesh is upgraded and rolled back from the middle. It is upgraded again to the end,
// where the old revision is retired, and rolled back from there. The weight of an application's canary goes 0 -> 10 ->
// 50 -> 100 -> 0. The engine stops and undoes each of ten bad releases without a person. Except with the bad releases,
// no request may fail, and the mesh may close no long connection.
//   npm run e2e:upgrade [-- --json] [-- --only upgrade,canary,bad[:name]] [-- --requests 200000] [-- --rate 1]
//                       [-- --stream-seconds 600] [-- --ambient-only] [-- --workers 2] [-- --keep]
import { once } from "node:events";
import { describeError } from "../../src/base/index.ts";
import { numberOption } from "../arguments/number-option.ts";
import { scriptArguments } from "../arguments/script-arguments.ts";
import { playCanary } from "./upgrade-proof/app-canary.ts";
import { badReleases, playBadRelease, type BadReleaseResult } from "./upgrade-proof/bad-releases.ts";
import { mayEndWithPod } from "./upgrade-proof/load-plans.ts";
import { difference, LoadReports, type LoadTotals } from "./upgrade-proof/load-totals.ts";
import { playUpgrade } from "./upgrade-proof/mesh-upgrade.ts";
import { revisions, type Proof } from "./upgrade-proof/proof.ts";
import { ProofLab } from "./upgrade-proof/proof-lab.ts";
import { ConstantLoad, moreRequests, setStage } from "./upgrade-proof/stage.ts";
import { parseWorkers, WorkerCensus } from "../lab/worker-census.ts";

interface Summary {
  readonly ok: boolean;
  /** The number of requests in the parts `upgrade` and `canary`. */
  readonly requests: number;
  readonly failed: number;
  /** The number of long connections that the mesh closed in these parts. */
  readonly closedConnections: number;
  /** The number of long connections that ended because a wave restarted one of their pods. */
  readonly endedWithPod: number;
  readonly badReleases: readonly BadReleaseResult[];
  /** The number of data planes by their number of workers, if `--workers` was given. */
  readonly workers?: Readonly<Record<number, number>>;
}

const help = `npm run e2e:upgrade [-- options]
  --only PARTS           the parts to run, separated by commas: upgrade, canary, bad and bad:NAME (default: all)
  --requests N           the minimum number of requests in the parts upgrade and canary (default: 200000)
  --rate X               multiply the rates of all load generators by X (default: 1)
  --stream-seconds N     how long each long connection stays open (default: 600)
  --ambient-only         use a smaller mesh, without sidecars and waypoint
  --workers N            the workers of each gateway, waypoint, sidecar and ztunnel; two numbers, such as 1,2, are for
                         the old and the new revision
  --keep                 keep the lab
  --json                 print one JSON object as the last line
`;

const { values: flags } = scriptArguments(
  { command: "npm run e2e:upgrade --", help },
  {
    only: { type: "string", default: "upgrade,canary,bad" },
    requests: { type: "string", default: "200000" },
    rate: { type: "string", default: "1" },
    "stream-seconds": { type: "string", default: "600" },
    "ambient-only": { type: "boolean", default: false },
    workers: { type: "string" },
    keep: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
);

async function main(): Promise<number> {
  const parts = flags.only.split(",");
  for (const part of parts)
    if (!isPart(part))
      throw new Error(
        `--only ${part}: expected upgrade, canary, bad or one of ${badReleases.map(({ name }) => `bad:${name}`).join(", ")}`,
      );
  const interrupt = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => interrupt.abort(new Error(`ended by ${signal}`)));
  const note = (text: string): void =>
    void process.stdout.write(`${new Date().toISOString().slice(11, 23)}  ${text}\n`);
  const workers = flags.workers === undefined ? undefined : parseWorkers(flags.workers);
  const lab = new ProofLab();
  const reports = new LoadReports(lab.reportDirectories());
  const proof: Proof = {
    lab,
    reports,
    scale: {
      rate: numberOption("--rate", flags.rate),
      streamSeconds: numberOption("--stream-seconds", flags["stream-seconds"]),
    },
    ambientOnly: flags["ambient-only"],
    workers,
    requests: numberOption("--requests", flags.requests, { isWhole: true }),
    signal: interrupt.signal,
    revision: revisions.old,
    note,
  };
  let load: ConstantLoad | undefined;
  const played: Played = { good: undefined, bad: [], workers: undefined, problem: undefined };
  const census = workers && new WorkerCensus(() => lab.cluster.processes()).begin();
  const play = async (): Promise<void> => {
    await setStage(proof);
    load = await ConstantLoad.begin(proof);
    await playParts(proof, parts, played);
    played.workers = workers && census?.end(workers);
  };
  try {
    // On an interrupt, do not wait for the parts any longer.
    await Promise.race([play(), once(interrupt.signal, "abort").then(() => interrupt.signal.throwIfAborted())]);
  } catch (error) {
    played.problem = error;
  }
  await load?.stop();
  const summary = summarise(proof, parts, played);
  print(proof, summary, played.problem);
  if (flags.keep) note(`the lab stays: ${lab.cluster.stateDirectory}`);
  else await lab.delete();
  if (flags.json) process.stdout.write(`${JSON.stringify(summary)}\n`);
  return summary.ok ? 0 : 1;
}

function isPart(part: string): boolean {
  return ["upgrade", "canary", "bad", ...badReleases.map(({ name }) => `bad:${name}`)].includes(part);
}

/** The results of the parts that were played, also if the proof ends early. */
interface Played {
  /** The load's counts in the good parts. */
  good: LoadTotals | undefined;
  readonly bad: BadReleaseResult[];
  workers: Readonly<Record<number, number>> | undefined;
  problem: unknown;
}

async function playParts(proof: Proof, parts: readonly string[], played: Played): Promise<void> {
  const begun = proof.reports.totals;
  proof.note(`the load has begun: ${Object.keys(begun.targets).join(", ")}; ${proof.reports.open} long connections`);
  try {
    if (parts.includes("upgrade")) await playUpgrade(proof);
    if (parts.includes("canary")) await playCanary(proof);
    if (parts.includes("upgrade") || parts.includes("canary"))
      await moreRequests(proof, proof.requests - difference(proof.reports.totals, begun).requests);
  } finally {
    played.good = difference(proof.reports.totals, begun);
  }
  for (const release of badReleases) {
    if (parts.includes("bad") || parts.includes(`bad:${release.name}`))
      played.bad.push(await playBadRelease(proof, release));
  }
}

function summarise(proof: Proof, parts: readonly string[], { good, bad, workers, problem }: Played): Summary {
  const ends = Object.entries(good?.endedWithPod ?? {});
  const unexpectedEnds = ends.reduce((total, [target, count]) => (mayEndWithPod(target) ? total : total + count), 0);
  const { requests = 0, failed = 0, closedConnections = 0 } = good ?? {};
  const enough = requests >= proof.requests || !(parts.includes("upgrade") || parts.includes("canary"));
  return {
    ok:
      problem === undefined &&
      failed === 0 &&
      closedConnections === 0 &&
      unexpectedEnds === 0 &&
      enough &&
      bad.every(({ undone }) => undone),
    requests,
    failed,
    closedConnections,
    endedWithPod: ends.reduce((total, [, count]) => total + count, 0),
    badReleases: bad,
    ...(workers === undefined ? {} : { workers }),
  };
}

function print(
  { reports, note }: Proof,
  { requests, failed, closedConnections, endedWithPod, workers = {} }: Summary,
  problem: unknown,
): void {
  for (const { target, requests: sent, failed: lost, p50Ms, p99Ms } of reports.table())
    note(
      `${target.padEnd(30)} ${String(sent).padStart(7)} requests, ${lost} failed, p50 <= ${p50Ms} ms, p99 <= ${p99Ms} ms`,
    );
  for (const { target, open, ended, endedWithPod: withPod, closed } of reports.connectionTable())
    note(
      `${target.padEnd(30)} ${open} open, ${ended} lived for their time, ${withPod} ended with a pod, ${closed} closed by the mesh`,
    );
  for (const { at, target, cause, group } of reports.failures) note(`FAILED ${at} ${target} (${group}): ${cause}`);
  note(
    `${requests} requests in the good parts, ${failed} failed; ${closedConnections} long connections closed by the mesh, ${endedWithPod} ended with their pod`,
  );
  for (const [count, planes] of Object.entries(workers)) note(`${planes} data planes had ${count} workers`);
  if (problem !== undefined) note(`The proof failed: ${describeError(problem)}`);
}

process.exit(await main());
