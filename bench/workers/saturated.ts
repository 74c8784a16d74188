// Loads all cores with proxies, of which one has one thread and the others several. Measures their work per CPU second,
// and how busy each thread is that serves.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../src/base/index.ts";
import { Subjects, type Subject } from "../http2/subjects.ts";
import { intervalText, median, medianInterval, type MedianInterval } from "../median-interval.ts";
import { nanosSince, threadNanos } from "../process-cost.ts";
import { StreamLoad } from "./stream-load.ts";
import { listenerNames, policies, resourcesFor, routes, type ListenerName } from "./resources.ts";

const fields = {
  path: "/api/v1/users/1234/reviews/5678",
  authority: "bookinfo.example",
  userAgent: "bench/1",
  role: "reader",
} as const;
const connections = 64;
/** How many requests a connection sends at once. Each is a stream, and Istio's proxies allow 100 or more. */
const batchSize = 100;
const settleMs = 500;
/**
 * How many requests each thread answers before the first round, so that V8 has compiled the hot code. A busy machine
 * may need longer than the limit.
 */
const warmUpAnswers = 200_000;
const [warmUpSeconds, maxWarmUps] = [1, 30];
/** The threads that serve, in Serin and in Envoy. A Serin with one thread serves in the first thread. */
const workerName = /^(worker-|wrk:worker_)/;

const titles: Readonly<Record<ListenerName, string>> = {
  plain: "an answer without any rule",
  rules: `an answer after ${routes} routes and ${policies} policies`,
};

export interface SaturatedOptions {
  readonly workers: number;
  readonly seconds: number;
  readonly rounds: number;
}

interface Measured {
  readonly requestsPerSecond: number;
  readonly requestsPerCpuSecond: number;
  /** For each serving thread, the share of the time in which it ran. The busiest comes first. */
  readonly busy: readonly number[];
  /**
   * For each of these threads, the share of the time in which it had work. It then ran, or waited for a core that
   * something else used.
   */
  readonly hadWork: readonly number[];
  /** The share of the time in which the load generator ran. */
  readonly loadBusy: number;
}

/** Returns the ids of the threads that serve. */
function servingThreads(pid: number): string[] {
  const folder = `/proc/${pid}/task`;
  const workers = readdirSync(folder).filter((id) => workerName.test(readFileSync(`${folder}/${id}/comm`, "utf8")));
  return workers.length > 0 ? workers : [String(pid)];
}

async function measure(
  { name, pid, ports }: Subject<ListenerName>,
  listener: ListenerName,
  seconds: number,
): Promise<Measured> {
  using load = new StreamLoad(fields, batchSize);
  await load.open(ports[listener], connections);
  await systemClock.sleep(settleMs);
  const before = threadNanos(pid);
  const [answeredBefore, loadBefore, startedMs] = [load.answered, process.cpuUsage(), performance.now()];
  await systemClock.sleep(seconds * 1000);
  const answered = load.answered - answeredBefore;
  const own = process.cpuUsage(loadBefore);
  const elapsed = (performance.now() - startedMs) / 1000;
  const spent = nanosSince(pid, before);
  const serving = servingThreads(pid)
    .flatMap((id) => spent.get(id) ?? [])
    .toSorted((left, right) => right.ran - left.ran);
  const cpuSeconds = [...spent.values()].reduce((sum, { ran }) => sum + ran, 0) / 1e9;
  if (load.trouble !== undefined) throw new Error(`${name}: ${load.trouble}`);
  return {
    requestsPerSecond: answered / elapsed,
    requestsPerCpuSecond: answered / cpuSeconds,
    busy: serving.map(({ ran }) => ran / 1e9 / elapsed),
    hadWork: serving.map(({ ran, waited }) => (ran + waited) / 1e9 / elapsed),
    loadBusy: (own.user + own.system) / 1e6 / elapsed,
  };
}

async function warmUp(subject: Subject<ListenerName>, listener: ListenerName): Promise<void> {
  let answers = 0;
  for (let times = 0; times < maxWarmUps; times += 1) {
    const { requestsPerSecond, busy } = await measure(subject, listener, warmUpSeconds);
    answers += requestsPerSecond * warmUpSeconds;
    if (answers >= warmUpAnswers * busy.length) return;
  }
}

interface Row {
  readonly title: string;
  readonly results: Readonly<Record<string, readonly Measured[]>>;
  /** The ratio of work per CPU second of Serin with several workers to the named proxy. */
  readonly ratios: Readonly<Record<string, MedianInterval>>;
}

async function play(
  listener: ListenerName,
  subjects: readonly Subject<ListenerName>[],
  options: SaturatedOptions,
): Promise<Row> {
  const title = titles[listener];
  process.stdout.write(`${title}\n`);
  for (const subject of subjects) await warmUp(subject, listener);
  const results: Record<string, Measured[]> = {};
  for (let round = 0; round < options.rounds; round += 1)
    for (const subject of round % 2 === 0 ? subjects : subjects.toReversed()) {
      const measured = await measure(subject, listener, options.seconds);
      if (measured.requestsPerSecond === 0)
        throw new Error(`${subject.name} has answered nothing for ${options.seconds} s`);
      (results[subject.name] ??= []).push(measured);
      process.stdout.write(`  ${subject.name.padEnd(16)} ${describe(measured)}\n`);
    }
  const { [severalName(options.workers)]: several = [], ...others } = results;
  const ratios = Object.fromEntries(
    Object.entries(others).map(([name, measured]) => [
      name,
      medianInterval(
        several.map((one, round) => one.requestsPerCpuSecond / (measured[round]?.requestsPerCpuSecond ?? Number.NaN)),
      ),
    ]),
  );
  for (const [name, interval] of Object.entries(ratios))
    process.stdout.write(
      `  work per CPU second, ${severalName(options.workers)} to ${name}: ${intervalText(interval)}\n`,
    );
  return { title, results, ratios };
}

function severalName(workers: number): string {
  return `serin, ${workers} workers`;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

function describe({ requestsPerSecond, requestsPerCpuSecond, busy, hadWork, loadBusy }: Measured): string {
  const rates = `${requestsPerSecond.toFixed(0)} requests/s  ${requestsPerCpuSecond.toFixed(0)} per CPU second`;
  const shares = `busy ${busy.map(percent).join(" and ")}, had work ${hadWork.map(percent).join(" and ")}`;
  return `${rates}  ${shares}, load ${percent(loadBusy)}`;
}

function summaryOf({ title, results, ratios }: Row): object {
  const medians = Object.entries(results).map(([name, measured]) => [
    name,
    {
      requestsPerSecond: median(measured.map((one) => one.requestsPerSecond)),
      requestsPerCpuSecond: median(measured.map((one) => one.requestsPerCpuSecond)),
      busy: (measured[0]?.busy ?? []).map((_, at) => median(measured.map(({ busy }) => busy[at] ?? 0))),
      hadWork: (measured[0]?.hadWork ?? []).map((_, at) => median(measured.map(({ hadWork }) => hadWork[at] ?? 0))),
      loadBusy: median(measured.map(({ loadBusy }) => loadBusy)),
    },
  ]);
  return { title, ratios, medians: Object.fromEntries(medians) as object };
}

/** Runs all scenarios. Returns a summary of each. */
export async function benchSaturated(options: SaturatedOptions): Promise<readonly object[]> {
  const subjects = new Subjects({ listeners: listenerNames, resources: resourcesFor, firstCoreOnly: false });
  try {
    const checkout = join(import.meta.dirname, "../..");
    await subjects.startSerin("serin, 1 thread", checkout, 1);
    await subjects.startSerin(severalName(options.workers), checkout, options.workers);
    const envoy = process.env["ENVOY"];
    if (envoy === undefined) process.stdout.write("envoy  peer not run (set ENVOY to its path)\n");
    else await subjects.startEnvoy(envoy, options.workers);
    const rows: Row[] = [];
    for (const listener of listenerNames) rows.push(await play(listener, subjects.all, options));
    return rows.map(summaryOf);
  } finally {
    await subjects.stop();
  }
}
